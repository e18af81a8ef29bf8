//! The message that was handed to an agent and is not proven to be taken yet. It is
//! on disk before the carrier begins, so that no crash makes the carrier repeat it.

use super::choice::Carrier;
use super::reader::Reader;
use super::session::{Process, Session};
use super::transcript::{Progress, Trace};
use crate::clock;
use crate::dirs::{remove, write_durably};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is on disk of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    id: String,
    carrier: Carrier,
    /// The claude that gets it.
    claude: Process,
    transcripts: Vec<PathBuf>,
    at_ms: i64,
    /// The carrier has done its part.
    posted: bool,
}

/// A message on its way from the bridge to the agent.
#[derive(Debug)]
pub(super) struct Flight {
    path: PathBuf,
    record: Record,
    reader: Reader,
    trace: Trace,
    begun: Duration,
    /// How often Enter was sent, and when last.
    pub(super) enters: u32,
    pub(super) entered: Duration,
    /// When its claude was first seen dead.
    dead: Option<Duration>,
}

impl Flight {
    /// Begins: from here on, a crash does not make the message come twice.
    pub(super) fn begin(
        path: PathBuf,
        id: &str,
        carrier: Carrier,
        session: &Session,
    ) -> io::Result<Self> {
        let record = Record {
            id: id.to_owned(),
            carrier,
            claude: session.process.clone(),
            transcripts: session.transcripts.clone(),
            at_ms: clock::wall_ms(),
            posted: false,
        };
        let reader = Reader::at_end(&record.transcripts);
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
        let reader = Reader::since(&record.transcripts, record.at_ms);
        let mut flight = Self::of(path, record, reader);
        // It may have been long ago.
        let ago = Duration::from_millis((clock::wall_ms() - flight.record.at_ms).unsigned_abs());
        flight.begun = flight.begun.saturating_sub(ago);
        Ok(Some(flight))
    }

    fn of(path: PathBuf, record: Record, reader: Reader) -> Self {
        let trace = Trace::new(&record.id);
        Self {
            path,
            record,
            reader,
            trace,
            begun: clock::since_boot(),
            enters: 0,
            entered: Duration::ZERO,
            dead: None,
        }
    }

    fn write(&self) -> io::Result<()> {
        write_durably(&self.path, &serde_json::to_vec(&self.record)?, 0o600)
    }

    /// The carrier has done its part.
    pub(super) fn posted(&mut self) -> io::Result<()> {
        self.record.posted = true;
        self.write()
    }

    /// It is over: the message was taken, or nothing was handed over.
    pub(super) fn end(self) -> io::Result<()> {
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
        self.reader.read(&self.record.transcripts, &mut self.trace)?;
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

    /// Does the session that it was handed to write a transcript?
    pub(super) fn has_transcript(&self, session_id: Option<&str>) -> bool {
        let name = |id: &str| format!("{id}.jsonl");
        let dirs = &self.record.transcripts;
        session_id.is_some_and(|id| dirs.iter().any(|dir: &PathBuf| dir.join(name(id)).exists()))
    }
}

/// Where it is on disk.
pub(super) fn path(inbox: &Path) -> PathBuf {
    inbox.join("flight.json")
}
