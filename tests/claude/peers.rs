//! What a session does with a message from its inbox socket.

use crate::dialog::{Dialog, Kind};
use crate::inbox::Letter;
use crate::lines::Peer;
use crate::queue::Queued;
use crate::session::Session;
use crate::settings;
use serde_json::json;
use std::time::{Duration, Instant};

/// An idle session takes what has come after this time.
const WAKES: Duration = Duration::from_millis(30);

impl Session {
    pub(crate) fn receive(&mut self, letter: Letter) {
        let Letter { text, session, peer } = letter;
        if session.is_some_and(|session| session != self.id) {
            return self.note("dropped", json!({ "text": text, "reason": "session" }));
        }
        let waiting = self.queue.peers();
        let admitted = self.admission.admit(&peer.from, &text, waiting, Instant::now());
        if let Err(refusal) = admitted {
            let reason = refusal.reason();
            if self.admission.tells(&peer.from, Instant::now()) {
                self.tell(&format!("Dropped a peer message from {}: {reason}.", peer.from));
            }
            return self
                .note("dropped", json!({ "text": text, "reason": reason, "from": peer.from }));
        }
        let accepted = peer.own
            || !self.options.skips_permissions
            || settings::accepts_peers(&self.place.home);
        if accepted { self.accept(text, peer) } else { self.hold(text, peer) }
    }

    /// Into the queue, also of an idle session.
    pub(crate) fn accept(&mut self, text: String, peer: Peer) {
        self.enqueue(Queued { text, peer: Some(peer) });
        self.wakes.get_or_insert_with(|| Instant::now() + WAKES);
    }

    /// Asks the human, in a dialog.
    fn hold(&mut self, text: String, peer: Peer) {
        let held = |dialog: &&Dialog| matches!(dialog.kind, Kind::Held { .. });
        let count = self.dialogs.iter().filter(held).count() + 1;
        self.tell(&format!(
            "Held peer message — from an unidentified session [verified pid {}]; preview: «{text}» \
             — not delivered to Claude ({count} held). The sender did not attest its permission \
             mode and this session bypasses prompts. Review it below, or set \
             \"crossSessionInbound\" to \"accept\".",
            peer.pid
        ));
        self.note("held", json!({ "text": text, "from": peer.from }));
        self.dialogs.push_back(Dialog::new(Kind::Held { text, peer }));
    }

    /// A line for the human, on the screen and in the transcript.
    pub(crate) fn tell(&mut self, text: &str) {
        let line = self.lines.notice(text);
        self.open();
        self.write(&line);
        self.history.push(format!("● {text}"));
    }
}
