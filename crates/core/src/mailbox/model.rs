//! The mailbox against a simple model of its storage, with crashes between
//! any two writes and alarms that run twice.

use super::*;
use crate::outcome::{Answer, ErrorClass, Outcome};
use crate::registry::Version;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::{AgentId, Owner, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What SQLite would hold.
#[derive(Debug, Clone, Default)]
struct Store {
    config: Option<Config>,
    rows: BTreeMap<u64, StoredRow>,
    keys: BTreeMap<String, (String, u64)>,
    noted: Vec<Noted>,
    /// Statuses a message has had, in order.
    history: BTreeMap<u64, Vec<MessageStatus>>,
}

#[derive(Debug, Clone)]
struct StoredRow {
    insert: Insert,
    ms: Ms,
    status: MessageStatus,
    attempts: u32,
}

impl Store {
    fn apply(&mut self, write: Write) {
        match write {
            Write::Config(config) => self.config = Some(*config),
            Write::Remember(row) => {
                self.keys.insert(row.key.scope, (row.key.content, row.seq));
            }
            Write::Insert(insert) => {
                self.history
                    .insert(insert.seq, vec![MessageStatus::Pending]);
                let row = StoredRow {
                    ms: MessageId::parse(&format!("msg_{}_a", insert.uuid))
                        .unwrap()
                        .time()
                        .0,
                    insert: *insert,
                    status: MessageStatus::Pending,
                    attempts: 0,
                };
                assert!(
                    self.rows.insert(row.insert.seq, row).is_none(),
                    "a place was used twice"
                );
            }
            Write::Settle(settled) => {
                let row = self.rows.get_mut(&settled.seq).unwrap();
                if transition(row.status, settled.status) == Ok(true)
                    || (row.status == MessageStatus::Pending
                        && settled.status == MessageStatus::Failed)
                {
                    row.status = settled.status;
                    self.history
                        .get_mut(&settled.seq)
                        .unwrap()
                        .push(settled.status);
                }
            }
            Write::Attempt { seq, attempts, .. } => {
                self.rows.get_mut(&seq).unwrap().attempts = attempts;
            }
            Write::Note(noted) => {
                assert!(
                    self.noted.iter().all(|known| known.seq != noted.seq),
                    "noted twice"
                );
                self.noted.push(noted);
            }
            Write::Forget { batch } => self.noted.retain(|noted| noted.batch != batch),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let pending = self
            .rows
            .values()
            .filter(|row| row.status == MessageStatus::Pending);
        Snapshot {
            config: self.config.clone(),
            last: self.rows.last_key_value().map(|(&seq, row)| (row.ms, seq)),
            pending: pending
                .map(|row| PendingRow {
                    seq: row.insert.seq,
                    generation: row.insert.generation,
                    waiting: Waiting {
                        expires_at: row.insert.expires_at,
                        attempts: row.attempts,
                    },
                })
                .collect(),
            noted: self.noted.clone(),
            purge_at: None,
        }
    }

    fn stored(&self, seqs: &[u64]) -> Vec<Stored> {
        let row = |seq: &u64| {
            let insert = &self.rows[seq].insert;
            Stored {
                seq: *seq,
                uuid: insert.uuid.clone(),
                sender: insert.sender.clone(),
            }
        };
        seqs.iter().map(row).collect()
    }
}

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
    pushed: Vec<u64>,
    offered: Vec<u64>,
}

#[derive(Debug, Clone)]
enum Step {
    Configure {
        generation: u32,
        revision: u32,
        endpoint: bool,
    },
    Close {
        generation: u32,
        revision: u32,
    },
    Send {
        key: Option<u8>,
        content: u8,
        sender: bool,
        ttl: i64,
    },
    Push(u8),
    OpenStream,
    CloseStream,
    Offer(Option<bool>),
    Ack {
        pick: prop::sample::Index,
        acked: bool,
    },
    Alarm,
    Wait(i64),
    ClockBack(i64),
    CrashAfter(u32),
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
        let key = key.map(|key| Key {
            scope: format!("key-{key}"),
            content: format!("content-{content}"),
        });
        if let Some(key) = &key {
            let known = self.store.keys.get(&key.scope);
            let known =
                known.map(|(first, seq)| (first.as_str(), self.store.rows.contains_key(seq)));
            if dedup(known, &key.content) != Dedup::New {
                return;
            }
        }
        let draft = Draft {
            agent: AgentName::parse("a").unwrap(),
            ttl_secs: Some(ttl),
            sender: sender.then(|| SenderRef {
                name: AgentName::parse("s").unwrap(),
                id: agent_id(9),
            }),
            key,
            random: 0,
            is_notice: false,
        };
        if let Ok((accepted, writes)) = self.mailbox.accept(draft, self.now, |_| String::new())
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
        let status = |code| Answer::Status {
            code,
            acked: code == 201,
            retry_after_secs: None,
        };
        let answers = [
            status(200),
            status(201),
            status(500),
            status(422),
            status(410),
            Answer::Timeout,
        ];
        let answer = answers[usize::from(answer) % answers.len()];
        let finished = self
            .mailbox
            .finish_push(&push, Outcome::of(answer), 0.5, self.now);
        if !self.execute(finished.writes) {
            return;
        }
        if let Some(seq) = finished.rejected {
            let failing = self.store.stored(&[seq]);
            let writes = self
                .mailbox
                .fail(failing, FailureReason::Rejected, self.now);
            self.execute(writes);
        }
    }

    /// The stream offers, and its client answers: acked, delivered or nothing.
    fn offer(&mut self, answer: Option<bool>) {
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
        if let Some(acked) = answer {
            let status = if acked {
                MessageStatus::Acked
            } else {
                MessageStatus::Delivered
            };
            assert!(self.mailbox.confirm(offer.seq, status, self.now));
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
            let told = self
                .told
                .entry(batch.batch)
                .or_insert_with(|| batch.uuids.clone());
            assert_eq!(*told, batch.uuids, "a batch changed between two tries");
            let write = self.mailbox.notice_done(batch.batch);
            if !self.execute(vec![write]) {
                return;
            }
        }
    }

    fn step(&mut self, step: Step) {
        let owner = Owner::parse("dan").unwrap();
        match step {
            Step::Configure {
                generation,
                revision,
                endpoint,
            } => {
                let wish = Configuration {
                    agent_id: agent_id(generation),
                    owner,
                    version: Version {
                        generation,
                        revision,
                    },
                    endpoint: endpoint.then(|| "https://a.example/".to_owned()),
                };
                let Ok(plan) = self.mailbox.plan_secret(&wish, false) else {
                    return;
                };
                let secret = (plan == SecretPlan::Replace).then(|| "sealed".to_owned());
                let writes = self.mailbox.configure(wish, secret, self.now).unwrap();
                self.execute(writes);
            }
            Step::Close {
                generation,
                revision,
            } => {
                let version = Version {
                    generation,
                    revision,
                };
                if let Ok(writes) = self.mailbox.close(agent_id(generation), owner, version) {
                    self.execute(writes);
                }
            }
            Step::Send {
                key,
                content,
                sender,
                ttl,
            } => self.send(key, content, sender, ttl),
            Step::Push(answer) => self.push(answer),
            Step::OpenStream => {
                if self.mailbox.open().is_some() {
                    self.mailbox.open_stream(None);
                }
            }
            Step::CloseStream => self.mailbox.close_stream(),
            Step::Offer(answer) => self.offer(answer),
            Step::Ack { pick, acked } => {
                let writes = self.mailbox.take_unsaved();
                if !self.execute(writes) || self.store.rows.is_empty() {
                    return;
                }
                let row = self
                    .store
                    .rows
                    .values()
                    .nth(pick.index(self.store.rows.len()))
                    .unwrap();
                let (seq, status) = (row.insert.seq, row.status);
                let wanted = if acked {
                    MessageStatus::Acked
                } else {
                    MessageStatus::Delivered
                };
                if let Ok(Some(settled)) = self.mailbox.report(seq, status, wanted, self.now) {
                    self.execute(vec![Write::Settle(settled)]);
                }
            }
            Step::Alarm => self.alarm(),
            Step::Wait(ms) => self.now += ms,
            Step::ClockBack(ms) => self.now -= ms,
            Step::CrashAfter(writes) => self.fuse = Some(writes),
        }
    }

    /// What must hold at any moment.
    fn check(&self) {
        let ids: Vec<_> = self
            .store
            .rows
            .values()
            .map(|row| row.insert.uuid.clone())
            .collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "ids are not monotonic");
        for seq in &self.accepted {
            assert!(
                self.store.rows.contains_key(seq),
                "an accepted message is gone"
            );
        }
        let low = self.mailbox.low_water();
        for row in self
            .store
            .rows
            .values()
            .filter(|row| row.status == MessageStatus::Pending)
        {
            assert!(
                row.insert.seq >= low,
                "a load from the low-water mark would miss a message"
            );
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
        assert_eq!(
            told.len(),
            distinct.len(),
            "a failed message was told twice"
        );
        for row in self.store.rows.values() {
            let must = row.status == MessageStatus::Failed && row.insert.sender.is_some();
            assert_eq!(must, distinct.contains(&&row.insert.uuid), "{row:?}");
        }
        assert!(self.store.noted.is_empty());
        assert!(
            self.mailbox
                .wake_at(self.now)
                .is_none_or(|at| at > self.now)
        );
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1_u32..4, 1_u32..4, any::<bool>())
            .prop_map(|(generation, revision, endpoint)| Step::Configure { generation, revision, endpoint }),
        1 => (1_u32..4, 1_u32..4).prop_map(|(generation, revision)| Step::Close { generation, revision }),
        6 => (prop::option::of(0_u8..4), 0_u8..2, any::<bool>(), 1_i64..100)
            .prop_map(|(key, content, sender, ttl)| Step::Send { key, content, sender, ttl }),
        5 => any::<u8>().prop_map(Step::Push),
        1 => Just(Step::OpenStream),
        1 => Just(Step::CloseStream),
        4 => prop::option::of(any::<bool>()).prop_map(Step::Offer),
        3 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(pick, acked)| Step::Ack { pick, acked }),
        3 => Just(Step::Alarm),
        3 => (0_i64..60_000).prop_map(Step::Wait),
        1 => (0_i64..10_000).prop_map(Step::ClockBack),
        2 => (0_u32..6).prop_map(Step::CrashAfter),
    ]
}

/// 2,000 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var("PROPTEST_CASES").is_ok() {
        usual.cases
    } else {
        2000
    };
    ProptestConfig { cases, ..usual }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever happens in whatever order, with a crash between any two
    /// writes: ids grow, statuses go forward only, nothing accepted is lost,
    /// every failure is told exactly once.
    #[test]
    fn nothing_is_lost_told_twice_or_moved_back(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.settle();
    }

    /// With an endpoint that takes everything, messages go out by place, each
    /// once, whatever is polled and acknowledged in between.
    #[test]
    fn pushes_are_fifo(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        world.step(Step::Configure { generation: 3, revision: 3, endpoint: true });
        for step in steps {
            match step {
                Step::Push(_) => world.step(Step::Push(0)),
                Step::CrashAfter(_) => {}
                other => world.step(other),
            }
        }
        prop_assert!(world.pushed.is_sorted_by(|a, b| a < b), "{:?}", world.pushed);
        prop_assert!(world.offered.is_sorted(), "{:?}", world.offered);
    }

    /// The mailbox ends in the state of the newest version, in whatever order
    /// configurations arrive and however often.
    #[test]
    fn the_newest_version_wins_in_any_order(
        mut versions in prop::collection::vec((1_u32..4, 1_u32..4), 1..10), newest in (1_u32..4, 1_u32..4)
    ) {
        let highest = *versions.iter().chain([&newest]).max().unwrap();
        versions.push(newest);
        let mut world = World::new();
        for (generation, revision) in versions {
            // Revision 3 stands for the tombstone of its generation.
            world.step(if revision == 3 {
                Step::Close { generation, revision }
            } else {
                Step::Configure { generation, revision, endpoint: revision == 2 }
            });
        }
        let config = world.mailbox.config().unwrap();
        prop_assert_eq!((config.version.generation, config.version.revision), highest);
        prop_assert_eq!(config.open, highest.1 != 3);
        prop_assert_eq!(config.endpoint.is_some(), highest.1 == 2);
    }
}

fn open_world() -> World {
    let mut world = World::new();
    world.step(Step::Configure {
        generation: 1,
        revision: 1,
        endpoint: true,
    });
    world
}

fn send(world: &mut World) {
    world.step(Step::Send {
        key: None,
        content: 0,
        sender: true,
        ttl: 100_000,
    });
}

#[test]
fn an_unconfigured_mailbox_is_not_found_and_writes_nothing() {
    let mut world = World::new();
    send(&mut world);
    assert!(world.store.rows.is_empty());
    assert_eq!(world.mailbox.wake_at(0), None);
}

#[test]
fn ten_thousand_may_wait_and_only_a_notice_comes_after() {
    let mut world = open_world();
    for _ in 0..CAPACITY {
        send(&mut world);
    }
    let draft = |is_notice| Draft {
        agent: AgentName::parse("a").unwrap(),
        ttl_secs: None,
        sender: None,
        key: None,
        random: 0,
        is_notice,
    };
    let mut accept = |is_notice| world.mailbox.accept(draft(is_notice), 0, |_| String::new());
    assert_eq!(accept(false).unwrap_err(), Refusal::Full);
    assert!(accept(true).is_ok());
}

#[test]
fn the_step_belongs_to_the_endpoint_and_one_success_resets_it() {
    let mut world = open_world();
    send(&mut world);
    send(&mut world);
    let mut waits = Vec::new();
    for _ in 0..7 {
        world.step(Step::Push(2));
        let next = world
            .mailbox
            .config()
            .unwrap()
            .endpoint
            .as_ref()
            .unwrap()
            .next_at
            .unwrap();
        assert!(world.mailbox.begin_push(next - 1).is_none());
        waits.push((next - world.now) / 1000);
        world.now = next;
    }
    assert_eq!(waits, [5, 30, 120, 600, 3600, 3600, 3600]);
    world.step(Step::Push(0));
    assert_eq!(
        world
            .mailbox
            .config()
            .unwrap()
            .endpoint
            .as_ref()
            .unwrap()
            .step,
        0
    );
    world.step(Step::Push(0));
    assert_eq!(world.mailbox.waiting(), 0);
}

#[test]
fn an_endpoint_that_is_gone_rests_until_it_is_set_again() {
    let mut world = open_world();
    send(&mut world);
    world.step(Step::Push(4));
    world.now += 100 * 24 * 3_600_000;
    assert!(world.mailbox.begin_push(world.now).is_none());
    world.now -= 100 * 24 * 3_600_000;
    assert!(
        world
            .mailbox
            .unreported(0)
            .unwrap()
            .1
            .unwrap()
            .starts_with("endpoint_gone")
    );
    world.step(Step::Configure {
        generation: 1,
        revision: 2,
        endpoint: true,
    });
    assert!(world.mailbox.begin_push(world.now).is_some());
}

#[test]
fn a_late_answer_to_an_old_configuration_says_nothing_about_the_new_one() {
    let mut world = open_world();
    send(&mut world);
    let push = world.mailbox.begin_push(world.now).unwrap();
    world.step(Step::Configure {
        generation: 1,
        revision: 2,
        endpoint: true,
    });
    let gone = Outcome::Gone(ErrorClass::Status(410));
    world.mailbox.finish_push(&push, gone, 0.5, world.now);
    assert!(
        !world
            .mailbox
            .config()
            .unwrap()
            .endpoint
            .as_ref()
            .unwrap()
            .gone
    );
    assert!(world.mailbox.begin_push(world.now).is_some());
}

#[test]
fn a_replaced_secret_signs_for_24_hours_and_a_new_incarnation_knows_none_of_it() {
    let mut world = open_world();
    let wish = |version| Configuration {
        agent_id: agent_id(version),
        owner: Owner::parse("dan").unwrap(),
        version: Version {
            generation: version,
            revision: 9,
        },
        endpoint: Some("https://a.example/".to_owned()),
    };
    let writes = world
        .mailbox
        .configure(wish(1), Some("second".into()), world.now)
        .unwrap();
    world.execute(writes);
    let sealed = |world: &World, now| -> Vec<_> {
        let endpoint = world.mailbox.config().unwrap().endpoint.clone().unwrap();
        endpoint
            .signing(now)
            .map(|held| held.sealed.clone())
            .collect()
    };
    let day = 24 * 3_600_000;
    assert_eq!(sealed(&world, world.now + day - 1), ["second", "sealed"]);
    assert_eq!(sealed(&world, world.now + day), ["second"]);
    let writes = world
        .mailbox
        .configure(wish(2), Some("third".into()), world.now)
        .unwrap();
    world.execute(writes);
    assert_eq!(sealed(&world, world.now), ["third"]);
}

#[test]
fn a_repeat_of_the_configuration_in_force_changes_nothing_and_tries_at_once() {
    let mut world = open_world();
    send(&mut world);
    world.step(Step::Push(2));
    assert!(world.mailbox.begin_push(world.now).is_none());
    world.step(Step::Configure {
        generation: 1,
        revision: 1,
        endpoint: true,
    });
    assert!(world.mailbox.begin_push(world.now).is_some());
}

#[test]
fn while_a_stream_lives_nothing_is_pushed_and_afterwards_it_is() {
    let mut world = open_world();
    world.mailbox.open_stream(None);
    send(&mut world);
    assert!(!world.mailbox.can_push(world.now) && world.mailbox.can_offer(world.now));
    let shown = |world: &World| world.mailbox.unreported(world.now).map(|(mode, _)| mode);
    assert_eq!(shown(&world), Some(Delivery::Stream));
    world.mailbox.close_stream();
    assert!(world.mailbox.can_push(world.now) && !world.mailbox.can_offer(world.now));
    assert_eq!(shown(&world), None);
}

#[test]
fn a_silent_client_gets_the_same_message_three_times_and_is_hung_up_on() {
    let mut world = open_world();
    world.mailbox.open_stream(None);
    world.alarm();
    send(&mut world);
    send(&mut world);
    for _ in 0..3 {
        world.step(Step::Offer(None));
        assert!(world.mailbox.begin_offer(world.now + 29_999).is_none());
        assert_eq!(world.mailbox.wake_at(world.now), Some(world.now + 30_000));
        world.now += 30_000;
    }
    assert_eq!(world.offered, [1, 1, 1]);
    let (next, _) = world.mailbox.begin_offer(world.now).unwrap();
    assert_eq!(next, Next::HangUp);
    assert_eq!(world.mailbox.begin_push(world.now).unwrap().attempt, 4);
}

#[test]
fn a_stream_waits_for_the_push_under_way_and_a_push_for_no_offer() {
    let mut world = open_world();
    send(&mut world);
    let push = world.mailbox.begin_push(world.now).unwrap();
    world.mailbox.open_stream(None);
    assert!(!world.mailbox.can_offer(world.now));
    let taken = Outcome::Delivered { acked: false };
    world.mailbox.finish_push(&push, taken, 0.5, world.now);
    send(&mut world);
    world.step(Step::Offer(Some(true)));
    assert_eq!(world.offered, [2]);
    assert_eq!(world.mailbox.waiting(), 0);
}

#[test]
fn a_stream_ends_with_its_incarnation_and_an_offer_survives_sleep() {
    let mut world = open_world();
    world.mailbox.open_stream(None);
    send(&mut world);
    let (next, _) = world.mailbox.begin_offer(world.now).unwrap();
    let Next::Offer(offer) = next else { panic!() };
    world.reload();
    world.mailbox.open_stream(Some(offer));
    assert!(!world.mailbox.can_offer(world.now), "offered twice");
    world.step(Step::Configure {
        generation: 2,
        revision: 1,
        endpoint: false,
    });
    assert!(world.mailbox.unreported(world.now).is_none());
    assert!(
        !world
            .mailbox
            .confirm(offer.seq, MessageStatus::Acked, world.now)
    );
}

#[test]
fn statuses_move_forward_only() {
    use MessageStatus::{Acked, Delivered, Failed, Pending};
    let all = [Pending, Delivered, Acked, Failed];
    let changes: Vec<_> = all
        .iter()
        .flat_map(|from| all.map(|to| (*from, to)))
        .filter(|(from, to)| transition(*from, *to) == Ok(true))
        .collect();
    assert_eq!(
        changes,
        [(Pending, Delivered), (Pending, Acked), (Delivered, Acked)]
    );
    let repeats = all.map(|status| transition(status, status).is_ok());
    assert_eq!(repeats, [true, true, true, false]);
}
