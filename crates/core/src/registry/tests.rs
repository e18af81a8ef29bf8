use super::*;
use multiclaude_hybrid_protocol::body::Body;

const NOW: Ms = 1_000_000_000;

fn registration(body: serde_json::Value) -> Registration {
    let mut body = body;
    body["name"] = "queue".into();
    body["type"] = "merge-queue".into();
    Registration::read(body.to_string().as_bytes()).unwrap()
}

fn id(n: u8) -> AgentId {
    AgentId::new(Timestamp(NOW), [n; 10])
}

fn decide(found: Option<&Row>, owner: &str, body: serde_json::Value, now: Ms) -> Decision {
    let owner = Owner::parse(owner).unwrap();
    let by = Registrant {
        owner: &owner,
        kind: TokenKind::User,
        repo: &Repo::parse("acme/app").unwrap(),
        fresh_id: id(now as u8),
    };
    register(found, &by, &registration(body), now, &Timing::default())
}

fn created(decision: Decision) -> Row {
    match decision {
        Decision::Create(row) => row,
        other => panic!("{other:?}"),
    }
}

fn held() -> Row {
    created(decide(None, "dan", serde_json::json!({"instance": "laptop"}), NOW))
}

#[test]
fn a_free_name_is_given_to_the_caller_as_active_and_local() {
    let row = held();
    assert_eq!(row.version, Version { generation: 1, revision: 1 });
    assert_eq!(row.agent.owner.as_str(), "dan");
    assert_eq!((row.agent.status, row.agent.location), (AgentStatus::Active, Location::Local));
}

#[test]
fn the_same_owner_and_instance_keep_the_incarnation() {
    let row = held();
    let again = decide(
        Some(&row),
        "dan",
        serde_json::json!({"instance": "laptop", "metadata": {"a": "b"}}),
        NOW + 9,
    );
    let Decision::Renew(next) = again else { panic!("{again:?}") };
    assert_eq!((&next.agent.id, next.version), (&row.agent.id, row.version));
    assert_eq!(next.agent.metadata["a"], "b");
    assert_eq!(next.agent.last_seen.0, NOW + 9);
}

#[test]
fn an_absent_instance_equals_only_an_absent_one() {
    let row = held();
    assert_eq!(decide(Some(&row), "dan", serde_json::json!({}), NOW), Decision::Taken);
    let row = created(decide(None, "dan", serde_json::json!({}), NOW));
    assert!(matches!(decide(Some(&row), "dan", serde_json::json!({}), NOW), Decision::Renew(_)));
}

#[test]
fn another_owner_or_instance_is_refused_even_when_the_holder_is_long_gone() {
    let row = held();
    for later in [0, 10 * 24 * 3_600_000] {
        let other = serde_json::json!({"instance": "laptop"});
        assert_eq!(decide(Some(&row), "ann", other, NOW + later), Decision::Taken);
        let other = serde_json::json!({"instance": "desktop"});
        assert_eq!(decide(Some(&row), "dan", other, NOW + later), Decision::Taken);
    }
}

#[test]
fn take_over_replaces_only_a_holder_unseen_for_180_seconds_or_stopped() {
    let mut row = held();
    let ask =
        |row: &Row, now| decide(Some(row), "ann", serde_json::json!({"take_over": true}), now);
    assert_eq!(ask(&row, NOW + 179_999), Decision::Taken);
    let taken = created(ask(&row, NOW + 180_000));
    assert_eq!(taken.version, Version { generation: 2, revision: 1 });
    assert_ne!(taken.agent.id, row.agent.id);
    row.agent.status = AgentStatus::Stopped;
    assert!(matches!(ask(&row, NOW + 1), Decision::Create(_)));
}

#[test]
fn a_tombstone_frees_the_name_and_keeps_the_generation() {
    let tombstone_row = tombstone(&held(), NOW);
    assert_eq!(tombstone_row.version, Version { generation: 1, revision: 2 });
    let row = created(decide(Some(&tombstone_row), "ann", serde_json::json!({}), NOW));
    assert_eq!(row.version, Version { generation: 2, revision: 1 });
}

#[test]
fn only_a_change_of_endpoint_or_secret_raises_the_revision() {
    let row = held();
    let patch = |body: serde_json::Value| {
        let change = AgentUpdate::read(body.to_string().as_bytes()).unwrap();
        update(&row, &change, NOW + 1)
    };
    assert_eq!(patch(serde_json::json!({"status": "idle"})).version.revision, 1);
    assert_eq!(patch(serde_json::json!({"endpoint": ""})).version.revision, 1);
    assert_eq!(patch(serde_json::json!({"endpoint": "https://a.example/"})).version.revision, 2);
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(patch(serde_json::json!({"webhook_secret": secret})).version.revision, 2);
}

#[test]
fn a_heartbeat_alone_makes_no_difference_but_the_moment() {
    let row = held();
    let same = update(&row, &AgentUpdate::default(), NOW + 5000);
    assert!(!differs(&row, &same));
    let idle = AgentUpdate { status: Some(AgentStatus::Idle), ..AgentUpdate::default() };
    assert!(differs(&row, &update(&row, &idle, NOW + 5000)));
}

#[test]
fn an_agent_unseen_for_180_seconds_is_stopped_unless_it_has_a_stream() {
    let mut agent = held().agent;
    let at = |agent: &Agent, after| presence::reported(agent, NOW + after, &Timing::default());
    for delivery in [Delivery::Polling, Delivery::Webhook] {
        agent.delivery = delivery;
        assert_eq!(at(&agent, 179_999), AgentStatus::Active);
        assert_eq!(at(&agent, 180_000), AgentStatus::Stopped);
    }
    agent.delivery = Delivery::Stream;
    assert_eq!(at(&agent, 1_000_000_000), AgentStatus::Active);
    agent.status = AgentStatus::Stopped;
    assert_eq!(at(&agent, 0), AgentStatus::Stopped);
}
