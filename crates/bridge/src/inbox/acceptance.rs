//! Decides whose messages reach agents of this machine.
//! Only the owner that the coordinator has verified counts.

use crate::dirs::{RepoDirs, write_durably};
use multiclaude_hybrid_client::protocol::message::{Message, Sender};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};

/// Whose messages are accepted without asking. The user's own messages always are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Accept {
    /// Messages of every owner whose token covers the repo.
    #[default]
    Team,
    /// Messages of these owners.
    Owners(BTreeSet<String>),
    /// Only the user's own messages.
    Ask,
}

/// The human's decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decisions {
    /// Owners whose messages are accepted.
    pub owners: BTreeSet<String>,
    /// Messages that are accepted.
    pub accepted: BTreeSet<String>,
    /// Messages that are refused, and why.
    pub refused: BTreeMap<String, String>,
}

impl Decisions {
    /// Reads the decisions; a missing file has none.
    ///
    /// # Errors
    /// The file is damaged, or cannot be read.
    pub fn load(dirs: &RepoDirs) -> io::Result<Self> {
        match fs::read(dirs.decisions()) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the decisions.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, dirs: &RepoDirs) -> io::Result<()> {
        write_durably(&dirs.decisions(), &serde_json::to_vec_pretty(self)?, 0o600)
    }
}

/// The verdict on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is delivered to its agent.
    Accepted,
    /// It waits until the human accepts it, or all messages of its owner.
    Asked {
        /// The sender's verified owner.
        owner: String,
    },
    /// It is refused for this reason, which is reported to its sender.
    Refused(String),
}

/// Judges a message on the machine of `owner`.
pub fn judge(
    accept: &Accept,
    decisions: &Decisions,
    owner: Option<&str>,
    message: &Message,
) -> Verdict {
    let id = message.id.to_string();
    if let Some(reason) = decisions.refused.get(&id) {
        return Verdict::Refused(reason.clone());
    }
    let from = message.from_owner.as_str();
    let known = match accept {
        Accept::Team => true,
        Accept::Owners(owners) => owners.contains(from),
        Accept::Ask => false,
    };
    let accepted = known
        || message.from == Sender::System
        || owner == Some(from)
        || decisions.owners.contains(from)
        || decisions.accepted.contains(&id);
    if accepted { Verdict::Accepted } else { Verdict::Asked { owner: from.to_owned() } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(owner: &str) -> Message {
        serde_json::from_value(json!({
            "id": "msg_01a2168a02187000800000012022d0b1_fox", "repo": "acme/app", "from": "fox-x",
            "from_owner": owner, "to": "fox-dan", "body": "x", "status": "delivered", "attempts": 0,
            "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-08T00:00:00Z", "metadata": {},
        }))
        .unwrap()
    }

    #[test]
    fn only_the_verified_owner_and_the_human_decide() {
        let none = Decisions::default();
        let asked = |owner: &str| Verdict::Asked { owner: owner.to_owned() };
        let owners = Accept::Owners(BTreeSet::from(["ann".to_owned()]));
        let judge = |accept: &Accept, decisions: &Decisions, owner: &str| {
            super::judge(accept, decisions, Some("dan"), &message(owner))
        };
        assert_eq!(judge(&Accept::Team, &none, "eve"), Verdict::Accepted);
        assert_eq!(judge(&owners, &none, "eve"), asked("eve"));
        assert_eq!(judge(&owners, &none, "ann"), Verdict::Accepted);
        assert_eq!(judge(&Accept::Ask, &none, "ann"), asked("ann"));
        assert_eq!(judge(&Accept::Ask, &none, "dan"), Verdict::Accepted);
        let id = message("eve").id.to_string();
        let yes = Decisions { accepted: BTreeSet::from([id.clone()]), ..Decisions::default() };
        assert_eq!(judge(&Accept::Ask, &yes, "eve"), Verdict::Accepted);
        let eve = Decisions { owners: BTreeSet::from(["eve".to_owned()]), ..Decisions::default() };
        assert_eq!(judge(&Accept::Ask, &eve, "eve"), Verdict::Accepted);
        let no = Decisions { refused: BTreeMap::from([(id, "no".to_owned())]), ..yes };
        assert_eq!(judge(&Accept::Team, &no, "eve"), Verdict::Refused("no".to_owned()));
    }
}
