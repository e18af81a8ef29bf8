//! `bridge held`, `accept` and `refuse`: messages that wait for the person.

use crate::bridge::running;
use crate::crypt::Reader;
use crate::failure::{Exit, Failure, Outcome, io};
use crate::ids::{self, Given};
use crate::output::{line, safe};
use crate::session::Session;
use clap::Args;
use multiclaude_hybrid_bridge::dirs::RepoDirs;
use multiclaude_hybrid_bridge::inbox::{BRIDGE_NAME, Decisions, Stage, Store, Stored};
use multiclaude_hybrid_bridge::status::Held;
use multiclaude_hybrid_client::protocol::message::Message;
use multiclaude_hybrid_client::protocol::{MessageId, Owner, Repo};
use serde::Serialize;

#[derive(Debug, Args)]
pub(super) struct HeldArgs {
    /// Show this message alone, with its whole text: its id, or the beginning of it
    id: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct AcceptArgs {
    /// A message's id, as `bridge held` shows it, or the beginning of it; or an owner
    #[arg(value_name = "ID|OWNER")]
    what: String,
    /// Hold messages of this owner again, unless the bridge's --accept names them
    #[arg(long)]
    revoke: bool,
}

#[derive(Debug, Args)]
pub(super) struct RefuseArgs {
    /// The message's id, as `bridge held` shows it, or the beginning of it
    id: String,
    /// Why, for its sender
    #[arg(long, default_value = "no reason was given")]
    reason: String,
}

const PREVIEW: usize = 400;

#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    to: String,
    reason: String,
    #[serde(skip)]
    unaccepted_owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl HeldArgs {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let Some(status) = running(session)? else {
            return Err(Failure::new("the bridge is not running")
                .hint("start it: multiclaude-hybrid bridge run"));
        };
        let held = status.repos.iter().flat_map(|repo| &repo.held);
        let held: Vec<_> = held.map(|held| held.id.clone()).collect();
        let id = self.id.as_ref().map(|id| find_id(id, &held)).transpose()?;
        let mut shown = Vec::new();
        for repo in &status.repos {
            let Ok(name) = Repo::parse(&repo.repo) else {
                continue;
            };
            let reader = Reader::new(session, &name);
            let wanted = |held: &&Held| id.as_ref().is_none_or(|id| *id == held.id);
            for held in repo.held.iter().filter(wanted) {
                // A list shows what no agent has seen.
                let stages: &[_] = if id.is_some() { &Stage::ALL } else { &[Stage::New] };
                let stored = stored(session, &name, held, stages);
                shown.push(Shown::of(held, stored, &reader));
            }
        }
        let Some(id) = &id else {
            return session.out.show(&shown, || match shown.as_slice() {
                [] => "No message waits here.".to_owned(),
                shown => shown.iter().map(list_entry).collect::<Vec<_>>().join("\n"),
            });
        };
        let shown = shown.first().ok_or_else(|| none(id))?;
        session.out.show(shown, || whole(shown))
    }
}

impl Shown {
    /// A message that waits, and what is stored of it.
    fn of(held: &Held, stored: Option<Stored>, reader: &Reader) -> Self {
        let (from, from_owner, body) = match stored {
            Some(Stored::Message { message, .. }) => {
                let opened = reader.open(*message);
                let body = match opened.error {
                    Some(error) => format!("(It is encrypted and cannot be read here: {error})"),
                    None => opened.message.body,
                };
                let Message { from, from_owner, .. } = opened.message;
                (Some(from.to_string()), Some(from_owner), Some(body))
            }
            Some(Stored::Notice { body, .. }) => (Some(BRIDGE_NAME.to_owned()), None, Some(body)),
            None => (None, None, None),
        };
        let Held { id, to, reason, unaccepted_owner } = held.clone();
        Self { id, to, reason, unaccepted_owner, from, from_owner, body }
    }
}

/// A message with its whole text, each line of it indented: none looks like a line of
/// ours.
fn whole(shown: &Shown) -> String {
    let mut lines = vec![head(shown)];
    lines.extend(shown.from.as_ref().map(|from| match &shown.from_owner {
        Some(owner) => format!("from {from} (owner {owner}):"),
        None => format!("from {from}:"),
    }));
    match &shown.body {
        Some(body) => {
            lines.extend(body.lines().map(|line| format!("    {line}").trim_end().to_owned()));
        }
        None => lines.push("Its text is not kept here.".to_owned()),
    }
    lines.extend(accept_hint(shown));
    safe(&lines.join("\n"))
}

fn head(shown: &Shown) -> String {
    format!("{} for {}: {}", shown.id, shown.to, shown.reason)
}

fn list_entry(shown: &Shown) -> String {
    let mut lines = vec![head(shown)];
    if let (Some(from), Some(owner), Some(body)) = (&shown.from, &shown.from_owner, &shown.body) {
        lines.push(format!("    from {from} (owner {owner}): {}", line(body, PREVIEW)));
        if body.chars().count() > PREVIEW {
            lines.push(format!("    read it all: multiclaude-hybrid bridge held {}", shown.id));
        }
    }
    lines.extend(accept_hint(shown).map(|line| format!("    {line}")));
    safe(&lines.join("\n"))
}

/// How a message goes on that waits for its human.
fn accept_hint(shown: &Shown) -> Option<String> {
    let owner = shown.unaccepted_owner.as_ref()?;
    Some(format!(
        "deliver it: multiclaude-hybrid bridge accept {}; or all of {owner}: multiclaude-hybrid bridge accept \
         {owner}",
        shown.id
    ))
}

/// The stored message, if it is in one of these stages.
fn stored(session: &Session, repo: &Repo, held: &Held, stages: &[Stage]) -> Option<Stored> {
    let store = Store::new(session.home.bridge().repo(repo));
    stages.iter().find_map(|stage| store.get(&held.to, *stage, &held.id).ok())
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
    for repo in session.settings.known_repos() {
        let dirs = session.home.bridge().repo(&repo);
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

/// The ids of all messages that no agent has seen yet.
fn waiting(session: &Session) -> Vec<String> {
    let mut ids = Vec::new();
    for repo in session.settings.known_repos() {
        let store = Store::new(session.home.bridge().repo(&repo));
        for local in store.locals().unwrap_or_default() {
            ids.extend(store.ids(&local, Stage::New).unwrap_or_default());
        }
    }
    ids
}

/// The id that is meant, of those that wait: `id` itself if it is whole.
fn find_id(id: &str, waiting: &[String]) -> Outcome<String> {
    if waiting.iter().any(|known| known == id) {
        return Ok(id.to_owned());
    }
    match id.parse::<Given<MessageId>>() {
        Ok(Given::Whole(id)) => Ok(id.to_string()),
        Ok(Given::Beginning(digits)) => {
            let known: Vec<_> = waiting.iter().filter_map(|id| MessageId::parse(id)).collect();
            match ids::resolve(&digits, &known) {
                Err(failure) if failure.exit == Exit::NotFound => Err(none(id)),
                found => found.map(|id| id.to_string()),
            }
        }
        Err(_) => Err(none(id)),
    }
}

/// The message that is meant, if it is no owner.
fn message(what: &str, session: &Session) -> Outcome<Option<String>> {
    match find_id(what, &waiting(session)) {
        Err(failure) if failure.exit == Exit::NotFound && !what.starts_with("msg_") => Ok(None),
        found => found.map(Some),
    }
}

fn none(id: &str) -> Failure {
    Failure::new(format!("no message {id} waits here"))
        .exit(Exit::NotFound)
        .hint("multiclaude-hybrid bridge held shows the messages that wait, with their ids")
}

/// Changes the decision about a message that no agent has seen yet.
fn decide_about(session: &Session, id: &str, change: impl Fn(&mut Decisions)) -> Outcome {
    match decide(session, |dirs| waits(dirs, id), change)? {
        0 => Err(none(id)),
        _ => Ok(()),
    }
}

/// Changes the decision about all messages of an owner.
fn decide_about_owner(session: &Session, owner: &str, accepted: bool) -> Outcome {
    let owner = Owner::parse(owner).map_err(|error| {
        Failure::usage(format!("the owner {owner:?} {error}"))
            .hint("give the id of a message, msg_…, or an owner")
    })?;
    let change = |decisions: &mut Decisions| {
        if accepted {
            decisions.owners.insert(owner.to_string());
        } else {
            decisions.owners.remove(owner.as_str());
        }
    };
    decide(session, |dirs| dirs.inbox().exists(), change).map(|_| ())
}

impl AcceptArgs {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        if self.revoke {
            let owner = &self.what;
            decide_about_owner(session, owner, false)?;
            return session.out.show(&serde_json::json!({ "revoked": owner }), || {
                format!("Messages of {owner} are accepted only as the bridge's --accept says.")
            });
        }
        let message = message(&self.what, session)?;
        let what = message.as_ref().unwrap_or(&self.what);
        if message.is_some() {
            decide_about(session, what, |decisions| {
                decisions.refused.remove(what);
                decisions.accepted.insert(what.clone());
            })?;
        } else {
            decide_about_owner(session, what, true)?;
        }
        session.out.show(&serde_json::json!({ "accepted": what }), || match message {
            Some(_) => format!("{what} is accepted."),
            None => format!(
                "From now on, all messages of {what} are accepted. To take that back: \
                 multiclaude-hybrid bridge accept --revoke {what}"
            ),
        })
    }
}

impl RefuseArgs {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let id = &find_id(&self.id, &waiting(session))?;
        decide_about(session, id, |decisions| {
            decisions.accepted.remove(id);
            decisions.refused.insert(id.clone(), self.reason.clone());
        })?;
        let value = serde_json::json!({ "refused": id, "reason": self.reason });
        session.out.show(&value, || {
            format!("{id} is refused; its sender gets the reason: {}", self.reason)
        })
    }
}
