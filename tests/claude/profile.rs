//! How the versions differ.

use std::time::Duration;

/// One version of the program.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// What `--version` says.
    pub(crate) version: String,
    /// It has an inbox socket, and says so in the sessions file.
    pub(crate) inbox: bool,
    /// It writes `.claude/sessions/<pid>.json`.
    pub(crate) registers: bool,
    /// A paste comes into the box only after this time, so that Enter acts on what
    /// was there before. It varies between these two.
    pub(crate) paste_delay: Option<(Duration, Duration)>,
    /// Grey suggestions stand in an empty box, and Enter sends them.
    pub(crate) suggests: bool,
    /// `remove` and `popAll` say what was removed.
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
        let late = (Duration::from_millis(100), Duration::from_millis(150));
        Self {
            version: version.to_owned(),
            inbox: newest,
            registers: !old,
            paste_delay: old.then_some(late),
            suggests: old,
            names_removed: newest,
            distrusts: newest,
            inherits_trust: !newest,
            discovers: newest,
            full_screen: newest,
        }
    }
}
