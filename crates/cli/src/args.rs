//! The command line.

use crate::commands::{
    agents, audit, bridge, config, doctor, host, inbox, invite, join, keys, leave, list, login,
    logout, mcp, open, prompt, receipt, reply, roles, runner, send, shell, status, tokens, version,
    whoami, work,
};
use crate::failure::Outcome;
use crate::ids;
use crate::options::time;
use crate::output::Output;
use crate::program::NAME;
use crate::session::Session;
use clap::{Parser, Subcommand};
use std::time::Duration;

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";
/// The limit of one call without `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(15);

/// multiclaude agents across machines.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100)]
pub struct Cli {
    /// Print JSON, and errors as JSON on standard error
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// Limit each call to the coordinator, and --wait and --follow, to a time of at most 10m
    /// [default: 15s for a call, no limit for waiting]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "TIME", value_parser = time(1..=600))]
    pub timeout: Option<Duration>,
    /// Use only tokens of this owner or kind, or the token with this id or the beginning of it
    #[arg(long = "as", global = true, help_heading = GLOBAL, value_name = "WHICH")]
    only: Option<String>,
    #[command(subcommand)]
    command: Command,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
enum Command {
    Login(login::LoginArgs),
    Join(join::JoinArgs),
    Host(host::HostArgs),
    Status(status::StatusArgs),
    Doctor(doctor::DoctorArgs),
    Send(send::SendArgs),
    Reply(reply::ReplyArgs),
    Inbox(inbox::InboxArgs),
    Ack(send::AckArgs),
    Receipt(receipt::ReceiptArgs),
    List(list::ListArgs),
    Agents(agents::AgentsArgs),
    Prompt(prompt::PromptArgs),
    /// Retire a local agent, for a role that another machine serves
    ///
    /// Two merge-queues merge the same pull requests twice. The local one is taken out of
    /// multiclaude's state and its window is closed. Whether another machine serves the role is
    /// not checked here; with a bridge, messages to the name then go to the one that does.
    /// `stand-up` brings it back as it was.
    StandDown(roles::RoleArgs),
    /// Bring back a local agent that stands down
    StandUp(roles::RoleArgs),
    Keys(keys::KeysArgs),
    Work(work::WorkArgs),
    Workers(work::WorkersArgs),
    Runner(runner::RunnerArgs),
    Config(config::ConfigArgs),
    Invite(invite::InviteArgs),
    Leave(leave::LeaveArgs),
    Tokens(tokens::TokensArgs),
    Audit(audit::AuditArgs),
    Bridge(bridge::BridgeArgs),
    Mcp(mcp::McpArgs),
    Shim(shell::ShimArgs),
    Whoami(whoami::WhoamiArgs),
    Logout(logout::LogoutArgs),
    Open(open::OpenArgs),
    Version(version::VersionArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

impl Cli {
    /// Runs a part of a runner, which needs neither settings nor a runtime; nothing if it is a
    /// command.
    pub fn run_part(&self) -> Option<Outcome> {
        match &self.command {
            Command::Runner(args) => args.run_part(),
            _ => None,
        }
    }

    /// Runs the command. `describe` describes the whole command line, for the manual pages.
    pub async fn run(self, describe: fn() -> clap::Command) -> Outcome {
        match &self.command {
            Command::Completions(args) => return args.run(),
            Command::Man(args) => return args.run(describe()),
            // The shim must work even if the settings are broken.
            Command::Shim(args) => return args.run(Output::new(self.json)),
            _ => {}
        }
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        let mut session = match (Session::open(Output::new(self.json), timeout), &self.command) {
            (Err(failure), Command::Doctor(_)) => {
                return doctor::DoctorArgs::run_without_settings(Output::new(self.json), failure);
            }
            (opened, _) => opened?,
        };
        session.limit = self.timeout;
        let logins = &session.settings.logins;
        session.only = self.only.as_ref().map(|which| ids::of_login(which, logins)).transpose()?;
        let done = self.command.run(&mut session, describe).await;
        done.map_err(|failure| session.explained(failure))
    }
}

impl Command {
    async fn run(self, session: &mut Session, describe: fn() -> clap::Command) -> Outcome {
        match self {
            Self::Login(args) => args.run(session).await,
            Self::Logout(args) => args.run(session),
            Self::Whoami(args) => args.run(session).await,
            Self::Config(args) => args.run(session).await,
            Self::Work(args) => args.run(session).await,
            Self::List(args) => args.run(session).await,
            Self::Agents(args) => args.run(session).await,
            Self::Send(args) => args.run(session).await,
            Self::Reply(args) => args.run(session).await,
            Self::Inbox(args) => args.run(session).await,
            Self::Ack(args) => args.run(session).await,
            Self::Receipt(args) => args.run(session).await,
            Self::Workers(args) => args.run(session).await,
            Self::Tokens(args) => args.run(session).await,
            Self::Audit(args) => args.run(session).await,
            Self::Keys(args) => args.run(session).await,
            Self::Invite(args) => args.run(session).await,
            Self::Join(args) => args.run(session).await,
            Self::Leave(args) => args.run(session).await,
            Self::Prompt(args) => args.run(session).await,
            Self::Status(args) => args.run(session).await,
            Self::Bridge(args) => args.run(session).await,
            Self::Runner(args) => args.run(session).await,
            Self::Mcp(args) => args.run(session).await,
            Self::Host(args) => args.run(session).await,
            Self::StandDown(args) => args.stand_down(session).await,
            Self::StandUp(args) => args.stand_up(session).await,
            Self::Doctor(args) => args.run(session).await,
            Self::Open(args) => args.run(session),
            Self::Shim(args) => args.run(session.out),
            Self::Version(args) => args.run(session).await,
            Self::Completions(args) => args.run(),
            Self::Man(args) => args.run(describe()),
        }
    }
}
