//! Follows a message that was handed over, until it is proven to be taken, or lost.

use super::choice::{Carrier, Handed, Next, Pasted, next};
use super::courier::{Again, Courier, POLL_FAST, WINDOWS_AGE};
use super::keyboard;
use super::screen::Screen;
use super::session::{Process, Session};
use super::text::mark;
use super::transcript::Progress;
use crate::inbox::Stage;
use crate::multiclaude::Pane;
use std::io;
use std::time::Duration;
use tracing::warn;

/// The waits between two looks at a transcript after [`FAST_FOR`].
const POLL_SLOW: Duration = Duration::from_millis(250);
const POLL_SLOWEST: Duration = Duration::from_secs(1);
/// How long [`POLL_FAST`] is used.
const FAST_FOR: Duration = Duration::from_secs(3);

impl Courier {
    /// Looks at the message that was handed over, and takes the next step.
    pub(super) async fn follow(&mut self) -> io::Result<Again> {
        let Some((handed, pane)) = self.look().await? else {
            return self.end_flight();
        };
        let Some(flight) = &mut self.flight else {
            return self.end_flight();
        };
        let id = flight.id().to_owned();
        match next(&handed) {
            Next::Taken => {
                self.advance(&id, Stage::Taken, "the agent has taken a message")?;
                self.shared.taken.notify_one();
                return self.end_flight();
            }
            Next::Unproven => {
                self.advance(&id, Stage::Handed, "handed over without proof that it was taken")?;
                return self.end_flight();
            }
            Next::Lost => {
                let (local, progress, lives) = (&self.local, handed.progress, handed.lives);
                warn!(
                    local,
                    id,
                    ?progress,
                    lives,
                    "the message did not arrive; it is handed over again"
                );
                return self.end_flight();
            }
            Next::Enter => {
                if let Some(pane) = &pane {
                    // Count it first: Enter may be pressed even if tmux reports an error.
                    flight.entering()?;
                    keyboard::enter(pane, &id).await?;
                }
            }
            Next::Wait(reason) => {
                let new = self.shared.hold(&self.local, &reason);
                if new && reason.needs_a_person() {
                    self.show(&id, &reason, pane.as_ref().map(|pane| pane.id.as_str())).await;
                }
            }
        }
        Ok(Some(pause(handed.ago)))
    }

    /// The state of the message that was handed over, and the pane that it may stand in;
    /// `None` if there is nothing to follow any more.
    async fn look(&mut self) -> io::Result<Option<(Handed, Option<Pane>)>> {
        let Some(flight) = &mut self.flight else {
            return Ok(None);
        };
        let id = flight.id().to_owned();
        // First: after the death of its claude, its last lines are still read.
        let lives = flight.lives();
        let progress = flight.progress()?;
        let may_be_in_box = flight.carrier() == Carrier::Keyboard
            && lives
            && !matches!(progress, Progress::Queued | Progress::Taken);
        let (pane, pasted) =
            if may_be_in_box { self.find_paste().await? } else { (None, Pasted::Unknown) };
        // Its agent has read the file, and the message is not on its way any more.
        let is_in_box = matches!(pasted, Pasted::Alone | Pasted::WithMore);
        if progress == Progress::Nothing && !is_in_box && !self.is_open(&id) {
            return Ok(None);
        }
        let Some(flight) = &mut self.flight else {
            return Ok(None);
        };
        let handed = Handed {
            carrier: flight.carrier(),
            posted: flight.is_posted(),
            ago: flight.ago(),
            progress,
            lives,
            // Read last, because it decides about an Enter.
            activity: flight.activity(&self.shared.home),
            has_transcript: flight.has_transcript(),
            pasted,
            enters: flight.enters(),
        };
        Ok(Some((handed, pane)))
    }

    /// Looks for the message in the box of its claude, if that is still in the foreground.
    async fn find_paste(&self) -> io::Result<(Option<Pane>, Pasted)> {
        let Some(flight) = &self.flight else {
            return Ok((None, Pasted::Unknown));
        };
        let Some(pane) = self.pane_of(flight.claude()).await else {
            return Ok((None, Pasted::Unknown));
        };
        let screen = keyboard::screen(&pane.id).await?;
        let pasted = locate_paste(flight.text(), flight.id(), &screen);
        Ok((Some(pane), pasted))
    }

    /// The pane of the flight's claude, if it is still in the foreground.
    async fn pane_of(&self, process: &Process) -> Option<Pane> {
        let panes = self.shared.windows.within(WINDOWS_AGE).await;
        let state = self.shared.state.read()?;
        let repo = state.repos.get(&self.shared.nickname)?;
        let agent = repo.agents.get(&self.local)?;
        let session = Session::find(&self.shared.home, &panes, &repo.tmux_target(), agent)?;
        (session.process == *process && !session.pane.in_mode).then_some(session.pane)
    }
}

/// The wait until the next look at a message that was handed over `ago`.
fn pause(ago: Duration) -> Duration {
    if ago < FAST_FOR { POLL_FAST } else { (ago / 20).clamp(POLL_SLOW, POLL_SLOWEST) }
}

/// The place of a pasted text. White space is ignored, since narrow boxes break lines.
fn locate_paste(text: &str, id: &str, screen: &Screen) -> Pasted {
    let without = |text: &str| text.split_whitespace().collect::<String>();
    match screen {
        Screen::NoBox | Screen::Shell => Pasted::NoBox,
        Screen::Box(shown) if without(shown) == without(text) => Pasted::Alone,
        Screen::Box(shown) if without(shown).contains(&without(&mark(id))) => Pasted::WithMore,
        Screen::Box(_) => Pasted::Gone,
    }
}
