//! Finds the tmux windows with a running claude.
//!
//! The rule: the leader of the terminal's foreground process group is not a shell, and a
//! process of that group has the agent's session id on its command line, or is called
//! claude or node.

use crate::clock;
use crate::multiclaude::LocalAgent;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);
const FIELDS: &str = "#{session_name}\t#{window_name}\t#{pane_pid}\t#{pane_dead}\t#{window_activity}\t#{session_created}\t#{pane_id}\t#{pane_in_mode}\t#{pane_current_command}";
const SHELLS: [&str; 9] = ["sh", "bash", "zsh", "fish", "dash", "ksh", "csh", "tcsh", "login"];

/// A window's first pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pane {
    /// The process id of its shell.
    pub pid: u32,
    /// The tmux id, `%0`.
    pub id: String,
    /// The program in the foreground, as tmux names it.
    pub command: String,
    /// Is it in copy mode, or another mode that takes the keys?
    pub in_mode: bool,
    dead: bool,
    /// The time of the last output, in seconds since the epoch.
    pub activity_secs: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    group: u32,
    foreground: i64,
    name: String,
    command: String,
}

/// All windows of the tmux server, and the processes in them.
#[derive(Debug, Clone, Default)]
pub struct Panes {
    windows: BTreeMap<(String, String), Pane>,
    sessions: BTreeMap<String, i64>,
    processes: Vec<Process>,
}

impl Panes {
    /// Lists all windows with one call of tmux, and all processes. Without a tmux server
    /// there are no windows.
    pub async fn look() -> Self {
        let listed = output("tmux", &["list-panes", "-a", "-F", FIELDS]).await;
        let mut panes = Self::of_tmux(&listed);
        if !panes.windows.is_empty() {
            panes.processes = processes().await;
        }
        panes
    }

    fn of_tmux(listed: &str) -> Self {
        let mut panes = Self::default();
        for line in listed.lines() {
            let fields: Vec<_> = line.split('\t').collect();
            let [session, window, pid, dead, activity, created, id, mode, command] = fields[..]
            else {
                continue;
            };
            let (Ok(pid), Ok(activity_secs)) = (pid.parse(), activity.parse()) else {
                continue;
            };
            let (id, in_mode) = (id.to_owned(), mode != "0");
            let (dead, command) = (dead == "1", command.to_owned());
            let pane = Pane { pid, id, command, in_mode, dead, activity_secs };
            let key = (session.to_owned(), window.to_owned());
            panes.windows.entry(key).or_insert(pane);
            panes.sessions.insert(session.to_owned(), created.parse().unwrap_or_default());
        }
        panes
    }

    /// When a session was created, in seconds since the epoch; `None` if it does not exist.
    pub fn session_created(&self, session: &str) -> Option<i64> {
        self.sessions.get(session).copied()
    }

    /// The window of an agent, if a claude runs in it.
    pub fn claude(&self, session: &str, agent: &LocalAgent) -> Option<&Pane> {
        let pane = self.window(session, agent)?;
        (!self.claudes(session, agent).is_empty()).then_some(pane)
    }

    /// The window of an agent, with or without a claude.
    pub fn window(&self, session: &str, agent: &LocalAgent) -> Option<&Pane> {
        let key = (session.to_owned(), agent.tmux_window.clone());
        self.windows.get(&key).filter(|pane| !pane.dead)
    }

    /// The foreground processes of an agent's window that may be its claude, the leader
    /// first; none if no claude is in the foreground.
    pub fn claudes(&self, session: &str, agent: &LocalAgent) -> Vec<u32> {
        let processes = || {
            let pane = self.window(session, agent)?;
            let shell = self.processes.iter().find(|process| process.pid == pane.pid)?;
            let group = u32::try_from(shell.foreground).ok()?;
            let members = || self.processes.iter().filter(move |process| process.group == group);
            let leader = members().find(|process| process.pid == group)?;
            let is_shell = SHELLS.contains(&leader.name.trim_start_matches('-'));
            let is_claude = |process: &&Process| {
                let named = matches!(process.name.as_str(), "claude" | "node");
                let has_id =
                    !agent.session_id.is_empty() && process.command.contains(&agent.session_id);
                named || has_id
            };
            let mut pids: Vec<_> = members().filter(is_claude).map(|process| process.pid).collect();
            // The program that the shell started comes before its children.
            pids.sort_by_key(|pid| *pid != leader.pid);
            (!is_shell).then_some(pids)
        };
        processes().unwrap_or_default()
    }

    /// The window whose shell is an ancestor of a process: session, window, and the
    /// processes in between, the youngest first.
    pub fn window_of(&self, pid: u32) -> Option<(&str, &str, Vec<u32>)> {
        let (mut line, mut at) = (Vec::new(), pid);
        // Limit the steps, in case the chain of parents is inconsistent.
        for _ in 0..64 {
            let found = self.windows.iter().find(|(_, pane)| pane.pid == at);
            if let Some(((session, window), _)) = found {
                return Some((session, window, line));
            }
            line.push(at);
            at = self.processes.iter().find(|process| process.pid == at)?.parent;
        }
        None
    }
}

/// A recent list of windows, which several callers share.
#[derive(Debug, Default)]
pub struct Windows {
    seen: tokio::sync::Mutex<(Option<Duration>, Arc<Panes>)>,
}

impl Windows {
    /// The windows as they were at most `age` ago.
    pub async fn within(&self, age: Duration) -> Arc<Panes> {
        let mut seen = self.seen.lock().await;
        let is_fresh = |at: Duration| clock::awake().saturating_sub(at) <= age;
        if !seen.0.is_some_and(is_fresh) {
            let begun = clock::awake();
            *seen = (Some(begun), Arc::new(Panes::look().await));
        }
        Arc::clone(&seen.1)
    }
}

/// All processes, from `/proc`.
#[cfg(target_os = "linux")]
#[allow(clippy::unused_async, reason = "elsewhere it runs a program")]
async fn processes() -> Vec<Process> {
    let pids = crate::dirs::names(std::path::Path::new("/proc")).unwrap_or_default();
    let read = |pid: &String| {
        let pid: u32 = pid.parse().ok()?;
        // pid (name) state parent group session terminal foreground …
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, rest) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let mut fields = rest.split_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let (group, mut fields) = (fields.next()?.parse().ok()?, fields.skip(2));
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let foreground = fields.next()?.parse().ok()?;
        Some(Process { pid, parent, group, foreground, name, command })
    };
    pids.iter().filter_map(read).collect()
}

/// All processes, from `ps`.
#[cfg(not(target_os = "linux"))]
async fn processes() -> Vec<Process> {
    let listed = output("ps", &["-A", "-o", "pid=,ppid=,pgid=,tpgid=,comm=,args="]).await;
    listed.lines().filter_map(process).collect()
}

/// Reads a line of `ps`.
#[cfg(any(test, not(target_os = "linux")))]
fn process(line: &str) -> Option<Process> {
    let mut rest = line;
    let mut field = || {
        let trimmed = rest.trim_start();
        let (field, left) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        rest = left;
        (!field.is_empty()).then_some(field)
    };
    let (pid, parent, group) = (field()?, field()?, field()?);
    let (foreground, name) = (field()?, field()?);
    Some(Process {
        pid: pid.parse().ok()?,
        parent: parent.parse().ok()?,
        group: group.parse().ok()?,
        foreground: foreground.parse().ok()?,
        // macOS prints the whole path.
        name: name.rsplit('/').next().unwrap_or(name).to_owned(),
        command: rest.trim_start().to_owned(),
    })
}

async fn output(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panes(processes: &str) -> Panes {
        let mut panes = Panes::of_tmux(
            "mc-app\tfox\t100\t0\t1700\t1600\t%0\t0\tclaude\nmc-app\tdead\t200\t1\t1\t1600\t%1\t0\tbash\n",
        );
        panes.processes = processes.lines().filter_map(process).collect();
        panes
    }

    fn agent(window: &str) -> LocalAgent {
        LocalAgent {
            tmux_window: window.to_owned(),
            session_id: "5e55-10n".to_owned(),
            ..LocalAgent::default()
        }
    }

    #[tokio::test]
    async fn this_process_is_among_all_processes() {
        let all = processes().await;
        let us = all.iter().find(|process| process.pid == std::process::id()).unwrap();
        assert!(us.group > 0 && !us.command.is_empty(), "{us:?}");
    }

    #[test]
    fn the_window_that_a_process_was_started_in_is_found() {
        let panes = panes(
            "100 1 100 101 bash bash\n101 100 101 101 claude claude\n102 101 101 101 mcp mcp\n9 1 9 9 sh sh",
        );
        assert_eq!(panes.window_of(102), Some(("mc-app", "fox", vec![102, 101])));
        assert_eq!((panes.window_of(9), panes.window_of(77)), (None, None));
    }

    #[test]
    fn a_claude_is_recognised_by_its_session_or_name_and_a_shell_is_not_one() {
        for (processes, is_claude) in [
            // A native claude, a script, node, one with another name.
            (
                "100 1 100 101 -bash -bash\n101 100 101 101 claude claude --session-id 5e55-10n",
                true,
            ),
            ("100 1 100 101 bash bash\n101 100 101 101 python3 python3 fake 5e55-10n", true),
            ("100 1 100 101 bash bash\n101 100 101 101 node node cli.js", true),
            (
                "100 1 100 101 bash bash\n101 100 101 101 wrapper wrapper\n102 100 101 101 claude claude",
                true,
            ),
            // It has exited: the shell is in the foreground, with the id on its command line.
            ("100 1 100 100 -bash -bash -c claude 5e55-10n", false),
            // Stopped in the background.
            ("100 1 100 100 bash bash\n101 100 101 100 claude claude 5e55-10n", false),
            ("100 1 100 101 bash bash\n101 100 101 101 vim vim notes", false),
            ("", false),
        ] {
            assert_eq!(
                panes(processes).claude("mc-app", &agent("fox")).is_some(),
                is_claude,
                "{processes}"
            );
        }
        assert!(panes("200 1 200 200 claude claude").claude("mc-app", &agent("dead")).is_none());
        assert_eq!(panes("").session_created("mc-app"), Some(1600));
        assert_eq!(panes("").session_created("mc-lib"), None);
    }
}
