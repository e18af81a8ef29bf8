//! The terminal: raw mode, its size, what comes from it, and signals.

use crate::Event;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{Read as _, Write as _, stdin, stdout};
use std::sync::mpsc::Sender;
use std::thread;
use tokio::signal::unix::{SignalKind, signal};

/// The terminal in raw mode; it is put back when this is dropped.
#[derive(Debug)]
pub(crate) struct Terminal {
    before: Option<Termios>,
    full_screen: bool,
}

impl Terminal {
    pub(crate) fn open(full_screen: bool) -> Self {
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = tcsetattr(stdin(), OptionalActions::Now, &raw);
        }
        let terminal = Self { before, full_screen };
        // Bracketed paste, no cursor.
        Self::show(if full_screen {
            "\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[2J"
        } else {
            "\x1b[?2004h\x1b[?25l\x1b[H\x1b[2J"
        });
        terminal
    }

    /// Rows and columns.
    pub(crate) fn size() -> (usize, usize) {
        let size = tcgetwinsize(stdout()).map(|size| (size.ws_row.into(), size.ws_col.into()));
        size.ok().filter(|(rows, columns)| *rows > 0 && *columns > 0).unwrap_or((24, 80))
    }

    /// Writes it in one piece.
    pub(crate) fn show(text: &str) {
        let mut stdout = stdout().lock();
        let _ = stdout.write_all(text.as_bytes());
        let _ = stdout.flush();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let end = if self.full_screen { "\x1b[?1049l" } else { "\r\n" };
        Self::show(&format!("\x1b[0m\x1b[?2004l\x1b[?25h{end}"));
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// Sends what is typed, and the end of it.
pub(crate) fn read(events: Sender<Event>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        loop {
            let bytes = stdin().lock().read(&mut buffer).unwrap_or(0);
            let event = match buffer.get(..bytes) {
                Some(bytes @ [_, ..]) => Event::Input(bytes.to_vec()),
                _ => Event::Gone("the terminal is gone"),
            };
            let last = matches!(event, Event::Gone(_));
            if events.send(event).is_err() || last {
                return;
            }
        }
    });
}

/// Sends the signals that matter.
pub(crate) fn catch(events: Sender<Event>) {
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            let (Ok(mut term), Ok(mut hangup), Ok(mut interrupt), Ok(mut window)) = (
                signal(SignalKind::terminate()),
                signal(SignalKind::hangup()),
                signal(SignalKind::interrupt()),
                signal(SignalKind::window_change()),
            ) else {
                return;
            };
            loop {
                let event = tokio::select! {
                    _ = term.recv() => Event::Gone("terminated"),
                    _ = hangup.recv() => Event::Gone("hung up"),
                    _ = interrupt.recv() => Event::Gone("interrupted"),
                    _ = window.recv() => Event::Resized,
                };
                if events.send(event).is_err() {
                    return;
                }
            }
        });
    });
}
