//! What a client writes is what the coordinator reads.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use multiclaude_hybrid_protocol::agent::{
    AgentStatus, AgentUpdate, EndpointChange, Location, Registration,
};
use multiclaude_hybrid_protocol::body::{Body, BodyError};
use multiclaude_hybrid_protocol::callback::{Callback, Event};
use multiclaude_hybrid_protocol::config::{ConfigWish, Encrypt, HybridConfig};
use multiclaude_hybrid_protocol::message::{NewMessage, Sender};
use multiclaude_hybrid_protocol::metadata::Metadata;
use multiclaude_hybrid_protocol::spawn::{Claim, NewSpawn, SpawnStatus, SpawnedBy, WorkerUpdate};
use multiclaude_hybrid_protocol::webhook::Secret;
use multiclaude_hybrid_protocol::{AgentName, Repo, SpawnId, Timestamp};
use serde::Serialize;

fn again<T: Serialize + Body>(request: &T) -> Result<T, BodyError> {
    T::read(&serde_json::to_vec(request).unwrap())
}

fn name(text: &str) -> AgentName {
    AgentName::parse(text).unwrap()
}

fn metadata() -> Metadata {
    Metadata::from([("node".to_owned(), "dan".to_owned())])
}

#[test]
fn a_registration_is_read_as_it_was_written() {
    let bare = Registration::new(name("ws"), "workspace");
    let text = serde_json::to_string(&bare).unwrap();
    assert_eq!(text, r#"{"name":"ws","type":"workspace"}"#);
    let full = Registration {
        location: Some(Location::Remote),
        status: Some(AgentStatus::Idle),
        endpoint: EndpointChange::Set("https://example.com/".to_owned()),
        webhook_secret: Some(Secret::new([7; 32])),
        instance: Some("box-1".to_owned()),
        metadata: Some(metadata()),
        take_over: true,
        ..bare.clone()
    };
    for agent in [bare, full] {
        assert_eq!(again(&agent), Ok(agent));
    }
}

#[test]
fn a_change_of_an_agent_says_only_what_changes() {
    assert_eq!(serde_json::to_string(&AgentUpdate::default()).unwrap(), "{}");
    let cleared = AgentUpdate {
        endpoint: EndpointChange::Clear,
        metadata: Some(metadata()),
        ..AgentUpdate::default()
    };
    assert_eq!(again(&cleared), Ok(cleared));
}

#[test]
fn messages_and_requests_for_workers_are_read_as_they_were_written() {
    let message = NewMessage {
        thread_id: Some("t".to_owned()),
        metadata: metadata(),
        ttl_seconds: Some(60),
        ..NewMessage::new(Sender::parse("user:dan").unwrap(), name("queue"), "hi\n\u{1F980}")
    };
    assert_eq!(again(&message), Ok(message));
    let spawn = NewSpawn {
        spawned_by: Some(SpawnedBy::parse("workspace:dan").unwrap()),
        priority: -5,
        retry: true,
        labels: vec!["gpu".to_owned()],
        metadata: metadata(),
        ..NewSpawn::new("fix it")
    };
    assert_eq!(again(&spawn), Ok(spawn));
    let claim = Claim { labels: vec!["gpu".to_owned()], lease_secs: 60 };
    assert_eq!(again(&claim), Ok(claim));
    let update = WorkerUpdate {
        worker_name: Some(name("w")),
        status: Some(SpawnStatus::Failed),
        failure_reason: Some("no".to_owned()),
        ..WorkerUpdate::new("lt_x")
    };
    let update = update.with_progress("9 of 10 tests").with_log("\u{1b}[1mok\n", false);
    assert_eq!(again(&update), Ok(update));
    let back = WorkerUpdate::give_back("lt_x");
    assert_eq!(again(&back), Ok(back));
}

#[test]
fn a_config_keeps_its_secret_unless_a_new_one_is_given() {
    let repo = Repo::parse("acme/app").unwrap();
    let shown = HybridConfig {
        webhook_secret: Some(Secret::new([1; 32]).reveal()),
        encrypt: Some(Encrypt::Always),
        remote_agents: vec!["merge-queue".to_owned()],
        ..HybridConfig::default_of(repo.clone())
    };
    let mut wish = ConfigWish::from(shown.clone());
    assert!(!serde_json::to_string(&wish).unwrap().contains("whsec_"));
    wish.webhook_secret = Some(Secret::new([2; 32]));
    assert_eq!(again(&wish), Ok(wish.clone()));
    assert_eq!(wish.into_config(repo), HybridConfig { webhook_secret: None, ..shown });
}

#[test]
fn callbacks_are_read_as_they_were_written() {
    let id = SpawnId::new(Timestamp(1), [3; 10]);
    for (event, summary, failure_reason) in [
        (Event::Started, None, None),
        (Event::Completed, Some("done".to_owned()), None),
        (Event::Failed, None, Some("no".to_owned())),
    ] {
        let callback = Callback {
            id: id.clone(),
            event,
            worker_name: Some(name("w")),
            lease_secs: 3600,
            summary,
            failure_reason,
        };
        assert_eq!(again(&callback), Ok(callback));
    }
}
