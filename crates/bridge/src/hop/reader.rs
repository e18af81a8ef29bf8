//! Reads what sessions add to their transcripts.
//!
//! All transcripts of a directory are read: after `/clear`, a restart or a resume
//! the same agent goes on in another file there, and the id of a message tells
//! whose it is.

use super::transcript::Trace;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Bytes that are read at a time.
const STEP: u64 = 256 * 1024;
/// How exact the times of files are.
const SLACK: Duration = Duration::from_secs(2);

/// Follows the transcripts in some directories.
#[derive(Debug, Default)]
pub(super) struct Reader {
    files: BTreeMap<PathBuf, Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    offset: u64,
    /// The beginning of a line whose end was not written yet.
    half: Vec<u8>,
}

impl Reader {
    /// Follows what is added from now on.
    pub(super) fn at_end(dirs: &[PathBuf]) -> Self {
        let mut reader = Self::default();
        for path in transcripts(dirs) {
            let offset = fs::metadata(&path).map_or(0, |found| found.len());
            reader.files.insert(path, Followed { offset, half: Vec::new() });
        }
        reader
    }

    /// Follows what was written since `since_ms`, in milliseconds since the epoch,
    /// with what is before it in the same files.
    pub(super) fn since(dirs: &[PathBuf], since_ms: i64) -> Self {
        let mut reader = Self::at_end(dirs);
        reader.files.retain(|path, _| {
            let modified = fs::metadata(path).and_then(|found| found.modified());
            let modified = modified.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let since = Duration::from_millis(since_ms.unsigned_abs());
            // These are new to it, and read from their beginning.
            modified.is_some_and(|modified| modified + SLACK < since)
        });
        reader
    }

    /// Takes in what was added since the last call.
    ///
    /// # Errors
    /// A transcript cannot be read.
    pub(super) fn read(&mut self, dirs: &[PathBuf], trace: &mut Trace) -> io::Result<()> {
        for path in transcripts(dirs) {
            self.files.entry(path.clone()).or_default().read(&path, trace)?;
        }
        Ok(())
    }
}

impl Followed {
    fn read(&mut self, path: &Path, trace: &mut Trace) -> io::Result<()> {
        let length = match fs::metadata(path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if length < self.offset {
            // It was written again.
            *self = Self::default();
        }
        if length == self.offset {
            return Ok(());
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        loop {
            let mut part = Vec::new();
            let read = file.by_ref().take(STEP).read_to_end(&mut part)?;
            if read == 0 {
                return Ok(());
            }
            self.offset += read as u64;
            self.half.append(&mut part);
            let Some(end) = self.half.iter().rposition(|byte| *byte == b'\n') else {
                continue;
            };
            let rest = self.half.split_off(end + 1);
            let whole = std::mem::replace(&mut self.half, rest);
            String::from_utf8_lossy(&whole).lines().for_each(|line| trace.read(line));
        }
    }
}

fn transcripts(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let of_dir = |dir: &PathBuf| {
        let names = crate::dirs::names(dir).unwrap_or_default();
        let paths = names.into_iter().map(|name| dir.join(name));
        paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .collect()
    };
    dirs.iter().flat_map(|dir: &PathBuf| -> Vec<PathBuf> { of_dir(dir) }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::transcript::Progress;
    use super::*;
    use std::io::Write as _;

    const LINE: &str = r#"{"type":"user","message":{"content":"[msg_1 from ann (owner ann)] x"}}"#;

    fn add(path: &Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn half_a_line_is_kept_and_other_files_of_the_directory_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_owned()];
        let first = dir.path().join("a.jsonl");
        add(&first, &format!("{LINE}\n"));
        let mut reader = Reader::at_end(&dirs);
        let mut trace = Trace::new("msg_1");
        reader.read(&dirs, &mut trace).unwrap();
        assert_eq!(trace.progress, Progress::Nothing, "it was there before");
        let second = dir.path().join("b.jsonl");
        let (begin, end) = LINE.split_at(30);
        add(&second, begin);
        reader.read(&dirs, &mut trace).unwrap();
        assert_eq!(trace.progress, Progress::Nothing);
        add(&second, &format!("{end}\n"));
        reader.read(&dirs, &mut trace).unwrap();
        assert_eq!(trace.progress, Progress::Taken);
    }

    #[test]
    fn after_a_restart_what_was_written_since_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_owned()];
        let long = format!("{{\"type\":\"assistant\",\"text\":\"{}\"}}\n", "x".repeat(700_000));
        add(&dir.path().join("a.jsonl"), &format!("{long}{LINE}\n{long}"));
        let now = crate::clock::wall_ms();
        for (since, progress) in [(now, Progress::Taken), (now + 3_600_000, Progress::Nothing)] {
            let mut trace = Trace::new("msg_1");
            Reader::since(&dirs, since).read(&dirs, &mut trace).unwrap();
            assert_eq!(trace.progress, progress);
        }
    }
}
