//! The output of commands: text for people, JSON for programs, colour only on a
//! terminal (`NO_COLOR` obeyed).

use crate::failure::{Exit, Failure, Outcome};
use crate::redact::secrets;
use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use multiclaude_hybrid_client::protocol::Timestamp;
use multiclaude_hybrid_client::protocol::text::{is_hidden, visible, visible_char};
use rustix::fs::{OFlags, fcntl_getfl, fstat, stat};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Write as _, stdin};
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Plain,
    Good,
    Warning,
    Bad,
    Dim,
    Bold,
}

/// The marks that [`Look::paint`] puts around a text, and the styles that they become when
/// it is printed. All other control characters are removed then.
const LOOKS: [(char, Look, Style); 5] = [
    ('\u{1}', Look::Good, AnsiColor::Green.on_default()),
    ('\u{2}', Look::Warning, AnsiColor::Yellow.on_default()),
    ('\u{3}', Look::Bad, AnsiColor::Red.on_default().bold()),
    ('\u{4}', Look::Dim, Style::new().dimmed()),
    ('\u{5}', Look::Bold, Style::new().bold()),
];
const END: char = '\u{6}';

impl Look {
    /// `text`, painted; for printing only.
    pub fn paint(self, text: &str) -> String {
        match LOOKS.iter().find(|(_, look, _)| *look == self) {
            Some((mark, ..)) => format!("{mark}{text}{END}"),
            None => text.to_owned(),
        }
    }
}

/// A text as a terminal may have it: marks of [`Look::paint`] become colours,
/// control characters become visible.
fn styled(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        let style = LOOKS.iter().find(|(mark, ..)| *mark == char);
        match style {
            Some((_, _, style)) => {
                let _ = write!(shown, "{style}");
            }
            None if char == END => shown.push_str("\u{1b}[0m"),
            None => shown.extend(visible_char(char)),
        }
    }
    shown
}

/// JSON whose texts cannot steer a terminal either: what JSON leaves as it is
/// is written as an escape.
fn escaped(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for char in json.chars() {
        if is_hidden(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Prints a line of the result.
fn print(line: &str) -> Outcome {
    write_out(line).map_err(|error| {
        let failure = Failure::new(format!("cannot write to standard output: {error}"));
        match error.kind() {
            ErrorKind::BrokenPipe => failure.exit(Exit::PipeClosed),
            _ => failure,
        }
    })
}

/// Writes to a copy of standard output: of its own handle, the standard library
/// takes a write that fails for one that succeeds, where it cannot be written to.
fn write_out(line: &str) -> std::io::Result<()> {
    let mut out = File::from(rustix::io::dup(rustix::stdio::stdout())?);
    let plain = AutoStream::choice(&out) == ColorChoice::Never;
    let line = if plain { strip_str(line).to_string() } else { line.to_owned() };
    out.write_all(format!("{line}\n").as_bytes())
}

/// Does standard output lead anywhere? A standard output that was closed is replaced by
/// `/dev/null` when a program starts, open for reading and writing. One that was
/// sent there on purpose is open for writing alone.
fn is_read() -> bool {
    let stdout = rustix::stdio::stdout();
    let (Ok(now), Ok(flags)) = (fstat(stdout), fcntl_getfl(stdout)) else {
        return false;
    };
    let null = stat("/dev/null").is_ok_and(|null| null.st_rdev == now.st_rdev);
    match flags & OFlags::RWMODE {
        OFlags::RDONLY => false,
        OFlags::WRONLY => true,
        _ => !null,
    }
}

/// Prints a line on standard error, if that is open.
fn print_aside(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

fn print_hint(hint: &str) {
    let label = Look::Bold.paint("hint:");
    print_aside(&styled(&format!("{label} {}", secrets(hint))));
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    pub fn is_json(self) -> bool {
        self.json
    }

    /// Refuses a closed standard output, for results that are shown only once or are marked
    /// as seen when they are shown.
    #[expect(clippy::unused_self, reason = "it is about this output")]
    pub fn must_be_seen(self) -> Outcome {
        if is_read() {
            return Ok(());
        }
        Err(Failure::new(
            "standard output is closed, so the result would be lost; nothing was done",
        )
        .hint("send it to a terminal, a pipe or a file; or throw it away: >/dev/null"))
    }

    /// Prints `value` for programs, or what `human` says for people. An error means
    /// that it could not be printed.
    pub fn show<T: Serialize>(self, value: &T, human: impl FnOnce() -> String) -> Outcome {
        if self.json {
            let text = serde_json::to_string_pretty(value).unwrap_or_default();
            return print(&escaped(&text));
        }
        match human().trim_end() {
            "" => Ok(()),
            text => print(&styled(text)),
        }
    }

    /// Prints a list: JSON for programs; for people the text of `human`, or `empty`.
    pub fn list<T: Serialize>(
        self,
        items: &[T],
        empty: impl FnOnce() -> String,
        human: impl FnOnce(&[T]) -> String,
    ) -> Outcome {
        self.show(&items, || if items.is_empty() { empty() } else { human(items) })
    }

    /// Prints one entry of an endless list: a line of JSON, or what `human` says.
    pub fn entry<T: Serialize>(self, value: &T, human: impl FnOnce() -> String) -> Outcome {
        if self.json {
            let text = serde_json::to_string(value).unwrap_or_default();
            return print(&escaped(&text));
        }
        print(&styled(&human()))
    }

    /// Prints a note for people on stderr.
    pub fn note(self, text: &str) {
        if !self.json {
            print_aside(&styled(text));
        }
    }

    pub fn warn(self, text: &str) {
        let text = secrets(text);
        if self.json {
            print_aside(&escaped(&json!({ "warning": text }).to_string()));
        } else {
            print_aside(&styled(&format!("{} {text}", Look::Warning.paint("warning:"))));
        }
    }

    /// Warns with what to do about it, on stderr, programs too.
    pub fn warn_with(self, text: &str, hint: &str) {
        if self.json {
            let warning = json!({ "warning": secrets(text), "hint": secrets(hint) });
            print_aside(&escaped(&warning.to_string()));
        } else {
            self.warn(text);
            print_hint(hint);
        }
    }

    /// Prints a failure on stderr.
    pub fn fail(self, failure: &Failure) {
        if self.json {
            print_aside(&escaped(&secrets(&failure.to_json().to_string())));
            return;
        }
        let error = Look::Bad.paint("error:");
        print_aside(&styled(&format!("{error} {}", secrets(&failure.message))));
        if let Some(hint) = failure.advice() {
            print_hint(&hint);
        }
    }
}

/// Text from elsewhere, without what could steer the terminal or hide in it.
pub fn safe(text: &str) -> String {
    visible(text).into_owned()
}

/// Text from elsewhere on one line, at most `most` characters.
pub fn line(text: &str, most: usize) -> String {
    let text = safe(text).replace(['\n', '\t'], " ");
    if text.chars().count() <= most {
        return text;
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

pub fn ago(at: Timestamp) -> String {
    let seconds = (now().0 - at.0).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A number of things: `1 token`, `2 tokens`.
pub fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        count => format!("{count} {thing}s"),
    }
}

/// The JSON of a daemon that runs: its status and that it runs.
pub fn running<T: Serialize>(status: &T) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("running".to_owned(), true.into());
    }
    value
}

pub fn now() -> Timestamp {
    Timestamp(chrono::Utc::now().timestamp_millis())
}

/// The moment after this time.
pub fn after(time: Duration) -> Timestamp {
    Timestamp(now().0.saturating_add(time.as_millis().try_into().unwrap_or(i64::MAX)))
}

/// Asks a person at the terminal; no, if there is none.
pub fn confirm(question: &str) -> Outcome<bool> {
    if !stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer);
    read.map_err(|error| Failure::new(format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(
            safe("a\x1b[31mb\x07\u{9b}c\nd\u{202e}e"),
            "a\u{FFFD}[31mb\u{FFFD}\u{FFFD}c\nd\u{FFFD}e"
        );
        assert_eq!(
            safe("a\u{61c}\u{2028}\u{200b}\u{feff}\u{e0041}b"),
            "a\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}b"
        );
        assert_eq!(line("one\ntwo\tthree", 9), "one two …");
    }

    #[test]
    fn printed_text_has_our_colours_alone() {
        let text = format!("{} \u{1b}[31mred\u{7f}", Look::Good.paint("ok"));
        assert_eq!(styled(&text), "\u{1b}[32mok\u{1b}[0m \u{FFFD}[31mred\u{FFFD}");
    }

    #[test]
    fn json_keeps_every_character_and_shows_none_that_steers() {
        let body = "a\u{7f}b\u{9b}c\u{202e}d\ne\u{e0041}\u{200d}f";
        let json = escaped(&serde_json::to_string_pretty(&[body]).unwrap());
        assert_eq!(json, "[\n  \"a\\u007fb\\u009bc\\u202ed\\ne\\udb40\\udc41\\u200df\"\n]");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [body]);
    }
}
