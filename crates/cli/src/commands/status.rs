//! `status`: everything in ten lines.

use crate::bridge;
use crate::failure::{Failure, Outcome};
use crate::output::{Look, ago, counted, safe};
use crate::service::Service;
use crate::session::Session;
use clap::Args;
use multiclaude_hybrid_bridge::status::Status;
use multiclaude_hybrid_client::protocol::Repo;
use serde::Serialize;
use std::os::unix::net::UnixStream;

/// Show coordinator, login, bridge, agents, waiting messages.
#[derive(Debug, Args)]
pub struct StatusArgs {}

#[derive(Debug, Serialize)]
struct Shown {
    node: String,
    coordinators: Vec<Coordinator>,
    multiclaude: bool,
    #[serde(skip)]
    daemon: String,
    bridge: Option<Status>,
    bridge_installed: bool,
    repos: Vec<Repo>,
    agents: usize,
    outgoing: usize,
    held: usize,
}

#[derive(Debug, Serialize)]
struct Coordinator {
    url: String,
    token: String,
    error: Option<String>,
}

impl StatusArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let mut coordinators = Vec::new();
        let mut first = None;
        for login in session.logins() {
            let asked = async { Ok::<_, Failure>(session.client(login)?.whoami().await?) };
            let failure = asked.await.err().map(|failure| session.explain(failure, login));
            coordinators.push(Coordinator {
                url: login.url.clone(),
                token: format!("{} ({})", login.owner, login.kind.as_str()),
                error: failure.as_ref().map(|failure| failure.message.clone()),
            });
            first = first.or(failure);
        }
        let bridge = bridge::running(session)?;
        let enabled = session.settings.repos.iter().filter(|(_, here)| here.enabled);
        let of_bridge = || bridge.iter().flat_map(|status| &status.repos);
        let runs = UnixStream::connect(session.home.multiclaude().socket()).is_ok();
        let shown = Shown {
            node: session.settings.node(),
            multiclaude: runs,
            daemon: bridge::daemon_line(session, runs),
            bridge_installed: Service::of(&session.home).is_installed(),
            repos: enabled.filter_map(|(name, _)| Repo::parse(name).ok()).collect(),
            agents: of_bridge().map(|repo| repo.agents.len()).sum(),
            outgoing: of_bridge()
                .flat_map(|repo| repo.outgoing.values())
                .map(|out| out.waiting)
                .sum(),
            held: of_bridge().map(|repo| repo.held.len()).sum(),
            coordinators,
            bridge,
        };
        session.out.show(&shown, || shown.lines().join("\n"))?;
        first.map_or(Ok(()), Err)
    }
}

impl Shown {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("this machine  {}", safe(&self.node))];
        if self.coordinators.is_empty() {
            lines.push(format!(
                "coordinator   {} (get a token, then: multiclaude-hybrid login --url URL)",
                Look::Bad.paint("no login")
            ));
        }
        for coordinator in &self.coordinators {
            let state = match &coordinator.error {
                None => Look::Good.paint("online"),
                Some(error) => format!("{}: {}", Look::Bad.paint("not usable"), safe(error)),
            };
            lines.push(format!(
                "coordinator   {}, as {}, {state}",
                safe(&coordinator.url),
                safe(&coordinator.token)
            ));
        }
        lines.push(format!("multiclaude   {}", self.daemon));
        lines.push(format!("bridge        {}", self.bridge_line()));
        let repos: Vec<_> = self.repos.iter().map(ToString::to_string).collect();
        lines.push(match repos.as_slice() {
            [] => {
                "repos         none (turn one on: multiclaude-hybrid config <repo> --hybrid=true)"
                    .to_owned()
            }
            repos => format!("repos         {}", repos.join(", ")),
        });
        if self.bridge.is_some() {
            lines.push(format!("agents        {} of this machine registered", self.agents));
            lines.push(format!("outgoing      {} on the way", counted(self.outgoing, "message")));
            lines.push(format!("incoming      {} held", counted(self.held, "message")));
        }
        if let Some(repo) = self.repos.first() {
            lines.push(format!("more          multiclaude-hybrid bridge status; multiclaude-hybrid agents --repo {repo}"));
        }
        lines
    }

    fn bridge_line(&self) -> String {
        match &self.bridge {
            Some(status) => {
                let started = ago(multiclaude_hybrid_client::protocol::Timestamp(status.started_ms));
                let away = status.repos.iter().filter(|repo| !repo.online).count();
                let state = if away == 0 {
                    Look::Good.paint("running")
                } else {
                    Look::Warning.paint("running, and offline")
                };
                format!("{state}, started {started}")
            }
            None if self.bridge_installed => Look::Bad.paint("installed, and not running (see: multiclaude-hybrid bridge logs)"),
            None => Look::Bad.paint("not running (start it: multiclaude-hybrid bridge run; or install it: bridge install)"),
        }
    }
}
