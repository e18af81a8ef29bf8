//! The client's help for receivers: signatures and encryption, against the
//! real coordinator.

use crate::callbacks::{push_to, spawn};
use crate::inbox::{open, take};
use crate::secrecy::files_with;
use crate::{agent, name, pushed, send};
use e2e::{Coordinator, Received, Sink, World, shared};
use multiclaude_hybrid_client::sealed::{self, Action, Identity, Pins, Recipient, decide, seal};
use multiclaude_hybrid_client::webhook::{Payload, Push, Webhook, WebhookError};
use multiclaude_hybrid_client::{InboxOptions, RepoClient};
use multiclaude_hybrid_protocol::Repo;
use multiclaude_hybrid_protocol::config::Encrypt;
use multiclaude_hybrid_protocol::message::{NewMessage, Sender};
use multiclaude_hybrid_protocol::metadata::Metadata;
use serde_json::json;

fn verify(received: &Received, secret: &str) -> Result<Push, WebhookError> {
    let webhook = Webhook::new([secret]).unwrap();
    webhook.verify(&received.headers, received.body.as_bytes())
}

#[tokio::test]
async fn every_push_of_the_coordinator_is_verified_and_typed() {
    let (world, sink, secret) = pushed(shared().await, vec![]).await;
    let sent = send(&world, "hello").await;
    let push = sink.wait_for(1).await.remove(0);
    let read = verify(&push, &secret).unwrap();
    assert_eq!(read.id, sent.id.to_string());
    assert_eq!(read.payload, Payload::Message(Box::new(sent)));
    let changed = verify(&push, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert_eq!(changed, Err(WebhookError::Signature));

    world.ann.test_endpoint(&name("queue")).await.unwrap();
    let test = sink.wait_for(2).await.remove(1);
    let Payload::Test(tested) = verify(&test, &secret).unwrap().payload else { panic!("{test:?}") };
    assert_eq!((tested.repo.as_str(), tested.agent.as_str()), (world.repo.as_str(), "queue"));

    let spawns = Sink::start(vec![]).await;
    let secret = push_to(&world, &spawns.url).await;
    let task = json!({"task": "fix } it", "labels": ["gpu"], "metadata": {"branch": "x}"}});
    let request = spawn(&world.dan, task).await;
    let push = spawns.wait_for(1).await.remove(0);
    let read = verify(&push, &secret).unwrap();
    assert_eq!(read.payload, Payload::SpawnRequested(Box::new(request)));
}

/// The queue's recipient, as its metadata shows it to others.
async fn published(repo: &RepoClient) -> Option<Recipient> {
    let queue = name("queue");
    let queue = repo.agent(&queue).await.unwrap();
    Recipient::published(&queue.metadata).unwrap()
}

async fn publish(world: &World, identity: &Identity) {
    let mut metadata = Metadata::new();
    identity.recipient().publish(&mut metadata);
    let mut queue = agent("queue");
    queue["metadata"] = json!(metadata);
    world.ann.register(&queue).await.unwrap();
}

fn written(from: &str, body: &str) -> NewMessage {
    let from = Sender::Agent(name(from));
    NewMessage::new(from, name("queue"), body)
}

#[tokio::test]
async fn a_sealed_message_is_read_at_the_other_end_and_nowhere_in_between() {
    let (mut coordinator, world) = Coordinator::own().await;
    let (repo, dan) = (Repo::parse(&world.repo).unwrap(), world.dan.typed());
    let queue = name("queue");
    world.dan.register(&agent("ws")).await.unwrap();
    let identity = Identity::generate();
    publish(&world, &identity).await;

    let mut pins = Pins::default();
    let state = pins.check(&repo, &queue, published(&dan).await.as_ref());
    let first = decide(Some(Encrypt::Always), &state);
    let Action::Encrypt(recipient) = first.action else { panic!("{first:?}") };
    pins.trust(&repo, &queue, first.pin.unwrap());
    let secret = "the-merger-is-on-tuesday";
    let sealed = seal(&written("ws", secret), &repo, &recipient).unwrap();
    dan.send(&sealed, None).await.unwrap();
    dan.send(&written("ws", "this-one-is-plain"), None).await.unwrap();

    let mut inbox = open(&world.ann, InboxOptions::default());
    let keys = [identity];
    let arrived = take(&mut inbox).await;
    assert!(!arrived.body.contains(secret));
    let read = sealed::open(&arrived, &keys).unwrap();
    assert!(sealed::is_sealed(&arrived) && read.body == secret, "{read:?}");
    let plain = take(&mut inbox).await;
    assert!(!sealed::is_sealed(&plain));
    assert_eq!(sealed::open(&plain, &keys).unwrap().body, "this-one-is-plain");
    inbox.flush().await.unwrap();

    // Another key is published in its place: nothing goes out.
    publish(&world, &Identity::generate()).await;
    let state = pins.check(&repo, &queue, published(&dan).await.as_ref());
    let changed = decide(Some(Encrypt::Always), &state);
    assert!(matches!(changed.action, Action::Refuse(_)), "{changed:?}");

    coordinator.kill();
    let stored = |text: &str| !files_with(&coordinator.state_dir(), text).is_empty();
    assert!(stored("this-one-is-plain"), "the search finds nothing");
    assert!(stored("BEGIN AGE ENCRYPTED FILE"));
    for text in [secret, &keys[0].reveal()] {
        assert!(!stored(text), "in the database: {text}");
        assert!(!coordinator.log().contains(text), "in the log: {text}");
    }
}
