//! Reads the new lines of transcripts.
//!
//! All transcripts of a directory are read: after `/clear`, a restart or a resume the same
//! agent goes on in another file there. The id of a message shows which agent took it.

use super::transcript::Trace;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes that are read at a time.
const STEP: u64 = 256 * 1024;

/// Follows the transcripts in some directories.
#[derive(Debug, Default)]
pub(super) struct Reader {
    files: BTreeMap<PathBuf, Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    offset: u64,
    /// The beginning of a line that is not complete yet.
    half: Vec<u8>,
}

impl Reader {
    /// Follows lines that are added from now on.
    pub(super) fn at_end(dirs: &[PathBuf]) -> Self {
        let mut reader = Self::default();
        for path in transcripts(dirs) {
            let offset = fs::metadata(&path).map_or(0, |found| found.len());
            reader.files.insert(path, Followed { offset, half: Vec::new() });
        }
        reader
    }

    /// Follows lines that are added after these places.
    pub(super) fn after(places: BTreeMap<PathBuf, u64>) -> Self {
        let followed = |offset| Followed { offset, half: Vec::new() };
        Self { files: places.into_iter().map(|(path, at)| (path, followed(at))).collect() }
    }

    /// The place in each file up to which lines were read.
    pub(super) fn places(&self) -> BTreeMap<PathBuf, u64> {
        self.files.iter().map(|(path, followed)| (path.clone(), followed.offset)).collect()
    }

    /// Reads the lines that were added since the last call into `trace`.
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
            // The file was replaced by a shorter one.
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
    fn an_incomplete_line_is_kept_and_new_files_of_the_directory_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_owned()];
        let first = dir.path().join("a.jsonl");
        add(&first, &format!("{LINE}\n"));
        let mut reader = Reader::at_end(&dirs);
        let mut trace = Trace::new("msg_1", true);
        reader.read(&dirs, &mut trace).unwrap();
        assert_eq!(trace.progress, Progress::Nothing, "an old line");
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
    fn reading_continues_after_the_given_places() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_owned()];
        let path = dir.path().join("a.jsonl");
        let long = format!("{{\"type\":\"assistant\",\"text\":\"{}\"}}\n", "x".repeat(700_000));
        add(&path, &format!("{long}{LINE}\n"));
        let places = Reader::at_end(&dirs).places();
        let after = |places: &BTreeMap<PathBuf, u64>| {
            let mut trace = Trace::new("msg_1", true);
            Reader::after(places.clone()).read(&dirs, &mut trace).unwrap();
            trace.progress
        };
        assert_eq!(after(&places), Progress::Nothing, "the line of an earlier attempt");
        add(&path, &format!("{long}{LINE}\n{long}"));
        assert_eq!(after(&places), Progress::Taken);
        // A new file is read from its beginning.
        assert_eq!(after(&BTreeMap::new()), Progress::Taken);
    }
}
