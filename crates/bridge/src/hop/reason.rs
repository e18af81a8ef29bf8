//! Why a message waits in the last hop.

use std::fmt;

/// Why a message waits. People are shown its `Display`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// multiclaude has no agent of this name.
    NoAgent,
    /// It is for an earlier agent of this local name.
    EarlierAgent(String),
    /// The human reads the messages of a workspace.
    Workspace,
    /// No claude is in the foreground of the agent's window.
    NoClaude,
    Starting,
    CopyMode,
    DialogOpen,
    ShellMode,
    /// There is typed text in the box.
    Draft,
    /// multiclaude's file of the message cannot be read.
    Unreadable,
    /// The agent's channel did not take it, for this reason.
    ChannelFailed(String),
    /// The claude is not in the foreground any more, or its pane is in copy mode.
    NotInFront,
    HandingOver,
    /// It was handed over, and there is no trace of it.
    NoTrace,
    /// Its agent has it in its queue.
    Queued,
    /// Claude Code has dropped it.
    Dropped,
    /// The human has pulled it back from the queue into the box.
    PulledBack,
    /// It was pasted, and Enter was pressed.
    Submitting,
    /// It was pasted, and Enter does not submit it.
    Stuck,
    /// The last hop fails with this error.
    Failed(String),
}

impl Reason {
    /// Can only a person end it?
    pub(super) fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::CopyMode
                | Self::DialogOpen
                | Self::ShellMode
                | Self::Draft
                | Self::PulledBack
                | Self::Stuck
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAgent => "no such agent here",
            Self::EarlierAgent(local) => {
                return write!(f, "it is for an earlier {local}, which has ended");
            }
            Self::Workspace => "for the human: multiclaude message list",
            Self::NoClaude => "no claude",
            Self::Starting => "claude is starting",
            Self::CopyMode => "copy mode",
            Self::DialogOpen => "dialog open",
            Self::ShellMode => "shell mode",
            Self::Draft => "draft in the box",
            Self::Unreadable => "its file cannot be read",
            Self::ChannelFailed(reason) => {
                return write!(f, "the channel is not usable: {reason}");
            }
            Self::NotInFront => "copy mode, or another program is in front",
            Self::HandingOver => "being handed over",
            Self::NoTrace => "handed over; its transcript does not have it yet",
            Self::Queued => "in the queue of its agent",
            Self::Dropped => "Claude Code dropped it; it is handed over again soon",
            Self::PulledBack => "its human pulled it back into the box",
            Self::Submitting => "being submitted",
            Self::Stuck => "Enter does not submit it",
            Self::Failed(error) => return write!(f, "the last hop fails: {error}"),
        })
    }
}
