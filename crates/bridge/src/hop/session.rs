//! The Claude Code session of an agent: pane → process in front →
//! `sessions/<pid>.json` → transcripts (`claude-code.md`, *Proof: the transcript*).

use super::choice::Says;
use crate::clock;
use crate::multiclaude::{LocalAgent, Pane, Panes};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A process. Its start distinguishes it from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it was started, in the system's own words.
    pub start: String,
}

impl Process {
    /// The process that has this id now.
    pub fn of(pid: u32) -> Option<Self> {
        start_of(pid).map(|start| Self { pid, start })
    }

    /// How long it has lived; nothing where the system does not say.
    pub fn age(&self) -> Option<Duration> {
        // Clock ticks since the machine was started: 100 a second on Linux.
        let ticks: u64 = self.start.parse().ok()?;
        Some(clock::since_boot().saturating_sub(Duration::from_millis(ticks * 10)))
    }

    /// Does it live?
    pub fn lives(&self) -> bool {
        start_of(self.pid).as_ref() == Some(&self.start)
    }
}

/// When a process was started; nothing if there is none.
#[cfg(target_os = "linux")]
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie has ended.
    (fields.next()? != "Z").then(|| fields.nth(18).map(str::to_owned))?
}

/// When a process was started; nothing if there is none.
#[cfg(not(target_os = "linux"))]
fn start_of(pid: u32) -> Option<String> {
    let listed = std::process::Command::new("ps")
        .args(["-o", "lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// What Claude Code says of itself in `sessions/<pid>.json`. Older versions say
/// nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Said {
    /// The session now; another one after `/clear`.
    pub session_id: String,
    /// Where it was started.
    pub cwd: String,
    proc_start: String,
    /// `idle`, `busy` or `waiting`.
    pub status: String,
    /// `dialog open`, `permission prompt`, …
    pub waiting_for: Option<String>,
    /// The inbox socket.
    pub messaging_socket_path: Option<PathBuf>,
}

impl Said {
    /// What it does.
    pub(super) fn says(&self) -> Says {
        match self.status.as_str() {
            "idle" => Says::Idle,
            "waiting" => Says::Waiting,
            _ => Says::Busy,
        }
    }

    /// What the process says of itself; nothing if it is too old to do so.
    pub fn of(home: &Path, process: &Process) -> Option<Self> {
        let path = home.join(format!(".claude/sessions/{}.json", process.pid));
        let said: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        // A file of an earlier process may have been left behind.
        let ours = !cfg!(target_os = "linux") || said.proc_start == process.start;
        ours.then_some(said)
    }
}

/// An agent's session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Session {
    /// The claude in front.
    pub(super) process: Process,
    /// Its pane.
    pub(super) pane: Pane,
    /// What it says of itself.
    pub(super) said: Option<Said>,
    /// Where its transcripts are written.
    pub(super) transcripts: Vec<PathBuf>,
}

impl Session {
    /// The session of an agent, if a claude is in front in its window.
    pub(super) fn find(
        home: &Path,
        panes: &Panes,
        tmux_session: &str,
        agent: &LocalAgent,
    ) -> Option<Self> {
        let pane = panes.claude(tmux_session, agent)?;
        let pids = panes.claudes(tmux_session, agent);
        let processes: Vec<_> = pids.into_iter().filter_map(Process::of).collect();
        let said = |process: &Process| Some((process.clone(), Said::of(home, process)?));
        let (process, said) = match processes.iter().find_map(said) {
            Some((process, said)) => (process, Some(said)),
            None => (processes.first()?.clone(), None),
        };
        let worktree = Path::new(&agent.worktree_path);
        let mut dirs = vec![worktree.to_owned()];
        dirs.extend(fs::canonicalize(worktree));
        dirs.extend(said.as_ref().map(|said| PathBuf::from(&said.cwd)));
        let mut transcripts: Vec<_> = dirs.iter().map(|dir| transcripts_of(home, dir)).collect();
        transcripts.sort();
        transcripts.dedup();
        Some(Self { process, pane: pane.clone(), said, transcripts })
    }
}

/// Where a claude that was started in `dir` writes its transcripts.
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
    fn a_process_is_told_from_a_later_one_and_from_none() {
        let us = Process::of(std::process::id()).unwrap();
        assert!(us.lives());
        assert!(!Process { start: "1".to_owned(), ..us }.lives());
        assert_eq!(Process::of(u32::MAX), None);
    }

    #[test]
    fn a_file_that_another_process_left_behind_says_nothing() {
        let home = tempfile::tempdir().unwrap();
        let us = Process::of(std::process::id()).unwrap();
        let path = home.path().join(format!(".claude/sessions/{}.json", us.pid));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert_eq!(Said::of(home.path(), &us), None);
        let said = |start: &str| {
            format!(
                r#"{{"sessionId":"s","cwd":"/w","procStart":"{start}","status":"idle","new":[1]}}"#
            )
        };
        fs::write(&path, said(&us.start)).unwrap();
        assert_eq!(Said::of(home.path(), &us).unwrap().session_id, "s");
        if cfg!(target_os = "linux") {
            fs::write(&path, said("1")).unwrap();
            assert_eq!(Said::of(home.path(), &us), None);
        }
    }

    #[test]
    fn transcripts_lie_in_a_directory_named_after_that_of_the_session() {
        let path = transcripts_of(Path::new("/h"), Path::new("/h/.multiclaude/wts/a.b/fox_1"));
        assert_eq!(path, Path::new("/h/.claude/projects/-h--multiclaude-wts-a-b-fox-1"));
    }
}
