//! `inbox`: an agent's messages, by hand.

use crate::completion;
use crate::crypt::{Opened, Reader};
use crate::failure::{Exit, Failure, Outcome};
use crate::options::RepoArg;
use crate::output::{Look, Output, ago, line, safe};
use crate::progress::waiting::Waiting;
use crate::sender::{self, AgentHere, BRIDGE};
use crate::session::{InRepo, Need, Session};
use clap::Args;
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::message::{Message, MessageStatus};
use multiclaude_hybrid_client::{Connection, InboxOptions, MessageFilter, RepoClient};
use std::time::Duration;

/// How long an answer is held when nothing new is there.
const WAIT: Duration = Duration::from_secs(25);
/// Between two tries while the coordinator is away.
const AGAIN: Duration = Duration::from_secs(2);

/// Show messages of your agent that are not acknowledged.
///
/// Shown messages are reported as delivered, unless a bridge delivers for the
/// agent or --peek is given. The messages of another owner's agent
/// are shown without any change, unless --as-agent is given.
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[derive(Debug, Args)]
pub struct InboxArgs {
    /// The agent [default: the one of this worktree, or your only one]
    #[arg(add = completion::names())]
    name: Option<AgentName>,
    #[command(flatten)]
    repo: RepoArg,
    /// Show messages as they arrive, too
    #[arg(long, short)]
    follow: bool,
    /// Acknowledge the shown messages
    #[arg(long, conflicts_with = "peek")]
    ack: bool,
    /// Report nothing to the senders
    #[arg(long)]
    peek: bool,
    /// Read as the agent even if it is another owner's: shown messages count as delivered
    #[arg(long)]
    as_agent: bool,
    /// Show at most this many of each status (without --follow)
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

impl InboxArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let at = session.in_repo(self.repo.given(), Need::Use)?;
        let mut waiting = Waiting::with_warnings(session);
        let agent = loop {
            if !self.follow {
                break self.agent(session, &at).await?;
            }
            match waiting.look(self.agent(session, &at)).await? {
                Some(agent) => break agent,
                None => tokio::time::sleep(waiting.pause(AGAIN)).await,
            }
        };
        let peek = self.only_looks(session, &at, &agent)?;
        if !peek {
            session.out.must_be_seen()?;
        }
        match (self.follow, peek) {
            (false, peek) => self.list(session, &at, &agent.name, peek).await,
            (true, false) => waiting.within(self.take(session, &at, &agent.name)).await,
            (true, true) => self.watch(session, &at, &agent.name, &mut waiting).await,
        }
    }

    fn only_looks(&self, session: &Session, at: &InRepo, agent: &Agent) -> Outcome<bool> {
        let served = agent.metadata.contains_key(BRIDGE);
        let peek = self.peek || (served && !self.ack);
        if self.as_agent || peek || !sender::is_of_another_owner(at, agent) {
            return Ok(peek);
        }
        let (name, owner) = (&agent.name, &agent.owner);
        if self.ack {
            sender::check_owner(at, agent, "acknowledge", &format!("inbox {name} --ack"))?;
        }
        session.out.note(&format!(
            "{name} is an agent of {owner}: its messages stay as they are (--as-agent reads them as {name})."
        ));
        Ok(true)
    }

    async fn agent(&self, session: &Session, at: &InRepo) -> Outcome<Agent> {
        let hint = "name the agent: multiclaude-hybrid inbox NAME";
        let name = match &self.name {
            Some(name) => Some(name.clone()),
            None => match sender::agent_here(session, at, hint).await? {
                AgentHere::Registered(name) => Some(name),
                AgentHere::None => None,
                // The person's other agents are not the one that works here.
                AgentHere::Unregistered(local) => {
                    let register = sender::registration(session, &local);
                    return Err(Failure::new(format!(
                        "{}, whose directory this is, is not registered in {}",
                        local.name, at.repo
                    ))
                    .exit(Exit::NotFound)
                    .hint(format!(
                        "register it, here: {register}. For the mail of another agent: multiclaude-hybrid inbox \
                         NAME"
                    )));
                }
            },
        };
        if let Some(name) = name {
            return Ok(at.client.agent(&name).await?);
        }
        let mine = at.agents_of_owner().await?;
        let names: Vec<_> = mine.iter().map(|agent| agent.name.as_str()).collect();
        Err(match mine.as_slice() {
            [only] => return Ok(only.clone()),
            [] => Failure::new(format!("{} has no agent in {}", at.login.owner, at.repo))
                .exit(Exit::NotFound)
                .hint("register one: multiclaude-hybrid agents register NAME --type workspace"),
            _ => Failure::usage(format!(
                "{} has {} agents in {}: {}",
                at.login.owner,
                names.len(),
                at.repo,
                names.join(", ")
            ))
            .hint("name one: multiclaude-hybrid inbox NAME"),
        })
    }

    async fn list(&self, session: &Session, at: &InRepo, name: &AgentName, peek: bool) -> Outcome {
        let (mut messages, mut more) = (Vec::new(), false);
        for status in [MessageStatus::Pending, MessageStatus::Delivered] {
            let filter = MessageFilter {
                status: Some(status),
                limit: Some(self.limit),
                ..MessageFilter::default()
            };
            let page = at.client.messages(name, &filter).await?;
            messages.extend(page.items);
            more |= page.more;
        }
        messages.sort_by_key(|message| message.id.seq());
        let reader = Reader::new(session, &at.repo);
        let opened: Vec<Opened> =
            messages.into_iter().map(|message| reader.open(message)).collect();
        let empty = || format!("no messages for {name} in {}", at.repo);
        let all = |opened: &[Opened]| opened.iter().map(text).collect::<Vec<_>>().join("\n");
        session.out.list(&opened, empty, all)?;
        if more {
            session.out.warn("there are more messages: acknowledge these first, or raise --limit");
        }
        if !peek {
            for opened in &opened {
                self.report(&at.client, opened).await?;
            }
        }
        check_all_readable(&opened)
    }

    /// The status that is reported for a message that was shown.
    fn status(&self, opened: &Opened) -> MessageStatus {
        // A message that could not be read is not acknowledged.
        if self.ack && opened.error.is_none() {
            MessageStatus::Acked
        } else {
            MessageStatus::Delivered
        }
    }

    async fn report(&self, client: &RepoClient, opened: &Opened) -> Outcome {
        let (message, status) = (&opened.message, self.status(opened));
        if message.status == status {
            return Ok(());
        }
        match client.report(&message.id, status, None).await {
            // Another reader was faster.
            Err(error) if !error.is_conflict() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Shows waiting and new messages, as the agent's delivery.
    async fn take(&self, session: &Session, at: &InRepo, name: &AgentName) -> Outcome {
        let out = session.out;
        let options = InboxOptions::default().on_change(move |change| outage(out, change));
        let mut inbox = at.client.inbox(name, options);
        let reader = Reader::new(session, &at.repo);
        loop {
            let letter = inbox.next().await?;
            let opened = reader.open((*letter).clone());
            out.entry(&opened, || text(&opened))?;
            match self.status(&opened) {
                MessageStatus::Acked => letter.acked().await?,
                _ => letter.delivered().await?,
            }
        }
    }

    /// Shows waiting and new messages without a part in their delivery: all after the last
    /// one that was shown, whatever their status.
    async fn watch(
        &self,
        session: &Session,
        at: &InRepo,
        name: &AgentName,
        waiting: &mut Waiting,
    ) -> Outcome {
        let mut after = None;
        let reader = Reader::new(session, &at.repo);
        // The first answer comes at once, the next ones when there is a message.
        let mut wait = None;
        loop {
            let filter = MessageFilter { after: after.clone(), wait, ..MessageFilter::default() };
            waiting.check()?;
            let Some(page) = waiting.look(at.client.messages(name, &filter)).await? else {
                tokio::time::sleep(waiting.pause(AGAIN)).await;
                continue;
            };
            wait = Some(WAIT);
            for message in page.items {
                after = Some(message.id.clone());
                if !matches!(message.status, MessageStatus::Acked | MessageStatus::Failed) {
                    let opened = reader.open(message);
                    session.out.entry(&opened, || text(&opened))?;
                }
            }
        }
    }
}

fn outage(out: Output, change: Connection<'_>) {
    match change {
        Connection::Away(error) => out.warn(&format!("{error}; waiting for it")),
        Connection::Back(after) => {
            out.warn(&format!("the coordinator is back after {} s", after.as_secs()));
        }
        _ => {}
    }
}

/// Fails if some of these messages cannot be read.
fn check_all_readable(opened: &[Opened]) -> Outcome {
    let errors: Vec<_> = opened.iter().filter_map(|opened| opened.error.as_ref()).collect();
    match errors.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(Failure::new(format!(
            "{} of {} messages cannot be read here: {first}",
            errors.len(),
            opened.len()
        ))),
    }
}

fn text(opened: &Opened) -> String {
    let message: &Message = &opened.message;
    let mut marks = String::new();
    if opened.encrypted {
        marks.push_str(", encrypted");
    } else if opened.should_be_encrypted {
        marks = format!(", {}", Look::Bad.paint("NOT ENCRYPTED"));
    }
    if let Some(thread) = &message.thread_id {
        marks = format!("{marks}, thread {}", line(thread, 40));
    }
    if let Some(reply) = &message.reply_to {
        marks = format!("{marks}, answers {reply}");
    }
    let status = match message.status {
        MessageStatus::Pending => Look::Warning,
        _ => Look::Dim,
    };
    let head = format!(
        "{} from {} (owner {}), {}, {}{marks}",
        message.id,
        message.from,
        line(&message.from_owner, 40),
        ago(message.created_at),
        status.paint(message.status.as_str()),
    );
    let body = match &opened.error {
        Some(error) => Look::Bad.paint(&format!("[{error}]")),
        None => safe(&message.body),
    };
    // Indented, so that a body cannot pass for the head of another message.
    format!("{head}\n    {}", body.replace('\n', "\n    "))
}
