//! While something is away, messages wait, in order.

use super::{OF_ANN, of, reaching};
use e2e::{Coordinator, Options, eventually};

#[tokio::test]
async fn messages_wait_for_the_coordinator_in_order_and_the_outage_is_logged_once() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let world = coordinator.world().await;
    let (mut dan, mut ann) = of(&world);
    ann.start_bridge(&[]);
    ann.reaches(&[]).await;
    dan.bridge(&[], &OF_ANN).await;
    coordinator.kill();
    let wanted: Vec<_> = (0..30).map(|n| format!("m{n}")).collect();
    for body in &wanted {
        dan.send("fox", "fox-ann", body);
    }
    dan.status_with("30 messages wait", |status| {
        (status["repos"][0]["outgoing"]["fox-ann"]["waiting"] == 30
            && status["repos"][0]["online"] == false)
            .then_some(())
    })
    .await;
    // A restart in the outage changes nothing.
    dan.kill_bridge();
    dan.start_bridge(&[]);
    dan.send("fox", "fox-ann", "m30");
    coordinator.launch().await;
    let all = eventually("all arrive", 60, || async {
        Some(ann.bodies("fox", "fox-dan")).filter(|bodies| bodies.len() == 31)
    })
    .await;
    assert_eq!(all[..30], wanted);
    for line in ["the coordinator is away", "the coordinator is back"] {
        assert_eq!(ann.log().matches(line).count(), 1, "{}", ann.log());
    }
}

#[tokio::test]
async fn while_multiclaude_is_down_messages_are_stored_and_its_agents_count_as_stopped() {
    let (dan, ann, world) = reaching(&[], &["--time-scale", "20"]).await;
    ann.ok(&["stop"]);
    dan.send("fox", "fox-ann", "stored without a daemon");
    ann.receives("fox", "stored without a daemon").await;
    eventually("ann's agents are stopped", 60, || async {
        let agents = world.ann.agents("owner=ann").await.unwrap();
        agents.iter().all(|agent| agent.status.as_str() == "stopped").then_some(())
    })
    .await;
}
