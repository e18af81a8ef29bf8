//! How the versions differ.

use std::time::Duration;

/// How late a paste may be: between these two.
pub(crate) const LATE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_millis(150));

/// Which pastes are late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    None,
    /// The first of a session.
    First,
    All,
}

/// One version of the program.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// What `--version` says.
    pub(crate) version: String,
    /// It has an inbox socket, and says so in the sessions file.
    pub(crate) inbox: bool,
    /// It writes `.claude/sessions/<pid>.json`.
    pub(crate) registers: bool,
    /// Which pastes come into the box only after [`LATE`], so that Enter acts on what
    /// was there before.
    pub(crate) late: Late,
    /// Grey suggestions stand in an empty box, and Enter sends them.
    pub(crate) suggests: bool,
    /// `remove` says what was absorbed, and why.
    pub(crate) names_removed: bool,
    /// The trust dialog offers "No, exit" first.
    pub(crate) distrusts: bool,
    /// Trust in a parent directory covers what is below.
    pub(crate) inherits_trust: bool,
    /// MCP servers are asked `server/discover` before `initialize`.
    pub(crate) discovers: bool,
    /// It draws on the alternate screen, with the box at the bottom.
    pub(crate) full_screen: bool,
}

impl Profile {
    /// The profile of `CLAUDE_STAND_IN_VERSION`; the newest unless it says otherwise.
    pub(crate) fn of_environment() -> Self {
        let version = std::env::var("CLAUDE_STAND_IN_VERSION").unwrap_or_default();
        Self::of(if version.is_empty() { "2.1.332" } else { &version })
    }

    fn of(version: &str) -> Self {
        let patch: u32 = version.rsplit('.').next().and_then(|n| n.parse().ok()).unwrap_or(332);
        let newest = patch >= 224;
        let old = patch < 100;
        Self {
            version: version.to_owned(),
            inbox: newest,
            registers: !old,
            late: match (newest, old) {
                (true, _) => Late::None,
                (_, true) => Late::All,
                _ => Late::First,
            },
            suggests: old,
            names_removed: newest,
            distrusts: newest,
            inherits_trust: !newest,
            discovers: newest,
            full_screen: newest,
        }
    }
}
