//! The message that was handed to an agent and is not proven to be taken yet. Its record
//! is on disk before the carrier begins, so that it is not repeated after a crash.

use super::choice::{Activity, Carrier};
use super::reader::Reader;
use super::session::{Process, Session, SessionFile};
use super::transcript::{Progress, Trace};
use crate::clock;
use crate::dirs::{remove, write_durably};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::block_in_place;

/// The record on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    id: String,
    carrier: Carrier,
    /// The claude that gets it.
    claude: Process,
    /// The text that was handed over.
    text: String,
    /// The directories of its session's transcripts, and the length of each transcript.
    transcripts: Vec<PathBuf>,
    places: BTreeMap<PathBuf, u64>,
    at_ms: i64,
    /// The carrier has done its part.
    posted: bool,
    /// How often Enter was pressed, counted before each.
    enters: u32,
}

/// A message on its way from the bridge to the agent.
#[derive(Debug)]
pub(super) struct Flight {
    path: PathBuf,
    record: Record,
    reader: Reader,
    trace: Trace,
    begun: Duration,
    /// When Enter was pressed last.
    entered: Duration,
    /// When its claude was first found dead.
    dead: Option<Duration>,
    /// The last readable session file: the current one may be half written.
    file: Option<SessionFile>,
    /// Since when its claude reports to be idle.
    idle: Option<Duration>,
}

impl Flight {
    /// Begins a flight: from here on, a crash does not make the message come twice.
    pub(super) fn begin(
        path: PathBuf,
        id: &str,
        (carrier, text): (Carrier, &str),
        session: &Session,
    ) -> io::Result<Self> {
        let reader = Reader::at_end(&session.transcripts);
        let record = Record {
            id: id.to_owned(),
            carrier,
            claude: session.process.clone(),
            text: text.to_owned(),
            transcripts: session.transcripts.clone(),
            places: reader.places(),
            at_ms: clock::wall_ms(),
            posted: false,
            enters: 0,
        };
        let flight = Self::of(path, record, reader);
        flight.write()?;
        Ok(flight)
    }

    /// The flight that an earlier process has begun, if any.
    pub(super) fn resume(path: PathBuf) -> io::Result<Option<Self>> {
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let record: Record = serde_json::from_slice(&text)?;
        let reader = Reader::after(record.places.clone());
        let mut flight = Self::of(path, record, reader);
        // It may have begun long ago.
        let ago = Duration::from_millis((clock::wall_ms() - flight.record.at_ms).unsigned_abs());
        flight.begun = flight.begun.saturating_sub(ago);
        Ok(Some(flight))
    }

    fn of(path: PathBuf, record: Record, reader: Reader) -> Self {
        let trace = Trace::new(&record.id, record.carrier == Carrier::Channel);
        Self {
            path,
            record,
            reader,
            trace,
            begun: clock::since_boot(),
            entered: Duration::ZERO,
            dead: None,
            file: None,
            idle: None,
        }
    }

    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.record)?;
        block_in_place(|| write_durably(&self.path, &text, 0o600))
    }

    /// Records that the carrier has done its part.
    pub(super) fn posted(&mut self) -> io::Result<()> {
        self.record.posted = true;
        self.write()
    }

    /// Records that Enter is about to be pressed.
    pub(super) fn entering(&mut self) -> io::Result<()> {
        self.record.enters += 1;
        self.entered = clock::since_boot();
        self.write()
    }

    /// How often Enter was pressed, and how long ago the last time.
    pub(super) fn enters(&self) -> (u32, Duration) {
        (self.record.enters, clock::since_boot().saturating_sub(self.entered))
    }

    /// The text that was handed over.
    pub(super) fn text(&self) -> &str {
        &self.record.text
    }

    /// The activity that its claude reports, and for how long it has been idle.
    pub(super) fn activity(&mut self, home: &Path) -> (Activity, Duration) {
        self.file = SessionFile::read(home, &self.record.claude).or(self.file.take());
        let activity = self.file.as_ref().map_or(Activity::Unknown, SessionFile::activity);
        if activity == Activity::Idle {
            let since = *self.idle.get_or_insert_with(clock::since_boot);
            return (activity, clock::since_boot().saturating_sub(since));
        }
        self.idle = None;
        (activity, Duration::ZERO)
    }

    /// Removes the record: the message was taken, or nothing was handed over.
    pub(super) fn end(&self) -> io::Result<()> {
        remove(&self.path)
    }

    pub(super) fn id(&self) -> &str {
        &self.record.id
    }

    pub(super) fn carrier(&self) -> Carrier {
        self.record.carrier
    }

    pub(super) fn is_posted(&self) -> bool {
        self.record.posted
    }

    pub(super) fn ago(&self) -> Duration {
        clock::since_boot().saturating_sub(self.begun)
    }

    pub(super) fn claude(&self) -> &Process {
        &self.record.claude
    }

    /// How far the message has come in the transcripts.
    pub(super) fn progress(&mut self) -> io::Result<Progress> {
        block_in_place(|| self.reader.read(&self.record.transcripts, &mut self.trace))?;
        Ok(self.trace.progress)
    }

    /// Is its claude alive? A dead one counts as alive for a second, so that its last
    /// lines are read.
    pub(super) fn lives(&mut self) -> bool {
        if self.record.claude.lives() {
            return true;
        }
        let dead = *self.dead.get_or_insert_with(clock::since_boot);
        clock::since_boot().saturating_sub(dead) < Duration::from_secs(1)
    }

    /// Is there a transcript of the session that got the message?
    pub(super) fn has_transcript(&self) -> bool {
        let name = self.file.as_ref().map(|file| format!("{}.jsonl", file.session_id));
        self.record.transcripts.iter().any(|dir: &PathBuf| match &name {
            Some(name) => dir.join(name).exists(),
            None => fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some()),
        })
    }
}

/// The path of the record.
pub(super) fn path(inbox: &Path) -> PathBuf {
    inbox.join("flight.json")
}
