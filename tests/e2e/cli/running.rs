//! A command that goes on while the test does.

use super::ended;
use e2e::process::{LIMIT, kill};
use e2e::{Machine, Ran};
use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A command, and what it says meanwhile on standard error.
pub struct Running {
    pub child: Child,
    said: Receiver<String>,
}

impl Running {
    pub fn start(machine: &Machine, args: &[&str]) -> Self {
        let mut child = machine.hybrid(args).spawn().unwrap();
        let (lines, said) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines() {
                // The test may know enough by now.
                let _ = lines.send(line.unwrap());
            }
        });
        Self { child, said }
    }

    /// Goes on once it has said this. Answers everything before it, too.
    pub fn until(&self, wanted: &str) -> String {
        let mut all = String::new();
        loop {
            let line = self.said.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("no {wanted:?} in:\n{all}"));
            all += &format!("{line}\n");
            if line.contains(wanted) {
                return all;
            }
        }
    }

    pub async fn end(mut self) -> Ran {
        let mut stdout = self.child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        let output = ended(self.child).await;
        let stderr: Vec<String> = self.said.iter().collect();
        let code = output.status.code().unwrap_or(-1);
        Ran { code, stdout: reader.join().unwrap(), stderr: stderr.join("\n") }
    }

    pub fn kill(mut self) {
        kill(&mut self.child, "a command");
    }
}
