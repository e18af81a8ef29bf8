//! Nothing fails silently: the outbox of notices to senders.
//!
//! One notice per batch and sender. A batch is named by its first failed
//! message and never changes once it is noted, so that passing it on twice
//! makes one notice. Notices themselves have no sender to tell.

use super::write::{Noted, SenderRef, Stored};
use crate::Ms;
use multiclaude_hybrid_protocol::message::FailureReason;
use multiclaude_hybrid_protocol::{AgentName, Repo};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Failed messages that one notice names at most.
pub const NOTICE_BATCH: usize = 100;

/// Notices that are held at most; while there are more, nothing else fails.
const OUTBOX_MAX: usize = 1000;

/// One notice to be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Names it: the first failed message.
    pub batch: u64,
    /// Who is told.
    pub recipient: SenderRef,
    /// Why the messages failed.
    pub reason: FailureReason,
    /// The UUIDs of the failed messages' ids.
    pub uuids: Vec<String>,
}

/// Notices that were not passed on yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    batches: BTreeMap<u64, Batch>,
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

    fn add(&mut self, row: &Noted) {
        let batch = self.batches.entry(row.batch).or_insert_with(|| Batch {
            batch: row.batch,
            recipient: row.recipient.clone(),
            reason: row.reason,
            uuids: Vec::new(),
        });
        batch.uuids.push(row.uuid.clone());
    }

    /// Groups what fails now by sender into batches.
    pub(super) fn note(&mut self, failing: &[Stored], reason: FailureReason) -> Vec<Noted> {
        let mut by_sender: BTreeMap<&SenderRef, Vec<&Stored>> = BTreeMap::new();
        for row in failing {
            if let Some(sender) = &row.sender {
                by_sender.entry(sender).or_default().push(row);
            }
        }
        let mut noted = Vec::new();
        for (sender, rows) in by_sender {
            for chunk in rows.chunks(NOTICE_BATCH) {
                let batch = chunk.first().map_or(0, |first| first.seq);
                noted.extend(chunk.iter().map(|row| Noted {
                    seq: row.seq,
                    uuid: row.uuid.clone(),
                    batch,
                    recipient: sender.clone(),
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
        let (_, batch) = self.batches.first_key_value()?;
        (self.held_until <= now).then(|| batch.clone())
    }

    pub(super) fn done(&mut self, batch: u64) {
        self.batches.remove(&batch);
    }

    /// Too much to tell already.
    pub(super) fn is_full(&self) -> bool {
        self.batches
            .values()
            .map(|batch| batch.uuids.len())
            .sum::<usize>()
            >= OUTBOX_MAX
    }

    pub(super) fn hold_until(&mut self, at: Ms) {
        self.held_until = at;
    }

    pub(super) fn due(&self) -> Option<Ms> {
        (!self.batches.is_empty()).then_some(self.held_until)
    }
}

/// What a notice says to the sender of messages to `agent`.
pub fn notice_text(repo: &Repo, agent: &AgentName, batch: &Batch) -> String {
    let why = match batch.reason {
        FailureReason::Expired => "nobody took them before their time was over",
        FailureReason::AgentGone => "that agent was deregistered or replaced",
        FailureReason::Rejected => "its endpoint refused them for good",
    };
    let mut text = format!(
        "{} of your messages to {agent} in {repo} failed ({}): {why}. They will not be delivered; \
         send them again if they still matter.",
        batch.uuids.len(),
        batch.reason.as_str(),
    );
    for uuid in &batch.uuids {
        // Writing to a String cannot fail.
        let _ = write!(text, "\nmsg_{uuid}_{agent}");
    }
    text
}
