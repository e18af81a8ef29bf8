//! `mcp`: the MCP server that Claude Code starts for an agent.

mod alone;
mod install;
mod serve;

pub(crate) use install::{added, remove};

use crate::completion;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use clap::{Args, Subcommand};
use multiclaude_hybrid_bridge::hop::{Process, SessionFile};
use multiclaude_hybrid_bridge::socket::{BridgeClient, Poster};
use multiclaude_hybrid_bridge::unix;
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_runner::executor::SOCKET_VARIABLE;
use serde_json::{Value, json};
use serve::{Call, serve};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

/// Serve agents' tools to Claude Code (MCP).
///
/// Claude Code starts this server in every session after `mcp install`, which `bridge install`
/// and `join` offer. For an agent of multiclaude it speaks through the running bridge, as that
/// agent, and hands incoming messages to the session. In any other session it ends at once.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct McpArgs {
    #[command(subcommand)]
    command: Option<McpCommand>,
    /// Serve this registered agent, without a bridge, with a login of this machine
    #[arg(long, value_name = "NAME", add = completion::names())]
    agent: Option<AgentName>,
    /// The repo of --agent: multiclaude's name for it, or owner/repo
    #[arg(long, short = 'R', short_alias = 'r', value_name = "REPO", requires = "agent")]
    repo: Option<String>,
    /// Serve --agent even if it is another owner's
    #[arg(long, requires = "agent")]
    as_agent: bool,
}

#[derive(Debug, Subcommand)]
enum McpCommand {
    /// Add this server to your Claude Code settings; asks first
    Install {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Remove it from your Claude Code settings
    Uninstall,
    /// Call one tool on behalf of the agent that this process belongs to; prints JSON
    ///
    /// For workers of a runner and for scripts: `mcp call list_agents`, `mcp call
    /// send_message '{"to": "fox", "body": "hi"}'`.
    Call {
        /// The tool
        tool: String,
        /// Its arguments, a JSON object
        #[arg(default_value = "{}")]
        arguments: String,
    },
}

impl McpArgs {
    /// Runs it until its client closes the connection.
    pub async fn run(&self, session: &Session) -> Outcome {
        match (&self.command, &self.agent) {
            (Some(McpCommand::Install { yes }), _) => install::install(session, *yes),
            (Some(McpCommand::Uninstall), _) => install::uninstall(session),
            (Some(McpCommand::Call { tool, arguments }), _) => {
                call_once(session, tool, arguments).await
            }
            (None, Some(name)) => {
                alone::run(session, self.repo.as_deref(), name, self.as_agent).await
            }
            (None, None) => for_agent(session).await,
        }
    }
}

/// For the agent whose claude has started this process.
async fn for_agent(session: &Session) -> Outcome {
    let home = session.home.user().to_owned();
    // A worker of a runner has a socket of its own.
    if !is_of_a_worker() && !is_of_an_agent(session) {
        session
            .out
            .note("This session is not an agent of a repo in hybrid mode: no tools are offered.");
        return Ok(());
    }
    let claude = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get() as u32);
    let poster: &Poster = &move |text| {
        let home = home.clone();
        Box::pin(async move { post(&home, claude, &text).await })
    };
    let (desk, sending) = BridgeClient::new(socket(session), can_post() && !is_of_a_worker());
    let (calls, mut called) = mpsc::channel::<Call>(8);
    let answering = async {
        while let Some((tool, arguments, result)) = called.recv().await {
            let desk = Arc::clone(&desk);
            tokio::spawn(async move {
                let _ = result.send(desk.call(&tool, arguments).await);
            });
        }
    };
    tokio::select! {
        done = serve(calls) => done,
        reason = desk.run(sending, poster) => {
            session.out.note(&format!("No tools are offered: {reason}."));
            Ok(())
        }
        () = answering => Ok(()),
    }
}

async fn call_once(session: &Session, tool: &str, arguments: &str) -> Outcome {
    let arguments: Value = serde_json::from_str(arguments).map_err(|error| {
        Failure::usage(format!("the arguments are not JSON: {error}"))
            .hint(r#"for example: mcp call send_message '{"to": "fox", "body": "hi"}'"#)
    })?;
    if matches!(tool, "read_message" | "ack_message") {
        session.out.must_be_seen()?;
    }
    let (desk, sending) = BridgeClient::new(socket(session), false);
    let no_posts: &Poster = &|_| Box::pin(async { Err("this process has no session".to_owned()) });
    tokio::select! {
        result = desk.call(tool, arguments) => {
            let value = result.map_err(Failure::new)?;
            session.out.show(&value, || serde_json::to_string_pretty(&value).unwrap_or_default())
        }
        reason = desk.run(sending, no_posts) => Err(Failure::new(reason)),
    }
}

fn is_of_a_worker() -> bool {
    std::env::var_os(SOCKET_VARIABLE).is_some()
}

/// The socket that speaks for the agent of this process.
fn socket(session: &Session) -> PathBuf {
    match std::env::var_os(SOCKET_VARIABLE) {
        Some(path) => path.into(),
        None => session.home.bridge().socket(),
    }
}

/// Does this process run where an agent of a hybrid repo works? The bridge decides;
/// this keeps the tools out of all other sessions while it is away.
fn is_of_an_agent(session: &Session) -> bool {
    let (Some(place), Ok(state)) = (session.place(), session.state()) else {
        return false;
    };
    let repo = session.nicknamed(&place.repo, &state);
    repo.is_ok_and(|repo| session.settings.repo(&repo).enabled)
}

fn can_post() -> bool {
    std::env::var_os("CLAUDE_CODE_MESSAGING_SOCKET").is_some()
}

/// Posts a text into the session of the claude that has started this process.
async fn post(home: &Path, claude: u32, text: &str) -> Result<(), String> {
    // `/clear` changes the session's id: ask each time.
    let said = Process::of(claude).and_then(|process| SessionFile::read(home, &process));
    let said = said.ok_or("Claude Code does not report which session this is")?;
    let socket: PathBuf = said.messaging_socket_path.ok_or("this session has no inbox socket")?;
    let line = json!({
        "type": "user",
        "message": { "role": "user", "content": text },
        "from": crate::claude_code::SERVER,
        "session_id": said.session_id,
    });
    let write = async {
        let mut stream = unix::connect(&socket).await?;
        stream.write_all(format!("{line}\n").as_bytes()).await?;
        // It has all of it; some systems call the end of a closed connection an error.
        let _ = stream.shutdown().await;
        Ok(())
    };
    write.await.map_err(|error: std::io::Error| format!("{}: {error}", socket.display()))
}
