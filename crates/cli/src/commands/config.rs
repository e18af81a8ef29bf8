//! `config <repo>`: what this machine does for a repo, and what the whole team
//! has agreed on.

mod name;
mod relabel;
mod show;

use crate::commands::list::EXTRA_OUTPUT_TIMEOUT;
use crate::completion;
use crate::failure::{Exit, Failure, Outcome, wrong_url};
use crate::options::one_of;
use crate::remote::host::Host;
use crate::session::{InRepo, Need, Session};
use crate::settings::check_label;
use crate::types;
use clap::Args;
use multiclaude_hybrid_client::BaseUrl;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::config::{ConfigWish, Encrypt, HybridConfig};
use show::{View, show_after_multiclaude};

/// Tries to write the shared configuration while others write it, too.
const TRIES: u32 = 5;

/// Show or change how a repo works across machines.
///
/// Without options it shows everything. --hybrid, --api-endpoint, --name,
/// --git-host, --node and --require-encryption are about this machine. The others change
/// the configuration that all machines share, for which the coordinator requires a
/// service or an admin token.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The repo: multiclaude's name for it, or owner/repo [default: this directory's, else multiclaude's current one]
    repo: Option<String>,
    #[command(flatten)]
    here: HereArgs,
    #[command(flatten)]
    shared: SharedArgs,
    /// Leave out multiclaude's own output
    #[arg(long, hide = true)]
    hybrid_only: bool,
}

/// Settings of this machine.
#[derive(Debug, Default, PartialEq, Args)]
struct HereArgs {
    /// Turn hybrid mode on or off here
    #[arg(long, value_name = "BOOL")]
    hybrid: Option<bool>,
    /// The coordinator's URL; without a path, /v1 is meant
    #[arg(long, value_name = "URL")]
    api_endpoint: Option<String>,
    /// The owner/repo of this repo of multiclaude's, if the URL of its clone does not name one
    #[arg(long, value_name = "OWNER/REPO")]
    name: Option<Repo>,
    /// Accept clones of the repo from this host, too
    #[arg(long, value_name = "HOST", value_parser = git_host)]
    git_host: Vec<String>,
    /// The label of this machine, with which its agents' names end
    #[arg(long, value_name = "LABEL", value_parser = check_label)]
    node: Option<String>,
    /// Send messages of this repo from this machine only encrypted, whatever the shared
    /// configuration says
    #[arg(long, value_name = "BOOL")]
    require_encryption: Option<bool>,
}

/// Settings of the team.
#[derive(Debug, Default, PartialEq, Args)]
struct SharedArgs {
    /// Shared: turn hybrid mode on or off for the team [default: unchanged; true with the first shared option]
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// Shared: agent types that run remotely: merge-queue,supervisor,worker
    #[arg(long, value_name = "TYPES", value_delimiter = ',', add = completion::types())]
    remote_agents: Option<Vec<String>>,
    /// Allow a type in --remote-agents that multiclaude does not have
    #[arg(long, requires = "remote_agents")]
    allow_unknown_type: bool,
    /// Shared: the URL that requests for workers are pushed to; empty for claiming only
    #[arg(long, value_name = "URL")]
    spawn_endpoint: Option<String>,
    /// Shared: encrypt messages
    #[arg(long, value_name = "WHEN", value_parser = one_of(WHEN, |text| Ok(When(Encrypt::parse(text).ok()))))]
    encrypt: Option<When>,
    /// Shared: the most workers that are pending or at work at a time
    #[arg(long, value_name = "N")]
    max_workers: Option<u32>,
    /// Shared: the most requests for workers in a minute
    #[arg(long, value_name = "N")]
    max_spawns_per_minute: Option<u32>,
}

/// `never` beside the protocol's two.
#[derive(Debug, Clone, Copy, PartialEq)]
struct When(Option<Encrypt>);

const WHEN: &[&str] = &["never", "when-possible", "always"];

fn git_host(text: &str) -> Result<String, String> {
    let wrong = || "must be the name of a host, like github.com".to_owned();
    Host::parse(text).map(|host| host.name().to_owned()).ok_or_else(wrong)
}

impl ConfigArgs {
    pub async fn run(&self, session: &mut Session) -> Outcome {
        if self.hybrid_only {
            return show_after_multiclaude(session, self.repo.as_deref()).await;
        }
        if self.here.name.is_some() && self.repo.is_none() {
            return Err(Failure::usage(
                "--name sets the repo of one of multiclaude's names: give that name, too",
            )
            .hint("multiclaude-hybrid config NAME --name=owner/repo"));
        }
        // A wrong line is refused before anything of it is done.
        let types = self.shared.remote_agents.iter().flatten().map(|kind| kind.trim());
        types::check("--remote-agents", types, self.shared.allow_unknown_type)?;
        let endpoint = self.endpoint(session)?;
        if let (Some(name), Some(repo)) = (&self.repo, &self.here.name) {
            name::set(session, name, repo)?;
        }
        let (repo, nickname) = session.resolve(self.repo.as_deref())?;
        let changes_here = self.here != HereArgs::default();
        if changes_here {
            let before = session.settings.node();
            self.change_here(session, &repo, endpoint)?;
            if session.settings.node() != before {
                relabel::relabel(session).await;
            }
            name::warn_of_fork(session, &repo, nickname.as_deref())?;
        }
        if self.shared != SharedArgs::default() {
            let at = session.in_repo(Some(repo.as_str()), Need::Manage)?;
            let done = self.change_shared(&at).await;
            done.map_err(|failure| {
                session.explain(failure, &at.login).instead(
                    Exit::Forbidden,
                    "the shared configuration takes a service or an admin token: ask the coordinator's \
                     admin, or log in with such a token. --hybrid and --api-endpoint need none",
                )
            })?;
        } else if changes_here {
            // The change is made, even if the coordinator is away.
            session.timeout = session.timeout.min(EXTRA_OUTPUT_TIMEOUT);
        }
        View::of(session, &repo, nickname.as_deref()).await?.show(session, changes_here)
    }

    fn endpoint(&self, session: &Session) -> Outcome<Option<String>> {
        let allowed = session.settings.logins.iter().any(|login| login.allow_http);
        let Some(url) = &self.here.api_endpoint else {
            return Ok(None);
        };
        let repo = self.repo.as_ref().map_or(String::new(), |repo| format!(" {repo}"));
        let command = format!("multiclaude-hybrid config{repo} --api-endpoint=");
        let base = BaseUrl::parse(url, allowed)
            .map_err(|error| wrong_url(&error, &command).about("--api-endpoint"))?;
        Ok(Some(base.to_string()))
    }

    fn change_here(&self, session: &mut Session, repo: &Repo, endpoint: Option<String>) -> Outcome {
        session.change(|settings| {
            let here = settings.repos.entry(repo.to_string()).or_default();
            if let Some(on) = self.here.hybrid {
                here.enabled = on;
            }
            if let Some(on) = self.here.require_encryption {
                here.require_encryption = on;
            }
            if endpoint.is_some() {
                here.api_endpoint = endpoint;
            }
            here.hosts.extend(self.here.git_host.iter().cloned());
            if self.here.node.is_some() {
                settings.node.clone_from(&self.here.node);
            }
        })?;
        if self.here.hybrid == Some(true) {
            session.note_hosts(repo, &session.state()?);
        }
        Ok(())
    }

    async fn change_shared(&self, at: &InRepo) -> Outcome {
        let mut tries = 0;
        loop {
            tries += 1;
            let read = at.client.config().await?;
            let first = read.is_default();
            let mut config = read.value;
            // The first change turns hybrid mode on; a later one leaves it as it is.
            config.enabled = self.shared.enabled.unwrap_or(first || config.enabled);
            self.apply(&mut config);
            let wish = ConfigWish::from(config);
            match at.client.set_config(&wish, Some(&read.etag)).await {
                // Another change came first: try again on top of it.
                Err(error) if error.is_conflict() && tries < TRIES => {}
                done => return Ok(done.map(|_| ())?),
            }
        }
    }

    fn apply(&self, config: &mut HybridConfig) {
        if let Some(types) = &self.shared.remote_agents {
            let types = types.iter().map(|kind| kind.trim()).filter(|kind| !kind.is_empty());
            config.remote_agents = types.map(str::to_owned).collect();
        }
        if let Some(url) = &self.shared.spawn_endpoint {
            config.spawn_endpoint.clone_from(url);
        }
        if let Some(When(when)) = self.shared.encrypt {
            config.encrypt = when;
        }
        config.max_workers = self.shared.max_workers.unwrap_or(config.max_workers);
        config.max_spawns_per_minute =
            self.shared.max_spawns_per_minute.unwrap_or(config.max_spawns_per_minute);
    }
}
