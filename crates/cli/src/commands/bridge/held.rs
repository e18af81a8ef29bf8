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
use serde_json::json;

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
    /// No longer accept all messages of this owner. No effect while the bridge runs with
    /// --accept=team (the default), or names the owner there
    #[arg(long)]
    revoke: bool,
}

#[derive(Debug, Args)]
pub(super) struct RefuseArgs {
    /// The message's id, as `bridge held` shows it, or the beginning of it
    id: String,
    /// Why, for the agent that sent it
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

/// Makes a decision about what the bridge does in every repo that is or was served here,
/// if `change` changes anything there; returns these repos.
fn decide(
    session: &Session,
    change: impl Fn(&RepoDirs, &mut Decisions) -> bool,
) -> Outcome<Vec<Repo>> {
    // One at a time: they are read, changed and written back.
    let _lock = session.home.lock()?;
    let mut changed = Vec::new();
    for repo in session.settings.known_repos() {
        let dirs = session.home.bridge().repo(&repo);
        if !dirs.nickname().exists() {
            continue;
        }
        let path = dirs.decisions();
        let mut decisions = Decisions::load(&dirs).map_err(io("read", &path))?;
        if change(&dirs, &mut decisions) {
            decisions.save(&dirs).map_err(io("write", &path))?;
            changed.push(repo);
        }
    }
    Ok(changed)
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
    let decided = decide(session, |dirs, decisions| {
        let waits = waits(dirs, id);
        if waits {
            change(decisions);
        }
        waits
    })?;
    if decided.is_empty() { Err(none(id)) } else { Ok(()) }
}

fn owner(text: &str) -> Outcome<Owner> {
    Owner::parse(text).map_err(|error| {
        Failure::usage(format!("the owner {text:?} {error}")).hint("give an owner, as in: ann")
    })
}

impl AcceptArgs {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        if self.revoke {
            let owner = owner(&self.what)?;
            let repos = decide(session, |_, decisions| decisions.owners.remove(owner.as_str()))?;
            if repos.is_empty() {
                return Err(Failure::new(format!("{owner} was not accepted here by name"))
                    .exit(Exit::NotFound)
                    .hint("the bridge's --accept says whose messages it accepts besides"));
            }
            return session.out.show(&json!({ "revoked": owner, "repos": repos }), || {
                format!(
                    "{owner} is no longer accepted by name in {}. Only a bridge with --accept=ask, or with \
                     owners without {owner}, holds these messages.",
                    listed(&repos)
                )
            });
        }
        if let Some(id) = message(&self.what, session)? {
            decide_about(session, &id, |decisions| {
                decisions.refused.remove(&id);
                decisions.accepted.insert(id.clone());
            })?;
            return session.out.show(&json!({ "accepted": id }), || format!("{id} is accepted."));
        }
        let owner = owner(&self.what)?;
        let repos = decide(session, |_, decisions| {
            decisions.owners.insert(owner.to_string());
            true
        })?;
        if repos.is_empty() {
            return Err(Failure::new(
                "no bridge has served a repo here yet, so nothing was changed",
            )
            .hint("start it, and accept the owner then: multiclaude-hybrid bridge run"));
        }
        session.out.show(&json!({ "accepted": owner, "repos": repos }), || {
            format!(
                "From now on, all messages of {owner} in {} are accepted. To take that back: \
                 multiclaude-hybrid bridge accept --revoke {owner}",
                listed(&repos)
            )
        })
    }
}

fn listed(repos: &[Repo]) -> String {
    repos.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl RefuseArgs {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let id = &find_id(&self.id, &waiting(session))?;
        decide_about(session, id, |decisions| {
            decisions.accepted.remove(id);
            decisions.refused.insert(id.clone(), self.reason.clone());
        })?;
        session.out.show(&json!({ "refused": id, "reason": self.reason }), || {
            format!(
                "{id} is refused. An agent that sent it gets the reason, a person does not: {}",
                self.reason
            )
        })
    }
}
