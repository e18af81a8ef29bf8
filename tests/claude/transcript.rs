//! The transcript file: append-only JSON lines, each 130 ms late.

use serde_json::Value;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

const LATE: Duration = Duration::from_millis(130);

/// A line longer than this arrives in two halves: readers must keep the first.
const LONG: usize = 1024;

/// Writes transcripts, from a thread of its own. What is not written yet is lost
/// when the process is killed.
#[derive(Debug)]
pub(crate) struct Transcript {
    lines: Option<Sender<(Instant, PathBuf, String)>>,
    writer: Option<JoinHandle<()>>,
}

impl Transcript {
    pub(crate) fn new() -> Self {
        let (lines, written) = channel::<(Instant, PathBuf, String)>();
        let writer = thread::spawn(move || {
            for (due, path, line) in written {
                sleep(due.saturating_duration_since(Instant::now()));
                append(&path, line.as_bytes());
            }
        });
        Self { lines: Some(lines), writer: Some(writer) }
    }

    pub(crate) fn write(&self, path: &Path, line: &Value) {
        if let Some(lines) = &self.lines {
            let _ = lines.send((Instant::now() + LATE, path.to_owned(), format!("{line}\n")));
        }
    }

    /// Waits until everything is written.
    pub(crate) fn finish(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn append(path: &Path, line: &[u8]) {
    // Not in a home that was removed meanwhile.
    if !path.ancestors().nth(4).is_some_and(Path::exists) {
        return;
    }
    let _ = path.parent().map(fs::create_dir_all);
    let Ok(mut file) = File::options().create(true).append(true).mode(0o600).open(path) else {
        return;
    };
    let (first, second) = line.split_at(if line.len() > LONG { line.len() / 2 } else { 0 });
    if !first.is_empty() {
        let _ = file.write_all(first);
        sleep(Duration::from_millis(3));
    }
    let _ = file.write_all(second);
}

/// `~/.claude/projects/<cwd, every non-alphanumeric character a dash>/<id>.jsonl`.
pub(crate) fn path(home: &Path, cwd: &Path, id: &str) -> PathBuf {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let project: String = cwd.to_string_lossy().chars().map(plain).collect();
    home.join(".claude/projects").join(project).join(format!("{id}.jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_the_working_directory_with_dashes() {
        let path = path(Path::new("/h"), Path::new("/tmp/a.b/é_c"), "x");
        assert_eq!(path, Path::new("/h/.claude/projects/-tmp-a-b---c/x.jsonl"));
    }
}
