//! What the shim asks the rest of the program.

use crate::failure::{Failure, Outcome};
use crate::home::Home;
use crate::multiclaude::repo_of_url;
use crate::output::Output;
use crate::queue::{self, MERGE_QUEUE};
use crate::session::{Need, Session, remote_agents};
use crate::settings::Login;
use crate::shim::Hooks;
use multiclaude_hybrid_client::AgentFilter;
use multiclaude_hybrid_client::protocol::token::Scope;
use multiclaude_hybrid_client::protocol::{Owner, Repo};
use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::time::Duration;

/// How long a line of multiclaude's may wait for the coordinator.
const PATIENCE: Duration = Duration::from_secs(5);
const WORKER: &str = "worker";

/// The commands of this program.
#[derive(Debug)]
pub struct Commands;

/// What this machine has been told; nothing where hybrid mode was never used,
/// and nothing, with a word about it, if that cannot be read.
fn session() -> Option<Session> {
    let out = Output::new(false);
    Home::of_user().ok().filter(|home| home.settings().exists())?;
    let told = |failure: Failure| {
        out.warn(&format!("hybrid mode is left out: {}", failure.aside()));
    };
    Session::open(out, PATIENCE).map_err(told).ok()
}

/// Runs `work`.
fn asked<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    runtime.block_on(work)
}

fn has(types: &[String], wanted: &str) -> bool {
    types.iter().any(|kind| kind == wanted)
}

/// Who serves a repo's merge-queue.
enum Serves {
    Nobody,
    ThisMachine,
    Owner(Owner),
    /// Nobody is there, but the team wants it to be remote.
    SomebodyRemote,
}

async fn merge_queue(session: &Session, repo: &Repo, login: &Login) -> Outcome<Serves> {
    let at = session.client(login)?.repo(repo);
    let filter = AgentFilter { r#type: Some(MERGE_QUEUE.to_owned()), ..AgentFilter::default() };
    let queues = at.agents(&filter).await?;
    let config = at.config().await?.value;
    session.remember(repo, &config);
    let instance = Some(&session.settings.instance);
    Ok(match queue::serving(&queues) {
        Some(agent) if agent.instance.as_ref() == instance => Serves::ThisMachine,
        Some(agent) => Serves::Owner(agent.owner.clone()),
        None if has(remote_agents(&config), MERGE_QUEUE) => Serves::SomebodyRemote,
        None => Serves::Nobody,
    })
}

impl Hooks for Commands {
    fn worker_is_remote(&self, repo: Option<&str>) -> bool {
        let Some(session) = session() else {
            return false;
        };
        // Most lines are of repos that are not hybrid: they cost no call.
        let Ok((repo, _)) = session.resolve(repo) else {
            return false;
        };
        let here = session.settings.repo(&repo);
        if !here.enabled {
            return false;
        }
        let now = asked(async {
            let at = session.in_repo(Some(repo.as_str()), Need::Use)?;
            let config = at.client.config().await;
            let config = config.map_err(|error| session.explain(error.into(), &at.login))?;
            session.remember(&repo, &config.value);
            Ok(remote_agents(&config.value).to_vec())
        });
        let out = Output::new(false);
        let remote = match &now {
            Ok(types) => has(types, WORKER),
            // While the coordinator is away, what it said last holds.
            Err(failure) => {
                let remote = has(&here.remote_agents, WORKER);
                if !remote {
                    out.warn(&format!("the worker is started here: {}", failure.aside()));
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
        let repo = repo_of_url(url)?;
        let session = session()?;
        // A repo that this machine has no part in is none of ours.
        let login = session.part_in(&repo)?.clone();
        let name = name.and_then(OsStr::to_str);
        let name = name.or_else(|| url.trim_end_matches('/').rsplit(['/', ':']).next())?;
        let name = name.strip_suffix(".git").unwrap_or(name);
        let here = session.settings.repo(&repo);
        let why = match asked(merge_queue(&session, &repo, &login)) {
            Ok(Serves::Nobody | Serves::ThisMachine) => return None,
            Ok(Serves::Owner(owner)) => format!("{MERGE_QUEUE} of {repo} is served by {owner}"),
            Ok(Serves::SomebodyRemote) => {
                format!("the team runs the {MERGE_QUEUE} of {repo} remotely")
            }
            Err(failure) if has(&here.remote_agents, MERGE_QUEUE) => format!(
                "the team ran the {MERGE_QUEUE} of {repo} remotely when that could last be asked ({})",
                failure.message
            ),
            Err(failure) => {
                // What a token for a whole account reaches need not be hybrid.
                let ours = session.settings.repos.contains_key(repo.as_str());
                if ours || login.repos.contains(&Scope::Repo(repo.clone())) {
                    session.out.warn(&format!(
                        "nobody could say whether a {MERGE_QUEUE} of {repo} runs elsewhere ({}), so one \
                         is started here. If there is another, two merge the same pull requests; to \
                         end this one: {}",
                        failure.message,
                        queue::end_here(name, "")
                    ));
                }
                return None;
            }
        };
        let reach = if here.enabled {
            String::new()
        } else {
            format!(
                ". Hybrid mode is off here; to reach that one: multiclaude-hybrid config {repo} \
                 --hybrid=true"
            )
        };
        Some(format!("{why} (to serve it here: --no-merge-queue=false){reach}"))
    }

    fn run_hybrid(&self, args: &[OsString]) -> i32 {
        let name = OsString::from("multiclaude-hybrid");
        let line = std::iter::once(name).chain(args.iter().cloned());
        i32::from(crate::run(line.collect()))
    }
}
