//! What can be said on the command line.

use crate::commands::agents::AgentsArgs;
use crate::commands::bridge::BridgeArgs;
use crate::commands::config::ConfigArgs;
use crate::commands::doctor::DoctorArgs;
use crate::commands::host::HostArgs;
use crate::commands::inbox::InboxArgs;
use crate::commands::invite::InviteArgs;
use crate::commands::join::JoinArgs;
use crate::commands::keys::KeysArgs;
use crate::commands::leave::LeaveArgs;
use crate::commands::list::ListArgs;
use crate::commands::login::{LoginArgs, LogoutArgs};
use crate::commands::mcp::McpArgs;
use crate::commands::prompt::PromptArgs;
use crate::commands::receipt::ReceiptArgs;
use crate::commands::roles::{StandDownArgs, StandUpArgs};
use crate::commands::runner::RunnerArgs;
use crate::commands::send::{AckArgs, SendArgs};
use crate::commands::shell::{CompletionsArgs, ManArgs, ShimArgs};
use crate::commands::status::StatusArgs;
use crate::commands::tokens::TokensArgs;
use crate::commands::whoami::WhoamiArgs;
use crate::commands::work::{WorkArgs, WorkersArgs};
use crate::failure::Outcome;
use crate::output::Output;
use crate::session::Session;
use clap::{Parser, Subcommand};
use std::time::Duration;

const EXITS: &str = "Exit status: 0 done, 1 something on this machine is wrong, 2 called wrongly, 3 no \
valid token (401), 4 the token does not allow it (403), 5 not found (404), 6 a conflict (409, 412), 7 \
a limit is reached (429), 8 the coordinator is away or in trouble, 9 the worker or message that was \
waited for has failed, 124 --wait-timeout is over, 130 interrupted while waiting.

Environment: MULTICLAUDE_API_URL, the coordinator's URL; NO_COLOR, no colours.";

/// multiclaude agents across machines.
#[derive(Debug, Parser)]
#[command(name = "multiclaude-hybrid", version, after_help = EXITS, max_term_width = 100)]
pub struct Cli {
    /// Print JSON, and errors as JSON on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// How long one call to the coordinator may take, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Use a token of this owner or kind, or with this id
    #[arg(long = "as", global = true, value_name = "WHICH")]
    only: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Login(LoginArgs),
    Logout(LogoutArgs),
    Whoami(WhoamiArgs),
    Config(ConfigArgs),
    Work(WorkArgs),
    List(ListArgs),
    Agents(AgentsArgs),
    Send(SendArgs),
    Inbox(InboxArgs),
    Ack(AckArgs),
    Receipt(ReceiptArgs),
    Workers(WorkersArgs),
    Tokens(TokensArgs),
    Keys(KeysArgs),
    Invite(InviteArgs),
    Join(JoinArgs),
    Leave(LeaveArgs),
    Prompt(PromptArgs),
    Status(StatusArgs),
    Bridge(BridgeArgs),
    Runner(RunnerArgs),
    Mcp(McpArgs),
    Host(HostArgs),
    StandDown(StandDownArgs),
    StandUp(StandUpArgs),
    Doctor(DoctorArgs),
    Shim(ShimArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

impl Cli {
    /// Runs what needs neither settings nor a runtime; nothing if it is a command.
    pub fn run_part(&self) -> Option<Outcome> {
        match &self.command {
            Command::Runner(args) => args.run_part(),
            _ => None,
        }
    }

    /// Runs the command.
    pub async fn run(self) -> Outcome {
        match &self.command {
            Command::Completions(args) => return args.run(),
            Command::Man(args) => return args.run(),
            // What cannot be read must not keep the shim.
            Command::Shim(args) => return args.run(Output::new(self.json)),
            _ => {}
        }
        let timeout = Duration::from_secs(self.timeout);
        let mut session = match (Session::open(Output::new(self.json), timeout), &self.command) {
            (Err(failure), Command::Doctor(args)) => {
                return args.run_without_settings(Output::new(self.json), failure);
            }
            (opened, _) => opened?,
        };
        session.only.clone_from(&self.only);
        match self.command {
            Command::Login(args) => args.run(&mut session).await,
            Command::Logout(args) => args.run(&session),
            Command::Whoami(args) => args.run(&session).await,
            Command::Config(args) => args.run(&mut session).await,
            Command::Work(args) => args.run(&session).await,
            Command::List(args) => args.run(&mut session).await,
            Command::Agents(args) => args.run(&session).await,
            Command::Send(args) => args.run(&session).await,
            Command::Inbox(args) => args.run(&session).await,
            Command::Ack(args) => args.run(&session).await,
            Command::Receipt(args) => args.run(&session).await,
            Command::Workers(args) => args.run(&session).await,
            Command::Tokens(args) => args.run(&session).await,
            Command::Keys(args) => args.run(&session).await,
            Command::Invite(args) => args.run(&session).await,
            Command::Join(args) => args.run(&mut session).await,
            Command::Leave(args) => args.run(&mut session).await,
            Command::Prompt(args) => args.run(&session).await,
            Command::Status(args) => args.run(&session).await,
            Command::Bridge(args) => args.run(&mut session).await,
            Command::Runner(args) => args.run(&session).await,
            Command::Mcp(args) => args.run(&session).await,
            Command::Host(args) => args.run(&mut session).await,
            Command::StandDown(args) => args.run(&mut session).await,
            Command::StandUp(args) => args.run(&mut session).await,
            Command::Doctor(args) => args.run(&session).await,
            Command::Shim(args) => args.run(session.out),
            Command::Completions(args) => args.run(),
            Command::Man(args) => args.run(),
        }
    }
}
