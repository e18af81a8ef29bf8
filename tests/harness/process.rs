//! Programs that tests start: signalled by system calls, and never waited for
//! without a deadline.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any command of a test takes, on the slowest machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(10);

/// Makes the program lead a process group of its own, so that it can be ended
/// with everything that it has started.
pub fn grouped(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// Runs a program with `input` on its standard input and gives its output.
///
/// # Panics
/// If it does not start, or is not through within `limit`; it is killed then.
pub fn output(command: &mut Command, input: &[u8], limit: Duration) -> Output {
    let program = format!("{:?}", command.get_program());
    let stdin = if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    grouped(command)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{program} did not start: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        // A command that fails early does not read it.
        let _ = stdin.write_all(input);
    }
    finish(child, limit)
}

/// Waits for a program that leads its group (see [`grouped`]), and gives its
/// output.
///
/// # Panics
/// If it does not end within `limit`; its group is killed then.
pub fn finish(child: Child, limit: Duration) -> Output {
    let pid = Pid::from_child(&child);
    let (done, ended) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let late = ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if late {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        late
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    let late = watch.join().unwrap();
    assert!(
        !late,
        "process {pid:?} did not end within {limit:?} and was killed: {output:?}"
    );
    output
}

/// Sends SIGINT to a process.
pub fn interrupt(child: u32) {
    signal(child, Signal::INT);
}

fn signal(child: u32, signal: Signal) {
    let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
    // It may have ended meanwhile.
    let _ = kill_process(pid.expect("a process id"), signal);
}

/// Kills a program that leads its group, with the group, and waits for its end.
///
/// # Panics
/// If it is still there after 10 s.
pub fn kill(child: &mut Child, what: &str) {
    // A group of nobody: its leader has ended, and all the others.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let deadline = Instant::now() + KILLED;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let said = format!(
                "{what} (process {}) did not end {KILLED:?} after SIGKILL",
                child.id()
            );
            if thread::panicking() {
                eprintln!("{said}");
                return;
            }
            panic!("{said}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}
