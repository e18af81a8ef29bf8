//! The answers of this program to the shim.

use crate::bridge;
use crate::failure::{Failure, Outcome};
use crate::home::Home;
use crate::output::Output;
use crate::program::NAME;
use crate::remote;
use crate::run::run;
use crate::runtime::block_on;
use crate::service::Service;
use crate::session::{Session, remote_agents};
use crate::settings::Login;
use crate::shim::{Hooks, Message};
use crate::types::{MERGE_QUEUE, serving_merge_queue};
use multiclaude_hybrid_client::AgentFilter;
use multiclaude_hybrid_client::protocol::token::Scope;
use multiclaude_hybrid_client::protocol::{AgentName, Owner, Repo};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// How long a line of multiclaude's may wait for the coordinator.
const PATIENCE: Duration = Duration::from_secs(5);
const WORKER: &str = "worker";

#[derive(Debug)]
pub struct Commands;

/// A session; nothing if hybrid mode was never used here, and nothing, with a warning, if
/// the settings cannot be read.
fn session() -> Option<Session> {
    let out = Output::new(false);
    Home::of_user().ok().filter(|home| home.settings().exists())?;
    let warn = |failure: Failure| {
        out.warn(&format!("hybrid mode is left out: {}", failure.one_line()));
    };
    Some(Session::open(out, PATIENCE).map_err(warn).ok()?.unattended())
}

fn has(types: &[String], wanted: &str) -> bool {
    types.iter().any(|kind| kind == wanted)
}

/// The server of a repo's merge-queue.
enum Serves {
    /// Each machine may have its own.
    NotShared,
    ThisMachine,
    Owner(Owner),
    /// No machine, although the team wants it to be remote.
    Unserved,
}

async fn merge_queue(session: &Session, repo: &Repo, login: &Login) -> Outcome<Serves> {
    let at = session.client(login)?.repo(repo);
    let filter = AgentFilter { r#type: Some(MERGE_QUEUE.to_owned()), ..AgentFilter::default() };
    let queues = at.agents(&filter).await?;
    let config = at.config().await?.value;
    session.remember(repo, &config);
    Ok(match serving_merge_queue(&queues) {
        Some(agent) if session.settings.has_registered(agent) => Serves::ThisMachine,
        Some(agent) => Serves::Owner(agent.owner.clone()),
        None if has(remote_agents(&config), MERGE_QUEUE) => Serves::Unserved,
        None => Serves::NotShared,
    })
}

/// Does a bridge run here, or is one installed?
fn bridge_is_there(session: &Session) -> bool {
    Service::of(&session.home).is_installed() || session.home.bridge().is_running()
}

/// The name that multiclaude gives to the clone of this URL; `given` on its command line.
fn nickname<'a>(url: &'a str, given: Option<&'a OsStr>) -> Option<&'a str> {
    let given = given.and_then(OsStr::to_str);
    let name = given.or_else(|| url.trim_end_matches('/').rsplit(['/', ':']).next())?;
    Some(name.strip_suffix(".git").unwrap_or(name))
}

/// Has this machine joined the repo, or a token for it? A token for a whole account also
/// covers repos that are not hybrid.
fn is_ours(session: &Session, repo: &Repo, login: &Login) -> bool {
    session.settings.repos.contains_key(repo.as_str())
        || login.repos.contains(&Scope::Repo(repo.clone()))
}

/// Why `init` starts no merge-queue, if a bridge runs or is installed here.
fn served_elsewhere(session: &Session, repo: &Repo, owner: &Owner) -> String {
    let carries = if session.home.bridge().is_running() {
        "the bridge carries messages to it"
    } else {
        "the bridge that is installed here does not run now; start it: multiclaude-hybrid bridge install"
    };
    format!(
        "the {MERGE_QUEUE} of {repo} is served by {owner}, and {carries} (to serve it here: \
         --no-merge-queue=false)"
    )
}

impl Hooks for Commands {
    fn worker_is_remote(&self, repo: Option<&str>) -> bool {
        let Some(session) = session() else {
            return false;
        };
        // Most lines are of repos that are not hybrid: they cost no call.
        let repo = match session.resolve(repo) {
            Ok((repo, _)) => repo,
            Err(failure) => {
                // Without a hybrid repo the line cannot be about one.
                if session.settings.repos.values().any(|here| here.enabled) {
                    let why = failure.one_line();
                    session.out.warn(&format!("the worker is started here: {why}"));
                }
                return false;
            }
        };
        let here = session.settings.repo(&repo);
        if !here.enabled {
            return false;
        }
        let out = Output::new(false);
        let remote = match block_on(session.team_config(&repo)) {
            Ok(config) => has(remote_agents(&config), WORKER),
            // While the coordinator is away, its last answer holds.
            Err(failure) => {
                let remote = has(&here.remote_agents, WORKER);
                if !remote {
                    out.warn(&format!("the worker is started here: {}", failure.one_line()));
                }
                remote
            }
        };
        if remote {
            out.note(&format!("Workers of {repo} run on other machines; --local starts one here."));
        }
        remote
    }

    fn init_without_merge_queue(&self, url: &OsStr, name: Option<&OsStr>) -> Option<String> {
        let url = url.to_str()?;
        let repo = remote::resolve(url).repo()?;
        let session = session()?;
        // Without a token for the repo, this machine has no part in it.
        let login = session.part_in(&repo)?.clone();
        let name = nickname(url, name)?;
        let consequence = format!(
            "If both run, both merge the same pull requests; to end the one here: multiclaude-hybrid \
             stand-down {MERGE_QUEUE} --repo {name}"
        );
        let warning = match block_on(merge_queue(&session, &repo, &login)) {
            Ok(Serves::NotShared | Serves::ThisMachine) => return None,
            Ok(Serves::Owner(owner))
                if session.settings.repo(&repo).enabled && bridge_is_there(&session) =>
            {
                return Some(served_elsewhere(&session, &repo, &owner));
            }
            Ok(Serves::Owner(owner)) => format!(
                "the {MERGE_QUEUE} of {repo} is served by {owner}, but messages would not reach it from \
                 here without a bridge, so one is started here too. {consequence}. Install the bridge first: \
                 multiclaude-hybrid bridge install"
            ),
            Ok(Serves::Unserved) => format!(
                "the team wants the {MERGE_QUEUE} of {repo} to run elsewhere, but no machine serves it \
                 now, so one is started here"
            ),
            Err(failure) => {
                if !is_ours(&session, &repo, &login) {
                    return None;
                }
                format!(
                    "it is not known whether a {MERGE_QUEUE} of {repo} runs elsewhere ({}), so one is \
                     started here. {consequence}",
                    failure.message
                )
            }
        };
        session.out.warn(&warning);
        None
    }

    fn message(&self, to: &OsStr) -> Message {
        // Without settings that can be read, a message is multiclaude's alone.
        let Some(session) = session() else {
            return Message::Real;
        };
        // The directory decides for multiclaude, so it does here.
        let Some(place) = session.place() else {
            return Message::Real;
        };
        // Without a hybrid repo no message is for another machine.
        if !session.settings.repos.values().any(|here| here.enabled) {
            return Message::Real;
        }
        let state = match session.state() {
            Ok(state) => state,
            Err(failure) => return Message::Refuse(failure.one_line()),
        };
        let local = state.repos.get(&place.repo);
        let is_local =
            local.zip(to.to_str()).is_some_and(|(local, to)| local.agents.contains_key(to));
        let repo = match session.nicknamed(&place.repo, &state) {
            Ok(repo) => repo,
            // Its agents reach each other, whichever repo it is.
            Err(_) if is_local => return Message::Real,
            Err(failure) => return Message::Refuse(failure.one_line()),
        };
        let here = session.settings.repo(&repo);
        if !here.enabled {
            return Message::Real;
        }
        let Some(name) = to.to_str() else {
            return Message::Refuse(format!("no agent can be called {}", to.to_string_lossy()));
        };
        let is_local = is_local && !here.stood_down.contains(name);
        let bridge = bridge::running(&session).ok().flatten();
        if is_local || bridge::serves(bridge.as_ref(), &repo, Some(&place.repo)) {
            return Message::Real;
        }
        match AgentName::parse(name) {
            Ok(_) => Message::Hybrid,
            Err(error) => Message::Refuse(format!(
                "no agent here is called {name:?}, and none elsewhere can be: the name {error}"
            )),
        }
    }

    fn run_hybrid(&self, args: &[OsString]) -> u8 {
        let name = OsString::from(NAME);
        let line = std::iter::once(name).chain(args.iter().cloned());
        run(line.collect())
    }
}
