//! The output of `config`.

use crate::bridge;
use crate::commands::list::EXTRA_OUTPUT_TIMEOUT;
use crate::failure::{Failure, Outcome};
use crate::output::{Look, safe};
use crate::session::{Need, Session, remote_agents};
use crate::settings::RepoSettings;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::config::{Encrypt, HybridConfig};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The output after that of the real program: it fails only if nothing can be printed, and does
/// not take long.
pub(super) async fn show_after_multiclaude(session: &mut Session, repo: Option<&str>) -> Outcome {
    session.timeout = session.timeout.min(EXTRA_OUTPUT_TIMEOUT);
    session.may_ask = false;
    let is_on = |repo: &Repo| session.settings.repo(repo).enabled;
    let view = match session.resolve(repo) {
        Ok((repo, nickname)) if is_on(&repo) => View::of(session, &repo, nickname.as_deref()).await,
        // If it is on for some repo, this line may be about that one.
        Err(failure)
            if session.settings.repos.values().any(|here| here.enabled)
                && !session.is_nameless(repo) =>
        {
            Err(failure)
        }
        _ => {
            let value = json!({ "hybrid": false });
            return session.out.show(&value, || "Hybrid Mode: disabled".to_owned());
        }
    };
    match view {
        Ok(view) => view.show(session, true),
        Err(failure) => {
            session.out.warn(&format!("Hybrid Mode: unknown: {}", failure.one_line()));
            Ok(())
        }
    }
}

/// The types of agents that run here: what multiclaude has of the repo, less
/// what stands down; where it has none yet, what it usually starts, less what
/// runs remotely.
fn local_types(
    session: &Session,
    nickname: Option<&str>,
    (stood_down, remote): (&BTreeSet<String>, &[String]),
) -> Outcome<Vec<String>> {
    let state = session.state()?;
    let usual = || ["supervisor", "merge-queue", "workspace", "worker"].map(str::to_owned).to_vec();
    let mut types: Vec<String> = match nickname.and_then(|name| state.repos.get(name)) {
        Some(local) => {
            let here = local.agents.iter().filter(|(name, _)| !stood_down.contains(*name));
            here.map(|(_, agent)| agent.r#type.clone()).collect()
        }
        None => usual().into_iter().filter(|kind| !remote.contains(kind)).collect(),
    };
    types.sort();
    types.dedup();
    Ok(types)
}

/// A list of agent types, for people: workers come in numbers.
fn listed(types: &[String]) -> String {
    let plural = |kind: &String| match kind.as_str() {
        "worker" => "workers".to_owned(),
        kind => safe(kind),
    };
    match types {
        [] => "none".to_owned(),
        types => types.iter().map(plural).collect::<Vec<_>>().join(", "),
    }
}

/// The configuration of a repo, to be shown.
pub(super) struct View {
    value: Value,
    text: String,
    /// Why the shared part is missing.
    failed: Option<Failure>,
}

impl View {
    pub(super) async fn of(
        session: &Session,
        repo: &Repo,
        nickname: Option<&str>,
    ) -> Outcome<Self> {
        let here = session.settings.repo(repo);
        let login = session.login(Some(repo), Need::Use).ok();
        let endpoint = session.coordinator_url(Some(repo))?;
        let endpoint = endpoint.or_else(|| login.map(|login| login.url.clone()));
        let read = session.team_config(repo).await;
        // While the coordinator is away, its last answer holds.
        let remote = read.as_ref().map_or(&here.remote_agents[..], remote_agents);
        let local = local_types(session, nickname, (&here.stood_down, remote))?;
        let bridge = bridge::serves(bridge::running(session)?.as_ref(), repo, nickname);
        let value = json!({
            "repo": repo, "nickname": nickname, "hybrid": here.enabled, "api_endpoint": endpoint,
            "node": session.settings.node(), "require_encryption": here.require_encryption,
            "local_agents": local, "stood_down": here.stood_down, "bridge": bridge, "shared": read.as_ref().ok(),
        });
        let mut text = machine_text(session, repo, &here, (endpoint.as_deref(), bridge, &local));
        if let Ok(config) = &read {
            text = format!("{text}\n{}", team_text(config, here.enabled));
        }
        Ok(Self { value, text, failed: read.err() })
    }

    /// Shows everything; `changed`: something was changed before.
    pub(super) fn show(self, session: &Session, changed: bool) -> Outcome {
        session.out.show(&self.value, || self.text.clone())?;
        match self.failed {
            None => Ok(()),
            // The change is made; the rest can wait.
            Some(failure) if changed => {
                session.out.warn(&failure.one_line());
                Ok(())
            }
            Some(failure) => Err(failure),
        }
    }
}

fn machine_text(
    session: &Session,
    repo: &Repo,
    here: &RepoSettings,
    (endpoint, bridge, local): (Option<&str>, bool, &[String]),
) -> String {
    let mode = if here.enabled { Look::Good.paint("enabled") } else { "disabled".to_owned() };
    let encryption = if here.require_encryption { "\nEncryption Required Here: yes" } else { "" };
    let bridge = if bridge {
        Look::Good.paint("running")
    } else {
        "not running (start it: multiclaude-hybrid bridge run)".to_owned()
    };
    let down = if here.stood_down.is_empty() {
        String::new()
    } else {
        let roles: Vec<_> = here.stood_down.iter().map(|role| safe(role)).collect();
        format!("\nStood Down Here: {}", roles.join(", "))
    };
    format!(
        "Hybrid Configuration for {repo}:\nHybrid Mode: {mode}\nAPI Endpoint: {}\nNode: {}\nBridge: {bridge}\
         {encryption}\nLocal Agents: {}{down}",
        endpoint.unwrap_or("none (set one with --api-endpoint=URL)"),
        session.settings.node(),
        listed(local),
    )
}

/// Explains the two modes if one is on and the other is off.
const TWO_MODES: &str = "\nHybrid Mode is this machine's: whether its agents exchange messages with other machines. That \
of the Team says whether Remote Agents run on other machines.";

fn team_text(config: &HybridConfig, here: bool) -> String {
    let spawn = match config.spawn_endpoint.as_str() {
        "" => "none (runners claim)".to_owned(),
        url => safe(url),
    };
    let team = if config.enabled { "enabled" } else { "disabled" };
    format!(
        "Remote Agents: {}\nHybrid Mode of the Team: {team}\nSpawn Endpoint: {spawn}\nEncryption: {}\nWorker Limits: {} at once, {} a minute{}",
        listed(&config.remote_agents),
        config.encrypt.map_or("never", Encrypt::as_str),
        config.max_workers,
        config.max_spawns_per_minute,
        if config.enabled == here { "" } else { TWO_MODES },
    )
}
