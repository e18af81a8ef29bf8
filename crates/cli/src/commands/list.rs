//! `list`: multiclaude's own list, and what hybrid mode adds to it.

use crate::bridge;
use crate::failure::{Failure, Outcome};
use crate::home::Home;
use crate::output::{Look, counted, line};
use crate::session::{Need, Session};
use crate::shim::real::Search;
use clap::Args;
use futures_util::future::join_all;
use multiclaude_hybrid_client::AgentFilter;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::agent::{Agent, AgentStatus};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// List repos, and the names that messages can go to.
///
/// The names after "reaches" work with `multiclaude message send <name>` while a
/// bridge runs here, and with `multiclaude-hybrid send <name>` always.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Leave out multiclaude's own output
    #[arg(long, hide = true)]
    hybrid_only: bool,
}

/// How long the coordinator may take to answer for output that follows multiclaude's own.
pub const EXTRA_OUTPUT_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize)]
struct Line {
    /// Nothing if the repo of multiclaude's name is not known.
    repo: Option<Repo>,
    nickname: Option<String>,
    hybrid: bool,
    api_endpoint: Option<String>,
    agents: Vec<Agent>,
    /// Does a bridge carry messages of `multiclaude message send`?
    bridge: bool,
    /// Names that the bridge cannot link, and why.
    unlinked: BTreeMap<String, String>,
    held: usize,
    /// Names of this machine's multiclaude, which its own messages mean first.
    #[serde(skip)]
    local: BTreeSet<String>,
    error: Option<String>,
}

impl ListArgs {
    pub async fn run(&self, session: &mut Session) -> Outcome {
        if self.hybrid_only {
            session.timeout = session.timeout.min(EXTRA_OUTPUT_TIMEOUT);
        }
        let session = &*session;
        if !self.hybrid_only && !session.out.is_json() {
            // Its own words say what is wrong with it, where it fails.
            if let Ok(real) = Search::here(Home::SHIM).find() {
                real.run(&["list".into()]);
            }
        }
        let asked = lines(session)?.into_iter().map(|line| about(session, line));
        // All at once, so that one that hangs holds up no other.
        let found = join_all(asked).await;
        let (lines, failures): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        session.out.show(&lines, || {
            if lines.is_empty() {
                return "Hybrid: no repo is set up (multiclaude-hybrid config <repo> --hybrid=true)"
                    .to_owned();
            }
            let any = lines.iter().any(|line| line.hybrid);
            let lines: Vec<_> = lines.iter().map(|line| text(line, session, any)).collect();
            format!("Hybrid:\n{}", lines.join("\n"))
        })?;
        match failures.into_iter().flatten().next() {
            // multiclaude's own list has not failed.
            Some(_) if self.hybrid_only => Ok(()),
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

/// Every repo that multiclaude or we know, by multiclaude's name if it has one.
fn lines(session: &Session) -> Outcome<Vec<Line>> {
    let state = session.state()?;
    let bridge = bridge::running(session)?;
    let line = |repo: Option<Repo>, nickname: Option<&String>| {
        let mut repos = bridge.iter().flat_map(|status| &status.repos);
        let served = repos.find(|served| {
            repo.as_ref().is_some_and(|repo| repo.as_str() == served.repo)
                && nickname == Some(&served.nickname)
        });
        let here = repo.as_ref().map(|repo| session.settings.repo(repo)).unwrap_or_default();
        let local = nickname.and_then(|name| state.repos.get(name));
        let local = local.into_iter().flat_map(|local| local.agents.keys());
        Line {
            bridge: served.is_some(),
            unlinked: served.map(|served| served.unlinked.clone()).unwrap_or_default(),
            held: served.map_or(0, |served| served.held.len()),
            hybrid: here.enabled,
            api_endpoint: session.coordinator_url(repo.as_ref()).ok().flatten(),
            local: local.filter(|name| !here.stood_down.contains(*name)).cloned().collect(),
            nickname: nickname.cloned(),
            agents: Vec::new(),
            error: None,
            repo,
        }
    };
    let of_name = |name: &String| line(session.nicknamed(name, &state).ok(), Some(name));
    let mut lines: Vec<Line> = state.repos.keys().map(of_name).collect();
    for repo in session.settings.known_repos().map(Some) {
        if !lines.iter().any(|line| line.repo == repo) {
            lines.push(line(repo, None));
        }
    }
    lines.sort_by(|a, b| (&a.repo, &a.nickname).cmp(&(&b.repo, &b.nickname)));
    Ok(lines)
}

async fn about(session: &Session, mut line: Line) -> (Line, Option<Failure>) {
    let Some(repo) = line.repo.as_ref().filter(|_| line.hybrid) else {
        return (line, None);
    };
    let found = async {
        let at = session.in_repo(Some(repo.as_str()), Need::Use)?;
        let agents = at.client.agents(&AgentFilter::default()).await;
        let agents = agents.map_err(|error| session.explain(error.into(), &at.login))?;
        Ok::<_, Failure>((at.login.url, agents))
    };
    match found.await {
        Ok((url, agents)) => {
            line.api_endpoint = Some(url);
            line.agents = agents;
            (line, None)
        }
        Err(failure) => {
            line.error = Some(failure.message.clone());
            (line, Some(failure))
        }
    }
}

/// The line of a repo; `any`: one of them is hybrid.
fn text(about: &Line, session: &Session, any: bool) -> String {
    let name = match (&about.nickname, &about.repo) {
        (Some(nickname), Some(repo)) => format!("{nickname} ({repo})"),
        (Some(name), None) if !any => name.clone(),
        (Some(name), None) => {
            return format!(
                "  {name}: off; to turn it on, name its repo: multiclaude-hybrid config {name} \
                 --name=owner/repo"
            );
        }
        (None, repo) => repo.as_ref().map_or(String::new(), ToString::to_string),
    };
    if !about.hybrid {
        return format!("  {name}: off");
    }
    if let Some(error) = &about.error {
        let error = line(error, 160);
        return format!("  {name}: {} ({error})", Look::Bad.paint("not connected"));
    }
    let endpoint = about.api_endpoint.as_deref().unwrap_or_default();
    let (local, away): (Vec<&Agent>, Vec<&Agent>) =
        about.agents.iter().partition(|agent| session.settings.has_registered(agent));
    let held = match about.held {
        0 => String::new(),
        held => {
            format!("; {} held here (multiclaude-hybrid bridge held)", counted(held, "message"))
        }
    };
    format!(
        "  {name}: {}, {endpoint}, {} of this machine, {}{held}",
        Look::Good.paint("on"),
        counted(local.len(), "agent"),
        reaches(about, &away)
    )
}

/// How messages reach the agents of other machines, and their names.
fn reaches(about: &Line, away: &[&Agent]) -> String {
    let label = |agent: &&Agent| match agent.status {
        AgentStatus::Stopped => format!("{} (stopped)", agent.name),
        _ if about.unlinked.contains_key(agent.name.as_str()) => {
            format!("{} (multiclaude-hybrid send only)", agent.name)
        }
        _ if about.local.contains(agent.name.as_str()) => {
            format!("{} (hidden from multiclaude message by the agent here)", agent.name)
        }
        _ => agent.name.to_string(),
    };
    let names = match away {
        [] => "no agent yet".to_owned(),
        away => away.iter().map(label).collect::<Vec<_>>().join(", "),
    };
    if about.bridge {
        return format!("reaches {names}");
    }
    format!(
        "no bridge (start it: multiclaude-hybrid bridge run), so only multiclaude-hybrid send reaches {names}"
    )
}
