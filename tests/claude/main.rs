//! A stand-in for Claude Code, for tests: in a terminal it behaves as the real
//! program was measured to behave, as far as another program can tell.
//!
//! In scope: the input box, pastes, the queue, dialogs, the transcript, the
//! sessions file, the inbox socket, MCP servers. Out of scope: a model, hooks, and
//! shell commands, which are recorded and not run.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | the loop: one event after the other |
//! | `options`, `profile`, `place`, `settings` | how and where it was started |
//! | `terminal`, `keys`, `screen` | bytes in, bytes out |
//! | `session`, `keyboard` | all that there is, and what keys do to it |
//! | `draft`, `queue`, `dialog`, `admission` | its parts: values, without a clock |
//! | `submit`, `turn`, `peers`, `answers` | what changes them |
//! | `transcript`, `lines`, `registry`, `process` | files that others read |
//! | `inbox`, `mcp` | other programs |
//! | `control`, `journal` | tests |
//!
//! # Environment
//!
//! `CLAUDE_STAND_IN_VERSION` is `2.1.332` (the default), `2.1.197` or `2.1.20`;
//! `CLAUDE_STAND_IN_DEAF_MS` is how long after the start Enter is swallowed (500);
//! `CLAUDE_STAND_IN_TURN_MS` is how long a turn takes (100);
//! `CLAUDE_STAND_IN_SUGGESTION` is a grey text that stands in the box at the start.

mod admission;
mod answers;
mod control;
mod dialog;
mod draft;
mod inbox;
mod journal;
mod keyboard;
mod keys;
mod lines;
mod mcp;
mod options;
mod peers;
mod place;
mod process;
mod profile;
mod queue;
mod registry;
mod screen;
mod session;
mod settings;
mod submit;
mod terminal;
mod transcript;
mod turn;

use inbox::Letter;
use keys::Keys;
use options::Options;
use place::Place;
use profile::Profile;
use serde_json::Value;
use session::Session;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use terminal::Terminal;

/// Something that happened outside.
#[derive(Debug)]
enum Event {
    /// Bytes from the keyboard.
    Input(Vec<u8>),
    /// The terminal has another size.
    Resized,
    /// The session has to end, and why.
    Gone(&'static str),
    /// A message through the inbox socket.
    Letter(Letter),
    /// A test asks for something, and waits for the answer.
    Control(Value, Sender<Value>),
}

/// How long an Escape waits for what may follow.
const ESCAPE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let options = Options::parse(std::env::args().skip(1));
    let profile = Profile::of_environment();
    if options.version {
        println!("{} (Claude Code)", profile.version);
        return ExitCode::SUCCESS;
    }
    let place = Place::of_process();
    if let Some(refusal) = refusal(&options, &place) {
        eprintln!("{refusal}");
        return ExitCode::FAILURE;
    }
    let (sender, events) = channel();
    terminal::catch(sender.clone());
    let terminal = Terminal::open(profile.is_full_screen());
    terminal::read(sender.clone());
    let mut session = Session::new(profile, options, place, sender.clone());
    let servers = session.servers.clone();
    let place = &session.place;
    let listening = control::listen(&place.directory(), &place.window, servers, sender);
    let reason = match listening {
        Ok(()) => run(&mut session, &events),
        Err(_) => "no control socket",
    };
    session.close(reason);
    drop(terminal);
    if !session.prompts.is_empty() {
        println!("\nResume this session with:\nclaude --resume {}", session.id);
    }
    ExitCode::SUCCESS
}

/// Why it cannot start.
fn refusal(options: &Options, place: &Place) -> Option<String> {
    let exists = |id: &str| transcript::path(&place.home, &place.cwd, id).exists();
    match (&options.resume, &options.session_id) {
        (Some(id), _) if !exists(id) => {
            Some(format!("No conversation found with session ID: {id}"))
        }
        (None, Some(id)) if exists(id) => {
            Some(format!("Error: Session ID {id} is already in use."))
        }
        _ => None,
    }
}

/// Handles events until the session is over, and gives the reason.
fn run(session: &mut Session, events: &Receiver<Event>) -> &'static str {
    let mut keys = Keys::default();
    // When an Escape that nothing has followed is the key.
    let mut escape = None;
    let mut shown = String::new();
    loop {
        session.tick(Instant::now());
        session.register();
        if let Some(reason) = session.over {
            return reason;
        }
        let (rows, columns) = Terminal::size();
        let frame = screen::draw(session, rows, columns);
        if frame != shown {
            Terminal::show(&frame);
            shown = frame;
        }
        let due = session.deadline().into_iter().chain(escape).min();
        let due = due.map(|due| due.saturating_duration_since(Instant::now()));
        let patience = due.unwrap_or(Duration::from_hours(1));
        match events.recv_timeout(patience) {
            Ok(Event::Input(bytes)) => {
                for key in keys.feed(&bytes) {
                    session.press(key);
                }
                escape = keys.waits().then(|| Instant::now() + ESCAPE);
            }
            Ok(Event::Resized) => shown.clear(),
            Ok(Event::Gone(reason)) => return reason,
            Ok(Event::Letter(letter)) => session.receive(letter),
            Ok(Event::Control(command, answer)) => {
                session.tick(Instant::now());
                let _ = answer.send(session.control(&command));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return "disconnected",
        }
        if escape.take_if(|due| *due <= Instant::now()).is_some()
            && let Some(key) = keys.give_up()
        {
            session.press(key);
        }
    }
}
