//! `runner`: claims requests for workers and runs them on this machine.

mod flags;
mod options;
mod parts;
mod show;

use super::daemon;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use clap::{Args, Subcommand};
use flags::RunArgs;
use multiclaude_hybrid_bridge::dirs::{make_dir, remove};
use multiclaude_hybrid_runner::dirs::Dirs;
use multiclaude_hybrid_runner::options::StartError;
use multiclaude_hybrid_runner::run::run;
use std::fs;

/// Run workers on this machine for the team's requests.
///
/// A runner claims what `multiclaude work --remote` asks for and starts a worker for
/// each request: a process, a container, or a worker of the multiclaude here.
#[derive(Debug, Args)]
pub struct RunnerArgs {
    #[command(subcommand)]
    command: RunnerCommand,
}

#[derive(Debug, Subcommand)]
enum RunnerCommand {
    /// Run in the foreground until it is interrupted
    ///
    /// The first Ctrl-C drains: nothing is claimed any longer, and running workers may go on for
    /// --drain, then they are stopped. The second one stops them at once.
    Run(Box<RunArgs>),
    /// Show the state of the runner: workers, repos, problems
    Status,
    /// Claim nothing until `runner resume`; running workers continue
    Pause,
    /// Claim again
    Resume,
    /// Show the runner's log
    Logs(daemon::LogsArgs),
    #[command(flatten)]
    Part(parts::Part),
}

impl RunnerArgs {
    /// Runs what is a part of a runner rather than a command: a supervisor, or what it
    /// starts. It has no settings, no session and no runtime.
    pub fn run_part(&self) -> Option<Outcome> {
        match &self.command {
            RunnerCommand::Part(part) => Some(part.run()),
            _ => None,
        }
    }

    pub async fn run(&self, session: &Session) -> Outcome {
        let dirs = Dirs::of_home(session.home.user(), None);
        match &self.command {
            RunnerCommand::Run(args) => start(session, args).await,
            RunnerCommand::Status => show::status(session, &dirs),
            RunnerCommand::Pause => pause(session, &dirs),
            RunnerCommand::Resume => resume(session, &dirs),
            RunnerCommand::Logs(args) => {
                args.run(session, &dirs.log(), "multiclaude-hybrid runner run OWNER/REPO").await
            }
            RunnerCommand::Part(part) => part.run(),
        }
    }
}

async fn start(session: &Session, args: &RunArgs) -> Outcome {
    let options = args.options(session).await?;
    let dirs = Dirs::of_home(&options.home, options.work.as_deref());
    daemon::start(&dirs.log())?;
    daemon::run("runner", |stop| run(options, stop)).await?.map_err(|error| {
        let failure = Failure::new(error.to_string());
        match error {
            StartError::Running => failure.hint("see it: multiclaude-hybrid runner status"),
            StartError::Listen { .. } => {
                failure.hint("choose another address: --listen ADDRESS:PORT")
            }
            StartError::Dirs(_) => failure,
        }
    })
}

fn pause(session: &Session, dirs: &Dirs) -> Outcome {
    let failed = |error| Failure::new(format!("cannot pause the runner: {error}"));
    make_dir(&dirs.workers()).map_err(failed)?;
    fs::write(dirs.paused(), "").map_err(failed)?;
    session.out.note(
        "Paused: the runner of this machine claims nothing. Running workers continue. To resume: \
         multiclaude-hybrid runner resume",
    );
    Ok(())
}

fn resume(session: &Session, dirs: &Dirs) -> Outcome {
    remove(&dirs.paused())
        .map_err(|error| Failure::new(format!("cannot resume the runner: {error}")))?;
    let running = dirs.is_running();
    session.out.note(if running {
        "The runner claims requests again."
    } else {
        "Not paused; no runner runs here. Start one: multiclaude-hybrid runner run OWNER/REPO"
    });
    Ok(())
}
