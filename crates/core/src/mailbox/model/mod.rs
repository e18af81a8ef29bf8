//! The mailbox against a simple model of its storage, with crashes between
//! any two writes and alarms that run twice.

use super::*;
use crate::outcome::{Answer, ErrorClass, Outcome};
use crate::registry::Version;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::{AgentId, Owner, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

mod cases;
mod properties;
mod steps;
mod store;

use steps::{Step, step};
use store::Store;

/// The object around the mailbox: executes writes, dies between any two.
struct World {
    store: Store,
    mailbox: Mailbox,
    now: Ms,
    /// Writes until the next crash.
    fuse: Option<u32>,
    /// Notices the senders got: batch and failed messages.
    told: BTreeMap<u64, Vec<String>>,
    accepted: BTreeSet<u64>,
    /// Messages that were reported to be seen.
    proved: BTreeSet<u64>,
    pushed: Vec<u64>,
    offered: Vec<u64>,
}

fn agent_id(n: u32) -> AgentId {
    AgentId::new(Timestamp(0), [n as u8; 10])
}

impl World {
    fn new() -> Self {
        let (mailbox, _) = Mailbox::load(Snapshot::default(), Timing::default(), 0);
        Self {
            store: Store::default(),
            mailbox,
            now: 1_700_000_000_000,
            fuse: None,
            told: BTreeMap::new(),
            accepted: BTreeSet::new(),
            proved: BTreeSet::new(),
            pushed: Vec::new(),
            offered: Vec::new(),
        }
    }

    fn reload(&mut self) {
        self.fuse = None;
        let (mailbox, writes) = Mailbox::load(self.store.snapshot(), Timing::default(), self.now);
        self.mailbox = mailbox;
        for write in writes {
            self.store.apply(write);
        }
    }

    /// Executes; false if the object died on the way.
    fn execute(&mut self, writes: Vec<Write>) -> bool {
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

    fn send(&mut self, key: Option<u8>, content: u8, sender: bool, ttl: i64) {
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
        let draft = Draft {
            agent: AgentName::parse("a").unwrap(),
            ttl_secs: Some(ttl),
            sender: sender
                .then(|| SenderRef { name: AgentName::parse("s").unwrap(), id: agent_id(9) }),
            key,
            random: 0,
            is_notice: false,
        };
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
        let says = |code, report| Answer::Status { code, report, retry_after_secs: None };
        let status = |code| says(code, Report::DELIVERED);
        let answers = [
            status(200),
            says(200, Report::ACKED),
            status(500),
            status(422),
            status(410),
            Answer::Timeout,
            says(200, Report::DELIVERED.and_seen()),
            says(200, Report::ACKED.and_seen()),
        ];
        let outcome = Outcome::of(answers[usize::from(answer) % answers.len()]);
        if let Outcome::Delivered(report) = outcome {
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
        if report.seen() {
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
        let Next::Offer(offer) = next else { return };
        assert_eq!(offer.seq, self.mailbox.pending_from(), "not the oldest");
        assert!(self.mailbox.begin_push(self.now).is_none(), "two under way");
        self.offered.push(offer.seq);
        if let Some(report) = answer {
            self.note_proof(offer.seq, report);
            assert!(self.mailbox.confirm(offer.seq, report, self.now));
        }
    }

    fn alarm(&mut self) {
        let writes = self.mailbox.take_unsaved();
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
        if let Some(delivery) = self.mailbox.unreported(self.now) {
            let writes = self.mailbox.reported(delivery);
            if !self.execute(writes) {
                return;
            }
        }
        while let Some(batch) = self.mailbox.next_notice(self.now) {
            // The recipient's mailbox dedups by batch and must never see one grow.
            let told = self.told.entry(batch.batch).or_insert_with(|| batch.uuids.clone());
            assert_eq!(*told, batch.uuids, "a batch changed between two tries");
            let write = self.mailbox.notice_done(batch.batch);
            if !self.execute(vec![write]) {
                return;
            }
        }
    }

    /// The recipient's side reports on one of all messages.
    fn report(&mut self, pick: prop::sample::Index, report: Report) {
        let writes = self.mailbox.take_unsaved();
        if !self.execute(writes) || self.store.rows.is_empty() {
            return;
        }
        let row = self.store.rows.values().nth(pick.index(self.store.rows.len())).unwrap();
        let (seq, current) = (row.insert.seq, row.standing);
        let Ok(Some(settled)) = self.mailbox.report(seq, current, report, self.now) else {
            return;
        };
        self.note_proof(seq, report);
        if self.execute(vec![Write::Settle(settled)]) {
            let wanted = transition(current, report).unwrap().unwrap();
            assert_eq!(self.store.rows[&seq].standing, wanted, "a report was not taken");
        }
    }

    fn step(&mut self, step: Step) {
        let owner = Owner::parse("dan").unwrap();
        match step {
            Step::Configure { generation, revision, endpoint } => {
                let wish = Configuration {
                    agent_id: agent_id(generation),
                    owner,
                    version: Version { generation, revision },
                    endpoint: endpoint.then(|| "https://a.example/".to_owned()),
                    sets_endpoint: endpoint,
                };
                let Ok(plan) = self.mailbox.plan_secret(&wish, false) else {
                    return;
                };
                let secret = (plan == SecretPlan::Replace).then(|| "sealed".to_owned());
                let writes = self.mailbox.configure(wish, secret, self.now).unwrap();
                self.execute(writes);
            }
            Step::Close { generation, revision } => {
                let version = Version { generation, revision };
                if let Ok(writes) = self.mailbox.close(agent_id(generation), owner, version) {
                    self.execute(writes);
                }
            }
            Step::Send { key, content, sender, ttl } => self.send(key, content, sender, ttl),
            Step::Push(answer) => self.push(answer),
            Step::OpenStream => {
                if self.mailbox.open().is_some() {
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

    /// What must hold at any moment.
    fn check(&self) {
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
            assert!(self.proved.contains(&seq), "seen, and nobody said so");
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

    /// Lets everything end: no crash, the endpoint takes all, alarms run.
    fn settle(&mut self) {
        self.fuse = None;
        self.reload();
        for _ in 0..2 {
            self.alarm();
        }
        self.check();
        let told: Vec<_> = self.told.values().flatten().collect();
        let distinct: BTreeSet<_> = told.iter().collect();
        assert_eq!(told.len(), distinct.len(), "a failed message was told twice");
        for row in self.store.rows.values() {
            let must = row.standing.status == MessageStatus::Failed && row.insert.sender.is_some();
            assert_eq!(must, distinct.contains(&&row.insert.uuid), "{row:?}");
        }
        assert!(self.store.noted.is_empty());
        assert!(self.mailbox.wake_at(self.now).is_none_or(|at| at > self.now));
    }
}
