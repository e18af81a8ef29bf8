//! What keys do where no dialog is open, and pastes.

use crate::dialog::{Dialog, Kind};
use crate::draft::Draft;
use crate::keys::Key;
use crate::profile::{LATE_MS, Late};
use crate::queue::Queued;
use crate::session::Session;
use serde_json::json;
use std::time::{Duration, Instant};

/// How soon a second Ctrl-C or Escape means more than the first.
pub(crate) const TWICE: Duration = Duration::from_millis(800);

impl Session {
    pub(crate) fn press(&mut self, key: Key) {
        if let Some(dialog) = self.dialogs.front_mut() {
            let answer = dialog.press(&key);
            let name = dialog.name();
            if let Key::Text(text) | Key::Paste(text) = &key {
                self.note("swallowed", json!({ "text": text, "dialog": name }));
            }
            if let Some(answer) = answer {
                self.answer(answer);
            }
            return;
        }
        let again = self.again.take();
        let twice = again.is_some_and(|(before, at)| before == key && at.elapsed() < TWICE);
        match key {
            Key::Text(text) => self.draft.type_in(&text),
            Key::Paste(text) => self.paste(text),
            Key::Enter => self.enter(),
            Key::Backspace => self.draft.erase(),
            Key::Left => self.draft.left(),
            Key::Right => self.draft.right(),
            Key::Home | Key::Control('a') => self.draft.home(),
            Key::End | Key::Control('e') => self.draft.end(),
            Key::Control('u') => self.draft = Draft::default(),
            Key::Up => self.up(),
            Key::Control('s') => self.stash(),
            Key::Control('c') if !self.draft.text().is_empty() => {
                self.draft.clear();
                self.again = Some((Key::Control('c'), Instant::now()));
            }
            Key::Control('c' | 'd') | Key::Escape => self.leave(key, twice),
            Key::Control('r') => {
                self.dialogs.push_back(Dialog::new(Kind::Search { filter: String::new() }));
            }
            Key::Control('o') => self.dialogs.push_back(Dialog::new(Kind::View("transcript"))),
            Key::Down | Key::Control(_) | Key::Other => {}
        }
    }

    /// Into the box at once, or late.
    fn paste(&mut self, text: String) {
        let first = !std::mem::replace(&mut self.pasted, true);
        let late = match self.profile.late() {
            Late::None => false,
            Late::First => first,
            Late::All => true,
        };
        if !late {
            return self.draft.paste(&text, &mut self.pastes);
        }
        let (least, most) = LATE_MS;
        let ms = least + text.len() as u64 * 7 % (most - least + 1);
        self.late.push_back((Instant::now() + Duration::from_millis(ms), text));
    }

    /// Pastes whose time has come; a dialog swallows them.
    pub(crate) fn settle_pastes(&mut self, now: Instant) {
        while let Some((_, text)) = self.late.pop_front_if(|(due, _)| *due <= now) {
            if let Some(dialog) = self.dialogs.front() {
                let name = dialog.name();
                self.note("swallowed", json!({ "text": text, "dialog": name }));
            } else {
                self.draft.paste(&text, &mut self.pastes);
            }
        }
    }

    fn enter(&mut self) {
        if Instant::now() < self.hears {
            return self.note("swallowed", json!({ "key": "enter" }));
        }
        let removed = self.draft.straighten();
        if removed > 0 {
            let plural = if removed == 1 { "" } else { "s" };
            self.notice = Some(format!(
                "Removed {removed} invisible character{plural} · review and press Enter to send"
            ));
            return;
        }
        if !self.draft.continues() {
            self.submit();
        }
    }

    /// Pulls back what is queued, or brings the last prompt.
    fn up(&mut self) {
        let pulled = self.queue.pull_back();
        if pulled.is_empty() {
            if self.draft.is_empty() {
                self.draft = self.prompts.last().map(|last| Draft::of(last)).unwrap_or_default();
            }
            return;
        }
        self.pull_back(&pulled);
    }

    pub(crate) fn pull_back(&mut self, pulled: &[Queued]) {
        let mut texts: Vec<&str> = pulled.iter().map(|queued| queued.text.as_str()).collect();
        for text in &texts {
            let line = self.lines.queue("popAll", Some(text));
            self.write(&line);
            self.note("pulled_back", json!({ "text": text }));
        }
        let before = self.draft.clone();
        if !before.is_empty() {
            texts.push(before.text());
        }
        self.draft = Draft::of(&texts.join("\n"));
    }

    /// Puts the draft aside until the next one is submitted, or brings it back.
    fn stash(&mut self) {
        if self.draft.is_empty() {
            return self.unstash();
        }
        let draft = std::mem::take(&mut self.draft);
        self.note("stashed", json!({ "text": draft.text() }));
        self.stash = Some(draft);
        self.notice = Some("draft stashed".to_owned());
    }

    pub(crate) fn unstash(&mut self) {
        if let Some(draft) = self.stash.take() {
            self.note("restored", json!({ "text": draft.text() }));
            self.draft = draft;
            self.notice = Some("draft restored".to_owned());
        }
    }

    /// Ctrl-C, Ctrl-D and Escape, where there is no text to clear.
    fn leave(&mut self, key: Key, twice: bool) {
        if key == Key::Escape {
            if self.turn.is_some() {
                return self.interrupt();
            }
            match (twice, self.draft.is_empty()) {
                (true, true) => self.dialogs.push_back(Dialog::new(Kind::Rewind)),
                (true, false) => self.draft = Draft::default(),
                (false, _) => self.again = Some((key, Instant::now())),
            }
        } else if twice {
            self.over = Some("left");
        } else {
            if self.turn.is_some() && key == Key::Control('c') {
                self.interrupt();
            }
            self.again = Some((key, Instant::now()));
        }
    }

    /// What the line below the box says.
    pub(crate) fn hint(&self) -> &'static str {
        match &self.again {
            Some((Key::Control('c'), at)) if at.elapsed() < TWICE => "Press Ctrl-C again to exit",
            Some((Key::Control(_), at)) if at.elapsed() < TWICE => "Press Ctrl-D again to exit",
            _ if self.draft.shell => "! for shell mode",
            _ if self.turn.is_some() => {
                "⏵⏵ bypass permissions on (shift+tab to cycle) · esc to interrupt"
            }
            _ => "⏵⏵ bypass permissions on (shift+tab to cycle)",
        }
    }
}
