//! Progress on standard error while a command waits.

use crate::output::{line, safe};
use crate::session::Session;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const TURN: Duration = Duration::from_millis(120);
const SPINNER: [char; 4] = ['|', '/', '-', '\\'];

/// The progress: a line for each change, or a spinner on a terminal.
pub(super) struct Display {
    live: bool,
    quiet: bool,
    last: String,
    turn: usize,
    since: Instant,
}

impl Display {
    pub(super) fn new(session: &Session) -> Self {
        Self {
            live: stderr().is_terminal() && !session.out.is_json() && !dumb(),
            quiet: session.out.is_json(),
            last: String::new(),
            turn: 0,
            since: Instant::now(),
        }
    }

    pub(super) fn say(&mut self, text: String) {
        if text != self.last && !self.live && !self.quiet {
            let _ = writeln!(stderr(), "{}", safe(&text));
        }
        self.last = text;
    }

    fn turn(&mut self) {
        if !self.live {
            return;
        }
        self.turn += 1;
        let mark = SPINNER.get(self.turn % SPINNER.len()).copied().unwrap_or(' ');
        let seconds = self.since.elapsed().as_secs();
        let _ = write!(stderr(), "\r\x1b[2K{mark} {} ({seconds} s)", line(&self.last, 60));
        let _ = stderr().flush();
    }

    /// Waits, and shows on a terminal that it does.
    pub(super) async fn pause(&mut self, pause: Duration) {
        let next = Instant::now() + pause;
        while Instant::now() < next {
            self.turn();
            sleep(TURN.min(next.saturating_duration_since(Instant::now()))).await;
        }
    }

    pub(super) fn clear(&self) {
        if self.live {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}

fn dumb() -> bool {
    std::env::var("TERM").is_ok_and(|term| term == "dumb")
}

/// The end of a line of progress that Ctrl-C was typed into.
pub(super) fn end_line() {
    if stderr().is_terminal() {
        let _ = writeln!(stderr());
    }
}
