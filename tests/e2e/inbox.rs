//! The client's inbox: each message once, confirmed, in order.

use crate::{agent, agents, name, send, two_agents};
use e2e::{World, scaled};
use multiclaude_hybrid_client::{Error, Inbox, InboxOptions, RepoClient};
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use std::time::Duration;
use tokio::time::timeout;

pub(crate) fn open(repo: &RepoClient, options: InboxOptions) -> Inbox {
    repo.inbox(&name("queue"), options)
}

fn both_ways() -> [InboxOptions; 2] {
    [false, true].map(|polling| InboxOptions { polling, ..InboxOptions::default() })
}

/// The next message, confirmed as delivered.
pub(crate) async fn take(inbox: &mut Inbox) -> Message {
    let letter = timeout(Duration::from_secs(30), inbox.next()).await;
    let letter = letter.expect("nothing came").unwrap();
    let message = (*letter).clone();
    letter.delivered().await.unwrap();
    message
}

/// Sends a message that this takes next.
pub(crate) async fn passes(world: &World, inbox: &mut Inbox) -> Message {
    let sent = send(world, "x").await;
    assert_eq!(take(inbox).await.id, sent.id);
    sent
}

pub(crate) async fn error(inbox: &mut Inbox) -> Error {
    let next = timeout(Duration::from_secs(30), inbox.next()).await;
    next.expect("no end came").map(|_| ()).unwrap_err()
}

async fn status(world: &World, message: &Message) -> MessageStatus {
    let receipt = world.dan.receipt(&message.id).await;
    receipt.unwrap().status
}

pub(crate) async fn revoke_ann(world: &World) {
    let ann = world.ann.client.whoami().await.unwrap();
    world.admin.revoke_token(&ann.token_id).await.unwrap();
}

#[tokio::test]
async fn each_message_comes_once_and_in_order_by_either_way() {
    for options in both_ways() {
        let world = two_agents().await;
        // More than a page, some of them before the inbox is opened.
        for n in 0..60 {
            send(&world, &n.to_string()).await;
        }
        let mut inbox = open(&world.ann, options);
        let mut bodies = Vec::new();
        for n in 0..80 {
            if n >= 60 {
                send(&world, &n.to_string()).await;
            }
            bodies.push(take(&mut inbox).await.body);
        }
        let wanted: Vec<_> = (0..80).map(|n| n.to_string()).collect();
        assert_eq!(bodies, wanted);
        passes(&world, &mut inbox).await;
    }
}

#[tokio::test]
async fn a_flush_is_answered_when_the_coordinator_has_every_confirmation() {
    for options in both_ways() {
        let world = two_agents().await;
        let mut inbox = open(&world.ann, options);
        inbox.flush().await.unwrap();
        let (one, two) = (send(&world, "one").await, send(&world, "two").await);
        let letter = inbox.next().await.unwrap();
        assert_eq!((&letter.id, letter.body.as_str()), (&one.id, "one"));
        letter.delivered().await.unwrap();
        inbox.next().await.unwrap().acked().await.unwrap();
        inbox.flush().await.unwrap();
        assert_eq!(status(&world, &one).await, MessageStatus::Delivered);
        assert_eq!(status(&world, &two).await, MessageStatus::Acked);
        // What was delivered can be acknowledged later; saying less is no fault.
        inbox.acked(&one.id).await.unwrap();
        inbox.delivered(&two.id).await.unwrap();
        inbox.flush().await.unwrap();
        assert_eq!(status(&world, &one).await, MessageStatus::Acked);
        assert_eq!(status(&world, &two).await, MessageStatus::Acked);
    }
}

#[tokio::test]
async fn a_letter_that_was_not_confirmed_is_named_until_it_is() {
    let world = two_agents().await;
    let (one, two) = (send(&world, "one").await, send(&world, "two").await);
    let mut inbox = open(&world.ann, InboxOptions::default());
    drop(inbox.next().await.unwrap());
    for _ in 0..2 {
        let refused = error(&mut inbox).await;
        assert!(matches!(&refused, Error::Unconfirmed(id) if *id == one.id));
        assert!(refused.to_string().contains(&one.id.to_string()));
    }
    inbox.acked(&one.id).await.unwrap();
    assert_eq!(take(&mut inbox).await.id, two.id);
}

#[tokio::test]
async fn a_consumer_that_drops_futures_loses_nothing() {
    for options in both_ways() {
        let world = two_agents().await;
        let mut inbox = open(&world.ann, options);
        let sender = world.clone();
        let sending = tokio::spawn(async move {
            for n in 0..40 {
                send(&sender, &n.to_string()).await;
            }
        });
        let (mut bodies, mut dropped) = (Vec::new(), 0);
        while bodies.len() < 40 {
            tokio::select! {
                biased;
                letter = inbox.next() => {
                    let letter = letter.unwrap();
                    bodies.push(letter.body.clone());
                    // The word is on its way, whether this waits for it or not.
                    let _ = timeout(Duration::ZERO, letter.delivered()).await;
                }
                () = tokio::time::sleep(Duration::from_micros(500)) => dropped += 1,
            }
            assert!(dropped < 60_000, "only {bodies:?}");
        }
        sending.await.unwrap();
        let wanted: Vec<_> = (0..40).map(|n| n.to_string()).collect();
        assert_eq!(bodies, wanted);
        assert!(dropped > 5, "hardly a future was dropped");
        inbox.flush().await.unwrap();
        let pending = world.ann.messages("queue", "status=pending").await.unwrap();
        assert_eq!(pending, []);
    }
}

#[tokio::test]
async fn a_newer_stream_ends_the_older_inbox_and_they_do_not_fight() {
    let world = two_agents().await;
    let mut older = open(&world.ann, InboxOptions::default());
    passes(&world, &mut older).await;
    let mut newer = open(&world.ann, InboxOptions::default());
    let ended = error(&mut older).await;
    assert!(matches!(&ended, Error::Closed { code: 4409, .. }), "{ended}");
    assert!(matches!(error(&mut older).await, Error::Ended));
    assert!(matches!(older.flush().await, Err(Error::Ended)));
    passes(&world, &mut newer).await;
}

#[tokio::test]
async fn it_ends_with_its_agent_by_either_way() {
    for options in both_ways() {
        let world = two_agents().await;
        let mut inbox = open(&world.ann, options.clone());
        send(&world, "one").await;
        take(&mut inbox).await;
        world.ann.deregister("queue").await.unwrap();
        let ended = error(&mut inbox).await;
        assert_eq!(ended.code(), Some(ErrorCode::AgentNotFound));
        // So does one that is opened now.
        let ended = error(&mut open(&world.ann, options)).await;
        assert_eq!(ended.code(), Some(ErrorCode::AgentNotFound));
    }
}

#[tokio::test]
async fn an_inbox_of_an_ended_incarnation_ends_with_that_error() {
    for options in both_ways() {
        let world = two_agents().await;
        let queue = world.ann.agent("queue").await.unwrap();
        world.ann.deregister("queue").await.unwrap();
        world.ann.register(&agent("queue")).await.unwrap();
        let ended =
            error(&mut open(&world.ann, InboxOptions { agent: Some(queue.id), ..options })).await;
        assert_eq!(ended.code(), Some(ErrorCode::AgentSuperseded), "{ended}");
    }
}

#[tokio::test]
async fn it_ends_with_its_token_by_either_way() {
    for options in both_ways() {
        let world = scaled(60).await.world().await;
        agents(&world).await;
        let mut inbox = open(&world.ann, options);
        let one = send(&world, "one").await;
        take(&mut inbox).await;
        inbox.flush().await.unwrap();
        assert_eq!(status(&world, &one).await, MessageStatus::Delivered);
        revoke_ann(&world).await;
        // It may still be believed for a minute, which is a second here.
        let sending = async {
            loop {
                send(&world, "more").await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        };
        let ending = async {
            loop {
                let confirmed = match inbox.next().await {
                    Ok(letter) => letter.delivered().await,
                    Err(error) => Err(error),
                };
                if let Err(error) = confirmed {
                    return error;
                }
            }
        };
        let ended = tokio::select! { ended = ending => ended, () = sending => unreachable!() };
        assert_eq!(ended.status(), Some(401), "{ended}");
    }
}

#[tokio::test]
async fn somebody_elses_inbox_is_refused() {
    let world = two_agents().await;
    for options in both_ways() {
        let ended = error(&mut open(&world.dan, options)).await;
        assert_eq!(ended.status(), Some(403), "{ended}");
    }
}
