//! Finds and ends all processes of a worker. The supervisor is their subreaper, so an
//! orphaned process becomes its child, also after `setsid`.

use super::Group;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, waitid, waitpid,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long processes may take to end after SIGKILL.
const LIMIT: Duration = Duration::from_secs(5);

/// A process, as `/proc` shows it.
#[derive(Debug, Clone, Copy)]
struct ProcessInfo {
    parent: u32,
    is_zombie: bool,
}

fn processes() -> BTreeMap<u32, ProcessInfo> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|name| name.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, process(pid)?))).collect()
}

fn process(pid: u32) -> Option<ProcessInfo> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    Some(ProcessInfo { parent: fields.next()?.parse().ok()?, is_zombie })
}

/// A process and its ancestors, from the process upwards.
pub fn ancestors(pid: u32) -> Vec<u32> {
    let mut line = vec![pid];
    while let Some(above) = line.last().and_then(|pid| process(*pid)) {
        if above.parent == 0 || line.contains(&above.parent) {
            break;
        }
        line.push(above.parent);
    }
    line
}

/// The descendants of `root`, without `root` itself.
fn descendants(root: u32, all: &BTreeMap<u32, ProcessInfo>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    loop {
        let more: Vec<_> = all
            .iter()
            .filter(|(pid, process)| {
                (process.parent == root || found.contains(&process.parent)) && !found.contains(*pid)
            })
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Kills all descendants of this process, and all processes of the control group. Returns
/// how many are left after [`LIMIT`]. It does not reap `waited`, for which another thread
/// waits.
///
/// A chain of processes that fork and exit is hard to catch in a list. Its orphans become
/// children of this process, so these are killed as fast as they can be listed, until the
/// kernel reports that there are no children.
pub(super) fn kill_descendants(group: Option<&Group>, waited: Option<Pid>) -> u64 {
    let until = Instant::now() + LIMIT;
    let mut rounds = 0_u32;
    loop {
        if let Some(group) = group {
            group.kill();
        }
        if rounds.is_multiple_of(64) {
            let all = processes();
            for pid in descendants(std::process::id(), &all) {
                signal(pid, Signal::KILL);
            }
        }
        let own = children();
        for pid in &own {
            signal(*pid, Signal::KILL);
        }
        reap(waited);
        let grouped = group.map_or(0, Group::count);
        if has_no_children() && grouped == 0 {
            return 0;
        }
        if Instant::now() > until {
            return (own.len() as u64).max(grouped).max(1);
        }
        rounds += 1;
        // A process may take a while to end after SIGKILL.
        if rounds.is_multiple_of(256) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The children of all threads of this process.
fn children() -> Vec<u32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids = lists.flat_map(|list| {
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
    });
    pids.collect()
}

/// Has this process no children, not even zombies?
fn has_no_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// Reaps children that have ended, except `waited`.
pub(super) fn reap(waited: Option<Pid>) {
    for pid in children() {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
        if waited != Some(pid) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Kills the processes of a worker whose supervisor was killed: those with `mark` in their
/// environment or `name` as an argument, and their descendants. Returns whether any is
/// left.
pub fn kill_marked(mark: &str, name: &str, group: Option<&Group>) -> bool {
    let until = Instant::now() + LIMIT;
    let mut killed = BTreeSet::new();
    loop {
        if let Some(group) = group {
            group.kill();
        }
        let all = processes();
        let is_alive = |pid: &u32| all.get(pid).is_some_and(|process| !process.is_zombie);
        let has = |pid: u32| has_entry(pid, "environ", mark) || has_entry(pid, "cmdline", name);
        let first: Vec<_> = all.keys().copied().filter(|pid| has(*pid)).collect();
        let mut marked: BTreeSet<_> =
            first.iter().flat_map(|pid| descendants(*pid, &all)).collect();
        marked.extend(first);
        marked.retain(is_alive);
        // A descendant that is about to end is found by nothing once its parent has ended.
        killed.retain(is_alive);
        killed.extend(&marked);
        if killed.is_empty() || Instant::now() > until {
            return !killed.is_empty();
        }
        for pid in marked {
            signal(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Is this one of a process's variables (`environ`) or arguments (`cmdline`)?
fn has_entry(pid: u32, file: &str, entry: &str) -> bool {
    let entries = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    entries.split(|byte| *byte == 0).any(|found| found == entry.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    #[test]
    fn descendants_are_found_at_any_depth() {
        let process = |parent| ProcessInfo { parent, is_zombie: false };
        let all =
            BTreeMap::from([(2, process(1)), (5, process(2)), (3, process(5)), (9, process(8))]);
        assert_eq!(descendants(2, &all), BTreeSet::from([3, 5]));
        assert_eq!(descendants(9, &all), BTreeSet::new());
    }

    #[test]
    fn marked_and_named_processes_are_killed_with_their_descendants() {
        let (mark, name) = ("MARK_OF_A_TEST=7d1f", "name-of-a-test-7d1f");
        let start = |command: &mut Command| {
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            (child, line.trim().parse::<u32>().unwrap())
        };
        let shell = ["-c", "env -i sleep 60 & echo $!; wait"];
        let (variable, value) = mark.split_once('=').unwrap();
        let marked = start(Command::new("sh").args(shell).env(variable, value));
        let named = start(Command::new("sh").args(shell).arg(name));
        assert!(!kill_marked(mark, name, None));
        for (mut child, descendant) in [marked, named] {
            assert_eq!(child.wait().unwrap().signal(), Some(9));
            assert!(process(descendant).is_none_or(|process| process.is_zombie));
        }
    }

    #[test]
    fn the_first_ancestor_of_this_process_is_its_parent() {
        let line = ancestors(std::process::id());
        assert_eq!(line[0], std::process::id());
        assert_eq!(line[1], std::os::unix::process::parent_id());
    }
}
