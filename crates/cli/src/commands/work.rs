//! `work --remote` and `workers`: workers on other machines.

mod cancel;
mod requests;
mod warnings;

use super::send::no_such_sender;
use crate::completion;
use crate::failure::{Exit, Failure, Outcome};
use crate::ids::Given;
use crate::options::{RepoArg, one_of};
use crate::output::{ago, now, safe};
use crate::progress::worker;
use crate::sender;
use crate::session::{InRepo, Need, Session};
use cancel::CancelArgs;
use clap::{Args, Subcommand};
use multiclaude_hybrid_bridge::tools::spawn::{no_runner, unencrypted};
use multiclaude_hybrid_client::protocol::spawn::{NewSpawn, SpawnRequest, SpawnStatus, TASK_MAX};
use multiclaude_hybrid_client::protocol::{ErrorCode, SpawnId};
use requests::{candidates, details, listed};

/// Ask for a worker on another machine.
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// The task of the worker
    #[arg(required = true, value_name = "TASK")]
    task: Vec<String>,
    /// Run it on another machine (required; a worker on this machine: multiclaude work)
    #[arg(long)]
    remote: bool,
    #[command(flatten)]
    repo: RepoArg,
    /// Its urgency, -1000 to 1000; the higher comes first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1000..=1000))]
    priority: i64,
    /// Start from this branch
    #[arg(long)]
    branch: Option<String>,
    /// Push to this branch (with --branch)
    #[arg(long, requires = "branch")]
    push_to: Option<String>,
    /// multiclaude's own, for workers here
    #[arg(long, hide = true)]
    name: Option<String>,
    /// A label that the runner must have; may be repeated
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Allow a second runner if the first one is lost
    #[arg(long)]
    retry: bool,
    /// The agent that gets a notice of the end, one of yours; or user:<owner>, who gets none
    /// [default: the agent of this directory, else your workspace]
    #[arg(long, value_name = "NAME", add = completion::names())]
    from: Option<String>,
    /// Idempotency key: the same one again asks for no second worker
    #[arg(long)]
    key: Option<String>,
    /// Follow the worker to its end
    #[arg(long)]
    wait: bool,
    /// Send it even if encryption is required: a task cannot be encrypted
    #[arg(long)]
    unencrypted: bool,
}

/// Show and cancel requests for workers.
#[derive(Debug, Args)]
pub struct WorkersArgs {
    #[command(subcommand)]
    command: Option<WorkersCommand>,
    #[command(flatten)]
    repo: RepoArg,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only with this status
    #[arg(long, value_parser = one_of(SpawnStatus::TEXTS, SpawnStatus::parse))]
    status: Option<SpawnStatus>,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The request's id, or the beginning of it
    id: Given<SpawnId>,
}

#[derive(Debug, Subcommand)]
enum WorkersCommand {
    /// List requests
    List(ListArgs),
    /// Show one request
    Show(OneArgs),
    /// Follow a request to its end
    Wait(OneArgs),
    /// Print the last part of the worker's log
    Logs(OneArgs),
    /// Cancel requests; a worker that runs is asked to stop
    Cancel(CancelArgs),
}

impl WorkArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let task = self.checked_task()?;
        let at = session.in_repo(self.repo.given(), Need::Use)?;
        let config = at.client.config().await?.value;
        session.remember(&at.repo, &config);
        let required = session.settings.repo(&at.repo).require_encryption;
        if let Some(reason) = unencrypted(&config, required).filter(|_| !self.unencrypted) {
            return Err(Failure::new(reason).exit(Exit::Conflict).hint(
                "put secrets where the worker can read them, and send the task with --unencrypted",
            ));
        }
        if let Some(warning) = warnings::unpushed() {
            session.out.warn(&warning);
        }
        let request = match self.ask(session, &at, task).await {
            Ok(request) => request,
            Err(failure) => return Err(self.refused(&at, failure).await),
        };
        if let Some((warning, hint)) = warnings::is_off(session, &at, &config) {
            session.out.warn_with(&warning, &hint);
        }
        if let Some(warning) = no_runner(&request, &config, now()) {
            session.out.warn_with(&warning, &warnings::run_one(&at.repo));
        }
        if self.wait {
            session.out.note(&format!("Requested a worker in {}: {}", at.repo, request.id));
            let id = request.id.clone();
            return follow(session, &at, &id, Some(request)).await;
        }
        session.out.show(&request, || {
            format!(
                "Requested a worker in {repo}: {id}\n  follow it: multiclaude-hybrid workers wait {id} --repo \
                 {repo}\n  cancel it: multiclaude-hybrid workers cancel {id} --repo {repo}",
                id = request.id,
                repo = at.repo
            )
        })
    }

    /// The task, if the line asks for a worker that another machine can start.
    fn checked_task(&self) -> Outcome<String> {
        let task = self.task.join(" ");
        if !self.remote {
            return Err(Failure::usage("multiclaude-hybrid starts workers on other machines only")
                .hint(format!(
                    "there: multiclaude-hybrid work --remote {task:?}; here: multiclaude work {task:?}"
                )));
        }
        if self.name.is_some() {
            return Err(Failure::usage(
                "a worker on another machine gets its name there: leave out --name",
            )
            .hint("for a worker on this machine: multiclaude work --local …"));
        }
        if task.trim().is_empty() || task.len() > TASK_MAX {
            return Err(Failure::usage(format!(
                "a task has 1 to {TASK_MAX} bytes; this one has {}",
                task.len()
            )));
        }
        Ok(task)
    }

    async fn refused(&self, at: &InRepo, failure: Failure) -> Failure {
        let failure = no_such_sender(failure, at, self.from.as_deref());
        match failure.code {
            Some(ErrorCode::WorkerLimitReached) => failure.hint(warnings::at_limit(at).await),
            _ => failure,
        }
    }

    async fn ask(&self, session: &Session, at: &InRepo, task: String) -> Outcome<SpawnRequest> {
        let mut wish = NewSpawn {
            spawned_by: sender::requester(session, at, self.from.as_deref()).await?,
            priority: self.priority,
            retry: self.retry,
            labels: self.labels.clone(),
            ..NewSpawn::new(&task)
        };
        for (key, value) in [("branch", &self.branch), ("push_to", &self.push_to)] {
            if let Some(value) = value {
                wish.metadata.insert(key.to_owned(), value.clone());
            }
        }
        Ok(at.client.spawn(&wish, self.key.as_deref()).await?)
    }
}

impl WorkersArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let lists = matches!(self.command, None | Some(WorkersCommand::List(_)));
        if !lists && self.list.status.is_some() {
            return Err(Failure::usage("--status is for the list alone"));
        }
        let at = &session.in_repo(self.repo.given(), Need::Use)?;
        let whole = async |one: &OneArgs| one.id.find(async || candidates(at).await).await;
        match &self.command {
            None => list(session, at, &self.list).await,
            Some(WorkersCommand::List(args)) => list(session, at, args).await,
            Some(WorkersCommand::Show(one)) => {
                let request = at.client.worker(&whole(one).await?).await?;
                session.out.show(&request, || details(&request))
            }
            Some(WorkersCommand::Wait(one)) => follow(session, at, &whole(one).await?, None).await,
            Some(WorkersCommand::Logs(one)) => logs(session, at, &whole(one).await?).await,
            Some(WorkersCommand::Cancel(args)) => args.run(session, at).await,
        }
    }
}

async fn list(session: &Session, at: &InRepo, args: &ListArgs) -> Outcome {
    let requests = at.client.workers(args.status).await?;
    session.out.list(&requests, || format!("no requests for workers in {}", at.repo), listed)
}

async fn logs(session: &Session, at: &InRepo, id: &SpawnId) -> Outcome {
    let log = at.client.worker_log(id).await?;
    let more = if log.truncated { "; there was more before it" } else { "" };
    session.out.note(&format!("sent {}{more}", ago(log.updated_at)));
    session.out.show(&log, || safe(&log.log.replace("\r\n", "\n")))
}

async fn follow(
    session: &Session,
    at: &InRepo,
    id: &SpawnId,
    request: Option<SpawnRequest>,
) -> Outcome {
    let request = worker::follow(session, at, id, request).await?;
    session.out.show(&request, || details(&request))?;
    match request.status {
        SpawnStatus::Failed => {
            let reason = request.failure_reason.as_deref().unwrap_or("no reason was given");
            Err(Failure::new(format!("the worker failed: {}", safe(reason)))
                .exit(Exit::WaitedFailed))
        }
        _ => Ok(()),
    }
}
