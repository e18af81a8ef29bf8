//! Following a worker to its end.

use crate::failure::{Exit, Failure, Outcome};
use crate::output::{line, safe};
use crate::session::{InRepo, Session};
use multiclaude_hybrid_client::protocol::spawn::{SpawnRequest, SpawnStatus};
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks: one D1 statement each.
const EVERY: Duration = Duration::from_secs(1);
/// Between two turns of the spinner.
const TURN: Duration = Duration::from_millis(120);
const SPINNER: [char; 4] = ['|', '/', '-', '\\'];

/// What is shown of a request: once, when it changes, or all the time on a
/// terminal.
struct Display {
    live: bool,
    quiet: bool,
    last: String,
    turn: usize,
    since: Instant,
}

impl Display {
    fn say(&mut self, text: String) {
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

    fn clear(&self) {
        if self.live {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}

/// A terminal that cannot go back on a line.
fn dumb() -> bool {
    std::env::var("TERM").is_ok_and(|term| term == "dumb")
}

fn told(request: &SpawnRequest) -> String {
    match (request.status, &request.worker_name) {
        (SpawnStatus::Pending, _) => "waiting for a runner".to_owned(),
        (SpawnStatus::InProgress, _) if request.cancel_requested => "being cancelled".to_owned(),
        (SpawnStatus::InProgress, _) if request.lease_expired => "its runner is away".to_owned(),
        (SpawnStatus::InProgress, None) => "a runner starts the worker".to_owned(),
        (SpawnStatus::InProgress, Some(name)) => format!("{name} is at work"),
        (SpawnStatus::Completed | SpawnStatus::Failed, _) => request.status.as_str().to_owned(),
    }
}

/// Looks at `request` until it has ended, or Ctrl-C ends the looking.
pub async fn follow(
    session: &Session,
    at: &InRepo,
    request: SpawnRequest,
) -> Outcome<SpawnRequest> {
    let id = request.id.clone();
    tokio::select! {
        ended = to_its_end(session, at, request) => ended,
        _ = tokio::signal::ctrl_c() => {
            if stderr().is_terminal() {
                let _ = writeln!(stderr());
            }
            Err(Failure::new("no longer waiting; the request stands")
                .exit(Exit::Interrupted)
                .hint(format!(
                    "wait again: multiclaude-hybrid workers wait {id} --repo {0}; cancel it: \
                     multiclaude-hybrid workers cancel {id} --repo {0}",
                    at.repo
                )))
        }
    }
}

/// An outage of the coordinator is waited out: the worker goes on without it.
async fn to_its_end(
    session: &Session,
    at: &InRepo,
    request: SpawnRequest,
) -> Outcome<SpawnRequest> {
    let mut display = Display {
        live: stderr().is_terminal() && !session.out.is_json() && !dumb(),
        quiet: session.out.is_json(),
        last: String::new(),
        turn: 0,
        since: Instant::now(),
    };
    let mut request = request;
    loop {
        if matches!(request.status, SpawnStatus::Completed | SpawnStatus::Failed) {
            display.clear();
            return Ok(request);
        }
        display.say(told(&request));
        let next = Instant::now() + EVERY;
        while Instant::now() < next {
            display.turn();
            sleep(TURN.min(next.saturating_duration_since(Instant::now()))).await;
        }
        match at.client.worker(&request.id).await {
            Ok(now) => request = now,
            Err(error) if error.is_outage() => {
                display.say(format!("waiting for the coordinator: {error}"));
            }
            Err(error) => {
                display.clear();
                return Err(session.explain(Failure::from(error), &at.login));
            }
        }
    }
}
