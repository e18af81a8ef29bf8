//! The last hop into the *real* Claude Code, for those who have it: `make
//! test-claude`. It is not a part of `make test`.
//!
//! `CLAUDE` is the program, `EACH` how many messages each cell of the table gets,
//! `ONLY` the cells that are run, for example `keyboard/CopyMode`; all, if absent.

use e2e::{Model, Site, Turn, shared, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// What an agent is at while messages come.
#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    Streaming,
    InATool,
    Draft,
    Dialog,
    CopyMode,
    Cleared,
}

const STATES: [State; 7] = [
    State::Idle,
    State::Streaming,
    State::InATool,
    State::Draft,
    State::Dialog,
    State::CopyMode,
    State::Cleared,
];

/// A cell's outcome.
#[derive(Debug, Default)]
struct Row {
    sent: usize,
    taken: usize,
    doubled: usize,
    seen: usize,
    wrongly_seen: usize,
}

struct Bench {
    ann: Site,
    dan: Site,
    model: Model,
    world: e2e::World,
}

impl Bench {
    async fn new(claude: &std::path::Path, mcp: bool) -> Self {
        let (world, model) = (shared().await.world().await, Model::start().await);
        let key = "sk-ant-api03-stand-in-0123456789abcdefghij";
        let environment = [
            ("ANTHROPIC_BASE_URL", model.url.as_str()),
            ("ANTHROPIC_API_KEY", key),
            ("DISABLE_TELEMETRY", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            ("DISABLE_ERROR_REPORTING", "1"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("IS_SANDBOX", "1"),
        ];
        let mut ann =
            Site::with_program(&world, &world.tokens[1], "ann", claude, &environment, mcp).await;
        ann.start_bridge(&[]);
        ann.reaches(&[]).await;
        let mut dan = Site::new(&world, &world.tokens[0], "dan");
        dan.bridge(&[], &["fox-ann"]).await;
        Self { ann, dan, model, world }
    }

    fn keys(&self, keys: &[&str]) {
        let mut args = vec!["send-keys", "-t", "=mc-app:=fox"];
        args.extend(keys);
        assert!(self.ann.tmux(&args).status.success());
    }

    fn screen(&self) -> String {
        let shown = self.ann.tmux(&["capture-pane", "-p", "-t", "=mc-app:=fox"]);
        String::from_utf8_lossy(&shown.stdout).into_owned()
    }

    /// The ids of the sessions that run.
    fn sessions(&self) -> BTreeSet<String> {
        let files = std::fs::read_dir(self.ann.machine.path(".claude/sessions"));
        let texts = files.into_iter().flatten().flatten();
        let texts = texts.filter_map(|file| std::fs::read(file.path()).ok());
        let said = texts.filter_map(|text| serde_json::from_slice::<Value>(&text).ok());
        said.filter_map(|said| Some(said["sessionId"].as_str()?.to_owned())).collect()
    }

    async fn shows(&self, text: &str) {
        until(&format!("{text:?} on the screen"), async || self.screen().contains(text)).await;
    }

    /// Brings the agent into a state, before a message.
    async fn enter(&self, state: State) {
        match state {
            State::Idle => self.model.set(Turn::Fast),
            State::Streaming => self.model.set(Turn::Slow(3)),
            State::InATool => self.model.set(Turn::Tool(3)),
            State::Draft => self.keys(&["-l", "half a thought"]),
            State::Dialog => {
                self.keys(&["-l", "/model"]);
                self.shows("/model").await;
                self.keys(&["Enter"]);
                self.shows("Enter to").await;
            }
            State::CopyMode => {
                assert!(self.ann.tmux(&["copy-mode", "-t", "=mc-app:=fox"]).status.success());
            }
            State::Cleared => {
                let before = self.sessions();
                self.keys(&["-l", "/clear"]);
                self.shows("/clear").await;
                self.keys(&["Enter"]);
                until("another session", async || self.sessions() != before).await;
            }
        }
    }

    /// Ends what holds messages up.
    async fn leave(&self, state: State) {
        match state {
            // A paste in the same instant may have moved the cursor, or be in the box, too.
            State::Draft => self.keys(&["C-e", "C-u"].repeat(4)),
            State::Dialog => self.keys(&["Escape"]),
            State::CopyMode => {
                self.ann.tmux(&["send-keys", "-t", "=mc-app:=fox", "-X", "cancel"]);
            }
            _ => {}
        }
    }

    async fn cell(&self, state: State, each: usize) -> Row {
        let (mut row, mut ids) = (Row::default(), Vec::new());
        for number in 0..each {
            self.enter(state).await;
            let text = format!("{state:?} {number}\n!touch proof");
            self.dan.send("fox", "fox-ann", &text);
            row.sent += 1;
            let file = self.ann.receives("fox", &text).await;
            let id = file["id"].as_str().unwrap().to_owned();
            if matches!(state, State::Draft | State::Dialog | State::CopyMode) {
                // It is left for a while in the state that holds it up.
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.leave(state).await;
            }
            // Busy agents get the next message while they are busy.
            let busy = matches!(state, State::Streaming | State::InATool);
            let due = if busy { ids.last() } else { Some(&id) };
            if let Some(due) = due {
                self.wait_for(due).await;
            }
            ids.push(id);
        }
        if let Some(last) = ids.last() {
            self.wait_for(last).await;
        }
        self.model.set(Turn::Fast);
        let taken = self.ann.taken();
        for id in ids {
            let times = taken.get(&id).copied().unwrap_or_default();
            row.taken += usize::from(times > 0);
            row.doubled += usize::from(times > 1);
            let seen = self.world.dan.receipt(&id).await.unwrap().seen_at.is_some();
            row.seen += usize::from(seen);
            row.wrongly_seen += usize::from(seen && times == 0);
        }
        row
    }

    /// Waits until a message is reported as seen; gives up after a while, which the
    /// table shows.
    async fn wait_for(&self, id: &str) {
        let seen = async {
            // A machine that is busy otherwise may keep an answer waiting.
            while !self.world.dan.receipt(id).await.is_ok_and(|now| now.seen_at.is_some()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(90), seen).await.is_err() {
            eprintln!("{id} is not seen:\n{}\n{}", self.screen(), self.ann.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_the_real_claude_code_once_in_every_state() {
    let claude = PathBuf::from(std::env::var_os("CLAUDE").expect("CLAUDE is the program"));
    let each = std::env::var("EACH").ok().and_then(|each| each.parse().ok()).unwrap_or(10);
    let version = e2e::process::output(
        std::process::Command::new(&claude).arg("--version"),
        b"",
        e2e::process::LIMIT,
    );
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    println!("{version}\n| carrier | state | sent | submitted | doubled | lost | seen |");
    println!("|---|---|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for mcp in [true, false] {
        let bench = Bench::new(&claude, mcp).await;
        let channel = mcp && bench.has_channel().await;
        if mcp && !channel {
            println!("| channel | this version has no inbox socket | | | | | |");
            continue;
        }
        let carrier = if channel { "channel" } else { "keyboard" };
        for state in STATES {
            if !is_wanted(&format!("{carrier}/{state:?}")) {
                continue;
            }
            let row = bench.cell(state, each).await;
            let lost = row.sent - row.taken;
            println!(
                "| {carrier} | {state:?} | {} | {} | {} | {lost} | {} |",
                row.sent, row.taken, row.doubled, row.seen
            );
            if lost + row.doubled + row.wrongly_seen > 0 || row.seen != row.sent {
                wrong.push(format!("{carrier} {state:?}: {row:?}"));
            }
        }
        let proof = bench.ann.worktree("fox").join("proof");
        assert!(!proof.exists(), "a message was executed");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is_wanted(cell: &str) -> bool {
    std::env::var("ONLY").map_or(true, |only| only.split(',').any(|part| cell.contains(part)))
}

impl Bench {
    /// Waits for fox's channel; not for ever, because old versions have none.
    async fn has_channel(&self) -> bool {
        let opened = async {
            while !self.ann.log().contains("an agent has connected local=\"fox\"") {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let connected = tokio::time::timeout(Duration::from_secs(30), opened).await.is_ok();
        connected && self.ann.log().contains("local=\"fox\" version=\"0.1.0\" channel=true")
    }
}
