//! What waits for the end of a turn, in memory only.

use crate::lines::Peer;
use crate::submit::is_command;

/// One text that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) text: String,
    /// Who sent it through the inbox socket; `None` for the human.
    pub(crate) peer: Option<Peer>,
}

impl Queued {
    /// A command of the human's; what a peer sends is never one.
    pub(crate) fn is_command(&self) -> bool {
        self.peer.is_none() && is_command(&self.text)
    }
}

/// First in, first out.
#[derive(Debug, Default)]
pub(crate) struct Queue(Vec<Queued>);

impl Queue {
    pub(crate) fn push(&mut self, queued: Queued) {
        self.0.push(queued);
    }

    pub(crate) fn all(&self) -> &[Queued] {
        &self.0
    }

    pub(crate) fn humans(&self) -> usize {
        self.0.iter().filter(|queued| queued.peer.is_none()).count()
    }

    pub(crate) fn peers(&self) -> usize {
        self.0.len() - self.humans()
    }

    /// What one turn takes: all at the head that are of one kind. A command goes
    /// alone.
    pub(crate) fn batch(&mut self) -> Vec<Queued> {
        let kind = |queued: &Queued| (queued.peer.is_some(), queued.is_command());
        let Some(first) = self.0.first().map(kind) else { return Vec::new() };
        let end = self.0.iter().position(|queued| kind(queued) != first).unwrap_or(self.0.len());
        self.0.drain(..if first.1 { 1 } else { end }).collect()
    }

    /// What is taken when a tool ends: all but commands.
    pub(crate) fn absorb(&mut self) -> Vec<Queued> {
        self.0.extract_if(.., |queued| !queued.is_command()).collect()
    }

    /// What the human pulls back into the box: nothing of peers.
    pub(crate) fn pull_back(&mut self) -> Vec<Queued> {
        self.0.extract_if(.., |queued| queued.peer.is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(texts: &[&str]) -> Queue {
        let mut queue = Queue::default();
        for text in texts {
            let from = text.strip_prefix("peer ");
            let peer = from.map(|from| Peer {
                from: from.to_owned(),
                pid: 1,
                start: String::new(),
                own: true,
            });
            queue.push(Queued { text: (*text).to_owned(), peer });
        }
        queue
    }

    fn texts(queued: &[Queued]) -> Vec<&str> {
        queued.iter().map(|queued| queued.text.as_str()).collect()
    }

    #[test]
    fn a_turn_takes_all_of_one_kind_and_a_command_goes_alone() {
        let mut queue = queue(&["a", "b", "/clear", "/x", "peer p", "peer q", "c"]);
        let batches: [&[&str]; 6] =
            [&["a", "b"], &["/clear"], &["/x"], &["peer p", "peer q"], &["c"], &[]];
        for batch in batches {
            assert_eq!(texts(&queue.batch()), batch);
        }
    }

    #[test]
    fn what_peers_sent_is_not_pulled_back() {
        let mut queue = queue(&["a", "peer p", "b"]);
        assert_eq!(texts(&queue.pull_back()), ["a", "b"]);
        assert_eq!((queue.humans(), queue.peers()), (0, 1));
        assert_eq!(texts(&queue.absorb()), ["peer p"]);
    }
}
