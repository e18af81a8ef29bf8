//! The program that a new window of an agent would find as `multiclaude`.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Result};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, thread};

use rustix::process::{Pid, Signal, kill_process_group};

use super::chain;
use crate::home::Home;

/// A shell that takes longer waits for something that it will never get.
const LIMIT: Duration = Duration::from_secs(10);

/// Files that a shell reads may print anything; ours is between these.
const BEGIN: &str = "multiclaude-hybrid:begin";
const END: &str = "multiclaude-hybrid:end";

/// The answer of a login shell to `command -v multiclaude`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// In the shell's words: the path of a program, an alias or a function; empty if there is
    /// none.
    Answer(OsString),
    /// The shell ended without answering.
    NoAnswer,
    /// It did not answer within 10 s, and was ended.
    TimedOut,
}

/// Asks `shell` (as in `$SHELL`), started as tmux starts it: as an interactive
/// login shell, but without a terminal and without what this process's PATH
/// has from our links. An error means that it could not be started.
pub fn seen_by_login_shell(shell: &Path, home: &Home) -> Result<Seen> {
    ask(shell, home, LIMIT)
}

fn ask(shell: &Path, home: &Home, limit: Duration) -> Result<Seen> {
    // Without the shell, `setsid` would start and fail without an error here.
    shell.metadata()?;
    let mut child = command(shell, home).spawn()?;
    let (answer, answered) = mpsc::channel();
    if let Some(out) = child.stdout.take() {
        // Not until the end of file: what the shell's files started may live on.
        thread::spawn(move || answer.send(read(out)));
    }
    let seen = match answered.recv_timeout(limit) {
        Ok(seen) => seen,
        Err(mpsc::RecvTimeoutError::Timeout) => Seen::TimedOut,
        Err(mpsc::RecvTimeoutError::Disconnected) => Seen::NoAnswer,
    };
    end(&mut child, seen != Seen::TimedOut)?;
    Ok(seen)
}

fn command(shell: &Path, home: &Home) -> Command {
    let ours = [home.shim_dir(), home.pane_dir()];
    let path = env::var_os("PATH").unwrap_or_default();
    let others = env::split_paths(&path).filter(|dir| !ours.contains(dir));
    let path = env::join_paths(others).unwrap_or_default();

    let mut command = in_own_session(shell);
    command
        .args(["-l", "-i", "-c"])
        .arg(format!("echo {BEGIN}; command -v multiclaude; echo {END}"))
        .env("HOME", home.user())
        .env("SHELL", shell)
        .env("PATH", path)
        .env_remove(chain::VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if env::var_os("TMUX").is_none() {
        // Some people's files start tmux where they are not in it.
        command.env("TMUX", "/nonexistent,0,0");
    }
    command
}

/// A program that the PATH of this process leads to.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// An interactive shell takes the terminal for itself if its session has one,
/// and stops what it was taken from. Without either helper the shell runs in our
/// session.
fn in_own_session(shell: &Path) -> Command {
    if let Some(setsid) = on_path("setsid") {
        let mut command = Command::new(setsid);
        command.arg(shell);
        command
    } else if let Some(perl) = on_path("perl") {
        let mut command = Command::new(perl);
        command.args(["-e", "use POSIX; POSIX::setsid(); exec @ARGV"]).arg(shell);
        command
    } else {
        Command::new(shell)
    }
}

fn read(out: impl Read) -> Seen {
    let mut answer = None;
    for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
        let line = OsString::from_vec(line);
        match &mut answer {
            None if line == BEGIN => answer = Some(OsString::new()),
            None => {}
            Some(answer) if line == END => return Seen::Answer(std::mem::take(answer)),
            Some(answer) if answer.is_empty() => *answer = line,
            Some(answer) => {
                answer.push("\n");
                answer.push(line);
            }
        }
    }
    Seen::NoAnswer
}

/// Lets a shell that has answered leave in its own way, for a second at most;
/// then ends it and what it waits for: its process group, which is its own
/// where its session is.
fn end(child: &mut Child, answered: bool) -> Result<()> {
    for _ in 0..if answered { 100 } else { 0 } {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    child.kill()?;
    child.wait().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn home_with(profile: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(".profile"), profile).unwrap();
        home
    }

    #[test]
    fn the_answer_is_found_among_what_the_files_of_the_shell_print() {
        let home = home_with("echo /hello; multiclaude() { :; }; echo bye");
        assert_eq!(
            ask(Path::new("/bin/bash"), &Home::new(home.path()), LIMIT).unwrap(),
            Seen::Answer("multiclaude".into())
        );
    }

    #[test]
    fn a_shell_that_waits_is_ended_with_what_it_waits_for() {
        let home = home_with("(sleep 1; touch \"$HOME/survived\") & sleep 30");
        let seen = ask(Path::new("/bin/bash"), &Home::new(home.path()), Duration::from_millis(300));
        assert_eq!(seen.unwrap(), Seen::TimedOut);
        thread::sleep(Duration::from_millis(1200));
        assert!(!home.path().join("survived").exists());
    }

    #[test]
    fn a_shell_that_leaves_gives_no_answer() {
        let home = home_with("exit 3");
        let seen = ask(Path::new("/bin/bash"), &Home::new(home.path()), LIMIT);
        assert_eq!(seen.unwrap(), Seen::NoAnswer);
    }

    #[test]
    fn a_shell_that_does_not_exist_is_an_error() {
        let home = home_with("");
        assert!(ask(Path::new("/no/such/shell"), &Home::new(home.path()), LIMIT).is_err());
    }
}
