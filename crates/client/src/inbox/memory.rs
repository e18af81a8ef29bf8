//! Which messages were yielded, and how they were confirmed. Pure.
//!
//! The ids of a mailbox sort in its order, as text too. The coordinator writes its
//! marks a little after a confirmation, so after a crash it may offer the last few
//! confirmed messages again. So the last [`KEPT`] confirmations are kept, and one id
//! for everything older: all messages up to that id were confirmed.

use multiclaude_hybrid_protocol::MessageId;
use multiclaude_hybrid_protocol::message::MessageStatus;
use std::collections::{BTreeMap, BTreeSet};

/// Confirmations that are kept: more than a mailbox takes in the quarter of a second
/// before it writes its marks.
const KEPT: usize = 1024;

/// How far this process is with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Never seen.
    New,
    /// Yielded; its consumer has not confirmed it yet.
    Open,
    /// Confirmed; the coordinator does not know that yet.
    Confirmed(MessageStatus),
}

/// The effect of a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The first one: until the coordinator has it, the message comes again.
    First,
    /// It says more than the one before. The message does not come again, even if this
    /// confirmation is lost.
    More,
    /// It says nothing new.
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    open: BTreeSet<String>,
    confirmed: BTreeMap<String, MessageStatus>,
    /// All messages up to this id were confirmed.
    confirmed_up_to: Option<String>,
}

impl Memory {
    pub(super) fn state(&self, id: &MessageId) -> State {
        let key = id.uuid_hex();
        if self.open.contains(&key) {
            return State::Open;
        }
        match self.confirmed.get(&key) {
            Some(status) => State::Confirmed(*status),
            None if self.confirmed_up_to.as_ref().is_some_and(|last| key <= *last) => {
                State::Confirmed(MessageStatus::Delivered)
            }
            None => State::New,
        }
    }

    /// Records that a message is offered. A new one is yielded now.
    pub(super) fn offer(&mut self, id: &MessageId) -> State {
        let state = self.state(id);
        if state == State::New {
            self.open.insert(id.uuid_hex());
        }
        state
    }

    /// Records that the consumer confirms a message.
    pub(super) fn confirm(&mut self, id: &MessageId, status: MessageStatus) -> Effect {
        let key = id.uuid_hex();
        if self.open.remove(&key) {
            self.confirmed.insert(key, status);
            if self.confirmed.len() > KEPT
                && let Some((oldest, _)) = self.confirmed.pop_first()
            {
                self.confirmed_up_to = self.confirmed_up_to.take().max(Some(oldest));
            }
            return Effect::First;
        }
        match self.confirmed.get_mut(&key) {
            Some(known) if *known == status || *known == MessageStatus::Acked => Effect::Nothing,
            Some(known) => {
                *known = status;
                Effect::More
            }
            // Confirmed long ago, or by an earlier process.
            None => Effect::More,
        }
    }

    /// Was this message, or a younger one, confirmed?
    pub(super) fn covers(&self, id: &MessageId) -> bool {
        let newest = self.confirmed.last_key_value().map(|(key, _)| key);
        newest.is_some_and(|newest| id.uuid_hex() <= *newest)
    }

    /// Was nothing confirmed yet?
    pub(super) fn is_empty(&self) -> bool {
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
    fn a_yielded_message_is_open_until_it_is_confirmed_and_then_never_new_again() {
        let mut memory = Memory::default();
        assert_eq!(memory.offer(&id(1)), State::New);
        assert_eq!(memory.offer(&id(1)), State::Open);
        assert_eq!(memory.confirm(&id(1), Acked), Effect::First);
        assert_eq!(memory.offer(&id(1)), State::Confirmed(Acked));
    }

    #[test]
    fn a_second_confirmation_counts_only_if_it_says_more() {
        let mut memory = Memory::default();
        memory.offer(&id(1));
        assert_eq!(memory.confirm(&id(1), Delivered), Effect::First);
        assert_eq!(memory.confirm(&id(1), Delivered), Effect::Nothing);
        assert_eq!(memory.confirm(&id(1), Acked), Effect::More);
        assert_eq!(memory.confirm(&id(1), Delivered), Effect::Nothing);
        assert_eq!(memory.state(&id(1)), State::Confirmed(Acked));
        // A message of an earlier process.
        assert_eq!(memory.confirm(&id(0), Acked), Effect::More);
    }

    #[test]
    fn a_message_of_the_same_number_with_other_bits_is_another_one() {
        let mut memory = Memory::default();
        memory.offer(&id(1));
        let agent = AgentName::parse("queue").unwrap();
        let other = MessageId::new(Timestamp(1_700_000_000_001), 1, 8, agent);
        assert_eq!(memory.offer(&other), State::New);
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
                    match memory.offer(&id(seq)) {
                        State::New => yielded.push(seq),
                        State::Confirmed(_) => prop_assert!(seq < next),
                        State::Open => prop_assert!(false, "all are confirmed"),
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
