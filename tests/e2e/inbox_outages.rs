//! The client's inbox when something goes wrong between it and the coordinator.

use crate::inbox::{error, open, passes, take};
use crate::senders::Senders;
use crate::{agent, agents, delivery_is, message, name, send, status_is};
use e2e::{Coordinator, Proxy, World, eventually, shared, until};
use multiclaude_hybrid_client::{BaseUrl, Client, Connection, Error, InboxOptions, RepoClient};
use multiclaude_hybrid_protocol::MessageId;
use multiclaude_hybrid_protocol::Repo;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SENDERS: usize = 6;

/// A world with ann's client behind a proxy.
async fn behind_a_proxy() -> (World, Proxy, RepoClient) {
    let coordinator = shared().await;
    let world = coordinator.world().await;
    agents(&world).await;
    let proxy = Proxy::start(coordinator.port).await;
    let client = Client::new(&proxy.url, &world.tokens[1]).unwrap();
    let repo = client.repo(&Repo::parse(&world.repo).unwrap());
    (world, proxy, repo)
}

fn pings(ping_every: Duration, pong_within: Duration) -> InboxOptions {
    InboxOptions { ping_every, pong_within, ..InboxOptions::default() }
}

fn quick_pings() -> InboxOptions {
    pings(Duration::from_millis(300), Duration::from_millis(700))
}

#[tokio::test]
async fn a_connection_that_only_seems_to_live_is_noticed() {
    let (world, proxy, repo) = behind_a_proxy().await;
    let mut inbox = open(&repo, quick_pings());
    passes(&world, &mut inbox).await;
    inbox.flush().await.unwrap();
    proxy.go_silent();
    let two = passes(&world, &mut inbox).await;
    status_is(&world, &two.id, MessageStatus::Delivered).await;
}

#[tokio::test]
async fn a_confirmation_that_got_lost_is_said_again_and_the_message_is_not_yielded_again() {
    for acked in [false, true] {
        let (world, proxy, repo) = behind_a_proxy().await;
        // Not noticed before the look at the receipt, however slow that is.
        let mut inbox = open(&repo, pings(Duration::from_secs(1), Duration::from_secs(3)));
        let one = send(&world, "one").await;
        let letter = inbox.next().await.unwrap();
        assert_eq!(letter.id, one.id);
        proxy.go_silent();
        let wanted = if acked {
            letter.acked().await.unwrap();
            MessageStatus::Acked
        } else {
            letter.delivered().await.unwrap();
            MessageStatus::Delivered
        };
        let receipt = world.dan.receipt(&one.id).await.unwrap();
        assert_eq!(receipt.status, MessageStatus::Pending, "nothing got lost");
        passes(&world, &mut inbox).await;
        status_is(&world, &one.id, wanted).await;
    }
}

#[tokio::test]
async fn a_letter_that_is_thought_about_while_the_stream_breaks_is_not_yielded_again() {
    let (world, proxy, repo) = behind_a_proxy().await;
    let mut inbox = open(&repo, quick_pings());
    let one = send(&world, "one").await;
    let letter = inbox.next().await.unwrap();
    proxy.go_silent();
    until("its second offer", async || proxy.answered(&one.id.to_string()) >= 2).await;
    letter.delivered().await.unwrap();
    passes(&world, &mut inbox).await;
    status_is(&world, &one.id, MessageStatus::Delivered).await;
}

#[tokio::test]
async fn a_flush_does_not_take_a_frame_that_was_written_for_one_that_has_arrived() {
    let (world, proxy, repo) = behind_a_proxy().await;
    let mut inbox = open(&repo, InboxOptions::default());
    let one = send(&world, "one").await;
    let letter = inbox.next().await.unwrap();
    proxy.go_silent();
    letter.acked().await.unwrap();
    inbox.flush().await.unwrap();
    let receipt = world.dan.receipt(&one.id).await.unwrap();
    assert_eq!(receipt.status, MessageStatus::Acked);
}

#[tokio::test]
async fn a_proxy_that_knows_no_stream_leads_to_polling_until_there_is_one() {
    let (world, proxy, repo) = behind_a_proxy().await;
    proxy.refuse_streams(true);
    let stream_again = Duration::from_secs(1);
    let mut inbox = open(&repo, InboxOptions { stream_again, ..InboxOptions::default() });
    passes(&world, &mut inbox).await;
    inbox.flush().await.unwrap();
    let queue = world.dan.agent("queue").await.unwrap();
    assert_eq!(queue.delivery, Delivery::Polling);
    proxy.refuse_streams(false);
    delivery_is(&world, "queue", Delivery::Stream).await;
    passes(&world, &mut inbox).await;
}

#[tokio::test]
async fn streams_that_break_at_once_lead_to_polling() {
    let (world, proxy, repo) = behind_a_proxy().await;
    proxy.snap_streams(true);
    let streams = || proxy.requested("/stream HTTP/1.1");
    let mut inbox = open(&repo, InboxOptions::default());
    passes(&world, &mut inbox).await;
    inbox.flush().await.unwrap();
    assert!((1..=4).contains(&streams()), "{}", streams());
    // It rests there.
    passes(&world, &mut inbox).await;
    assert!((1..=4).contains(&streams()), "{}", streams());
}

#[tokio::test]
async fn an_outage_and_its_end_are_reported_once_and_a_wrong_url_is_no_outage() {
    let (mut coordinator, world) = Coordinator::own().await;
    agents(&world).await;
    for polling in [false, true] {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&notices);
        let options = InboxOptions::default().on_change(move |change| {
            note.lock().unwrap().push(match change {
                Connection::Away(error) => format!("away: {error}"),
                Connection::Back(_) => "back".to_owned(),
                _ => "?".to_owned(),
            });
        });
        let options = InboxOptions { polling, ..options };
        let mut inbox = open(&world.ann, options);
        send(&world, "before").await;
        take(&mut inbox).await;
        inbox.flush().await.unwrap();
        coordinator.kill();
        until("the notice of the outage", async || notices.lock().unwrap().len() == 1).await;
        coordinator.launch().await;
        passes(&world, &mut inbox).await;
        let notices = notices.lock().unwrap();
        assert!(notices[0].contains("cannot be reached"), "{notices:?}");
        assert_eq!(notices[1..], ["back"], "{notices:?}");
    }
    let elsewhere = format!("http://127.0.0.1:{}/elsewhere", coordinator.port);
    let base = BaseUrl::parse(&elsewhere, false).unwrap();
    let client = Client::at(base, &world.tokens[1]).unwrap();
    let repo = client.repo(&Repo::parse(&world.repo).unwrap());
    let ended = error(&mut open(&repo, InboxOptions::default())).await;
    let wrong = matches!(ended, Error::Unexpected { .. }) || ended.status() == Some(404);
    assert!(wrong, "{ended}");
}

type Yielded = Arc<Mutex<Vec<(MessageId, String)>>>;

/// Takes every message of `queue` and notes it, up to one that says `end`.
async fn take_all(repo: RepoClient, options: InboxOptions, yielded: Yielded) {
    let mut inbox = repo.inbox(&name("queue"), options);
    loop {
        let letter = inbox.next().await.unwrap();
        let is_last = letter.body == "end";
        yielded.lock().unwrap().push((letter.id.clone(), letter.body.clone()));
        if letter.id.seq() % 2 == 0 {
            letter.acked().await.unwrap();
        } else {
            letter.delivered().await.unwrap();
        }
        if is_last {
            return inbox.flush().await.unwrap();
        }
    }
}

/// Nothing that was accepted is lost or came twice, and each sender's came in order.
fn check(yielded: &[(MessageId, String)], accepted: &[Message]) {
    let mut times: HashMap<&str, u32> = HashMap::new();
    let mut order: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (_, body) in yielded {
        *times.entry(body).or_default() += 1;
        if let Some((sender, n)) = body.split_once('-') {
            order.entry(sender).or_default().push(n.parse().unwrap());
        }
    }
    let lost: Vec<_> =
        accepted.iter().filter(|sent| !times.contains_key(sent.body.as_str())).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "twice {twice:?}");
    for (sender, numbers) in &order {
        assert!(numbers.is_sorted(), "s{sender}: {numbers:?}");
    }
}

async fn restarts(options: InboxOptions) {
    let rounds = if std::env::var("SOAK").is_ok() { 10 } else { 3 };
    let (mut coordinator, world) = Coordinator::own().await;
    world.ann.register(&agent("queue")).await.unwrap();
    for n in 0..SENDERS {
        world.dan.register(&agent(&format!("s{n}"))).await.unwrap();
    }
    let senders = Senders::start(&world.dan, SENDERS, |sender, n| {
        message(&format!("s{sender}"), "queue", &format!("{sender}-{n}"))
    });
    let yielded = Yielded::default();
    let count = || yielded.lock().unwrap().len();
    let taking = tokio::spawn(take_all(world.ann.typed(), options, Arc::clone(&yielded)));
    for round in 1..=rounds {
        let before = count();
        until("some traffic", async || count() >= before + 30 * round).await;
        coordinator.restart().await;
    }
    let accepted = senders.stop().await;
    world.dan.send(&message("s0", "queue", "end"), None).await.unwrap();
    // However long the queue is: as long as it moves.
    let mut seen = 0;
    while !taking.is_finished() {
        seen = eventually("the next letter, or the end", || async {
            (count() > seen || taking.is_finished()).then_some(count())
        })
        .await;
    }
    taking.await.unwrap();

    let yielded = yielded.lock().unwrap().clone();
    check(&yielded, &accepted);
    let pending = world.ann.messages("queue", "status=pending").await.unwrap();
    assert_eq!(pending, [], "not confirmed after a flush");
    for (id, _) in yielded.iter().rev().take(50) {
        let receipt = world.ann.receipt(&id.to_string()).await.unwrap();
        let wanted =
            if id.seq() % 2 == 0 { MessageStatus::Acked } else { MessageStatus::Delivered };
        assert_eq!(receipt.status, wanted);
    }
    println!(
        "{rounds} restarts: {} sent by {SENDERS}, {} yielded",
        accepted.len() + 1,
        yielded.len()
    );
}

#[tokio::test]
async fn through_restarts_under_load_a_stream_loses_nothing_and_yields_nothing_twice() {
    restarts(InboxOptions::default()).await;
}

#[tokio::test]
async fn through_restarts_under_load_polling_loses_nothing_and_yields_nothing_twice() {
    restarts(InboxOptions { polling: true, ..InboxOptions::default() }).await;
}
