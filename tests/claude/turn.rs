//! Turns: how long one takes, when what is queued is taken, and compaction.

use crate::dialog::Kind;
use crate::lines::framed;
use crate::queue::Queued;
use crate::session::Session;
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What a turn looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The model answers in one piece, or in many: what is queued waits for the end.
    Text,
    Stream,
    /// A tool runs for two thirds of the turn; what is queued is absorbed then.
    Tool,
}

/// How turns go from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) turn: Duration,
    pub(crate) mode: Mode,
}

impl Default for Pace {
    fn default() -> Self {
        let ms = std::env::var("CLAUDE_STAND_IN_TURN_MS").ok().and_then(|ms| ms.parse().ok());
        Self { turn: Duration::from_millis(ms.unwrap_or(100)), mode: Mode::Text }
    }
}

/// What the session is doing.
#[derive(Debug)]
pub(crate) enum Turn {
    /// A tool runs until `until`; the turn ends at `end`.
    Tool {
        id: String,
        until: Instant,
        begun: Instant,
        end: Instant,
    },
    Answer {
        begun: Instant,
        end: Instant,
    },
    Compaction {
        end: Instant,
    },
}

impl Turn {
    /// When it changes by itself.
    pub(crate) fn next(&self) -> Instant {
        match self {
            Self::Tool { until, .. } => *until,
            Self::Answer { end, .. } | Self::Compaction { end } => *end,
        }
    }

    /// It stood still for a time.
    fn shift(&mut self, by: Duration) {
        match self {
            Self::Tool { until, end, .. } => {
                *until += by;
                *end += by;
            }
            Self::Answer { end, .. } | Self::Compaction { end } => *end += by,
        }
    }
}

impl Session {
    /// Nothing runs and nothing is open: what comes is taken at once.
    pub(crate) fn is_free(&self) -> bool {
        self.turn.is_none() && self.dialogs.is_empty()
    }

    /// The turn stands still while its tool waits for a permission.
    pub(crate) fn paused(&self) -> bool {
        self.dialogs.front().is_some_and(|dialog| dialog.kind == Kind::Permission)
    }

    /// A permission was given or the dialog went away.
    pub(crate) fn resume(&mut self, since: Instant) {
        if let Some(turn) = &mut self.turn {
            turn.shift(since.elapsed());
        }
    }

    pub(crate) fn start_turn(&mut self) {
        let begun = Instant::now();
        let end = begun + self.pace.turn;
        self.suggestion = None;
        self.turn = Some(if self.pace.mode == Mode::Tool {
            let id = format!("toolu_{}", Uuid::new_v4().simple());
            let line = self.lines.assistant(json!({
                "type": "tool_use", "id": id, "name": "Bash", "input": { "command": "sleep" },
            }));
            self.write(&line);
            Turn::Tool { id, until: begun + self.pace.turn * 2 / 3, begun, end }
        } else {
            Turn::Answer { begun, end }
        });
    }

    /// Ends what runs now, as if its time had come.
    pub(crate) fn hurry(&mut self) {
        let begun = Instant::now();
        match self.turn.take() {
            Some(Turn::Tool { id, begun, .. }) => {
                self.end_tool(&id, false);
                self.end_turn(begun);
            }
            Some(Turn::Compaction { .. }) => self.turn = Some(Turn::Compaction { end: begun }),
            Some(Turn::Answer { begun, .. }) => self.end_turn(begun),
            None => {}
        }
    }

    pub(crate) fn compact(&mut self, duration: Duration) {
        self.turn = Some(Turn::Compaction { end: Instant::now() + duration });
    }

    /// Ends what has lasted long enough.
    pub(crate) fn advance(&mut self, now: Instant) {
        while !self.paused() && self.turn.as_ref().is_some_and(|turn| turn.next() <= now) {
            match self.turn.take() {
                Some(Turn::Tool { id, begun, end, .. }) => {
                    self.end_tool(&id, false);
                    self.turn = Some(Turn::Answer { begun, end });
                }
                Some(Turn::Answer { begun, .. }) => self.end_turn(begun),
                Some(Turn::Compaction { .. }) => self.end_compaction(),
                None => {}
            }
        }
        if self.is_free() && self.wakes.is_some_and(|wakes| wakes <= now) {
            self.wakes = None;
            self.take();
        }
    }

    pub(crate) fn end_tool(&mut self, id: &str, rejected: bool) {
        let absorbed = if rejected { Vec::new() } else { self.queue.absorb() };
        for queued in &absorbed {
            let line = self.lines.queue("remove", Some(&queued.text));
            self.write(&line);
        }
        let line = self.lines.tool_result(id, rejected);
        self.write(&line);
        for queued in absorbed {
            let line = self.lines.absorbed(&queued.text, queued.peer.as_ref());
            self.write(&line);
            self.taken(&queued, "absorbed");
        }
    }

    fn end_turn(&mut self, begun: Instant) {
        let line = self.lines.assistant(json!({ "type": "text", "text": "ok" }));
        self.write(&line);
        let took = begun.elapsed().as_millis() as u64;
        let line = self.lines.system("turn_duration", json!({ "durationMs": took }));
        self.write(&line);
        if let Some(last) = self.prompts.last() {
            let line = self.lines.last_prompt(last);
            self.write(&line);
        }
        self.history.push("● ok".to_owned());
        if self.profile.suggests() {
            self.suggestion = Some("run the tests".to_owned());
        }
        self.take();
    }

    fn end_compaction(&mut self) {
        let line =
            self.lines.system("compact_boundary", json!({ "content": "Conversation compacted" }));
        self.write(&line);
        let mut line =
            self.lines.local("This session is being continued from a previous conversation.");
        line["isCompactSummary"] = true.into();
        self.write(&line);
        self.take();
    }

    /// Escape: the turn ends, and what is queued is taken at once.
    pub(crate) fn interrupt(&mut self) {
        if let Some(Turn::Tool { id, .. }) = self.turn.take() {
            self.end_tool(&id, true);
        }
        let line = self.lines.interruption();
        self.write(&line);
        self.note("interrupted", json!({}));
        self.take();
    }

    /// Takes what is at the head of the queue, if nothing else is going on.
    pub(crate) fn take(&mut self) {
        while self.is_free() {
            let batch = self.queue.batch();
            if batch.is_empty() {
                return;
            }
            for _ in &batch {
                let line = self.lines.queue("dequeue", None);
                self.write(&line);
            }
            for queued in &batch {
                if queued.is_command() {
                    self.command(&queued.text);
                } else {
                    self.begin(queued, "queued");
                }
            }
        }
    }

    /// Takes one text as the prompt of a turn.
    pub(crate) fn begin(&mut self, queued: &Queued, how: &str) {
        let line = match &queued.peer {
            Some(peer) => self.lines.peer(&queued.text, peer),
            None => self.lines.human(&queued.text, how),
        };
        self.open();
        self.write(&line);
        self.taken(queued, how);
        if self.turn.is_none() {
            self.start_turn();
        }
    }

    /// Writes the first lines of the transcript.
    pub(crate) fn open(&mut self) {
        if !std::mem::replace(&mut self.opened, true) {
            for line in self.lines.opening() {
                self.write(&line);
            }
        }
    }

    fn taken(&mut self, queued: &Queued, how: &str) {
        let shown =
            queued.peer.as_ref().map_or_else(|| queued.text.clone(), |_| framed(&queued.text));
        self.history.push(format!("❯ {shown}"));
        let mut fields = json!({ "text": queued.text, "how": how });
        match &queued.peer {
            Some(peer) => {
                fields["how"] = "peer".into();
                fields["from"] = peer.from.clone().into();
                fields["absorbed"] = (how == "absorbed").into();
            }
            None => self.prompts.push(queued.text.clone()),
        }
        self.note("taken", fields);
    }
}
