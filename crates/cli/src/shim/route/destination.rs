//! The destinations of a line of arguments.

use std::ffi::OsString;

/// The destination of a line. Argument lists are without the program's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Real(Vec<OsString>),
    /// The real program, which shall see the pane of its caller as its own.
    RealInOwnPane(Vec<OsString>),
    /// A message: the real program, or `multiclaude-hybrid send`.
    Message {
        /// For the real program, as it was given.
        real: Vec<OsString>,
        to: OsString,
        text: Vec<OsString>,
    },
    Hybrid(Vec<OsString>),
    RealThenHybrid {
        real: Vec<OsString>,
        hybrid: Vec<OsString>,
        /// Whether our part is still done when the real program failed.
        after_failure: AfterFailure,
    },
    /// The real program, with `--no-merge-queue` at the end if this repo's
    /// merge queue is served elsewhere.
    Init {
        args: Vec<OsString>,
        url: OsString,
        /// The name that the developer chose, if any.
        name: Option<OsString>,
    },
    /// Neither: the error in the line.
    Usage(String),
}

/// Our part after a failure of the real program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Something is shown: half of it is better than nothing.
    GoOn,
    /// Something is changed: one line is not half applied.
    Stop,
}
