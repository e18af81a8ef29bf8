//! The control socket for tests: one JSON line in, one JSON line out.

use crate::Event;
use crate::dialog::{Dialog, Kind};
use crate::draft::Draft;
use crate::mcp::Servers;
use crate::session::Session;
use crate::turn::Mode;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Listens at `<directory>/<window>.sock`.
pub(crate) fn listen(
    directory: &Path,
    window: &str,
    servers: Servers,
    events: Sender<Event>,
) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    let _ = fs::remove_file(directory.join(format!("{window}.sock")));
    // Through the directory's descriptor: a home's path may be too long for a socket.
    let opened = File::open(directory)?;
    let short = format!("/proc/self/fd/{}/{window}.sock", opened.as_raw_fd());
    let listener = UnixListener::bind(short)?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (servers, events) = (servers.clone(), events.clone());
            thread::spawn(move || serve(&stream, &servers, &events));
        }
    });
    Ok(())
}

fn serve(stream: &UnixStream, servers: &Servers, events: &Sender<Event>) {
    let mut writer = stream;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let command: Value = serde_json::from_str(&line).unwrap_or_default();
        let answer = if command["call_tool"].is_object() {
            servers.call(&command["call_tool"])
        } else {
            let (answer, answered) = channel();
            let sent = events.send(Event::Control(command, answer));
            let answer = sent.ok().and_then(|()| answered.recv().ok());
            answer.unwrap_or_else(|| json!({ "error": "the session is over" }))
        };
        if writer.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return;
        }
    }
}

impl Session {
    /// Does what a test asks for. Every key of the command is a wish.
    pub(crate) fn control(&mut self, command: &Value) -> Value {
        let Some(wishes) = command.as_object() else { return json!({ "error": "no object" }) };
        // How turns go comes before what begins one.
        let (first, then): (Vec<_>, Vec<_>) =
            wishes.iter().partition(|(wish, _)| matches!(wish.as_str(), "turn_ms" | "mode"));
        for (wish, value) in first.into_iter().chain(then) {
            let ms = Duration::from_millis(value.as_u64().unwrap_or_default());
            match wish.as_str() {
                "turn_ms" => self.pace.turn = ms,
                "mode" => {
                    self.pace.mode = match value.as_str() {
                        Some("text") => Mode::Text,
                        Some("stream") => Mode::Stream,
                        Some("tool") => Mode::Tool,
                        _ => return json!({ "error": "no such mode" }),
                    }
                }
                "start_turn" if self.turn.is_none() => self.start_turn(),
                "end_turn" => self.hurry(),
                "compact_ms" if self.turn.is_none() => self.compact(ms),
                "dialog" => {
                    if let Err(error) = self.control_dialog(value) {
                        return json!({ "error": error });
                    }
                }
                "suggestion" => self.suggestion = value.as_str().map(str::to_owned),
                "draft" => self.set_draft(value.as_str().unwrap_or_default()),
                "state" => return self.state(),
                _ => return json!({ "error": format!("cannot {wish} now") }),
            }
        }
        json!({ "ok": true })
    }

    fn control_dialog(&mut self, name: &Value) -> Result<(), &'static str> {
        let kind = match name.as_str() {
            Some("permission") => Kind::Permission,
            Some("trust") => Kind::Trust { distrusts: self.profile.distrusts() },
            Some("picker") => Kind::Picker,
            Some(_) => return Err("no such dialog"),
            None => {
                self.dismiss();
                self.wakes.get_or_insert_with(Instant::now);
                return Ok(());
            }
        };
        self.ask(kind);
        Ok(())
    }

    fn state(&self) -> Value {
        let (status, waiting_for) = self.status();
        let queue: Vec<&str> = self.queue.all().iter().map(|queued| queued.text.as_str()).collect();
        let late: Vec<&str> = self.late.iter().map(|(_, text)| text.as_str()).collect();
        json!({
            "box": self.draft.text(), "shell": self.draft.shell, "queue": queue, "session": self.id,
            "busy": self.turn.is_some(), "dialog": self.dialogs.front().map(Dialog::name),
            "stash": self.stash.as_ref().map(Draft::text), "late": late,
            "suggestion": self.suggestion, "status": status, "waiting_for": waiting_for,
            "socket": self.inbox, "mcp": self.servers.state(), "pid": std::process::id(),
            "version": self.profile.version,
        })
    }
}
