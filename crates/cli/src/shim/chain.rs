//! The environment variable by which a shim knows that another shim has called it.
//!
//! A copy of this binary on the PATH looks like the real program, so two shims could call
//! each other for ever. Each therefore leaves in the environment its process and the
//! files that it has passed; the next one searches after those and passes everything on
//! unchanged.
//!
//! Environments are inherited: a daemon that was started through the shim
//! gives the variable to all that it ever starts. So it counts only for the
//! process that it was written for: the same one (an exec keeps the id), or a
//! child of the one that waits. With an id goes the time at which its process
//! started, where the system tells it: ids are used again.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

pub(super) const VARIABLE: &str = "MULTICLAUDE_HYBRID_EXEC";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// In this process.
    Exec,
    /// In a child of this process.
    Spawn,
}

impl Start {
    fn word(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Spawn => "spawn",
        }
    }
}

/// The variable's value for a program that is started now: `how process:file:file…`.
/// No file in it has a colon in its name, since all were found through the PATH.
pub(super) fn written(start: Start, passed: &[PathBuf]) -> OsString {
    let mut value = OsString::from(format!("{} {}", start.word(), identity(std::process::id())));
    for file in passed {
        value.push(":");
        value.push(file);
    }
    value
}

/// The files that the shims before this one have passed; none if the variable
/// was written for another process.
pub(super) fn passed() -> Vec<PathBuf> {
    let value = std::env::var_os(VARIABLE).unwrap_or_default();
    let me = |start| {
        identity(match start {
            Start::Exec => std::process::id(),
            Start::Spawn => std::os::unix::process::parent_id(),
        })
    };
    read(&value, me)
}

fn read(value: &OsStr, me: impl Fn(Start) -> String) -> Vec<PathBuf> {
    let mut parts = value.as_bytes().split(|byte| *byte == b':');
    let writer = parts.next().unwrap_or_default();
    let is_mine = [Start::Exec, Start::Spawn]
        .into_iter()
        .any(|start| writer == format!("{} {}", start.word(), me(start)).as_bytes());
    if !is_mine {
        return Vec::new();
    }
    parts.map(|part| PathBuf::from(OsString::from_vec(part.to_vec()))).collect()
}

/// A process's id and, on Linux, when it started, in clock ticks since the boot.
fn identity(pid: u32) -> String {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    match started(&String::from_utf8_lossy(&stat)) {
        Some(ticks) => format!("{pid}.{ticks}"),
        None => pid.to_string(),
    }
}

/// The 22nd field of `/proc/<pid>/stat` (proc(5)). The second is the name in
/// parentheses, and may contain anything.
fn started(stat: &str) -> Option<&str> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_value_for_this_process_is_read() {
        let files = [PathBuf::from("/a b/multiclaude"), PathBuf::from("/c/m")];
        let value = written(Start::Exec, &files);
        let mine = identity(std::process::id());
        assert_eq!(read(&value, |_| mine.clone()), files);
        assert!(read(&value, |_| "1.2".to_owned()).is_empty());
        let parent_only = |start| match start {
            Start::Exec => "1.2".to_owned(),
            Start::Spawn => mine.clone(),
        };
        assert!(read(&value, parent_only).is_empty());
        assert_eq!(read(&written(Start::Spawn, &files), parent_only), files);
    }

    #[test]
    fn a_malformed_value_is_ignored() {
        for value in ["", ":", "exec", "exec :/a", "7:/a", "exec 7"] {
            assert!(read(OsStr::new(value), |_| "8".to_owned()).is_empty());
        }
    }

    #[test]
    fn the_start_time_is_found_after_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(started(stat), Some("4711"));
        assert_eq!(started(""), None);
    }
}
