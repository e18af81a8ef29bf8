//! The commands that the runner starts itself: supervisors, and their steps.

use crate::failure::{Failure, Outcome};
use crate::home::Home;
use clap::Subcommand;
use multiclaude_hybrid_bridge::multiclaude::StateFile;
use multiclaude_hybrid_runner::executor::multiclaude::{LocalWorker, NewWorker};
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
    Follow(NewWorker),
    /// Remove a worker of multiclaude
    #[command(hide = true)]
    Forget(LocalWorker),
}

impl Part {
    pub(super) fn run(&self) -> Outcome {
        let failed = |error: std::io::Error| Failure::new(error.to_string());
        match self {
            Self::Supervise { dir } => supervise(dir).map_err(failed),
            Self::Enter { dir, step } => Err(failed(enter(dir, *step))),
            Self::Follow(worker) => {
                let state = StateFile::new(Home::of_user()?.multiclaude().state());
                match worker.create_and_follow(&state) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(Failure::new("the worker reported a failure")),
                    Err(error) => Err(failed(error)),
                }
            }
            Self::Forget(worker) => worker.remove().map_err(failed),
        }
    }
}
