//! The object around a mailbox: it executes writes, and dies between any two.

use super::steps::Step;
use super::store::Store;
use super::values::{agent_id, draft, request, sender};
use crate::Ms;
use crate::mailbox::{Dedup, Draft, Key, Mailbox, Offering, Snapshot, Write, dedup, transition};
use crate::outcome::{ErrorClass, Outcome};
use crate::registry::Version;
use crate::timing::Timing;
use multiclaude_hybrid_protocol::Owner;
use multiclaude_hybrid_protocol::message::{FailureReason, MessageStatus, Report};
use proptest::sample::Index;
use std::collections::{BTreeMap, BTreeSet};

/// The object around the mailbox.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) mailbox: Mailbox,
    pub(super) now: Ms,
    /// Writes until the next crash.
    fuse: Option<u32>,
    /// Notices the senders got: batch and failed messages.
    notices: BTreeMap<u64, Vec<String>>,
    accepted: BTreeSet<u64>,
    /// Messages that were reported to be seen.
    proved: BTreeSet<u64>,
    pub(super) pushed: Vec<u64>,
    pub(super) offered: Vec<u64>,
}

impl World {
    pub(super) fn new() -> Self {
        let (mailbox, _) = Mailbox::load(Snapshot::default(), Timing::default(), 0);
        Self {
            store: Store::default(),
            mailbox,
            now: 1_700_000_000_000,
            fuse: None,
            notices: BTreeMap::new(),
            accepted: BTreeSet::new(),
            proved: BTreeSet::new(),
            pushed: Vec::new(),
            offered: Vec::new(),
        }
    }

    pub(super) fn reload(&mut self) {
        self.fuse = None;
        let (mailbox, writes) = Mailbox::load(self.store.snapshot(), Timing::default(), self.now);
        self.mailbox = mailbox;
        for write in writes {
            self.store.apply(write);
        }
    }

    /// Executes; false if the object died on the way.
    pub(super) fn execute(&mut self, writes: Vec<Write>) -> bool {
        for write in writes {
            if self.fuse == Some(0) {
                self.reload();
                return false;
            }
            self.fuse = self.fuse.map(|left| left - 1);
            self.store.apply(write);
        }
        true
    }

    fn send(&mut self, key: Option<u8>, content: u8, has_sender: bool, ttl: i64) {
        let key = key
            .map(|key| Key { scope: format!("key-{key}"), content: format!("content-{content}") });
        if let Some(key) = &key {
            let known = self.store.keys.get(&key.scope);
            // As the object's statement has it: the row of that place and that key.
            let row = known.and_then(|(_, seq)| self.store.rows.get(seq));
            let row = row.filter(|row| row.insert.key.as_ref() == Some(&key.scope));
            let known = known.map(|(first, _)| (first.as_str(), row.is_some()));
            match dedup(known, &key.content) {
                Dedup::New => {}
                Dedup::Mismatch => return,
                Dedup::Same => {
                    let first = &row.unwrap().insert.head;
                    assert_eq!(*first, key.content, "another message was answered");
                    return;
                }
            }
        }
        let sender = has_sender.then(|| sender(9));
        let draft = Draft { ttl_secs: Some(ttl), sender, key, ..draft() };
        let head = draft.key.as_ref().map_or(String::new(), |key| key.content.clone());
        if let Ok((accepted, writes)) = self.mailbox.accept(draft, self.now, |_| head)
            && self.execute(writes)
        {
            self.accepted.insert(accepted.id.seq());
        }
    }

    fn push(&mut self, answer: u8) {
        let Some(push) = self.mailbox.begin_push(self.now) else {
            return;
        };
        self.pushed.push(push.seq);
        let says = |code, report| Outcome::of(code, report, None);
        let status = |code| says(code, Report::DELIVERED);
        let outcomes = [
            status(200),
            says(200, Report::ACKED),
            status(500),
            status(422),
            status(410),
            Outcome::unanswered(ErrorClass::Timeout),
            says(200, Report::DELIVERED.and_seen()),
            says(200, Report::ACKED.and_seen()),
        ];
        let outcome = outcomes[usize::from(answer) % outcomes.len()];
        if let Outcome::Delivered { report, .. } = outcome {
            self.note_proof(push.seq, report);
        }
        let finished = self.mailbox.finish_push(&push, outcome, 0.5, self.now);
        if !self.execute(finished.writes) {
            return;
        }
        if let Some(seq) = finished.rejected {
            let failing = self.store.stored(&[seq]);
            let writes = self.mailbox.fail(failing, FailureReason::Rejected, self.now);
            self.execute(writes);
        }
    }

    fn note_proof(&mut self, seq: u64, report: Report) {
        if report.seen {
            self.proved.insert(seq);
        }
    }

    /// The stream offers, and its client answers with a report or nothing.
    fn offer(&mut self, answer: Option<Report>) {
        let Some((next, writes)) = self.mailbox.begin_offer(self.now) else {
            return;
        };
        if !self.execute(writes) {
            return;
        }
        let Offering::Send(offer) = next else { return };
        assert_eq!(offer.seq, self.mailbox.pending_from(), "not the oldest");
        assert!(self.mailbox.begin_push(self.now).is_none(), "two under way");
        self.offered.push(offer.seq);
        if let Some(report) = answer {
            self.note_proof(offer.seq, report);
            assert!(self.mailbox.confirm(offer.seq, report, self.now));
        }
    }

    pub(super) fn alarm(&mut self) {
        let writes = self.mailbox.take_marks();
        if !self.execute(writes) {
            return;
        }
        while let Some((reason, seqs)) = self.mailbox.due_to_fail(self.now) {
            let failing = self.store.stored(&seqs);
            let writes = self.mailbox.fail(failing, reason, self.now);
            if !self.execute(writes) {
                return;
            }
        }
        if let Some(delivery) = self.mailbox.unreported_channel(self.now) {
            let writes = self.mailbox.channel_reported(delivery);
            if !self.execute(writes) {
                return;
            }
        }
        while let Some(batch) = self.mailbox.next_notice(self.now) {
            // The recipient's mailbox dedups by batch and must never see one grow.
            let first = self.notices.entry(batch.batch).or_insert(batch.uuids.clone());
            assert_eq!(*first, batch.uuids, "a batch changed between two tries");
            let write = self.mailbox.notice_done(batch.batch);
            if !self.execute(vec![write]) {
                return;
            }
        }
    }

    /// The recipient's side reports on one of all messages.
    fn report(&mut self, pick: Index, report: Report) {
        let writes = self.mailbox.take_marks();
        if !self.execute(writes) || self.store.rows.is_empty() {
            return;
        }
        let row = self.store.rows.values().nth(pick.index(self.store.rows.len())).unwrap();
        let (seq, current) = (row.insert.seq, row.standing);
        let Ok(Some(write)) = self.mailbox.report(seq, current, report, self.now) else {
            return;
        };
        self.note_proof(seq, report);
        if self.execute(vec![write]) {
            let wanted = transition(current, report).unwrap().unwrap();
            assert_eq!(self.store.rows[&seq].standing, wanted, "a report was not taken");
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Configure { generation, revision, endpoint } => {
                let url = endpoint.then_some("https://a.example/");
                let request = request(generation, revision, url);
                let Ok(needs_secret) = self.mailbox.needs_secret(&request, false) else {
                    return;
                };
                let secret = needs_secret.then(|| "sealed".to_owned());
                let writes = self.mailbox.configure(request, secret, self.now).unwrap();
                self.execute(writes);
            }
            Step::Close { generation, revision } => {
                let version = Version { generation, revision };
                let owner = Owner::parse("dan").unwrap();
                if let Ok(writes) = self.mailbox.close(agent_id(generation), owner, version) {
                    self.execute(writes);
                }
            }
            Step::Send { key, content, sender, ttl } => self.send(key, content, sender, ttl),
            Step::Push(answer) => self.push(answer),
            Step::OpenStream => {
                if self.mailbox.current().is_some() {
                    self.mailbox.open_stream(None);
                }
            }
            Step::CloseStream => self.mailbox.close_stream(),
            Step::Offer(answer) => self.offer(answer),
            Step::Report { pick, report } => self.report(pick, report),
            Step::Alarm => self.alarm(),
            Step::Wait(ms) => self.now += ms,
            Step::ClockBack(ms) => self.now -= ms,
            Step::CrashAfter(writes) => self.fuse = Some(writes),
        }
    }

    /// Invariants.
    pub(super) fn check(&self) {
        let ids: Vec<_> = self.store.rows.values().map(|row| row.insert.uuid.clone()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "ids are not monotonic");
        for seq in &self.accepted {
            assert!(self.store.rows.contains_key(seq), "an accepted message is gone");
        }
        let low = self.mailbox.low_water();
        for row in
            self.store.rows.values().filter(|row| row.standing.status == MessageStatus::Pending)
        {
            assert!(row.insert.seq >= low, "a load from the low-water mark would miss a message");
        }
        for row in self.store.rows.values().filter(|row| row.standing.seen) {
            let (seq, status) = (row.insert.seq, row.standing.status);
            assert!(self.proved.contains(&seq), "seen without a report of it");
            assert!(matches!(status, MessageStatus::Delivered | MessageStatus::Acked), "{row:?}");
        }
        for history in self.store.history.values() {
            use MessageStatus::{Acked, Delivered, Failed, Pending};
            let legal: [&[_]; 6] = [
                &[Pending],
                &[Pending, Delivered],
                &[Pending, Acked],
                &[Pending, Delivered, Acked],
                &[Pending, Failed],
                &[],
            ];
            assert!(legal.contains(&history.as_slice()), "{history:?}");
        }
    }

    /// Lets everything end: no crash, the endpoint accepts all, alarms run.
    pub(super) fn end(&mut self) {
        self.fuse = None;
        self.reload();
        for _ in 0..2 {
            self.alarm();
        }
        self.check();
        let noticed: Vec<_> = self.notices.values().flatten().collect();
        let distinct: BTreeSet<_> = noticed.iter().collect();
        assert_eq!(noticed.len(), distinct.len(), "two notices of one failed message");
        for row in self.store.rows.values() {
            let must = row.standing.status == MessageStatus::Failed && row.insert.sender.is_some();
            assert_eq!(must, distinct.contains(&&row.insert.uuid), "{row:?}");
        }
        assert!(self.store.noted.is_empty());
        assert!(self.mailbox.wake_at(self.now).is_none_or(|at| at > self.now));
    }
}

/// A world whose mailbox has an endpoint.
pub(super) fn open_world() -> World {
    let mut world = World::new();
    world.step(Step::Configure { generation: 1, revision: 1, endpoint: true });
    world
}

/// Stores a message in it.
pub(super) fn send(world: &mut World) {
    world.step(Step::Send { key: None, content: 0, sender: true, ttl: 100_000 });
}
