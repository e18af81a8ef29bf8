//! The session: what it holds, from its start to its end.

use crate::Event;
use crate::admission::Admission;
use crate::dialog::{Dialog, Kind};
use crate::draft::Draft;
use crate::journal::Journal;
use crate::keyboard::TWICE;
use crate::keys::Key;
use crate::lines::Lines;
use crate::mcp::{Client, Servers};
use crate::options::Options;
use crate::place::Place;
use crate::profile::Profile;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::transcript::{self, Transcript};
use crate::turn::{Pace, Turn};
use crate::{inbox, settings};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Everything of one session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) profile: Profile,
    pub(crate) options: Options,
    pub(crate) place: Place,
    pub(crate) id: String,
    pub(crate) lines: Lines,
    pub(crate) transcript: Transcript,
    path: PathBuf,
    /// The transcript has its first lines.
    pub(crate) opened: bool,
    registry: Option<Registry>,
    pub(crate) inbox: Option<PathBuf>,
    pub(crate) servers: Servers,
    events: Sender<Event>,
    pub(crate) journal: Journal,
    pub(crate) draft: Draft,
    pub(crate) stash: Option<Draft>,
    /// Something was pasted already.
    pub(crate) pasted: bool,
    /// How many pastes were shown as placeholders.
    pub(crate) pastes: usize,
    /// Pastes that are not in the box yet.
    pub(crate) late: VecDeque<(Instant, String)>,
    pub(crate) queue: Queue,
    pub(crate) turn: Option<Turn>,
    pub(crate) pace: Pace,
    /// When an idle session takes what has come.
    pub(crate) wakes: Option<Instant>,
    /// The first one is open.
    pub(crate) dialogs: VecDeque<Dialog>,
    pub(crate) admission: Admission,
    /// When Enter begins to do something.
    pub(crate) hears: Instant,
    /// What was said so far, as it is shown.
    pub(crate) history: Vec<String>,
    pub(crate) prompts: Vec<String>,
    /// Above the box, to the right.
    pub(crate) notice: Option<String>,
    /// Grey text in the empty box that Enter sends.
    pub(crate) suggestion: Option<String>,
    /// A key that means more when it comes again, and when it came.
    pub(crate) again: Option<(Key, Instant)>,
    /// Why it ends.
    pub(crate) over: Option<&'static str>,
}

impl Session {
    pub(crate) fn new(
        profile: Profile,
        options: Options,
        place: Place,
        events: Sender<Event>,
    ) -> Self {
        let given = options.resume.clone().or_else(|| options.session_id.clone());
        let id = given.unwrap_or_else(|| Uuid::new_v4().to_string());
        let cwd = place.cwd.to_string_lossy();
        let lines = Lines::new(&id, &cwd, &profile.version, profile.names_removed());
        let deaf = std::env::var("CLAUDE_STAND_IN_DEAF_MS").ok().and_then(|ms| ms.parse().ok());
        let journal = Journal::open(&place.directory(), &place.window);
        let mut session = Self {
            path: transcript::path(&place.home, &place.cwd, &id),
            opened: options.resume.is_some(),
            id,
            lines,
            transcript: Transcript::new(),
            registry: None,
            inbox: None,
            servers: Servers::default(),
            events,
            journal,
            draft: Draft::default(),
            stash: None,
            pasted: false,
            pastes: 0,
            late: VecDeque::new(),
            queue: Queue::default(),
            turn: None,
            pace: Pace::default(),
            wakes: None,
            dialogs: VecDeque::new(),
            admission: Admission::default(),
            hears: Instant::now() + Duration::from_millis(deaf.unwrap_or(500)),
            history: Vec::new(),
            prompts: Vec::new(),
            notice: None,
            suggestion: std::env::var("CLAUDE_STAND_IN_SUGGESTION").ok(),
            again: None,
            over: None,
            profile,
            options,
            place,
        };
        session.note("started", json!({ "version": session.profile.version }));
        let place = &session.place;
        if settings::trusts(&place.home, &place.cwd, session.profile.inherits_trust()) {
            session.start_up();
        } else {
            let distrusts = session.profile.distrusts();
            session.dialogs.push_back(Dialog::new(Kind::Trust { distrusts }));
        }
        session
    }

    /// The folder is trusted: the socket, the servers, the first prompt.
    pub(crate) fn start_up(&mut self) {
        if self.registry.is_some() {
            return;
        }
        let mut environment = self.place.environment(&self.id, &self.profile.version);
        if self.profile.has_inbox() {
            self.inbox = inbox::listen(self.events.clone()).ok();
        }
        if let Some(inbox) = &self.inbox {
            let path = inbox.to_string_lossy().into_owned();
            environment.push(("CLAUDE_CODE_MESSAGING_SOCKET".into(), path));
            let token = Uuid::new_v4().simple().to_string();
            environment.push(("CLAUDE_CODE_MESSAGING_TOKEN".into(), token));
        }
        let place = &self.place;
        let inbox = self.inbox.as_deref();
        self.registry =
            Some(Registry::new(&place.home, &place.cwd, &self.profile, &place.pane, inbox));
        let client = Client {
            version: self.profile.version.clone(),
            discovers: self.profile.discovers(),
            cwd: place.cwd.to_string_lossy().into_owned(),
        };
        let specs = settings::servers(&place.home, &place.cwd, self.options.skips_permissions);
        self.servers.start(&specs, &client, &environment, &place.directory());
        if let Some(prompt) = self.options.prompt.take() {
            self.prompt(&prompt);
        }
    }

    /// Writes to the log that tests read.
    pub(crate) fn note(&mut self, event: &str, mut fields: Value) {
        fields["session"] = self.id.clone().into();
        self.journal.write(event, fields);
    }

    /// Writes a line of the transcript.
    pub(crate) fn write(&mut self, line: &Value) {
        self.transcript.write(&self.path, line);
    }

    /// Another id, with another file.
    pub(crate) fn become_another(&mut self, id: String) {
        let (cwd, version) = (self.lines.cwd.clone(), self.lines.version.clone());
        self.lines = Lines::new(&id, &cwd, &version, self.profile.names_removed());
        self.path = transcript::path(&self.place.home, &self.place.cwd, &id);
        self.id = id;
    }

    /// `idle`, `busy` or `waiting`, and for what.
    pub(crate) fn status(&self) -> (&'static str, Option<&'static str>) {
        match (self.dialogs.front().and_then(Dialog::waiting_for), &self.turn) {
            (Some(waiting_for), _) => ("waiting", Some(waiting_for)),
            (None, Some(_)) => ("busy", None),
            (None, None) => ("idle", None),
        }
    }

    /// Brings the sessions file up to date.
    pub(crate) fn register(&mut self) {
        let (status, waiting_for) = self.status();
        if let Some(registry) = &mut self.registry {
            registry.set(&self.id, status, waiting_for);
        }
    }

    /// When something happens next by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let hint = self.again.as_ref().map(|(_, at)| *at + TWICE).filter(|at| *at > Instant::now());
        let late = self.late.front().map(|(due, _)| *due);
        let turn = self.turn.as_ref().filter(|_| !self.paused()).map(Turn::next);
        let wakes = self.wakes.filter(|_| self.is_free());
        [hint, late, turn, wakes].into_iter().flatten().min()
    }

    /// Lets everything happen whose time has come.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.settle_pastes(now);
        self.advance(now);
    }

    /// Everything in its place again, as far as it can be.
    pub(crate) fn close(&mut self, reason: &str) {
        if let Some(last) = self.prompts.last().cloned() {
            let line = self.lines.last_prompt(&last);
            self.write(&line);
        }
        self.servers.stop();
        self.transcript.finish();
        if let Some(registry) = &mut self.registry {
            registry.remove();
        }
        if let Some(inbox) = &self.inbox {
            let _ = std::fs::remove_file(inbox);
        }
        self.note("exit", json!({ "reason": reason }));
    }
}
