//! What was yielded and what was said to it. Pure.
//!
//! Ids of a mailbox are in its order, and their text is too. That the
//! coordinator offers a message does not mean that everything before it is
//! settled for good: it writes its marks a little later, so a crash can bring
//! back the last few that were confirmed. So the last [`KEPT`] confirmations are
//! kept, and of everything older one id: what is not above it was confirmed.

use multiclaude_hybrid_protocol::MessageId;
use multiclaude_hybrid_protocol::message::MessageStatus;
use std::collections::{BTreeMap, BTreeSet};

/// Confirmations that are kept: more than a mailbox takes in the quarter of a
/// second in which its marks are not written yet.
const KEPT: usize = 1024;

/// What a message that is offered is to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Never seen.
    New,
    /// Yielded; its consumer has not confirmed it yet.
    Open,
    /// Confirmed; the coordinator has not heard it.
    Confirmed(MessageStatus),
}

/// What follows from a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The first one: until the coordinator has it, the message comes again.
    First,
    /// One more: the message does not come again, whoever has heard it or not.
    More,
    /// Nothing new.
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    open: BTreeSet<String>,
    confirmed: BTreeMap<String, MessageStatus>,
    /// Everything up to this one was confirmed.
    forgotten: Option<String>,
}

impl Memory {
    pub(super) fn look(&self, id: &MessageId) -> Known {
        let key = id.uuid_hex();
        if self.open.contains(&key) {
            return Known::Open;
        }
        match self.confirmed.get(&key) {
            Some(status) => Known::Confirmed(*status),
            None if self.forgotten.as_ref().is_some_and(|last| key <= *last) => {
                Known::Confirmed(MessageStatus::Delivered)
            }
            None => Known::New,
        }
    }

    /// A message is offered; a new one is yielded now.
    pub(super) fn meet(&mut self, id: &MessageId) -> Known {
        let known = self.look(id);
        if known == Known::New {
            self.open.insert(id.uuid_hex());
        }
        known
    }

    /// The consumer confirms a message.
    pub(super) fn confirm(&mut self, id: &MessageId, status: MessageStatus) -> Said {
        let key = id.uuid_hex();
        if self.open.remove(&key) {
            self.confirmed.insert(key, status);
            if self.confirmed.len() > KEPT
                && let Some((oldest, _)) = self.confirmed.pop_first()
            {
                self.forgotten = self.forgotten.take().max(Some(oldest));
            }
            return Said::First;
        }
        match self.confirmed.get_mut(&key) {
            Some(said) if *said == status || *said == MessageStatus::Acked => Said::Nothing,
            Some(said) => {
                *said = status;
                Said::More
            }
            // Confirmed long ago, or by an earlier process.
            None => Said::More,
        }
    }

    /// Was anything confirmed that is not younger than `id`?
    pub(super) fn reaches(&self, id: &MessageId) -> bool {
        let newest = self.confirmed.last_key_value().map(|(key, _)| key);
        newest.is_some_and(|newest| id.uuid_hex() <= *newest)
    }

    /// Was nothing confirmed at all?
    pub(super) fn is_blank(&self) -> bool {
        self.confirmed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MessageStatus::{Acked, Delivered};
    use multiclaude_hybrid_protocol::{AgentName, Timestamp};
    use proptest::prelude::*;

    fn id(seq: u64) -> MessageId {
        let agent = AgentName::parse("queue").unwrap();
        MessageId::new(Timestamp(1_700_000_000_000), seq, 7, agent)
    }

    #[test]
    fn what_was_yielded_is_open_until_it_is_confirmed_and_then_never_new_again() {
        let mut memory = Memory::default();
        assert_eq!(memory.meet(&id(1)), Known::New);
        assert_eq!(memory.meet(&id(1)), Known::Open);
        assert_eq!(memory.confirm(&id(1), Acked), Said::First);
        assert_eq!(memory.meet(&id(1)), Known::Confirmed(Acked));
    }

    #[test]
    fn a_second_confirmation_counts_only_if_it_says_more() {
        let mut memory = Memory::default();
        memory.meet(&id(1));
        assert_eq!(memory.confirm(&id(1), Delivered), Said::First);
        assert_eq!(memory.confirm(&id(1), Delivered), Said::Nothing);
        assert_eq!(memory.confirm(&id(1), Acked), Said::More);
        assert_eq!(memory.confirm(&id(1), Delivered), Said::Nothing);
        assert_eq!(memory.look(&id(1)), Known::Confirmed(Acked));
        // Of an earlier process.
        assert_eq!(memory.confirm(&id(0), Acked), Said::More);
    }

    #[test]
    fn a_message_of_the_same_place_with_other_bits_is_another_one() {
        let mut memory = Memory::default();
        memory.meet(&id(1));
        let agent = AgentName::parse("queue").unwrap();
        let other = MessageId::new(Timestamp(1_700_000_000_001), 1, 8, agent);
        assert_eq!(memory.meet(&other), Known::New);
    }

    proptest! {
        /// The coordinator offers in order, and after a crash the last few again.
        #[test]
        fn nothing_is_yielded_twice_however_often_it_comes_back_and_memory_is_bounded(
            steps in prop::collection::vec((1_u64..400, 0_u64..200, any::<bool>()), 1..40)
        ) {
            let (mut memory, mut next) = (Memory::default(), 1_u64);
            let mut yielded = Vec::new();
            for (ahead, back, ack) in steps {
                let from = next.saturating_sub(back).max(1);
                for seq in from..next + ahead {
                    match memory.meet(&id(seq)) {
                        Known::New => yielded.push(seq),
                        Known::Confirmed(_) => prop_assert!(seq < next),
                        Known::Open => prop_assert!(false, "all are confirmed"),
                    }
                    memory.confirm(&id(seq), if ack { Acked } else { Delivered });
                }
                next += ahead;
                prop_assert!(memory.confirmed.len() <= KEPT && memory.open.is_empty());
            }
            prop_assert_eq!(yielded, (1..next).collect::<Vec<_>>());
        }
    }
}
