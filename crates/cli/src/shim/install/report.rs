//! The report of an installation, with hints for the user.

use std::fmt;
use std::io::Result;
use std::path::PathBuf;

/// multiclaude's `agent restart` is of no use: it types into the Claude Code that runs, and
/// then starts a new session under an id that is in use. The shell keeps its process, by which
/// multiclaude knows the agent.
const OLD_WINDOWS: &str = "\
Windows that already run keep their old PATH. Open a new shell in your own.
For an agent that runs, when it may be interrupted: leave Claude Code with /exit, then in that window:
    exec $SHELL -l
    claude --resume <session_id> --dangerously-skip-permissions --append-system-prompt-file ~/.multiclaude/prompts/<agent>.md
The session_id of each agent is in ~/.multiclaude/state.json.";

/// The change of one file or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `linked`, `created`, `changed`, `restored` (as it was before) or `removed`.
    pub did: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// A shell's file that was left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
    /// Lines that the user may add by hand; nothing when uninstalling.
    pub lines: Option<&'static str>,
}

/// The changes. Its text is for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In the order in which it was done; empty if all was as it should be.
    pub changed: Vec<Change>,
    /// The files that were left alone.
    pub refused: Vec<Refusal>,
    installing: bool,
}

impl Report {
    pub(super) fn installed() -> Self {
        Self { changed: Vec::new(), refused: Vec::new(), installing: true }
    }

    pub(super) fn uninstalled() -> Self {
        Self { installing: false, ..Self::installed() }
    }

    pub(super) fn note(
        &mut self,
        path: PathBuf,
        changed: Result<Option<Change>>,
        lines: Option<&'static str>,
    ) {
        match changed {
            Ok(change) => self.changed.extend(change),
            Err(error) => self.refused.push(Refusal { path, why: error.to_string(), lines }),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changed {
            writeln!(out, "{} {}", change.did, change.path.display())?;
        }
        for refusal in &self.refused {
            writeln!(out, "left alone: {}: {}", refusal.path.display(), refusal.why)?;
            if let Some(lines) = refusal.lines {
                writeln!(out, "  it should contain:")?;
                for line in lines.lines() {
                    writeln!(out, "    {line}")?;
                }
            }
        }
        match (self.changed.is_empty(), self.installing) {
            (true, true) => write!(out, "nothing to change: the shim is installed"),
            (true, false) => write!(out, "nothing to change: the shim is not installed"),
            (false, true) => write!(out, "{OLD_WINDOWS}"),
            (false, false) => write!(
                out,
                "Shells that already run may remember the shim: open a new one, or `hash -r`."
            ),
        }
    }
}
