//! `bridge`: the daemon that carries messages between multiclaude's agents here
//! and the coordinator.

mod held;
mod install;
mod run;
mod show;

pub(crate) use install::{install, remove_links};
pub(crate) use run::{ServeArgs, run_words};

use super::daemon;
use crate::failure::Outcome;
use crate::session::Session;
use clap::{Args, Subcommand};

/// Carry messages between local and remote agents.
///
/// While a bridge runs, agents reach other machines with the commands they
/// already use: `multiclaude message send`, `list`, `read` and `ack`.
#[derive(Debug, Args)]
pub struct BridgeArgs {
    #[command(subcommand)]
    command: BridgeCommand,
}

#[derive(Debug, Subcommand)]
enum BridgeCommand {
    /// Run the bridge in the foreground until it is interrupted
    Run(run::RunArgs),
    /// Install the bridge as a user service, and start it
    ///
    /// It asks whether to keep the service running after you log out, and whether to add the MCP
    /// server to your Claude Code settings. The other options are those of `bridge run`.
    Install(install::InstallArgs),
    /// Remove the service, its links in multiclaude's messages, and the MCP server
    Uninstall,
    /// Show the state of the bridge: agents, waiting messages, problems
    Status,
    /// Show the held messages, each with the reason
    Held(held::HeldArgs),
    /// Accept a held message, or from now on every message of an owner
    ///
    /// An owner is accepted in all repos of this machine, until `--revoke OWNER`.
    Accept(held::AcceptArgs),
    /// Refuse a held message, with a reason for its sender
    Refuse(held::RefuseArgs),
    /// Show the bridge's log
    Logs(daemon::LogsArgs),
}

impl BridgeArgs {
    pub async fn run(&self, session: &mut Session) -> Outcome {
        match &self.command {
            BridgeCommand::Run(args) => args.run(session).await,
            BridgeCommand::Install(args) => args.run(session),
            BridgeCommand::Uninstall => install::uninstall(session),
            BridgeCommand::Status => show::status(session),
            BridgeCommand::Held(args) => args.run(session),
            BridgeCommand::Accept(args) => args.run(session),
            BridgeCommand::Refuse(args) => args.run(session),
            BridgeCommand::Logs(args) => {
                let path = session.home.bridge().log();
                args.run(session, &path, "multiclaude-hybrid bridge run").await
            }
        }
    }
}
