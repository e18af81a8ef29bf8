//! A message on disk: multiclaude's file, and its stage in the store.

use super::courier::Courier;
use super::text::Letter;
use crate::inbox::{Stage, Stored};
use crate::multiclaude::{LocalMessage, Status};
use std::io;
use std::path::PathBuf;
use tokio::task::block_in_place;
use tracing::info;

impl Courier {
    /// Is this message placed, and not read by its agent?
    pub(super) fn is_open(&self, id: &str) -> bool {
        let read = |file: LocalMessage| file.acked_at.is_some() || file.status != Status::Delivered;
        self.shared.store.has(&self.local, Stage::Placed, id) && !self.file(id).is_some_and(read)
    }

    pub(super) fn file(&self, id: &str) -> Option<LocalMessage> {
        // A half written file is readable at the next look.
        LocalMessage::read(&self.path_of(id)).ok()?
    }

    /// The path of multiclaude's file of a message.
    pub(super) fn path_of(&self, id: &str) -> PathBuf {
        self.shared.messages.join(&self.local).join(format!("{id}.json"))
    }

    pub(super) fn letter(&self, id: &str) -> io::Result<Option<Letter>> {
        let owner = match self.shared.store.get(&self.local, Stage::Placed, id)? {
            Stored::Message { message, .. } => Some(message.from_owner),
            Stored::Notice { .. } => None,
        };
        Ok(self.file(id).map(|file| Letter {
            id: id.to_owned(),
            from: file.from,
            owner,
            body: file.body,
        }))
    }

    /// Moves a message to a later stage, from whichever it is in: its agent may have read it.
    pub(super) fn advance(&self, id: &str, to: Stage, what: &str) -> io::Result<()> {
        let store = &self.shared.store;
        for from in [Stage::Placed, Stage::Handed] {
            if from != to && store.has(&self.local, from, id) {
                block_in_place(|| store.advance(&self.local, id, from, to))?;
            }
        }
        self.shared.withdraw(&self.local, id);
        info!(local = self.local, id, "{what}");
        Ok(())
    }
}
