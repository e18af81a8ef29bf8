//! Nothing fails silently: the outbox of notices to senders.
//!
//! One notice per batch and sender. A batch is named by its first failed message and
//! never changes once it is noted, so that sending it twice makes one notice. There is
//! no notice about a notice.

use super::draft::AgentRef;
use super::write::{Noted, Stored};
use crate::Ms;
use multiclaude_hybrid_protocol::message::FailureReason;
use multiclaude_hybrid_protocol::{AgentName, Repo};
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Failed messages that one notice names at most.
pub const NOTICE_BATCH: usize = 100;

/// Failed messages that the outbox holds at most; while it is full, nothing else fails.
const OUTBOX_MAX: usize = 1000;

/// One notice to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The first failed message, as the batch's name.
    pub batch: u64,
    /// The notice's recipient.
    pub recipient: AgentRef,
    /// Why the messages failed.
    pub reason: FailureReason,
    /// The UUIDs of the failed messages' ids.
    pub uuids: Vec<String>,
}

/// Notices that were not sent yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    batches: VecDeque<Batch>,
    held_until: Ms,
}

impl Outbox {
    pub(super) fn new(noted: &[Noted]) -> Self {
        let mut outbox = Self::default();
        for row in noted {
            outbox.add(row);
        }
        outbox
    }

    /// Rows of one batch follow each other.
    fn add(&mut self, row: &Noted) {
        match self.batches.iter_mut().rev().find(|batch| batch.batch == row.batch) {
            Some(batch) => batch.uuids.push(row.uuid.clone()),
            None => self.batches.push_back(Batch {
                batch: row.batch,
                recipient: row.recipient.clone(),
                reason: row.reason,
                uuids: vec![row.uuid.clone()],
            }),
        }
    }

    /// Groups what fails now by sender into batches.
    pub(super) fn note(&mut self, failing: &[Stored], reason: FailureReason) -> Vec<Noted> {
        let mut rows: Vec<(&AgentRef, &Stored)> =
            failing.iter().filter_map(|row| Some((row.sender.as_ref()?, row))).collect();
        rows.sort_unstable_by(|(a, first), (b, second)| (a, first.seq).cmp(&(b, second.seq)));
        let mut noted = Vec::with_capacity(rows.len());
        for group in rows.chunk_by(|(a, _), (b, _)| a == b) {
            for chunk in group.chunks(NOTICE_BATCH) {
                let batch = chunk.first().map_or(0, |(_, first)| first.seq);
                noted.extend(chunk.iter().map(|(sender, row)| Noted {
                    seq: row.seq,
                    uuid: row.uuid.clone(),
                    batch,
                    recipient: (*sender).clone(),
                    reason,
                }));
            }
        }
        for row in &noted {
            self.add(row);
        }
        noted
    }

    pub(super) fn next(&self, now: Ms) -> Option<Batch> {
        let batch = self.batches.front()?;
        (self.held_until <= now).then(|| batch.clone())
    }

    pub(super) fn done(&mut self, batch: u64) {
        self.batches.retain(|known| known.batch != batch);
    }

    pub(super) fn is_full(&self) -> bool {
        self.batches.iter().map(|batch| batch.uuids.len()).sum::<usize>() >= OUTBOX_MAX
    }

    /// Sends nothing before `at`, and then another batch first: a recipient that cannot
    /// be reached does not block the others.
    pub(super) fn hold_until(&mut self, at: Ms) {
        self.held_until = at;
        if self.batches.len() > 1 {
            self.batches.rotate_left(1);
        }
    }

    pub(super) fn due(&self) -> Option<Ms> {
        (!self.batches.is_empty()).then_some(self.held_until)
    }
}

/// The text of a notice to a sender of messages to `agent`.
pub fn notice_text(repo: &Repo, agent: &AgentName, batch: &Batch) -> String {
    let why = match batch.reason {
        FailureReason::Expired => "not delivered within the time limit",
        FailureReason::AgentGone => "that agent was deregistered or replaced",
        FailureReason::Rejected => "that agent's endpoint refused delivery for good",
    };
    let mut text = format!(
        "{} of your messages to {agent} in {repo} failed ({}): {why}. A failed message is not \
         delivered later: send it again if it still matters.",
        batch.uuids.len(),
        batch.reason.as_str(),
    );
    for uuid in &batch.uuids {
        // Writing to a String cannot fail.
        let _ = write!(text, "\nmsg_{uuid}_{agent}");
    }
    text
}
