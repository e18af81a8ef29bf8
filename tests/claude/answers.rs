//! What the answer to a dialog does.

use crate::dialog::{Answer, Dialog, Kind};
use crate::session::Session;
use crate::settings;
use crate::turn::Turn;
use serde_json::json;
use std::time::Instant;

impl Session {
    /// Opens a dialog before all others.
    pub(crate) fn ask(&mut self, kind: Kind) {
        self.dialogs.push_front(Dialog::new(kind));
    }

    /// The human, or a stray Enter, has answered the dialog that is open.
    pub(crate) fn answer(&mut self, answer: Answer) {
        let Some(dialog) = self.dismiss() else { return };
        let name = dialog.name();
        if !matches!(dialog.kind, Kind::Search { .. } | Kind::View(_)) {
            let event = if answer == Answer::Yes { "approved" } else { "denied" };
            self.note(event, json!({ "dialog": name }));
        }
        match (dialog.kind, answer) {
            (Kind::Trust { .. }, Answer::Yes) => {
                settings::trust(&self.place.home, &self.place.cwd);
                self.start_up();
            }
            (Kind::Trust { .. }, Answer::No) => self.over = Some("trust"),
            (Kind::Permission, Answer::No) => self.reject(),
            (Kind::Held { text, peer }, Answer::Yes) => {
                self.accept(text, peer);
                self.tell(
                    "Released 1 held cross-session message to Claude's queue (you approved it).",
                );
            }
            (Kind::Search { .. }, Answer::Yes) => {
                let last = self.prompts.last().cloned().unwrap_or_default();
                self.set_draft(&last);
            }
            (Kind::Picker, Answer::Yes) => {
                self.notice = Some("Set model and saved as your default".to_owned());
            }
            _ => {}
        }
        self.wakes.get_or_insert_with(Instant::now);
    }

    /// Closes the dialog that is open, without an answer.
    pub(crate) fn dismiss(&mut self) -> Option<Dialog> {
        let dialog = self.dialogs.pop_front()?;
        if dialog.kind == Kind::Permission {
            self.resume(dialog.since);
        }
        Some(dialog)
    }

    /// The tool may not run: the turn ends.
    fn reject(&mut self) {
        if let Some(Turn::Tool { id, .. }) = self.turn.take() {
            self.end_tool(&id, true);
        }
    }
}
