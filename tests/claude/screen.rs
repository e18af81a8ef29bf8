//! What is drawn.

use crate::dialog::{Dialog, Kind};
use crate::session::Session;
use crate::submit::matches;
use unicode_width::UnicodeWidthChar as _;

const GREY: &str = "\x1b[38;5;246m";
const RULE: &str = "\x1b[38;5;244m";
const SHELL: &str = "\x1b[38;5;211m";
const YELLOW: &str = "\x1b[38;5;220m";
const BLUE: &str = "\x1b[38;5;153m";
const PLAIN: &str = "\x1b[0m";

/// The whole screen, to be written in one piece.
pub(crate) fn draw(session: &Session, rows: usize, columns: usize) -> String {
    let bottom = match session.dialogs.front() {
        Some(dialog) => with_dialog(dialog, session, columns),
        None => with_box(session, rows, columns),
    };
    let mut top = header(session);
    for said in &session.history {
        top.extend(wrapped(said, columns.saturating_sub(1), "  "));
    }
    let room = rows.saturating_sub(bottom.len());
    let cut = top.len().saturating_sub(room);
    let mut lines = top.split_off(cut);
    if session.profile.is_full_screen() {
        lines.resize(room.max(lines.len()), String::new());
    }
    lines.extend(bottom);
    let skipped = lines.len().saturating_sub(rows);
    let mut frame = String::from("\x1b[H");
    for (at, line) in lines.iter().skip(skipped).enumerate() {
        let newline = if at == 0 { "" } else { "\r\n" };
        frame.extend([newline, line.as_str(), PLAIN, "\x1b[K"]);
    }
    frame.push_str("\x1b[J");
    frame
}

fn header(session: &Session) -> Vec<String> {
    vec![
        format!(" ▐▛███▜▌   Claude Code v{}", session.profile.version),
        format!("▝▜█████▛▘  {}", session.place.cwd.display()),
        String::new(),
    ]
}

/// Lines of at most `width` columns; all but the first begin with `indent`.
fn wrapped(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for part in text.split('\n') {
        let mut line = if lines.is_empty() { String::new() } else { indent.to_owned() };
        let mut used = line.len();
        for character in part.chars() {
            let wide = character.width().unwrap_or(0);
            if used + wide > width.max(4) {
                lines.push(std::mem::replace(&mut line, indent.to_owned()));
                used = indent.len();
            }
            line.push(character);
            used += wide;
        }
        lines.push(line);
    }
    lines
}

fn right(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(text.chars().count());
    format!("{}{GREY}{text}", " ".repeat(blanks))
}

fn with_dialog(dialog: &Dialog, session: &Session, columns: usize) -> Vec<String> {
    let rule = match dialog.kind {
        Kind::Trust { .. } | Kind::Permission | Kind::Held { .. } => "─",
        _ => "▔",
    };
    let mut lines = vec![format!("{YELLOW}{}", rule.repeat(columns))];
    let text = match &dialog.kind {
        Kind::Trust { .. } => format!(
            "Accessing workspace:\n\n {}\n\n Quick safety check: Is this a project you created or \
             one you trust?",
            session.place.cwd.display()
        ),
        Kind::Permission => "Bash command\n\n   sleep\n\n Do you want to proceed?".to_owned(),
        Kind::Picker => "Select model".to_owned(),
        Kind::Held { text, peer } => format!(
            "Held message from another session\n\n Another Claude session sent a message: from an \
             unidentified session [verified pid {}]\n\n{}\n {text}\n{}",
            peer.pid,
            "╌".repeat(columns),
            "╌".repeat(columns)
        ),
        Kind::View("transcript") => {
            lines = vec![format!("{RULE}{}", "─".repeat(columns))];
            lines.push("  Showing detailed transcript · ctrl+o to toggle".to_owned());
            return lines;
        }
        Kind::View(name) => format!("{name}\n\n Esc to close"),
        Kind::Rewind => "Rewind".to_owned(),
        Kind::Search { filter } => return search(filter, columns),
    };
    lines.extend(wrapped(&format!(" {text}"), columns, " "));
    lines.push(String::new());
    for (at, (label, _)) in dialog.options().iter().enumerate() {
        let chosen = at == dialog.at;
        lines.push(if chosen { format!(" {BLUE}❯ {label}") } else { format!("   {label}") });
    }
    lines.push(format!(" {GREY}Enter to confirm · Esc to cancel"));
    lines
}

fn search(filter: &str, columns: usize) -> Vec<String> {
    let rule = "─".repeat(columns.saturating_sub(6));
    let none = if filter.is_empty() { "" } else { "  No prompts match" };
    let filter: String = filter.chars().filter(|character| !character.is_control()).collect();
    vec![
        none.to_owned(),
        format!("  ╭{rule}╮"),
        format!("  │ ⌕ {filter}"),
        format!("  ╰{rule}╯"),
        format!("  {GREY}Enter to use · Esc to cancel"),
    ]
}

fn with_box(session: &Session, rows: usize, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for queued in session.queue.all() {
        let shown = wrapped(&format!("❯ {}", queued.text), columns.saturating_sub(4), "  ");
        lines.extend(shown.into_iter().take(3).map(|line| format!("  {GREY}{line}")));
    }
    if session.turn.is_some() {
        lines.push("\x1b[38;5;174m✻ Working…".to_owned());
    }
    let menu = matches(session.draft.text());
    lines.extend(menu.iter().enumerate().map(|(at, command)| {
        if at == 0 { format!("  {BLUE}❯ {command}") } else { format!("    {GREY}{command}") }
    }));
    if let Some(notice) = &session.notice {
        lines.push(right(notice, columns));
    }
    let color = if session.draft.shell { SHELL } else { RULE };
    let rule = format!("{color}{}", "─".repeat(columns));
    lines.push(rule.clone());
    lines.extend(in_box(session, rows.saturating_sub(8).max(3), columns));
    lines.push(rule);
    lines.push(format!("  {GREY}{}", session.hint()));
    lines
}

/// What stands between the rules, with a cursor that is a reversed character.
fn in_box(session: &Session, most: usize, columns: usize) -> Vec<String> {
    let draft = &session.draft;
    let prompt = match (draft.shell, session.turn.is_some()) {
        (true, _) => format!("{SHELL}!{PLAIN}\u{a0}"),
        (false, true) => format!("{GREY}❯{PLAIN}\u{a0}"),
        (false, false) => "❯\u{a0}".to_owned(),
    };
    if draft.text().is_empty() {
        let ghost = ghost(session).filter(|_| !draft.shell).unwrap_or_default();
        let mut characters = ghost.chars();
        // The character below the cursor is reversed, the rest is dim.
        let first = characters.next().unwrap_or(' ');
        let rest: String = characters.take(columns.saturating_sub(6)).collect();
        return vec![format!("{prompt}\x1b[7m{first}\x1b[0;2m{rest}")];
    }
    // A character that text cannot contain marks the cursor while lines are broken.
    let mut text = draft.text().to_owned();
    text.insert(draft.cursor(), '\u{1}');
    let mut lines = wrapped(&text, columns.saturating_sub(4), "");
    let cursor = lines.iter().position(|line| line.contains('\u{1}')).unwrap_or_default();
    let first = (cursor + 1).saturating_sub(most);
    lines = lines.into_iter().skip(first).take(most).collect();
    let mut shown = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let before = if at == 0 && first == 0 { prompt.as_str() } else { "  " };
        shown.push(match line.split_once('\u{1}') {
            None => format!("{before}{line}"),
            Some((left, right)) => {
                let mut right = right.chars();
                let under = right.next().unwrap_or(' ');
                format!("{before}{left}\x1b[7m{under}{PLAIN}{}", right.as_str())
            }
        });
    }
    shown
}

/// What looks like text in an empty box and is none.
fn ghost(session: &Session) -> Option<String> {
    if session.queue.humans() > 0 {
        return Some("Press up to edit queued messages".to_owned());
    }
    if session.turn.is_some() {
        return None;
    }
    let placeholder = || "Try \"how does this work?\"".to_owned();
    session.suggestion.clone().or_else(|| session.prompts.is_empty().then(placeholder))
}
