//! The commands that the runner starts itself: supervisors, and their steps.

use crate::failure::{Failure, Outcome};
use crate::home::Home;
use clap::{Args, Subcommand};
use multiclaude_hybrid_bridge::multiclaude::StateFile;
use multiclaude_hybrid_runner::executor::multiclaude::{
    NewWorker, create_and_follow, remove_worker,
};
use multiclaude_hybrid_runner::supervisor::{enter, supervise};
use std::path::PathBuf;

/// A part of a runner, started by the runner itself.
#[derive(Debug, Subcommand)]
pub(super) enum Part {
    /// Supervise the worker whose directory this is
    #[command(hide = true)]
    Supervise {
        /// The directory
        dir: PathBuf,
    },
    /// Become a step of the worker whose directory this is
    #[command(hide = true)]
    Enter {
        /// The directory
        dir: PathBuf,
        /// The step's number
        step: usize,
    },
    /// Create a worker of multiclaude, and wait for its end
    #[command(hide = true)]
    Follow(FollowArgs),
    /// Remove a worker of multiclaude
    #[command(hide = true)]
    Forget(WorkerArgs),
}

/// A worker of multiclaude.
#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    /// The real program
    #[arg(long)]
    multiclaude: PathBuf,
    /// Its name of the repo
    #[arg(long)]
    nickname: String,
    /// The worker's name
    #[arg(long)]
    name: String,
}

/// One that is to be created.
#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    #[command(flatten)]
    worker: WorkerArgs,
    /// Its task
    #[arg(long)]
    task: String,
    /// The file for its summary
    #[arg(long)]
    summary: PathBuf,
    /// The branch that it starts from
    #[arg(long)]
    branch: Option<String>,
    /// The branch that it pushes to
    #[arg(long)]
    push_to: Option<String>,
}

impl Part {
    pub(super) fn run(&self) -> Outcome {
        let failed = |error: std::io::Error| Failure::new(error.to_string());
        match self {
            Self::Supervise { dir } => supervise(dir).map_err(failed),
            Self::Enter { dir, step } => Err(failed(enter(dir, *step))),
            Self::Follow(args) => args.run(),
            Self::Forget(args) => {
                remove_worker(&args.multiclaude, &args.nickname, &args.name).map_err(failed)
            }
        }
    }
}

impl FollowArgs {
    fn run(&self) -> Outcome {
        let state = StateFile::new(Home::of_user()?.multiclaude().state());
        let wish = NewWorker {
            multiclaude: &self.worker.multiclaude,
            nickname: &self.worker.nickname,
            name: &self.worker.name,
            task: &self.task,
            branch: self.branch.as_deref(),
            push_to: self.push_to.as_deref(),
            summary: &self.summary,
        };
        match create_and_follow(&wish, &state) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::new("the worker reported a failure")),
            Err(error) => Err(Failure::new(error.to_string())),
        }
    }
}
