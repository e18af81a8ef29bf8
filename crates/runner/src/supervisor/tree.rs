//! All processes of a worker, whatever they did to get away: the supervisor is their
//! subreaper, so one that is orphaned becomes its child, also after `setsid`.

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
struct Seen {
    parent: u32,
    is_zombie: bool,
}

fn look() -> BTreeMap<u32, Seen> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|name| name.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, seen(pid)?))).collect()
}

fn seen(pid: u32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    Some(Seen { parent: fields.next()?.parse().ok()?, is_zombie })
}

/// A process and those above it.
pub fn ancestors(pid: u32) -> Vec<u32> {
    let mut line = vec![pid];
    while let Some(above) = line.last().and_then(|pid| seen(*pid)) {
        if above.parent == 0 || line.contains(&above.parent) {
            break;
        }
        line.push(above.parent);
    }
    line
}

/// The processes below `root`, that one not included.
fn below(root: u32, all: &BTreeMap<u32, Seen>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    loop {
        let more: Vec<_> = all
            .iter()
            .filter(|(pid, seen)| {
                (seen.parent == root || found.contains(&seen.parent)) && !found.contains(*pid)
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

/// Ends all processes below this one, and all of the control group. Returns how many
/// are left after a while. `waited` is reaped by somebody else.
///
/// A process that forks and ends in a loop is in no list for long: so this process's own
/// children, which its orphans become, are killed as fast as they can be listed, and the
/// proof that none is left is the kernel's own.
pub(super) fn end_all(group: Option<&Group>, waited: Option<Pid>) -> u64 {
    let until = Instant::now() + LIMIT;
    let mut rounds = 0_u32;
    loop {
        if let Some(group) = group {
            group.kill();
        }
        if rounds.is_multiple_of(64) {
            let all = look();
            for pid in below(std::process::id(), &all) {
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
        // One that has got a SIGKILL may take a while to end.
        if rounds.is_multiple_of(256) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The children of this process, by whichever of its threads.
fn children() -> Vec<u32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids = lists.flat_map(|list| {
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
    });
    pids.collect()
}

/// Has this process no child, not even one that has ended?
fn has_no_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// Reaps children that have ended, but not the one that somebody else waits for.
pub(super) fn reap(waited: Option<Pid>) {
    for pid in children() {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
        if waited != Some(pid) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Ends the processes of a worker whose supervisor is gone: those that have `mark` in
/// their environment or `name` as an argument, and those below them. Returns whether
/// any is left.
pub fn sweep(mark: &str, name: &str, group: Option<&Group>) -> bool {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(group) = group {
            group.kill();
        }
        let all = look();
        let has = |pid: u32| has_entry(pid, "environ", mark) || has_entry(pid, "cmdline", name);
        let first: Vec<_> = all.keys().copied().filter(|pid| has(*pid)).collect();
        let mut marked: BTreeSet<_> = first.iter().flat_map(|pid| below(*pid, &all)).collect();
        marked.extend(first);
        marked.retain(|pid| all.get(pid).is_some_and(|seen| !seen.is_zombie));
        if marked.is_empty() || Instant::now() > until {
            return !marked.is_empty();
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
    fn the_processes_below_one_are_found_however_deep() {
        let seen = |parent| Seen { parent, is_zombie: false };
        let all = BTreeMap::from([(2, seen(1)), (5, seen(2)), (3, seen(5)), (9, seen(8))]);
        assert_eq!(below(2, &all), BTreeSet::from([3, 5]));
        assert_eq!(below(9, &all), BTreeSet::new());
    }

    #[test]
    fn processes_are_ended_by_their_mark_or_name_with_those_below_them() {
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
        assert!(!sweep(mark, name, None));
        for (mut child, below) in [marked, named] {
            assert_eq!(child.wait().unwrap().signal(), Some(9));
            assert!(seen(below).is_none_or(|seen| seen.is_zombie));
        }
    }

    #[test]
    fn this_process_has_its_parent_above_it() {
        let line = ancestors(std::process::id());
        assert_eq!(line[0], std::process::id());
        assert_eq!(line[1], std::os::unix::process::parent_id());
    }
}
