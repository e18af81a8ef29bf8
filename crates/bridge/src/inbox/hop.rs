//! The last hop: from multiclaude's message file into the running agent.

use crate::multiclaude::LocalMessage;
use std::fmt::Debug;

/// What became of a message at the last hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handed {
    /// It waits in its file, for this reason.
    Held(String),
}

/// Hands messages to running agents, one at a time.
pub trait LastHop: Debug + Send + Sync + 'static {
    /// Hands a message to the local agent `local`, whose file exists already.
    fn offer(&self, local: &str, message: &LocalMessage) -> Handed;
}

/// Holds everything: the agent sees a message when it runs `multiclaude message
/// list`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hold;

impl LastHop for Hold {
    fn offer(&self, _: &str, _: &LocalMessage) -> Handed {
        Handed::Held("no last hop yet".to_owned())
    }
}
