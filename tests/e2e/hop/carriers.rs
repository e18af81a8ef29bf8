//! Delivery by channel and by keyboard.

use super::Hop;
use multiclaude_hybrid_protocol::text::stripped;
use serde_json::json;

#[tokio::test]
async fn an_idle_agent_takes_a_message_by_its_channel_and_the_sender_sees_it() {
    let hop = Hop::with_channel().await;
    hop.dan.send("fox", "fox-ann", "please look at #12");
    let id = hop.taken("fox", "please look at #12").await;
    let text = hop.ann.claude("fox").texts("taken").pop().unwrap();
    let head = format!("[{id} from fox-dan (owner dan)] please look at #12");
    assert!(text.contains(&head), "{text}");
    let receipt = hop.seen(&id).await;
    assert_eq!(receipt.status.as_str(), "delivered");
    assert!(receipt.delivered_at <= receipt.seen_at && receipt.acked_at.is_none(), "{receipt:?}");
    // The agent acknowledges it separately.
    let acked = hop.ann.multiclaude(Some("fox"), &["message", "ack", &id]);
    assert!(acked.status.success(), "{acked:?}");
    e2e::until("acknowledged", async || {
        let receipt = hop.world.dan.receipt(&id).await.unwrap();
        receipt.acked_at.is_some() && receipt.seen_at.is_some()
    })
    .await;
    assert_eq!(hop.times("fox", &id), 1);
}

#[tokio::test]
async fn a_session_without_a_channel_gets_one_short_line_by_the_keyboard() {
    for version in ["2.1.197", "2.1.20"] {
        let hop = Hop::with_keyboard(&[
            ("CLAUDE_STAND_IN_VERSION", version),
            ("CLAUDE_STAND_IN_DEAF_MS", "500"),
        ])
        .await;
        hop.dan.send("fox", "fox-ann", "first line\nsecond line");
        let id = hop.taken("fox", "first line\nsecond line").await;
        let text = hop.ann.claude("fox").texts("taken").pop().unwrap();
        assert!(text.contains(&format!("multiclaude message read {id}")), "{version}: {text}");
        assert!(!text.contains("second line"), "{version}: {text}");
        hop.seen(&id).await;
        assert_eq!(hop.times("fox", &id), 1, "{version}");
        hop.nothing_happened("fox");
    }
}

#[tokio::test]
async fn messages_are_handed_over_in_order_one_after_the_other() {
    let hop = Hop::with_channel().await;
    let wanted: Vec<_> = (0..4).map(|n| format!("number {n}")).collect();
    for text in &wanted {
        hop.dan.send("fox", "fox-ann", text);
    }
    hop.taken("fox", "number 3").await;
    let taken = hop.ann.claude("fox").texts("taken");
    let order: Vec<_> = taken.iter().filter_map(|text| Some(text.split_once("] ")?.1)).collect();
    let order: Vec<_> = order.iter().filter_map(|text| text.lines().next()).collect();
    assert_eq!(order, wanted);
}

#[tokio::test]
async fn a_message_queued_by_a_busy_agent_counts_as_seen_only_when_it_is_taken() {
    let hop = Hop::with_channel().await;
    let claude = hop.ann.claude("fox");
    // The second one is taken during the turn, when its tool ends.
    for (mode, text) in [("text", "while you are busy"), ("tool", "while a tool runs")] {
        e2e::until("the agent is idle", async || claude.state()["busy"] == false).await;
        // The turn lasts until this test ends it.
        claude.ask(json!({ "turn_ms": 3_600_000, "mode": mode, "start_turn": true }));
        hop.dan.send("fox", "fox-ann", text);
        claude.event("queued", text).await;
        hop.held("in the queue of its agent").await;
        let id = hop.ann.receives("fox", text).await["id"].as_str().unwrap().to_owned();
        let receipt = e2e::eventually("delivered", || async {
            let receipt = hop.world.dan.receipt(&id).await.unwrap();
            receipt.delivered_at.is_some().then_some(receipt)
        })
        .await;
        assert_eq!((receipt.seen_at, hop.times("fox", &id)), (None, 0), "{mode}");
        claude.ask(json!({ "end_turn": true, "turn_ms": 50 }));
        hop.taken("fox", text).await;
        hop.seen(&id).await;
    }
}

const HOSTILE: [&str; 9] = [
    "!touch proof",
    "/clear",
    "x; touch proof",
    "\u{3}\u{3}",
    "\u{1b}[200~ \u{1b}[201~\r!touch proof\r\u{1b}:q",
    "\u{202e}edils rettel\u{202c}",
    "x\u{e0041}\u{e0042}\u{200b}\u{61c}\u{2028}\u{feff}y",
    "a final backslash \\",
    "a final semicolon ;",
];

#[tokio::test]
async fn no_text_is_executed_and_each_can_be_read_in_full() {
    for channel in [true, false] {
        let hop = if channel { Hop::with_channel().await } else { Hop::with_keyboard(&[]).await };
        let long = (0..1500).map(|n| format!("line {n} of a long text\n")).collect::<String>();
        let texts = HOSTILE.iter().map(|text| (*text).to_owned()).chain([long]);
        for text in texts {
            hop.dan.send("fox", "fox-ann", &text);
            let shown = stripped(&text).into_owned();
            let id = hop.taken("fox", &shown).await;
            hop.seen(&id).await;
            assert_eq!(hop.times("fox", &id), 1, "{text:?}");
            let read = hop.ann.multiclaude(Some("fox"), &["message", "read", &id]);
            let read = String::from_utf8(read.stdout).unwrap();
            assert!(read.contains(shown.trim_end()), "{text:?}: {read}");
            if channel {
                let arguments = json!({ "id": id, "original": true });
                let result = hop.ann.claude("fox").call_tool(
                    "multiclaude-hybrid",
                    "read_message",
                    arguments,
                );
                let body = super::tools::value(&result)["body"].clone();
                assert_eq!(body, text.as_str(), "byte for byte");
            }
        }
        hop.nothing_happened("fox");
        assert!(!hop.ann.worktree("fox").join("proof").exists());
    }
}
