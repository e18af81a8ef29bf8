//! Notes why messages wait, and shows it to the human.

use super::courier::{Courier, HELD, HELD_LONG};
use super::keyboard;
use super::reason::Reason;
use crate::clock;
use std::time::Duration;

impl Courier {
    /// Notes why messages wait, and shows the human a reason that only they can end. Returns
    /// when to look again.
    pub(super) async fn hold(
        &mut self,
        waiting: &[String],
        reason: &Reason,
        pane: Option<&str>,
    ) -> Duration {
        let now = clock::since_boot();
        if self.shared.hold(&self.local, reason)
            || self.held.as_ref().is_none_or(|(held, _)| held != reason)
        {
            self.held = Some((reason.clone(), now));
        }
        let since = self.held.as_ref().map_or(now, |(_, since)| *since);
        for (number, id) in waiting.iter().enumerate() {
            if *reason == Reason::Workspace || (number == 0 && reason.needs_a_person()) {
                self.show(id, reason, pane).await;
            }
        }
        (now.saturating_sub(since) / 10).clamp(HELD, HELD_LONG)
    }

    /// Shows a reason once in tmux's status line.
    pub(super) async fn show(&mut self, id: &str, reason: &Reason, pane: Option<&str>) {
        let Some(pane) = pane.filter(|_| !self.shared.options.quiet) else {
            return;
        };
        if !self.shown.insert((id.to_owned(), reason.clone())) {
            return;
        }
        let from = self.file(id).map(|file| file.from).unwrap_or_default();
        let line = if *reason == Reason::Workspace {
            format!("Message from {from}: multiclaude message read {id}")
        } else {
            format!("A message from {from} for {} waits: {reason}", self.local)
        };
        keyboard::notify(pane, &line).await;
    }
}
