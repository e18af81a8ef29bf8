//! The message that was handed to an agent and is not proven to be taken yet. It is
//! on disk before the carrier begins, so that no crash makes the carrier repeat it.

use super::choice::{Carrier, Says};
use super::reader::Reader;
use super::session::{Process, Said, Session};
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

/// What is on disk of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    id: String,
    carrier: Carrier,
    /// The claude that gets it.
    claude: Process,
    /// What was handed over.
    text: String,
    /// Where its session writes transcripts, and how far each had been written.
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
    /// When its claude was first seen dead.
    dead: Option<Duration>,
    /// What its claude has said last: the file may be read half written.
    said: Option<Said>,
    /// Since when it says that it is idle.
    idle: Option<Duration>,
}

impl Flight {
    /// Begins: from here on, a crash does not make the message come twice.
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

    /// The one that an earlier process has begun.
    pub(super) fn resume(path: PathBuf) -> io::Result<Option<Self>> {
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let record: Record = serde_json::from_slice(&text)?;
        let reader = Reader::after(record.places.clone());
        let mut flight = Self::of(path, record, reader);
        // It may have been long ago.
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
            said: None,
            idle: None,
        }
    }

    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.record)?;
        block_in_place(|| write_durably(&self.path, &text, 0o600))
    }

    /// The carrier has done its part.
    pub(super) fn posted(&mut self) -> io::Result<()> {
        self.record.posted = true;
        self.write()
    }

    /// Enter is about to be pressed.
    pub(super) fn entering(&mut self) -> io::Result<()> {
        self.record.enters += 1;
        self.entered = clock::since_boot();
        self.write()
    }

    /// How often Enter was pressed, and how long ago the last time.
    pub(super) fn enters(&self) -> (u32, Duration) {
        (self.record.enters, clock::since_boot().saturating_sub(self.entered))
    }

    /// What was handed over.
    pub(super) fn text(&self) -> &str {
        &self.record.text
    }

    /// What its claude says that it does, and for how long it has been idle.
    pub(super) fn says(&mut self, home: &Path) -> (Says, Duration) {
        self.said = Said::of(home, &self.record.claude).or(self.said.take());
        let says = self.said.as_ref().map_or(Says::Nothing, Said::says);
        if says == Says::Idle {
            let since = *self.idle.get_or_insert_with(clock::since_boot);
            return (says, clock::since_boot().saturating_sub(since));
        }
        self.idle = None;
        (says, Duration::ZERO)
    }

    /// It is over: the message was taken, or nothing was handed over.
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

    /// How far it has come.
    pub(super) fn progress(&mut self) -> io::Result<Progress> {
        block_in_place(|| self.reader.read(&self.record.transcripts, &mut self.trace))?;
        Ok(self.trace.progress)
    }

    /// Does the claude that got it live? What a dying one has written last is read
    /// first.
    pub(super) fn lives(&mut self) -> bool {
        if self.record.claude.lives() {
            return true;
        }
        let dead = *self.dead.get_or_insert_with(clock::since_boot);
        clock::since_boot().saturating_sub(dead) < Duration::from_secs(1)
    }

    /// Is there a transcript of the session that it was handed to?
    pub(super) fn has_transcript(&self) -> bool {
        let name = self.said.as_ref().map(|said| format!("{}.jsonl", said.session_id));
        self.record.transcripts.iter().any(|dir: &PathBuf| match &name {
            Some(name) => dir.join(name).exists(),
            None => fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some()),
        })
    }
}

/// Where it is on disk.
pub(super) fn path(inbox: &Path) -> PathBuf {
    inbox.join("flight.json")
}
