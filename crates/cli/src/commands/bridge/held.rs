//! `bridge held`, `accept` and `refuse`: whose messages reach agents here.

use crate::bridge::running;
use crate::crypt::Reader;
use crate::failure::{Exit, Failure, Outcome, io};
use crate::output::{line, safe};
use crate::session::Session;
use clap::Args;
use multiclaude_hybrid_bridge::dirs::{Dirs, RepoDirs};
use multiclaude_hybrid_bridge::inbox::{Decisions, Stage, Store, Stored};
use multiclaude_hybrid_client::protocol::message::Message;
use multiclaude_hybrid_client::protocol::{Owner, Repo};
use serde::Serialize;

/// Show the messages that wait here, and why.
#[derive(Debug, Args)]
pub(super) struct HeldArgs {}

/// Let a message, or all messages of an owner, go on to their agents.
#[derive(Debug, Args)]
pub(super) struct AcceptArgs {
    /// A message's id, as `bridge held` shows it, or an owner
    what: String,
}

/// Refuse a message; its sender is told why.
#[derive(Debug, Args)]
pub(super) struct RefuseArgs {
    /// The message's id, as `bridge held` shows it
    id: String,
    /// Why, for its sender
    #[arg(long, default_value = "no reason was given")]
    reason: String,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    to: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_owner: Option<String>,
    /// What the agent has not seen yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl HeldArgs {
    pub(super) fn run(session: &Session) -> Outcome {
        let Some(status) = running(session)? else {
            return Err(Failure::new("the bridge is not running")
                .hint("start it: multiclaude-hybrid bridge run"));
        };
        let mut shown = Vec::new();
        for repo in &status.repos {
            let Ok(name) = Repo::parse(&repo.repo) else {
                continue;
            };
            let reader = Reader::new(session, &name);
            for held in &repo.held {
                let stored = undecided(session, &name, &held.to, &held.id);
                let opened = stored.map(|message| reader.open(message).message);
                shown.push(Shown {
                    id: held.id.clone(),
                    to: held.to.clone(),
                    reason: held.reason.clone(),
                    from: opened.as_ref().map(|message| message.from.to_string()),
                    from_owner: opened.as_ref().map(|message| message.from_owner.clone()),
                    body: opened.map(|message| message.body),
                });
            }
        }
        session.out.show(&shown, || match shown.as_slice() {
            [] => "No message waits here.".to_owned(),
            shown => shown.iter().map(lines).collect::<Vec<_>>().join("\n"),
        });
        Ok(())
    }
}

fn lines(shown: &Shown) -> String {
    let mut lines = vec![safe(&format!("{} for {}: {}", shown.id, shown.to, shown.reason))];
    if let (Some(from), Some(owner), Some(body)) = (&shown.from, &shown.from_owner, &shown.body) {
        lines.push(safe(&format!("    from {from} (owner {owner}): {}", line(body, 400))));
    }
    if shown.reason.starts_with("not accepted from ") {
        let owner = shown.from_owner.as_deref().unwrap_or("OWNER");
        lines.push(safe(&format!(
            "    let it go on: multiclaude-hybrid bridge accept {}; or all of {owner}: multiclaude-hybrid bridge \
             accept {owner}",
            shown.id
        )));
    }
    lines.join("\n")
}

/// A message that no agent has seen, because the human has not decided.
fn undecided(session: &Session, repo: &Repo, local: &str, id: &str) -> Option<Message> {
    let store = Store::new(Dirs::of_home(session.home.user()).repo(repo));
    match store.get(local, Stage::New, id).ok()? {
        Stored::Message { message, .. } => Some(*message),
        Stored::Notice { .. } => None,
    }
}

/// Changes the decisions of every repo in hybrid mode for which `about` says so.
fn decide(
    session: &Session,
    about: impl Fn(&RepoDirs) -> bool,
    change: impl Fn(&mut Decisions),
) -> Outcome<usize> {
    // One at a time: they are read, changed and written back.
    let _lock = session.home.lock()?;
    let mut count = 0;
    for repo in session.settings.repos.keys().filter_map(|name| Repo::parse(name).ok()) {
        let dirs = Dirs::of_home(session.home.user()).repo(&repo);
        if !about(&dirs) {
            continue;
        }
        let path = dirs.decisions();
        let mut decisions = Decisions::load(&dirs).map_err(io("read", &path))?;
        change(&mut decisions);
        decisions.save(&dirs).map_err(io("write", &path))?;
        count += 1;
    }
    Ok(count)
}

fn waits(dirs: &RepoDirs, id: &str) -> bool {
    let store = Store::new(dirs.clone());
    let locals = store.locals().unwrap_or_default();
    locals.iter().any(|local| store.has(local, Stage::New, id))
}

fn none(id: &str) -> Failure {
    Failure::new(format!("no message {id} waits here"))
        .exit(Exit::NotFound)
        .hint("multiclaude-hybrid bridge held shows the messages that wait, with their ids")
}

impl AcceptArgs {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let what = &self.what;
        if what.starts_with("msg_") {
            let count = decide(
                session,
                |dirs| waits(dirs, what),
                |decisions| {
                    decisions.refused.remove(what);
                    decisions.accepted.insert(what.clone());
                },
            )?;
            if count == 0 {
                return Err(none(what));
            }
        } else {
            let owner = Owner::parse(what).map_err(|error| {
                Failure::usage(format!("the owner {what:?} {error}"))
                    .hint("give the id of a message, msg_…, or an owner")
            })?;
            decide(
                session,
                |dirs| dirs.inbox().exists(),
                |decisions| {
                    decisions.owners.insert(owner.to_string());
                },
            )?;
        }
        session
            .out
            .show(&serde_json::json!({ "accepted": what }), || format!("{what} is accepted."));
        Ok(())
    }
}

impl RefuseArgs {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let id = &self.id;
        let count = decide(
            session,
            |dirs| waits(dirs, id),
            |decisions| {
                decisions.accepted.remove(id);
                decisions.refused.insert(id.clone(), self.reason.clone());
            },
        )?;
        if count == 0 {
            return Err(none(id));
        }
        let value = serde_json::json!({ "refused": id, "reason": self.reason });
        session
            .out
            .show(&value, || format!("{id} is refused, and its sender is told: {}", self.reason));
        Ok(())
    }
}
