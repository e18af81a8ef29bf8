//! The Claude Code session of an agent: pane → foreground process → `sessions/<pid>.json`
//! → transcripts.

use super::choice::Activity;
use crate::clock;
use crate::multiclaude::{LocalAgent, Pane, Panes};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A process. The start time distinguishes it from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The process id.
    pub pid: u32,
    /// The start time, in the system's own format.
    pub start: String,
}

impl Process {
    /// The process that has this id now.
    pub fn of(pid: u32) -> Option<Self> {
        start_of(pid).map(|start| Self { pid, start })
    }

    /// How long it has run; `None` if the system does not show that.
    pub fn age(&self) -> Option<Duration> {
        // Clock ticks since the boot: 100 a second on Linux.
        let ticks: u64 = self.start.parse().ok()?;
        Some(clock::since_boot().saturating_sub(Duration::from_millis(ticks * 10)))
    }

    /// Is it still running?
    pub fn lives(&self) -> bool {
        start_of(self.pid).as_ref() == Some(&self.start)
    }
}

/// The start time of a process; `None` if there is none.
#[cfg(target_os = "linux")]
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie counts as ended.
    (fields.next()? != "Z").then(|| fields.nth(18).map(str::to_owned))?
}

/// The start time of a process; `None` if there is none.
#[cfg(not(target_os = "linux"))]
fn start_of(pid: u32) -> Option<String> {
    let listed = std::process::Command::new("ps")
        .args(["-o", "lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Claude Code's `sessions/<pid>.json`. Older versions do not write it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionFile {
    /// The current session, which changes with `/clear`.
    pub session_id: String,
    /// The directory that it was started in.
    pub cwd: String,
    proc_start: String,
    /// `idle`, `busy` or `waiting`.
    pub status: String,
    /// `dialog open`, `permission prompt`, …
    pub waiting_for: Option<String>,
    /// The session's inbox socket.
    pub messaging_socket_path: Option<PathBuf>,
}

impl SessionFile {
    /// The reported activity.
    pub(super) fn activity(&self) -> Activity {
        match self.status.as_str() {
            "idle" => Activity::Idle,
            "waiting" => Activity::Waiting,
            _ => Activity::Busy,
        }
    }

    /// Reads the file of a process; `None` if it is too old to write one.
    pub fn read(home: &Path, process: &Process) -> Option<Self> {
        let path = home.join(format!(".claude/sessions/{}.json", process.pid));
        let file: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        // The file may be left over from an earlier process.
        let ours = !cfg!(target_os = "linux") || file.proc_start == process.start;
        ours.then_some(file)
    }
}

/// An agent's session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Session {
    /// The claude in the foreground.
    pub(super) process: Process,
    /// The pane that it runs in.
    pub(super) pane: Pane,
    /// The session file, if the claude writes one.
    pub(super) file: Option<SessionFile>,
    /// The directories of its transcripts.
    pub(super) transcripts: Vec<PathBuf>,
}

impl Session {
    /// The session of an agent, if a claude is in the foreground of its window.
    pub(super) fn find(
        home: &Path,
        panes: &Panes,
        tmux_session: &str,
        agent: &LocalAgent,
    ) -> Option<Self> {
        let pane = panes.claude(tmux_session, agent)?;
        let pids = panes.claudes(tmux_session, agent);
        let processes: Vec<_> = pids.into_iter().filter_map(Process::of).collect();
        let file = |process: &Process| Some((process.clone(), SessionFile::read(home, process)?));
        let (process, file) = match processes.iter().find_map(file) {
            Some((process, file)) => (process, Some(file)),
            None => (processes.first()?.clone(), None),
        };
        let worktree = Path::new(&agent.worktree_path);
        let mut dirs = vec![worktree.to_owned()];
        dirs.extend(fs::canonicalize(worktree));
        dirs.extend(file.as_ref().map(|file| PathBuf::from(&file.cwd)));
        let mut transcripts: Vec<_> = dirs.iter().map(|dir| transcripts_of(home, dir)).collect();
        transcripts.sort();
        transcripts.dedup();
        Some(Self { process, pane: pane.clone(), file, transcripts })
    }
}

/// The directory for the transcripts of a claude that was started in `dir`.
pub(super) fn transcripts_of(home: &Path, dir: &Path) -> PathBuf {
    let name = dir.to_string_lossy();
    let name: String = name
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
        .collect();
    home.join(".claude/projects").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_distinguished_from_a_later_one_with_the_same_id() {
        let us = Process::of(std::process::id()).unwrap();
        assert!(us.lives());
        assert!(!Process { start: "1".to_owned(), ..us }.lives());
        assert_eq!(Process::of(u32::MAX), None);
    }

    #[test]
    fn the_session_file_of_an_earlier_process_is_ignored() {
        let home = tempfile::tempdir().unwrap();
        let us = Process::of(std::process::id()).unwrap();
        let path = home.path().join(format!(".claude/sessions/{}.json", us.pid));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert_eq!(SessionFile::read(home.path(), &us), None);
        let file = |start: &str| {
            format!(
                r#"{{"sessionId":"s","cwd":"/w","procStart":"{start}","status":"idle","new":[1]}}"#
            )
        };
        fs::write(&path, file(&us.start)).unwrap();
        assert_eq!(SessionFile::read(home.path(), &us).unwrap().session_id, "s");
        if cfg!(target_os = "linux") {
            fs::write(&path, file("1")).unwrap();
            assert_eq!(SessionFile::read(home.path(), &us), None);
        }
    }

    #[test]
    fn the_directory_of_transcripts_is_named_after_that_of_the_session() {
        let path = transcripts_of(Path::new("/h"), Path::new("/h/.multiclaude/wts/a.b/fox_1"));
        assert_eq!(path, Path::new("/h/.claude/projects/-h--multiclaude-wts-a-b-fox-1"));
    }
}
