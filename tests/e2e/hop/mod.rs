//! The last hop: from the bridge's inbox into running sessions of the stand-in for
//! Claude Code, in real panes of tmux.

mod acceptance;
mod carriers;
mod crashes;
mod held;
mod many;
mod tools;

use e2e::{Site, World, eventually, shared, until};
use multiclaude_hybrid_client::protocol::message::Message;
use serde_json::Value;

/// Ann's machine with sessions, and Dan's, which sends messages.
struct Hop {
    world: World,
    dan: Site,
    ann: Site,
}

impl Hop {
    /// Every session has our MCP server.
    async fn with_channel() -> Self {
        Self::new(&[], true, &[]).await
    }

    /// The sessions have a version without an inbox socket.
    async fn with_keyboard(environment: &[(&str, &str)]) -> Self {
        let mut all = vec![("CLAUDE_STAND_IN_VERSION", "2.1.197")];
        all.extend(environment);
        Self::new(&all, false, &[]).await
    }

    async fn new(environment: &[(&str, &str)], mcp: bool, args: &[&str]) -> Self {
        let world = shared().await.world().await;
        let mut ann = Site::with_claude(&world, &world.tokens[1], "ann", environment, mcp).await;
        ann.start_bridge(args);
        ann.reaches(&[]).await;
        let mut dan = Site::new(&world, &world.tokens[0], "dan");
        dan.bridge(&[], &["fox-ann", "workspace-ann"]).await;
        let hop = Self { world, dan, ann };
        if mcp {
            hop.connected("fox").await;
        }
        hop
    }

    /// Waits until an agent's MCP server has connected.
    async fn connected(&self, agent: &str) {
        let line = format!("an agent has connected local=\"{agent}\"");
        until("the channel is open", async || self.ann.log().contains(&line)).await;
    }

    /// Waits until an agent has taken a text; returns the message's id.
    async fn taken(&self, agent: &str, text: &str) -> String {
        let file = self.ann.receives(agent, text).await;
        let id = file["id"].as_str().unwrap().to_owned();
        let claude = self.ann.claude(agent);
        let what = format!("{text:?} is taken:\n{}\n{:?}", self.ann.log(), claude.events());
        until(&what, async || self.times(agent, &id) > 0).await;
        id
    }

    /// How often an agent has taken a message.
    fn times(&self, agent: &str, id: &str) -> usize {
        let head = format!("[{id} from ");
        self.ann.claude(agent).texts("taken").iter().filter(|text| text.contains(&head)).count()
    }

    /// Waits until the receipt says that it was seen.
    async fn seen(&self, id: &str) -> Message {
        eventually("its sender sees that it was seen", || async {
            let receipt = self.world.dan.receipt(id).await.unwrap();
            receipt.seen_at.is_some().then_some(receipt)
        })
        .await
    }

    /// Waits until a message for fox is held for this reason.
    async fn held(&self, reason: &str) {
        let what = format!("held: {reason}");
        self.ann
            .status_with(&what, |status| {
                let held = status["repos"][0]["held"].as_array()?;
                held.iter().any(|held| held["reason"] == reason).then_some(())
            })
            .await;
    }

    /// Waits until the shell of an agent has its pane again.
    async fn claude_ended(&self, agent: &str) {
        let target = format!("=mc-app:={agent}");
        until("its claude has ended", async || {
            let panes = ["list-panes", "-t", &target, "-F", "#{pane_current_command}"];
            !String::from_utf8_lossy(&self.ann.tmux(&panes).stdout).contains("claude")
        })
        .await;
    }

    /// Checks that nothing was executed or approved, and that no dialog was answered.
    fn nothing_happened(&self, agent: &str) {
        for event in self.ann.claude(agent).events() {
            let kind = event["event"].as_str().unwrap_or_default();
            assert!(!matches!(kind, "executed" | "approved" | "command" | "exit"), "{event}");
        }
    }

    /// multiclaude's file of a message.
    fn file(&self, agent: &str, id: &str) -> Value {
        self.ann.files(agent).into_iter().find(|file| file["id"] == id).unwrap()
    }
}
