//! `agents`: the registry, all machines.

mod register;

use crate::completion;
use crate::failure::{Failure, Outcome};
use crate::options::{NameArg, RepoArg, one_of};
use crate::output::{Look, ago, counted, line};
use crate::sender::NODE;
use crate::session::{InRepo, Need, Session};
use crate::table::{self, Column, Fit, cell, table};
use crate::types;
use clap::{Args, Subcommand};
use multiclaude_hybrid_client::AgentFilter;
use multiclaude_hybrid_client::protocol::Owner;
use multiclaude_hybrid_client::protocol::agent::EndpointTest;
use multiclaude_hybrid_client::protocol::agent::{Agent, AgentStatus, Delivery, Location};
use register::RegisterArgs;

/// Show and manage the agents of a repo on all machines.
#[derive(Debug, Args)]
pub struct AgentsArgs {
    #[command(subcommand)]
    command: Option<AgentsCommand>,
    #[command(flatten)]
    repo: RepoArg,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Default, PartialEq, Args)]
struct ListArgs {
    /// Only of this type
    #[arg(long = "type", id = "of_type", value_name = "TYPE", add = completion::types())]
    r#type: Option<String>,
    /// Allow a type that multiclaude does not have
    #[arg(long = "allow-unknown-type", id = "unknown_of_type", requires = "of_type")]
    allow_unknown_type: bool,
    /// Only at this location
    #[arg(long, value_parser = one_of(Location::TEXTS, Location::parse))]
    location: Option<Location>,
    /// Only with this status
    #[arg(long, value_parser = one_of(AgentStatus::TEXTS, AgentStatus::parse))]
    status: Option<AgentStatus>,
    /// Only of this owner
    #[arg(long)]
    owner: Option<Owner>,
}

#[derive(Debug, Subcommand)]
enum AgentsCommand {
    /// List agents
    List(ListArgs),
    #[command(flatten)]
    One(OneCommand),
}

#[derive(Debug, Subcommand)]
enum OneCommand {
    /// Show one agent, and how many messages are pending for it
    Show(NameArg),
    /// Register an agent of this machine, or renew it
    Register(RegisterArgs),
    /// Deregister an agent
    ///
    /// Messages that are pending for it fail, and the agents that sent them get a notice.
    Remove(NameArg),
    /// Push a test to an agent's endpoint
    Test(NameArg),
    /// Replace the secret of an agent's endpoint, and print it
    RotateSecret(NameArg),
}

impl AgentsArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let command = match &self.command {
            None => return self.list(session, &self.list).await,
            Some(AgentsCommand::List(args)) => return self.list(session, args).await,
            Some(AgentsCommand::One(command)) => command,
        };
        if self.list != ListArgs::default() {
            return Err(Failure::usage(
                "--type, --location, --status and --owner before a subcommand are for the list alone",
            ));
        }
        if let OneCommand::Register(args) = command {
            args.check()?;
        }
        let at = session.in_repo(self.repo.given(), Need::Use)?;
        act(session, command, &at).await
    }

    async fn list(&self, session: &Session, args: &ListArgs) -> Outcome {
        types::check("--type", args.r#type.as_deref(), args.allow_unknown_type)?;
        let at = session.in_repo(self.repo.given(), Need::Use)?;
        let filter = AgentFilter {
            r#type: args.r#type.clone(),
            location: args.location,
            status: args.status,
            owner: args.owner.clone(),
        };
        let agents = at.client.agents(&filter).await?;
        session.out.list(&agents, || format!("no agents in {}", at.repo), listed)
    }
}

async fn act(session: &Session, command: &OneCommand, at: &InRepo) -> Outcome {
    let out = session.out;
    match command {
        OneCommand::Show(NameArg { name }) => {
            let agent = at.client.agent(name).await?;
            out.show(&agent, || details(&agent))?;
        }
        OneCommand::Register(args) => args.run(session, at).await?,
        OneCommand::Remove(NameArg { name }) => {
            at.client.deregister(name, None).await?;
            let value = serde_json::json!({ "name": name, "removed": true });
            out.show(&value, || format!("Deregistered {name} from {}.", at.repo))?;
        }
        OneCommand::Test(NameArg { name }) => {
            let test = at.client.test_endpoint(name).await?;
            out.show(&test, || tested(&test))?;
            if !test.ok {
                let failure = Failure::new(format!("{name}'s endpoint does not take messages"));
                return Err(failure.hint(
                    "messages stay pending and can be polled; check that the URL is reachable from outside",
                ));
            }
        }
        OneCommand::RotateSecret(NameArg { name }) => {
            out.must_be_seen()?;
            let secret = at.client.rotate_secret(name).await?;
            out.note("The old secret signs for another 24 h. The new one is shown only once:");
            let value = serde_json::json!({ "webhook_secret": secret });
            out.show(&value, || secret.clone())?;
        }
    }
    Ok(())
}

fn tested(test: &EndpointTest) -> String {
    let status = test.status.map_or(String::new(), |status| format!(" with {status}"));
    match &test.error {
        None => format!("The endpoint answered{status} in {} ms.", test.duration_ms),
        Some(error) => format!("The endpoint failed: {error}{status}."),
    }
}

pub fn look(status: AgentStatus) -> Look {
    match status {
        AgentStatus::Active => Look::Good,
        AgentStatus::Idle => Look::Plain,
        AgentStatus::Stopped => Look::Dim,
    }
}

/// When its holder was there last; an open stream means that it is there now.
fn seen(agent: &Agent) -> String {
    if agent.delivery == Delivery::Stream { "now".to_owned() } else { ago(agent.last_seen) }
}

fn listed(agents: &[Agent]) -> String {
    let node = |agent: &Agent| cell(agent.metadata.get(NODE).map_or("", String::as_str));
    let status = |agent: &Agent| (agent.status.as_str().to_owned(), look(agent.status));
    let columns: [Column<'_, Agent>; 8] = [
        ("NAME", Fit::Whole, &|agent| cell(&agent.name)),
        ("TYPE", Fit::Shrinks, &|agent| cell(&agent.r#type)),
        ("STATUS", Fit::Whole, &status),
        ("SEEN", Fit::Whole, &|agent| cell(seen(agent))),
        ("OWNER", Fit::Shrinks, &|agent| cell(&agent.owner)),
        ("NODE", Fit::Shrinks, &node),
        ("DELIVERY", Fit::Spare, &|agent| cell(agent.delivery.as_str())),
        ("LOCATION", Fit::Spare, &|agent| cell(agent.location.as_str())),
    ];
    table(agents, &columns)
}

fn details(agent: &Agent) -> String {
    let status = look(agent.status).paint(agent.status.as_str());
    let reason = agent.delivery_reason.as_ref();
    let reason = reason.map_or(String::new(), |why| format!(" ({})", line(why, 60)));
    let endpoint = match agent.endpoint.as_str() {
        "" => String::new(),
        endpoint => format!(", {}", line(endpoint, 100)),
    };
    let delivery = format!("{}{reason}{endpoint}", agent.delivery.as_str());
    let head = format!("{} ({}) in {}", agent.name, line(&agent.r#type, 40), agent.repo);
    let mut rows = vec![
        ("status", Some(format!("{status}, seen {}", seen(agent)))),
        ("runs", Some(format!("{}, owned by {}", agent.location.as_str(), agent.owner))),
        ("id", Some(agent.id.to_string())),
        ("delivery", Some(delivery)),
        ("pending", Some(counted(agent.waiting.unwrap_or(0) as usize, "message"))),
    ];
    let metadata: Vec<_> =
        agent.metadata.iter().map(|(key, value)| (line(key, 40), line(value, 100))).collect();
    rows.extend(metadata.iter().map(|(key, value)| (key.as_str(), Some(value.clone()))));
    table::details(head, &rows)
}
