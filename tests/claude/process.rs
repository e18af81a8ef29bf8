//! What `/proc` says of processes.

use std::fs;

/// The fields of `/proc/<pid>/stat` after the command's name: the first is field 3.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// When a process began: field 22, in clock ticks since the boot.
pub(crate) fn start(pid: u32) -> Option<String> {
    stat(pid)?.get(19).cloned()
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// Whether `pid` descends from `ancestor`.
pub(crate) fn descends(pid: u32, ancestor: u32) -> bool {
    let mut at = pid;
    while let Some(up) = parent(at).filter(|up| *up > 1) {
        if up == ancestor {
            return true;
        }
        at = up;
    }
    false
}
