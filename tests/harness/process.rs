//! Programs that tests start: signalled by system calls, and never waited for
//! without a deadline.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything that a test waits for takes, on the slowest machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How long the output of a killed process may take to end.
const KILLED: Duration = Duration::from_secs(10);

/// Makes the program lead a process group of its own, so that it can be ended
/// with everything that it has started.
pub fn grouped(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// A line of shell in a user namespace of its own, with the environment of
/// `program`; `more` are further namespaces.
pub fn in_namespace(program: &Command, more: &[&str], line: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).args(more).args(["sh", "-c", line]);
    let environment = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(environment);
    grouped(&mut command);
    command
}

/// Runs a program with `input` on its standard input and gives its output. One that does
/// not end within `limit` is killed.
#[track_caller]
pub fn output(command: &mut Command, input: &[u8], limit: Duration) -> Output {
    let program = command.get_program().display().to_string();
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    grouped(command).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{program} did not start: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // Beside the reading of its output; a command that fails early reads nothing.
        thread::spawn(move || stdin.write_all(&input));
    }
    finish(child, &program, limit)
}

/// Waits for a program that leads its group (see [`grouped`]), and gives its
/// output; `what` names it. After `limit` its group is killed.
#[track_caller]
pub fn finish(child: Child, what: &str, limit: Duration) -> Output {
    let pid = Pid::from_child(&child);
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    if let Ok(output) = ended.recv_timeout(limit) {
        return output.unwrap();
    }
    let _ = kill_process_group(pid, Signal::KILL);
    // A process that has left the group may keep the output open for ever.
    let said = ended.recv_timeout(KILLED);
    panic!("{what} (process {pid:?}) did not end within {limit:?} and was killed: {said:?}");
}

/// The processes that have a variable, `NAME=value`, in their environment.
pub fn with_variable(variable: &str) -> Vec<u32> {
    let names = fs::read_dir("/proc").unwrap().flatten();
    let pids = names.filter_map(|name| name.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|found| found == variable.as_bytes())
    })
    .collect()
}

/// Sends SIGINT to a process, which may have ended meanwhile.
pub fn interrupt(pid: u32) {
    signal(pid, Signal::INT);
}

/// Sends a signal to one process, which may have ended meanwhile.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let _ = kill_process(pid.expect("a process id"), signal);
}

/// Kills a program that leads its group, with the group, and waits for its end.
pub fn kill(child: &mut Child, what: &str) {
    // This fails if all processes of the group have ended already.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let deadline = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let said =
                format!("{what} (process {}) did not end {LIMIT:?} after SIGKILL", child.id());
            if thread::panicking() {
                eprintln!("{said}");
                return;
            }
            panic!("{said}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::any::Any;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn panic_of(run: impl FnOnce() -> Output) -> String {
        let panic: Box<dyn Any + Send> = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    }

    /// Runs it for 300 ms and gives the panic's text.
    fn refusal(script: &str, input: &[u8]) -> String {
        panic_of(|| output(&mut sh(script), input, Duration::from_millis(300)))
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_its_children_and_named() {
        let started = Instant::now();
        let said = refusal("echo begun; trap '' TERM INT; sleep 600 & wait", b"");
        assert!(said.contains("sh (process") && said.contains("did not end"), "{said}");
        // The child had the output open too: it has ended, or this would be missing.
        assert!(said.contains("Ok(Output"), "{said}");
        assert!(started.elapsed() < LIMIT);
    }

    #[test]
    fn a_process_that_left_the_group_does_not_block_the_caller() {
        let left = tempfile::NamedTempFile::new().unwrap();
        let mut command =
            sh("perl -e 'setpgrp; print q(x); close STDOUT; sleep 30' >\"$0\" & wait");
        command.arg(left.path()).stderr(Stdio::piped());
        let child = grouped(&mut command).spawn().unwrap();
        let deadline = Instant::now() + LIMIT;
        while left.as_file().metadata().unwrap().len() == 0 {
            assert!(Instant::now() < deadline, "it did not start");
            thread::sleep(Duration::from_millis(5));
        }
        let said = panic_of(|| finish(child, "sh", Duration::from_millis(300)));
        assert!(said.contains("Timeout"), "{said}");
    }

    #[test]
    fn input_that_is_not_read_does_not_block_the_caller() {
        let input = vec![b'x'; 1 << 20];
        assert!(output(&mut sh("exit 0"), &input, LIMIT).status.success());
        assert!(refusal("sleep 600", &input).contains("did not end"));
    }

    #[test]
    fn input_and_output_may_be_larger_than_a_pipe_holds() {
        let input = vec![b'x'; 1 << 20];
        assert_eq!(output(&mut sh("cat"), &input, LIMIT).stdout, input);
    }
}
