//! `send`, `ack`: messages.

use super::receipt;
use crate::completion;
use crate::crypt;
use crate::failure::{Exit, Failure, Outcome};
use crate::ids::{Given, find_all};
use crate::options::{RepoArg, TIME_MAX, time};
use crate::output::counted;
use crate::progress::message::{self, End, Goal, how_far};
use crate::received::Received;
use crate::sender;
use crate::session::{InRepo, Need, Session};
use clap::Args;
use multiclaude_hybrid_client::protocol::message::{
    BODY_MAX, FailureReason, Message, MessageStatus, NewMessage, TTL_MAX_SECS,
};
use multiclaude_hybrid_client::protocol::token::TokenKind;
use multiclaude_hybrid_client::protocol::{AgentName, MessageId};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{Read, stdin};
use std::time::Duration;

/// Send a message to an agent on any machine.
///
/// The sender is the agent whose worktree this is, else you: user:<owner>.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// The recipient: the name of an agent, as `agents` lists it
    #[arg(add = completion::names())]
    pub(super) to: AgentName,
    /// The text, or - for standard input; after -- it may begin with a dash
    #[arg(required = true)]
    pub(super) text: Vec<String>,
    #[command(flatten)]
    pub(super) repo: RepoArg,
    /// The sender: one of your agents, or user:<owner>
    #[arg(long, value_name = "NAME", add = completion::names())]
    pub(super) from: Option<String>,
    /// The conversation it belongs to
    #[arg(long, value_name = "ID")]
    pub(super) thread: Option<String>,
    /// The message it answers
    #[arg(long, value_name = "ID")]
    pub(super) reply_to: Option<Given<MessageId>>,
    /// Let it fail if it is not delivered within this time; an agent that sent it gets a notice
    /// [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = time(1..=TTL_MAX_SECS.unsigned_abs()))]
    pub(super) ttl: Option<Duration>,
    /// Idempotency key: the same one again sends no second message
    #[arg(long)]
    pub(super) key: Option<String>,
    /// Wait until the agent has seen it, or with --wait=acked until it has acknowledged it. Of a
    /// workspace, and of an agent that reads its messages by hand, wait for acked: they never report
    /// seen
    #[arg(long, value_name = "HOW_FAR", num_args = 0..=1, require_equals = true, default_missing_value = "seen")]
    pub(super) wait: Option<Goal>,
    /// Limit the waiting: 90s, 10m, 2h [default: --timeout if given, else no limit]
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = time(1..=TIME_MAX))]
    pub(super) wait_timeout: Option<Duration>,
}

/// Acknowledge messages; their senders see it.
#[derive(Debug, Args)]
pub struct AckArgs {
    /// The messages' ids, or the beginnings of them
    #[arg(required_unless_present = "all")]
    ids: Vec<Given<MessageId>>,
    #[command(flatten)]
    received: Received,
    /// Acknowledge every message for this agent that is not acknowledged yet
    #[arg(long, value_name = "AGENT", conflicts_with_all = ["ids", "received_by"], add = completion::names())]
    all: Option<AgentName>,
    #[command(flatten)]
    repo: RepoArg,
    /// Acknowledge as their recipient even if it is another owner's agent
    #[arg(long)]
    as_agent: bool,
}

impl SendArgs {
    fn body(&self) -> Outcome<String> {
        if self.text != ["-"] {
            return Ok(self.text.join(" "));
        }
        let (mut body, most) = (Vec::new(), BODY_MAX as u64 + 1);
        stdin()
            .take(most)
            .read_to_end(&mut body)
            .map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
        String::from_utf8(body).map_err(|_| {
            Failure::usage("standard input is not UTF-8 text, or is longer than 64 KiB")
                .hint("a message is text of at most 65536 bytes; put the rest where the agent can read it")
        })
    }

    pub async fn run(&self, session: &Session) -> Outcome {
        let at = session.in_repo(self.repo.given(), Need::Use)?;
        let body = self.body()?;
        if body.is_empty() {
            return Err(Failure::usage("the text is empty")
                .hint("give it as an argument, or as - on standard input"));
        }
        if body.len() > BODY_MAX {
            return Err(Failure::usage(format!(
                "the text has more than {BODY_MAX} bytes, the most that a message may have"
            ))
            .hint(
                "put it into a file or a branch that the agent can read, and send its location",
            ));
        }
        let sent = self.send(session, &at, &body).await;
        let sent = sent.map_err(|failure| no_such_sender(failure, &at, self.from.as_deref()))?;
        if let Some(goal) = self.wait {
            session.out.note(&format!("Sent {} to {} in {}", sent.id, sent.to, at.repo));
            return self.wait(session, &at, sent, goal).await;
        }
        session.out.show(&sent, || {
            let (id, status) = (&sent.id, sent.status.as_str());
            format!("{id} {status} {} to {} in {}", sent.from, sent.to, at.repo)
        })
    }

    async fn wait(&self, session: &Session, at: &InRepo, sent: Message, goal: Goal) -> Outcome {
        let limit = self.wait_timeout.or(session.limit);
        let (end, message) = message::wait(session, at, sent, goal, limit).await?;
        session.out.show(&message, || receipt::text(&message))?;
        match end {
            End::Reached => Ok(()),
            End::Failed => Err(failed(&message, at)),
            End::TimedOut => {
                let far = how_far(&message);
                Err(Failure::new(format!("the time to wait is over; the message is {far}"))
                    .exit(Exit::TimedOut)
                    .hint(format!(
                        "do not send it again; see how far it comes: multiclaude-hybrid receipt {} \
                         --repo {}",
                        message.id, at.repo
                    )))
            }
        }
    }

    async fn send(&self, session: &Session, at: &InRepo, body: &str) -> Outcome<Message> {
        let from = sender::find(session, at, self.from.as_deref()).await?;
        let reply_to = match &self.reply_to {
            Some(id) => Some(id.find(async || Received::default().ids(session, at).await).await?),
            None => None,
        };
        let message = NewMessage {
            thread_id: self.thread.clone(),
            reply_to,
            ttl_seconds: self.ttl.map(|ttl| ttl.as_secs().cast_signed()),
            ..NewMessage::new(from, self.to.clone(), body)
        };
        let message = crypt::seal(session, at, message, self.key.as_deref()).await?;
        let key = self.key.as_deref();
        Ok(at.client.send(&message, key).await?)
    }
}

/// A token that covers the repo is refused where it may not speak as `from`.
pub(super) fn no_such_sender(failure: Failure, at: &InRepo, from: Option<&str>) -> Failure {
    let speaks = at.login.kind != TokenKind::Admin && at.login.covers(&at.repo);
    let is_agent = |from: &&str| !from.starts_with("user:");
    let Some(from) = from.filter(is_agent).filter(|_| speaks && failure.exit == Exit::Forbidden)
    else {
        return failure;
    };
    failure.or_hint(|| {
        format!(
            "register it: multiclaude-hybrid agents register {from} --type TYPE --repo {}; or leave \
             out --from",
            at.repo
        )
    })
}

/// A message that was waited for and has failed: the reason's name, and what to do.
fn failed(message: &Message, at: &InRepo) -> Failure {
    let resend = || {
        format!(
            "list the agents (multiclaude-hybrid agents --repo {}), then send it again",
            at.repo
        )
    };
    let (reason, hint) = match message.failure_reason {
        Some(FailureReason::Expired) => ("expired (it was not taken in time)", resend()),
        Some(FailureReason::AgentGone) => ("agent_gone (deregistered or replaced)", resend()),
        Some(FailureReason::Rejected) => (
            "rejected (its endpoint refused it for good)",
            format!("change the message, or ask the owner of {}", message.to),
        ),
        None => ("no reason was given", resend()),
    };
    Failure::new(format!("the message failed: {reason}")).exit(Exit::WaitedFailed).hint(hint)
}

impl AckArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let at = session.in_repo(self.repo.given(), Need::Use)?;
        if let Some(agent) = &self.all {
            self.check_recipients(&at, BTreeSet::from([agent]), &format!("--all {agent}")).await?;
            return ack_all(session, &at, agent).await;
        }
        let ids = find_all(&self.ids, async || self.received.ids(session, &at).await).await?;
        let what: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let names = ids.iter().map(MessageId::agent).collect();
        self.check_recipients(&at, names, &what.join(" ")).await?;
        let (mut acked, mut first) = (Vec::new(), None);
        for id in &ids {
            match at.client.report(id, MessageStatus::Acked, None).await {
                Ok(message) => acked.push(message),
                Err(error) => first = first.or(Some(Failure::from(error).about(id))),
            }
        }
        session.out.show(&acked, || {
            let line = |message: &Message| format!("{} acked", message.id);
            let lines: Vec<_> = acked.iter().map(line).collect();
            lines.join("\n")
        })?;
        first.map_or(Ok(()), Err)
    }

    /// Refuses messages for other owners' agents, unless that is wanted.
    async fn check_recipients(
        &self,
        at: &InRepo,
        names: BTreeSet<&AgentName>,
        messages: &str,
    ) -> Outcome {
        for name in names.into_iter().filter(|_| !self.as_agent) {
            sender::check_agent(at, name, "acknowledge", &format!("ack {messages}")).await?;
        }
        Ok(())
    }
}

/// Acknowledges every message of `agent` that is pending or delivered.
async fn ack_all(session: &Session, at: &InRepo, agent: &AgentName) -> Outcome {
    let mut acked = 0;
    // The second round finds messages that are delivered meanwhile.
    for status in [MessageStatus::Pending, MessageStatus::Delivered] {
        for id in at.client.message_ids(agent, Some(status)).await? {
            match at.client.report(&id, MessageStatus::Acked, None).await {
                Ok(_) => acked += 1,
                // It has expired, or was acknowledged or removed meanwhile.
                Err(error) if error.is_conflict() || error.status() == Some(404) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    session.out.show(&json!({ "agent": agent, "acked": acked }), || match acked {
        0 => format!("{agent} has no message that is not acknowledged"),
        acked => format!("{} of {agent} acked", counted(acked, "message")),
    })
}
