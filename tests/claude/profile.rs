//! How the versions differ.

use std::time::Duration;

/// How late a late paste is: between these two.
pub(crate) const LATE_MS: (u64, u64) = (100, 150);

/// Which pastes come into the box only after a time, so that Enter acts on what was
/// there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    None,
    /// The first of a session.
    First,
    All,
}

/// Versions that behave alike, called by one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    V20,
    V197,
    V332,
}

/// One version of the program.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// What `--version` says.
    pub(crate) version: String,
    age: Age,
}

impl Profile {
    /// The profile of `CLAUDE_STAND_IN_VERSION`; the newest unless it says otherwise.
    pub(crate) fn of_environment() -> Self {
        let version = std::env::var("CLAUDE_STAND_IN_VERSION").unwrap_or_default();
        Self::of(if version.is_empty() { "2.1.332" } else { &version })
    }

    fn of(version: &str) -> Self {
        let patch = version.rsplit('.').next().and_then(|patch| patch.parse().ok());
        let age = match patch.unwrap_or(332) {
            ..100 => Age::V20,
            100..224 => Age::V197,
            _ => Age::V332,
        };
        Self { version: version.to_owned(), age }
    }

    fn newest(&self) -> bool {
        self.age == Age::V332
    }

    /// It has an inbox socket, and says so in the sessions file.
    pub(crate) fn has_inbox(&self) -> bool {
        self.newest()
    }

    /// It writes `.claude/sessions/<pid>.json`.
    pub(crate) fn registers(&self) -> bool {
        self.age >= Age::V197
    }

    pub(crate) fn late(&self) -> Late {
        match self.age {
            Age::V20 => Late::All,
            Age::V197 => Late::First,
            Age::V332 => Late::None,
        }
    }

    /// Grey suggestions stand in an empty box, and Enter sends them.
    pub(crate) fn suggests(&self) -> bool {
        self.age == Age::V20
    }

    /// `remove` says what was absorbed, and why.
    pub(crate) fn names_removed(&self) -> bool {
        self.newest()
    }

    /// The trust dialog offers "No, exit" first.
    pub(crate) fn distrusts(&self) -> bool {
        self.newest()
    }

    /// Trust in a parent directory covers what is below.
    pub(crate) fn inherits_trust(&self) -> bool {
        !self.newest()
    }

    /// How long MCP servers may take to answer `server/discover` before `initialize`,
    /// if they are asked.
    pub(crate) fn discovers(&self) -> Option<Duration> {
        self.newest().then_some(Duration::from_secs(3))
    }

    /// It draws on the alternate screen, with the box at the bottom.
    pub(crate) fn is_full_screen(&self) -> bool {
        self.newest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inbox_came_with_224_and_the_sessions_file_before() {
        let profile = |version| Profile::of(version);
        assert!(profile("2.1.224").has_inbox() && !profile("2.1.223").has_inbox());
        assert!(profile("2.1.197").registers() && !profile("2.1.20").registers());
        assert_eq!(profile("2.1.197").late(), Late::First);
    }
}
