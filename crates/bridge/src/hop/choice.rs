//! Which carrier takes a message to its agent, and what becomes of it there. Pure
//! (`machines.md`, *The last hop*).

use super::screen::Screen;
use super::transcript::Progress;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Between two posts to one agent: Claude Code drops what comes faster.
pub(super) const BETWEEN: Duration = Duration::from_secs(2);
/// A text is not repeated earlier: Claude Code drops the second of two equal ones.
pub(super) const AGAIN: Duration = Duration::from_secs(31);
/// How long a claude that was just started is left alone: it may swallow what is
/// typed, and its channel connects meanwhile.
pub(super) const STARTING: Duration = Duration::from_secs(5);
/// How long a paste may take to stand in the box.
const PASTED: Duration = Duration::from_secs(10);
/// Between two Enters.
const ENTER: Duration = Duration::from_secs(1);
/// Enters for one paste at most.
const ENTERS_MAX: u32 = 4;
/// How long an agent must have been idle before anything follows from that.
const SETTLED: Duration = Duration::from_secs(5);
/// After this time without a trace, a message counts as handed over without proof.
const UNPROVEN: Duration = Duration::from_mins(1);

/// What carries a message into the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Carrier {
    /// The MCP server that the agent's own claude has started.
    Channel,
    /// A paste and Enter.
    Keyboard,
}

/// What is known of an agent's session when a message waits for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Known<'a> {
    /// How long its claude has been in front; nothing if none is.
    pub(super) claude_for: Option<Duration>,
    /// Is its channel connected?
    pub(super) channel: bool,
    /// Is the pane in copy mode?
    pub(super) in_mode: bool,
    /// Does claude say that a dialog is open?
    pub(super) waiting: bool,
    /// What is on the screen, if somebody has looked.
    pub(super) screen: Option<&'a Screen>,
}

/// What is done with a message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// It is handed over.
    Hand(Carrier),
    /// Look at the screen first.
    Look,
    /// It waits, for this reason.
    Hold(&'static str),
}

/// The first carrier that can take a message now.
pub(super) fn choose(known: &Known<'_>) -> Choice {
    let Some(claude_for) = known.claude_for else {
        return Choice::Hold("no claude");
    };
    if known.channel {
        return Choice::Hand(Carrier::Channel);
    }
    if claude_for < STARTING {
        return Choice::Hold("claude is starting");
    }
    if known.in_mode {
        return Choice::Hold("copy mode");
    }
    if known.waiting {
        return Choice::Hold("dialog open");
    }
    match known.screen {
        None => Choice::Look,
        Some(Screen::NoBox) => Choice::Hold("dialog open"),
        Some(Screen::Shell) => Choice::Hold("shell mode"),
        Some(Screen::Box(text)) if text.is_empty() => Choice::Hand(Carrier::Keyboard),
        Some(Screen::Box(_)) => Choice::Hold(DRAFT),
    }
}

const PULLED_BACK: &str = "its human pulled it back into the box";
const DRAFT: &str = "draft in the box";
const STUCK: &str = "Enter does not submit it";

/// Reasons that only a person can end.
pub(super) fn needs_a_person(reason: &str) -> bool {
    matches!(reason, "copy mode" | "dialog open" | "shell mode" | DRAFT | PULLED_BACK | STUCK)
}

/// What a claude says that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// Older versions say nothing.
    Nothing,
    Idle,
    Busy,
    /// A dialog is open.
    Waiting,
}

/// Where the text that was pasted is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pasted {
    /// In the box, and nothing else is.
    Alone,
    /// In the box, with what somebody has typed.
    WithMore,
    /// Not in the box.
    Gone,
    /// There is no box.
    NoBox,
    /// It is not known: the text was not pasted, the pane is in copy mode, or another
    /// program is in front.
    Unknown,
}

/// What is known of a message that was handed over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Handed {
    /// By which carrier.
    pub(super) carrier: Carrier,
    /// Is it certain that the carrier has done its part? A crash may have come
    /// before.
    pub(super) posted: bool,
    /// How long ago.
    pub(super) ago: Duration,
    /// How far it has come in the transcript.
    pub(super) progress: Progress,
    /// Does the claude that got it live?
    pub(super) lives: bool,
    /// Does it have a transcript?
    pub(super) has_transcript: bool,
    /// What it says that it does, and for how long it has been idle.
    pub(super) says: (Says, Duration),
    /// Where the text is, if it was pasted.
    pub(super) pasted: Pasted,
    /// How often Enter was pressed, and how long ago.
    pub(super) enters: (u32, Duration),
}

/// What follows for a message that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The agent has it.
    Taken,
    /// It is proven that the agent never gets it: hand it over again.
    Lost,
    /// The agent may have it, and nothing will ever prove it.
    Unproven,
    /// It stands in the box: submit it.
    Enter,
    /// Wait, for this reason.
    Wait(&'static str),
}

/// What follows for a message that was handed over.
pub(super) fn next(handed: &Handed) -> Next {
    let (says, idle_for) = handed.says;
    // An idle agent has an empty queue, and its transcript is up to date.
    let idle = says == Says::Idle && idle_for >= SETTLED && handed.ago >= AGAIN;
    let in_box = matches!(handed.pasted, Pasted::Alone | Pasted::WithMore);
    match handed.progress {
        Progress::Taken => return Next::Taken,
        // What was only queued is lost with the process.
        _ if !handed.lives => return Next::Lost,
        Progress::Queued if says == Says::Waiting => return Next::Wait("dialog open"),
        // It is no longer in the queue, and the transcript does not say why.
        Progress::Queued if idle => return Next::Unproven,
        Progress::Queued => return Next::Wait("in the queue of its agent"),
        Progress::PulledBack if idle && !in_box => return Next::Unproven,
        Progress::PulledBack => return Next::Wait(PULLED_BACK),
        Progress::Dropped if handed.ago < AGAIN => {
            return Next::Wait("Claude Code dropped it; it is handed over again soon");
        }
        Progress::Dropped => return Next::Lost,
        Progress::PerhapsQueued | Progress::Nothing => {}
    }
    if handed.carrier == Carrier::Keyboard
        && let Some(next) = pasted(handed)
    {
        return next;
    }
    if says == Says::Waiting {
        return Next::Wait("dialog open");
    }
    if idle && (handed.has_transcript || !handed.posted) {
        return Next::Lost;
    }
    if handed.progress == Progress::PerhapsQueued {
        return Next::Wait("in the queue of its agent");
    }
    if handed.ago >= UNPROVEN && says != Says::Busy {
        return Next::Unproven;
    }
    Next::Wait("handed over; its transcript does not have it yet")
}

/// What follows from where a pasted text is; nothing if that decides nothing.
fn pasted(handed: &Handed) -> Option<Next> {
    let (enters, since) = handed.enters;
    let waiting = handed.says.0 == Says::Waiting;
    Some(match handed.pasted {
        Pasted::Alone if waiting => Next::Wait("dialog open"),
        Pasted::Alone if enters == 0 || (since >= ENTER && enters < ENTERS_MAX) => Next::Enter,
        Pasted::Alone if enters >= ENTERS_MAX => Next::Wait(STUCK),
        Pasted::Alone => Next::Wait("being submitted"),
        // Their text would be sent along.
        Pasted::WithMore => Next::Wait(DRAFT),
        // It never came into the box, and nothing was submitted.
        Pasted::Gone
            if enters == 0 && handed.ago >= PASTED && handed.progress == Progress::Nothing =>
        {
            Next::Lost
        }
        Pasted::Gone => return None,
        Pasted::NoBox => Next::Wait("dialog open"),
        Pasted::Unknown => Next::Wait("copy mode, or another program is in front"),
    })
}

#[cfg(test)]
mod tests;
