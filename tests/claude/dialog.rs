//! Dialogs: they take the keyboard, and no box is drawn meanwhile.

use crate::keys::Key;
use crate::lines::Peer;
use std::time::Instant;

/// What is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// May this folder be worked in? Before everything else.
    Trust { distrusts: bool },
    /// May this tool run?
    Permission,
    /// `/model`: Enter saves what the cursor is on.
    Picker,
    /// A message of another process, which this session may take or not.
    Held { text: String, peer: Peer },
    /// `/help`, Ctrl-O and others that only show something.
    View(&'static str),
    /// Esc Esc: Enter goes back to what the cursor is on.
    Rewind,
    /// Ctrl-R: what is typed or pasted goes into the search.
    Search { filter: String },
}

/// How a dialog ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

/// A dialog with the cursor on one of its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialog {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    pub(crate) since: Instant,
}

impl Dialog {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, at: 0, since: Instant::now() }
    }

    pub(crate) fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Trust { .. } => "trust",
            Kind::Permission => "permission",
            Kind::Picker => "picker",
            Kind::Held { .. } => "held",
            Kind::View(name) => name,
            Kind::Rewind => "rewind",
            Kind::Search { .. } => "search",
        }
    }

    /// `waitingFor` of the sessions file, which says nothing of a search or of the
    /// transcript's view.
    pub(crate) fn waiting_for(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Permission | Kind::Held { .. } => Some("permission prompt"),
            Kind::Search { .. } | Kind::View("transcript") => None,
            _ => Some("dialog open"),
        }
    }

    /// The options from top to bottom, each with what it means.
    pub(crate) fn options(&self) -> Vec<(&'static str, Answer)> {
        match self.kind {
            Kind::Trust { distrusts: true } => {
                vec![("No, exit", Answer::No), ("Yes, I trust this folder", Answer::Yes)]
            }
            Kind::Trust { distrusts: false } => {
                vec![("1. Yes, I trust this folder", Answer::Yes), ("2. No, exit", Answer::No)]
            }
            Kind::Permission => vec![
                ("1. Yes", Answer::Yes),
                ("2. Yes, and don't ask again", Answer::Yes),
                ("3. No", Answer::No),
            ],
            Kind::Picker => {
                vec![("1. Default", Answer::Yes), ("2. Sonnet", Answer::Yes)]
            }
            Kind::Held { .. } => vec![
                ("Deny — drop it and tell the sender it was declined", Answer::No),
                ("Deliver this message to Claude", Answer::Yes),
            ],
            Kind::Rewind => vec![("(current)", Answer::No), ("the first prompt", Answer::Yes)],
            Kind::View(_) | Kind::Search { .. } => vec![],
        }
    }

    /// What a key does. Text is swallowed, but a digit chooses an option that has
    /// this number.
    pub(crate) fn press(&mut self, key: &Key) -> Option<Answer> {
        let options = self.options();
        if let (Kind::Search { filter }, Key::Text(text) | Key::Paste(text)) = (&mut self.kind, key)
        {
            filter.push_str(text);
            return None;
        }
        match key {
            Key::Enter => match &self.kind {
                Kind::View(_) => None,
                // The prompt that the cursor is on, if any matches.
                Kind::Search { filter } => filter.is_empty().then_some(Answer::Yes),
                _ => Some(options.get(self.at).map_or(Answer::No, |(_, answer)| *answer)),
            },
            Key::Escape | Key::Control('c') => Some(Answer::No),
            Key::Control('o') if self.kind == Kind::View("transcript") => Some(Answer::No),
            Key::Up => {
                self.at = self.at.saturating_sub(1);
                None
            }
            Key::Down => {
                self.at = (self.at + 1).min(options.len().saturating_sub(1));
                None
            }
            Key::Text(text) if text.len() == 1 => options
                .iter()
                .find(|(label, _)| label.starts_with(&format!("{text}.")))
                .map(|(_, answer)| *answer),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_exits_at_trust_approves_a_permission_and_denies_a_held_message() {
        let peer = Peer { from: String::new(), pid: 1, start: String::new(), own: false };
        for (kind, answer) in [
            (Kind::Trust { distrusts: true }, Answer::No),
            (Kind::Trust { distrusts: false }, Answer::Yes),
            (Kind::Permission, Answer::Yes),
            (Kind::Picker, Answer::Yes),
            (Kind::Held { text: String::new(), peer }, Answer::No),
        ] {
            let mut dialog = Dialog::new(kind);
            assert_eq!(dialog.press(&Key::Paste("text".to_owned())), None);
            assert_eq!(dialog.press(&Key::Enter), Some(answer), "{dialog:?}");
        }
    }
}
