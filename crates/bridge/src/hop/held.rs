//! Why messages wait, and how the human sees that.

use super::choice::{WORKSPACE, needs_a_person};
use super::courier::{Courier, HELD, HELD_LONG};
use super::keyboard;
use crate::clock;
use std::time::Duration;

impl Courier {
    /// Notes why messages wait, and shows the human a reason that only they can end. Returns
    /// when to look again.
    pub(super) async fn hold(
        &mut self,
        waiting: &[String],
        reason: &str,
        pane: Option<&str>,
    ) -> Duration {
        let now = clock::since_boot();
        if self.shared.hold(&self.local, reason)
            || self.held.as_ref().is_none_or(|(held, _)| held != reason)
        {
            self.held = Some((reason.to_owned(), now));
        }
        let since = self.held.as_ref().map_or(now, |(_, since)| *since);
        for (number, id) in waiting.iter().enumerate() {
            if reason == WORKSPACE || (number == 0 && needs_a_person(reason)) {
                self.show(id, reason, pane).await;
            }
        }
        (now.saturating_sub(since) / 10).clamp(HELD, HELD_LONG)
    }

    /// Shows a reason once in tmux's status line.
    pub(super) async fn show(&mut self, id: &str, reason: &str, pane: Option<&str>) {
        let Some(pane) = pane.filter(|_| !self.shared.options.quiet) else {
            return;
        };
        if !self.shown.insert((id.to_owned(), reason.to_owned())) {
            return;
        }
        let from = self.file(id).map(|file| file.from).unwrap_or_default();
        let line = if reason == WORKSPACE {
            format!("Message from {from}: multiclaude message read {id}")
        } else {
            format!("A message from {from} for {} waits: {reason}", self.local)
        };
        keyboard::notify(pane, &line).await;
    }
}
