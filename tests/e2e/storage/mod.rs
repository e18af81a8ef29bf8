//! Storage: who owns what, and what a crash between two owners leaves.

mod locked;
mod older;

use crate::senders::Senders;
use crate::{agent, agents, code, message, notice, send_many, two_agents, with_endpoint};
use e2e::{Coordinator, Options, Sink, eventually, shared, until};
use futures_util::future::join_all;
use locked::mailboxes;
use multiclaude_hybrid_protocol::ErrorCode::{AgentNotFound, Forbidden};
use multiclaude_hybrid_protocol::message::{FailureReason, MessageStatus};
use serde_json::json;
use std::collections::HashSet;
use std::path::PathBuf;

#[tokio::test]
async fn of_twenty_racing_registrations_one_wins_and_the_mailbox_is_its_own() {
    let world = shared().await.world().await;
    for round in 0..5 {
        let name = format!("w{round}");
        let body = agent(&name);
        let clients = [&world.dan, &world.ann];
        let races = join_all((0..20).map(|n| clients[n % 2].register(&body))).await;
        let winners = races.into_iter().flatten().map(|agent| (agent.owner.to_string(), agent.id));
        let winners: HashSet<_> = winners.collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let (owner, _) = winners.into_iter().next().unwrap();
        let (winner, loser) =
            if owner == "dan" { (&world.dan, &world.ann) } else { (&world.ann, &world.dan) };
        assert!(winner.messages(&name, "").await.is_ok());
        assert_eq!(code(loser.messages(&name, "").await), Forbidden);
    }
}

#[tokio::test]
async fn after_racing_changes_the_mailbox_pushes_where_the_registry_says() {
    let world = shared().await.world().await;
    world.dan.register(&agent("ws")).await.unwrap();
    let mut sinks = Vec::new();
    for _ in 0..6 {
        sinks.push(Sink::start(vec![]).await);
    }
    for round in 0..4 {
        let name = format!("w{round}");
        world.dan.register(&agent(&name)).await.unwrap();
        let changes: Vec<_> = sinks.iter().map(|sink| json!({"endpoint": sink.url})).collect();
        join_all(changes.iter().map(|change| world.dan.update(&name, change))).await;
        let shown = world.dan.agent(&name).await.unwrap().endpoint;
        let before: Vec<_> = sinks.iter().map(|sink| sink.received().len()).collect();
        let id = world.dan.send(&message("ws", &name, "where"), None).await.unwrap().id.to_string();
        let hit = eventually("the push", || async {
            let grew = |at: &usize| sinks[*at].received().len() > before[*at];
            (0..sinks.len()).find(grew)
        })
        .await;
        assert_eq!(
            (sinks[hit].url.clone(), sinks[hit].received().last().unwrap().id()),
            (shown, id)
        );
    }
}

#[tokio::test]
async fn mail_for_one_incarnation_never_reaches_another() {
    let world = shared().await.world().await;
    world.dan.register(&agent("ws")).await.unwrap();
    let senders = Senders::start(&world.dan, 1, |_, _| message("ws", "w", "x"));
    let mut lives = Vec::new();
    for _ in 0..10 {
        let sink = Sink::start(vec![]).await;
        let body = with_endpoint("w", &sink.url);
        let secret = world.ann.register(&body).await.unwrap().webhook_secret.unwrap();
        sink.wait_for(5).await;
        world.ann.deregister("w").await.unwrap();
        lives.push((sink, secret));
    }
    let accepted = senders.stop().await;
    let mut seen = HashSet::new();
    for (sink, secret) in &lives {
        let mut mine = HashSet::new();
        for push in sink.received() {
            assert!(push.verify(secret), "signed under another incarnation's secret");
            mine.insert(push.id());
        }
        assert!(mine.is_disjoint(&seen), "a message reached two incarnations");
        seen.extend(mine);
    }
    // Everything accepted has either reached its incarnation or failed.
    for sent in &accepted {
        until("an end for every message", async || {
            let receipt = world.dan.receipt(&sent.id).await.unwrap();
            receipt.status != MessageStatus::Pending
        })
        .await;
    }
}

#[tokio::test]
async fn mail_of_a_deregistered_agent_fails_and_each_sender_gets_one_notice() {
    let world = shared().await.world().await;
    for (client, name) in [(&world.dan, "ws"), (&world.ann, "other"), (&world.ann, "queue")] {
        client.register(&agent(name)).await.unwrap();
    }
    let ids = send_many(&world, 5).await;
    world.ann.send(&message("other", "queue", "x"), None).await.unwrap();
    world.dan.send(&message("user:dan", "queue", "from a person"), None).await.unwrap();
    world.ann.deregister("queue").await.unwrap();
    let notice = notice(&world).await;
    assert!(ids.iter().all(|id| notice.body.contains(id)), "{}", notice.body);
    for id in &ids {
        let receipt = world.dan.receipt(id).await.unwrap();
        assert_eq!(receipt.failure_reason, Some(FailureReason::AgentGone));
    }
    assert_eq!(world.dan.messages("ws", "").await.unwrap().len(), 1);
    until("the notice for the other", async || {
        world.ann.messages("other", "wait=5").await.unwrap().len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_notice_is_for_the_incarnation_that_sent() {
    let world = two_agents().await;
    world.dan.send(&message("ws", "queue", "x"), None).await.unwrap();
    world.dan.deregister("ws").await.unwrap();
    world.dan.register(&agent("ws")).await.unwrap();
    world.ann.deregister("queue").await.unwrap();
    // The notice of a second failure goes to the new incarnation, after the first.
    world.ann.register(&agent("queue")).await.unwrap();
    let second = world.dan.send(&message("ws", "queue", "y"), None).await.unwrap().id.to_string();
    world.ann.deregister("queue").await.unwrap();
    let notices = eventually("the notice", || async {
        Some(world.dan.messages("ws", "wait=10").await.ok()?).filter(|found| !found.is_empty())
    })
    .await;
    assert_eq!(notices.len(), 1);
    assert!(notices[0].body.contains(&second));
}

#[tokio::test]
async fn a_delete_that_crashed_half_way_is_completed_by_its_repeat_or_by_the_scheduled_handler() {
    let mut coordinator = Coordinator::start(Options { scale: 60, ..Options::default() }).await;
    let worlds = [coordinator.world().await, coordinator.world().await];
    for world in &worlds {
        agents(world).await;
    }
    coordinator.kill();
    // It died between D1 and the mailbox: there is a tombstone.
    coordinator.execute_sql(
        "UPDATE agents SET deleted_at = last_seen, revision = revision + 1, closing = 1 WHERE name = 'queue'",
    );
    coordinator.launch().await;
    let [repeated, left] = &worlds;
    for world in &worlds {
        // The mailbox does not know yet.
        world.dan.send(&message("ws", "queue", "to a ghost"), None).await.unwrap();
    }
    repeated.ann.deregister("queue").await.unwrap();
    let refused = repeated.dan.send(&message("ws", "queue", "x"), None).await;
    assert_eq!(code(refused), AgentNotFound);
    eventually("the mailbox to be closed", || async {
        coordinator.run_cron().await;
        left.dan.send(&message("ws", "queue", "x"), None).await.err()
    })
    .await;
    for world in &worlds {
        let refused = world.dan.send(&message("ws", "queue", "x"), None).await;
        assert_eq!(code(refused), AgentNotFound);
        let notice = notice(world).await;
        assert!(notice.body.contains("agent_gone"), "{}", notice.body);
    }
}

#[tokio::test]
async fn trying_names_creates_no_storage() {
    let (coordinator, world) = Coordinator::own().await;
    world.dan.register(&agent("known")).await.unwrap();
    let objects = || {
        let written = |path: &PathBuf| std::fs::read(path).unwrap().len() > 4096;
        mailboxes(&coordinator).iter().filter(|path| written(path)).count()
    };
    assert_eq!(world.dan.agent("known").await.unwrap().waiting, Some(0));
    until("the one mailbox on disk", async || objects() == 1).await;
    for n in 0..20 {
        let refused = world.dan.send(&message("known", &format!("guess{n}"), "x"), Some("k")).await;
        assert_eq!(code(refused), AgentNotFound);
    }
    world.dan.deregister("known").await.unwrap();
    assert_eq!(objects(), 1);
}

#[tokio::test]
async fn twenty_identical_registrations_changes_and_ends_at_once_are_all_accepted() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let secret = format!("whsec_{}", "A".repeat(32));
    let bodies = [
        agent("plain"),
        with_endpoint("pushed", &sink.url),
        json!({"name": "secret", "type": "worker", "endpoint": sink.url, "webhook_secret": secret}),
        json!({"name": "told", "type": "worker", "status": "idle", "metadata": {"a": "b"}}),
    ];
    for body in bodies {
        let name = body["name"].as_str().unwrap().to_owned();
        // The second time it is registered already, the third it was deregistered.
        for round in 0..3 {
            let registered = join_all((0..20).map(|_| world.dan.register(&body))).await;
            let registered: Vec<_> = registered.into_iter().map(Result::unwrap).collect();
            let ids: HashSet<_> = registered.iter().map(|agent| agent.id.clone()).collect();
            assert_eq!(ids.len(), 1, "{name}, round {round}");
            let shown = registered.iter().filter(|agent| agent.webhook_secret.is_some()).count();
            assert_eq!(shown, usize::from(name == "pushed" && round != 1), "{name}, round {round}");
            if round == 1 {
                for done in join_all((0..20).map(|_| world.dan.deregister(&name))).await {
                    done.unwrap();
                }
            }
        }
        let change = json!({"endpoint": sink.url});
        for done in join_all((0..20).map(|_| world.dan.update(&name, &change))).await {
            done.unwrap();
        }
    }
}
