//! Chooses a carrier for a message, and decides what follows after it was handed over.
//! Pure.

use super::reason::Reason;
use super::screen::Screen;
use super::transcript::Progress;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The shortest time between two posts to one agent: Claude Code drops faster ones.
pub(super) const POST_INTERVAL: Duration = Duration::from_secs(2);
/// The shortest time before a text is repeated: Claude Code drops the second of two equal
/// texts.
pub(super) const REPEAT_AFTER: Duration = Duration::from_secs(31);
/// How long nothing is typed into a new claude: it may lose keys while it starts, and
/// its channel may still connect.
pub(super) const STARTUP: Duration = Duration::from_secs(5);
/// How long a paste may take to appear in the box.
const PASTE_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest time between two Enters.
const ENTER_INTERVAL: Duration = Duration::from_secs(1);
/// The most Enters for one paste.
const ENTERS_MAX: u32 = 4;
/// How long an agent must have been idle before that proves anything.
const IDLE_MIN: Duration = Duration::from_secs(5);
/// After this time without a trace, a message counts as handed over without proof.
const PROOF_TIMEOUT: Duration = Duration::from_mins(1);

/// The way of a message into the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Carrier {
    /// The MCP server that the agent's own claude has started.
    Channel,
    /// A paste and Enter.
    Keyboard,
}

/// The state of an agent's session when a message waits for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Situation<'a> {
    /// How long its claude has been in the foreground; `None` if none is.
    pub(super) claude_for: Option<Duration>,
    /// Is its channel connected?
    pub(super) channel: bool,
    /// Is the pane in copy mode?
    pub(super) in_mode: bool,
    /// Does claude report an open dialog?
    pub(super) waiting: bool,
    /// The content of the screen, if it was captured.
    pub(super) screen: Option<&'a Screen>,
}

/// The decision about a message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// Hand it over by this carrier.
    Hand(Carrier),
    /// Capture the screen first.
    Look,
    /// Let it wait, for this reason.
    Hold(Reason),
}

/// The first carrier that can take a message now.
pub(super) fn choose(known: &Situation<'_>) -> Choice {
    let Some(claude_for) = known.claude_for else {
        return Choice::Hold(Reason::NoClaude);
    };
    if known.channel {
        return Choice::Hand(Carrier::Channel);
    }
    if claude_for < STARTUP {
        return Choice::Hold(Reason::Starting);
    }
    if known.in_mode {
        return Choice::Hold(Reason::CopyMode);
    }
    if known.waiting {
        return Choice::Hold(Reason::DialogOpen);
    }
    match known.screen {
        None => Choice::Look,
        Some(Screen::NoBox) => Choice::Hold(Reason::DialogOpen),
        Some(Screen::Shell) => Choice::Hold(Reason::ShellMode),
        Some(Screen::Box(text)) if text.is_empty() => Choice::Hand(Carrier::Keyboard),
        Some(Screen::Box(_)) => Choice::Hold(Reason::Draft),
    }
}

/// The activity that a claude reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// Older versions report none.
    Unknown,
    Idle,
    Busy,
    /// A dialog is open.
    Waiting,
}

/// The place of a pasted text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pasted {
    /// In the box, alone.
    Alone,
    /// In the box, with typed text.
    WithMore,
    /// Not in the box.
    Gone,
    /// There is no box.
    NoBox,
    /// Not known: the text was not pasted, the pane is in copy mode, or another program is
    /// in the foreground.
    Unknown,
}

/// The state of a message that was handed over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Handed {
    /// The carrier.
    pub(super) carrier: Carrier,
    /// Is it certain that the carrier has done its part? There may have been a crash before.
    pub(super) posted: bool,
    /// How long ago it was handed over.
    pub(super) ago: Duration,
    /// How far it has come in the transcript.
    pub(super) progress: Progress,
    /// Is the claude that got it still alive?
    pub(super) lives: bool,
    /// Does that claude have a transcript?
    pub(super) has_transcript: bool,
    /// The reported activity, and for how long the claude has been idle.
    pub(super) activity: (Activity, Duration),
    /// The place of the text, if it was pasted.
    pub(super) pasted: Pasted,
    /// How often Enter was pressed, and how long ago the last time.
    pub(super) enters: (u32, Duration),
}

/// The next step for a message that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// The agent has it.
    Taken,
    /// It is proven that the agent never gets it: hand it over again.
    Lost,
    /// The agent may have it, but that can never be proven.
    Unproven,
    /// The text is in the box: press Enter.
    Enter,
    /// Wait, for this reason.
    Wait(Reason),
}

/// Decides the next step for a message that was handed over.
pub(super) fn next(handed: &Handed) -> Next {
    let (activity, idle_for) = handed.activity;
    // An idle agent has an empty queue, and its transcript is up to date.
    let idle = activity == Activity::Idle && idle_for >= IDLE_MIN && handed.ago >= REPEAT_AFTER;
    let in_box = matches!(handed.pasted, Pasted::Alone | Pasted::WithMore);
    match handed.progress {
        Progress::Taken => return Next::Taken,
        // A queued message is lost with the process.
        _ if !handed.lives => return Next::Lost,
        Progress::Queued if activity == Activity::Waiting => return Next::Wait(Reason::DialogOpen),
        // It is no longer in the queue, and the transcript does not show why.
        Progress::Queued if idle => return Next::Unproven,
        Progress::Queued => return Next::Wait(Reason::Queued),
        Progress::PulledBack if idle && !in_box => return Next::Unproven,
        Progress::PulledBack => return Next::Wait(Reason::PulledBack),
        Progress::Dropped if handed.ago < REPEAT_AFTER => {
            return Next::Wait(Reason::Dropped);
        }
        Progress::Dropped => return Next::Lost,
        Progress::PerhapsQueued | Progress::Nothing => {}
    }
    if handed.carrier == Carrier::Keyboard
        && let Some(next) = pasted(handed)
    {
        return next;
    }
    if activity == Activity::Waiting {
        return Next::Wait(Reason::DialogOpen);
    }
    if idle && (handed.has_transcript || !handed.posted) {
        return Next::Lost;
    }
    if handed.progress == Progress::PerhapsQueued {
        return Next::Wait(Reason::Queued);
    }
    if handed.ago >= PROOF_TIMEOUT && activity != Activity::Busy {
        return Next::Unproven;
    }
    Next::Wait(Reason::NoTrace)
}

/// The next step according to the place of a pasted text; `None` if that is not decisive.
fn pasted(handed: &Handed) -> Option<Next> {
    let (enters, since) = handed.enters;
    let waiting = handed.activity.0 == Activity::Waiting;
    Some(match handed.pasted {
        Pasted::Alone if waiting => Next::Wait(Reason::DialogOpen),
        Pasted::Alone if enters == 0 || (since >= ENTER_INTERVAL && enters < ENTERS_MAX) => {
            Next::Enter
        }
        Pasted::Alone if enters >= ENTERS_MAX => Next::Wait(Reason::Stuck),
        Pasted::Alone => Next::Wait(Reason::Submitting),
        // Enter would submit the typed text, too.
        Pasted::WithMore => Next::Wait(Reason::Draft),
        // It never appeared in the box, and nothing was submitted.
        Pasted::Gone
            if enters == 0
                && handed.ago >= PASTE_TIMEOUT
                && handed.progress == Progress::Nothing =>
        {
            Next::Lost
        }
        Pasted::Gone => return None,
        Pasted::NoBox => Next::Wait(Reason::DialogOpen),
        Pasted::Unknown => Next::Wait(Reason::NotInFront),
    })
}

#[cfg(test)]
mod tests;
