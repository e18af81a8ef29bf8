//! `bridge run`.

use crate::commands::daemon;
use crate::completion;
use crate::failure::{Failure, Outcome};
use crate::machine::ThisMachine;
use crate::session::Session;
use crate::types;
use clap::{Args, ValueEnum};
use multiclaude_hybrid_bridge::hop::HopOptions;
use multiclaude_hybrid_bridge::inbox::Accept;
use multiclaude_hybrid_bridge::run::{Options, StartError, run};
use multiclaude_hybrid_client::protocol::Owner;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use url::Url;

/// The command of `multiclaude-hybrid` that runs a bridge.
const RUN: [&str; 2] = ["bridge", "run"];

/// The roles that a bridge serves.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Serve this role for the whole team, under its bare name: merge-queue, supervisor, …
    #[arg(long = "serve", id = "serve", value_name = "ROLE", add = completion::types())]
    pub(crate) roles: Vec<String>,
    /// Allow a role in --serve that multiclaude does not have
    #[arg(long, requires = "serve")]
    allow_unknown_type: bool,
}

impl ServeArgs {
    pub(crate) fn check(&self) -> Outcome {
        let roles = self.roles.iter().map(String::as_str);
        types::check("--serve", roles, self.allow_unknown_type)
    }
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    /// Listen for webhooks at this address; needs --public-url
    #[arg(long, value_name = "ADDRESS:PORT", requires = "public_url")]
    listen: Option<SocketAddr>,
    /// The URL at which the coordinator reaches the listener
    #[arg(long, value_name = "URL", requires = "listen")]
    public_url: Option<Url>,
    /// Ask for messages instead of keeping a stream open
    #[arg(long, conflicts_with = "public_url")]
    poll: bool,
    /// Accept messages without asking: team (all of them), ask (only your own agents'), or those of
    /// owners: ann,eve
    #[arg(long, value_name = "WHOSE", default_value = "team", value_parser = accepted)]
    accept: Accept,
    /// Deliver messages to a workspace, which a person uses, in this way
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    workspace: Workspace,
    /// Show notes for the person here
    #[arg(long, value_name = "WHERE", value_enum, default_value_t)]
    notify: Notify,
    /// Divide the bridge's times, for tests
    #[arg(long, value_name = "N", hide = true, default_value_t = 1)]
    time_scale: u32,
}

fn accepted(text: &str) -> Result<Accept, String> {
    match text {
        "team" => Ok(Accept::Team),
        "ask" => Ok(Accept::Ask),
        owners => {
            let owner = |owner: &str| match Owner::parse(owner.trim()) {
                Ok(owner) => Ok(owner.to_string()),
                Err(error) => Err(format!("the owner {owner:?} {error}")),
            };
            Ok(Accept::Owners(owners.split(',').map(owner).collect::<Result<_, _>>()?))
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Workspace {
    /// As a note in tmux's status line
    #[default]
    Note,
    /// Like any agent
    Deliver,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Notify {
    /// In tmux's status line
    #[default]
    Tmux,
    /// Nowhere
    None,
}

/// The command line of `multiclaude-hybrid` that runs a bridge with these flags.
pub(crate) fn run_words(flags: &[String]) -> Vec<String> {
    RUN.map(str::to_owned).into_iter().chain(flags.iter().cloned()).collect()
}

impl RunArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Outcome {
        self.serve.check()?;
        session.change(|settings| settings.node = Some(settings.node()))?;
        session.settings.keep_identity(&session.home)?;
        let home = session.home.user().to_owned();
        daemon::start(&session.home.bridge().log())?;
        let options = Options {
            home,
            serve: self.serve.roles.iter().cloned().collect::<BTreeSet<_>>(),
            listen: self.listen,
            public_url: self
                .public_url
                .as_ref()
                .map(|url| url.as_str().trim_end_matches('/').to_owned()),
            polling: self.poll,
            accept: self.accept.clone(),
            hop: HopOptions {
                workspace: self.workspace == Workspace::Deliver,
                quiet: self.notify == Notify::None,
            },
            scale: self.time_scale,
        };
        let machine = Arc::new(ThisMachine {
            timeout: session.timeout.max(Duration::from_secs(15)),
            only: session.only.clone(),
        });
        let bridge = |mut stops: mpsc::Receiver<()>| {
            run(options, machine, async move {
                stops.recv().await;
            })
        };
        daemon::run("bridge", bridge).await?.map_err(|error| {
            let failure = Failure::new(error.to_string());
            match error {
                StartError::Running => failure.hint("see it: multiclaude-hybrid bridge status"),
                StartError::Listen { .. } => {
                    failure.hint("choose another address: --listen ADDRESS:PORT")
                }
                _ => failure,
            }
        })
    }
}
