//! Which messages of peers are taken, and which are dropped.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// As many at once, and then one each [`REFILL`], for each sender.
const BURST: u32 = 30;
const REFILL: Duration = Duration::from_secs(2);
/// As many of peers wait in the queue.
const WAITING: usize = 50;
/// The same text is dropped for this long.
const REPEAT: Duration = Duration::from_secs(30);

/// Why a message was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Repeated,
    TooFast,
    Full,
}

impl Refusal {
    /// What the transcript says.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Repeated => "identical to the previous message from this sender",
            Self::TooFast => "sender exceeded the peer message rate limit",
            Self::Full => "this session has too many undelivered peer messages queued",
        }
    }
}

#[derive(Debug)]
struct Sender {
    left: u32,
    refilled: Instant,
    last: Option<(String, Instant)>,
    /// When the human was last shown that something was dropped.
    told: Option<Instant>,
}

/// What every sender has sent lately.
#[derive(Debug, Default)]
pub(crate) struct Admission(HashMap<String, Sender>);

impl Admission {
    /// Whether `text` is taken, while `waiting` messages of peers wait.
    pub(crate) fn admit(
        &mut self,
        from: &str,
        text: &str,
        waiting: usize,
        now: Instant,
    ) -> Result<(), Refusal> {
        let new = || Sender { left: BURST, refilled: now, last: None, told: None };
        let sender = self.0.entry(from.to_owned()).or_insert_with(new);
        while sender.left < BURST && now >= sender.refilled + REFILL {
            sender.left += 1;
            sender.refilled += REFILL;
        }
        if sender.left == BURST {
            sender.refilled = now;
        }
        if sender.last.as_ref().is_some_and(|(last, at)| last == text && now < *at + REPEAT) {
            return Err(Refusal::Repeated);
        }
        if sender.left == 0 {
            return Err(Refusal::TooFast);
        }
        if waiting >= WAITING {
            return Err(Refusal::Full);
        }
        sender.left -= 1;
        sender.last = Some((text.to_owned(), now));
        Ok(())
    }

    /// Whether the transcript says that something of this sender's was dropped:
    /// only the first time in a while.
    pub(crate) fn tells(&mut self, from: &str, now: Instant) -> bool {
        let Some(sender) = self.0.get_mut(from) else { return true };
        let tells = sender.told.is_none_or(|told| now >= told + REPEAT);
        if tells {
            sender.told = Some(now);
        }
        tells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_at_once_then_one_each_two_seconds_for_each_sender() {
        let mut admission = Admission::default();
        let start = Instant::now();
        let mut send = |from: &str, number: u32, secs: u64| {
            let now = start + Duration::from_secs(secs);
            admission.admit(from, &number.to_string(), 0, now)
        };
        for number in 0..30 {
            assert_eq!(send("ann", number, 0), Ok(()));
        }
        assert_eq!(send("ann", 31, 1), Err(Refusal::TooFast));
        assert_eq!(send("bob", 31, 1), Ok(()));
        assert_eq!(send("ann", 32, 2), Ok(()));
        assert_eq!(send("ann", 33, 3), Err(Refusal::TooFast));
        assert_eq!((send("ann", 34, 7), send("ann", 35, 7)), (Ok(()), Ok(())));
        assert_eq!(send("ann", 36, 7), Err(Refusal::TooFast));
    }

    #[test]
    fn a_text_twice_in_a_row_and_more_than_fifty_waiting_are_dropped() {
        let mut admission = Admission::default();
        let start = Instant::now();
        assert_eq!(admission.admit("ann", "a", 0, start), Ok(()));
        assert_eq!(admission.admit("ann", "a", 0, start), Err(Refusal::Repeated));
        assert_eq!(admission.admit("ann", "b", 50, start), Err(Refusal::Full));
        assert_eq!(admission.admit("ann", "b", 49, start), Ok(()));
        assert_eq!(admission.admit("ann", "a", 0, start), Ok(()));
        assert_eq!(admission.admit("ann", "a", 0, start + REPEAT), Ok(()));
    }
}
