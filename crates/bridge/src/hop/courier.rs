//! Hands the messages of one agent over, in order, one at a time.
//!
//! Cost: nothing while no message waits. While a message is held, it looks at tmux and the
//! processes twice a second at first, later every 5 s. After a message was handed over, it
//! looks at the transcripts every 40 ms for 3 s, then less and less often, down to once a
//! second.

use super::choice::{
    Activity, Carrier, Choice, Handed, Next, POST_INTERVAL, Pasted, Situation, WORKSPACE, choose,
    needs_a_person, next,
};
use super::flight::{self, Flight};
use super::keyboard;
use super::screen::Screen;
use super::session::{Process, Session, SessionFile};
use super::shared::Shared;
use super::text::mark;
use super::transcript::Progress;
use crate::clock;
use crate::inbox::Stage;
use crate::multiclaude::Pane;
use crate::presence::is_successor;
use crate::socket::PostError;
use crate::trouble::Trouble;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{info, warn};

/// The waits between two looks at a transcript, at first and later.
const POLL_FAST: Duration = Duration::from_millis(40);
const POLL_SLOW: Duration = Duration::from_millis(250);
const POLL_SLOWEST: Duration = Duration::from_secs(1);
/// How long [`POLL_FAST`] is used.
const FAST_FOR: Duration = Duration::from_secs(3);
/// How old the list of windows may be. The tmux call that uses a window checks it again.
const WINDOWS_AGE: Duration = Duration::from_millis(400);

/// The wait between two looks at a held message is a tenth of the time that it has been
/// held, within these limits.
pub(super) const HELD: Duration = Duration::from_millis(500);
pub(super) const HELD_LONG: Duration = Duration::from_secs(5);

/// Hands over the messages of one agent.
#[derive(Debug)]
pub(super) struct Courier {
    pub(super) shared: Arc<Shared>,
    pub(super) local: String,
    flight: Option<Flight>,
    /// When the last message was handed over.
    handed: Option<Duration>,
    /// The claude in the foreground, and since when.
    front: Option<(Process, Duration)>,
    /// Why the first message waits, and since when.
    pub(super) held: Option<(String, Duration)>,
    /// The ids and reasons that were shown to the human.
    pub(super) shown: BTreeSet<(String, String)>,
}

/// When to look again; `None`: when something changes.
type Again = Option<Duration>;

impl Courier {
    pub(super) fn new(shared: Arc<Shared>, local: &str) -> Self {
        Self {
            shared,
            local: local.to_owned(),
            flight: None,
            handed: None,
            front: None,
            held: None,
            shown: BTreeSet::new(),
        }
    }

    /// Works until it is aborted.
    pub(super) async fn run(mut self, wake: Arc<Notify>) {
        let mut channels = self.shared.channels.changed.subscribe();
        let failing = Trouble::new(
            "messages cannot be handed to their agent; trying again",
            "messages can be handed to their agent again",
        );
        // Without this record a message could be handed over twice.
        let unknown = Trouble::new(
            "the record of the last message that was handed over cannot be read",
            "the record can be read again",
        );
        self.flight = loop {
            match unknown.note(&self.local, Flight::resume(self.path())) {
                Some(flight) => break flight,
                None => sleep(HELD_LONG).await,
            }
        };
        loop {
            let step = self.step().await;
            if let Err(error) = &step {
                self.shared.hold(&self.local, &format!("the last hop fails: {error}"));
            }
            let again = failing.note(&self.local, step).unwrap_or(Some(HELD));
            let pause = async {
                match again {
                    Some(pause) => sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                () = wake.notified() => {}
                done = channels.changed() => if done.is_err() { return },
            }
        }
    }

    fn path(&self) -> PathBuf {
        flight::path(&self.shared.store.of(&self.local))
    }

    async fn step(&mut self) -> io::Result<Again> {
        if self.flight.is_some() {
            return self.follow().await;
        }
        let waiting = self.shared.waiting(&self.local);
        let Some(first) = waiting.first() else {
            self.shown.clear();
            return Ok(None);
        };
        if !self.is_open(first) {
            // Its agent has read it, or has ended.
            self.shared.withdraw(&self.local, first);
            return Ok(Some(Duration::ZERO));
        }
        let since = self.handed.map(|at| clock::since_boot().saturating_sub(at));
        if let Some(since) = since.filter(|since| *since < POST_INTERVAL) {
            return Ok(Some(POST_INTERVAL.saturating_sub(since)));
        }
        self.hand_over(first, &waiting).await
    }

    /// Ends the flight.
    fn end_flight(&mut self) -> io::Result<Again> {
        if let Some(flight) = &self.flight {
            flight.end()?;
        }
        self.flight = None;
        Ok(Some(Duration::ZERO))
    }

    /// Hands the first message over, if a carrier can take it now.
    async fn hand_over(&mut self, id: &str, waiting: &[String]) -> io::Result<Again> {
        let state = self.shared.state.read();
        let repo = state.as_ref().and_then(|state| state.repos.get(&self.shared.nickname));
        let Some((repo, agent)) = repo.and_then(|repo| Some((repo, repo.agents.get(&self.local)?)))
        else {
            return Ok(Some(self.hold(waiting, "no such agent here", None).await));
        };
        let record = self.shared.registry.records.get(&self.local);
        if record.is_some_and(|record| is_successor(agent, &record.created_at)) {
            let reason = format!("it is for an earlier {}, which has ended", self.local);
            return Ok(Some(self.hold(waiting, &reason, None).await));
        }
        let panes = self.shared.windows.within(WINDOWS_AGE).await;
        let window = panes.window(&repo.tmux_target(), agent).map(|pane| pane.id.clone());
        if agent.r#type == "workspace" && !self.shared.options.workspace {
            self.hold(waiting, WORKSPACE, window.as_deref()).await;
            return Ok(None);
        }
        let session = Session::find(&self.shared.home, &panes, &repo.tmux_target(), agent);
        let front = self.in_front(session.as_ref());
        let channel = session.as_ref().and_then(|session| {
            self.shared.channels.to(&self.shared.nickname, &self.local, &session.process)
        });
        let waits = |session: &Session| {
            session.file.as_ref().map(SessionFile::activity) == Some(Activity::Waiting)
        };
        let mut known = Situation {
            claude_for: front,
            channel: channel.is_some(),
            in_mode: session.as_ref().is_some_and(|session| session.pane.in_mode),
            waiting: session.as_ref().is_some_and(waits),
            screen: None,
        };
        let mut choice = choose(&known);
        let screen;
        if let (Choice::Look, Some(session)) = (choice, &session) {
            screen = keyboard::screen(&session.pane.id).await?;
            known.screen = Some(&screen);
            choice = choose(&known);
        }
        let (carrier, session) = match (choice, session) {
            (Choice::Hand(carrier), Some(session)) => (carrier, session),
            (Choice::Hold(reason), _) => {
                return Ok(Some(self.hold(waiting, reason, window.as_deref()).await));
            }
            _ => return Ok(Some(HELD)),
        };
        let Some(letter) = self.letter(id)? else {
            if self.path_of(id).exists() {
                return Ok(Some(self.hold(waiting, "its file cannot be read", None).await));
            }
            // It was removed unread, perhaps with all of multiclaude's directory: the next
            // pass writes it again.
            self.shared.store.advance(&self.local, id, Stage::Placed, Stage::New)?;
            self.shared.withdraw(&self.local, id);
            warn!(local = self.local, id, "its file was removed unread; it is written again");
            return Ok(Some(Duration::ZERO));
        };
        self.shared.hold(&self.local, "being handed over");
        let text = match carrier {
            Carrier::Channel => letter.whole(),
            Carrier::Keyboard => letter.short(),
        };
        // After an error from here on, the flight is followed.
        let flight = Flight::begin(self.path(), id, (carrier, &text), &session)?;
        let flight = self.flight.insert(flight);
        self.handed = Some(clock::since_boot());
        info!(local = self.local, id, ?carrier, "handing a message over");
        let not_posted = match channel {
            Some(channel) if carrier == Carrier::Channel => match channel.post(text).await {
                Ok(()) => None,
                Err(PostError::Unknown) => return Ok(Some(POLL_FAST)),
                Err(PostError::Not(reason)) => Some(format!("the channel is not usable: {reason}")),
            },
            _ if keyboard::paste(&session.pane, id, &text).await? => None,
            _ => Some("copy mode, or another program is in front".to_owned()),
        };
        let Some(reason) = not_posted else {
            flight.posted()?;
            return Ok(Some(POLL_FAST));
        };
        self.end_flight()?;
        Ok(Some(self.hold(waiting, &reason, None).await))
    }

    /// How long this claude has been in the foreground.
    fn in_front(&mut self, session: Option<&Session>) -> Option<Duration> {
        let now = clock::since_boot();
        let Some(session) = session else {
            self.front = None;
            return None;
        };
        let known = self.front.as_ref().filter(|(process, _)| *process == session.process);
        let since = known.map_or_else(
            || now.saturating_sub(session.process.age().unwrap_or_default()),
            |(_, since)| *since,
        );
        self.front = Some((session.process.clone(), since));
        // After a start of the bridge, give its channel time to connect again.
        Some(now.saturating_sub(since.max(self.shared.since)))
    }

    /// Follows the message that was handed over.
    async fn follow(&mut self) -> io::Result<Again> {
        let Some(flight) = &mut self.flight else {
            return Ok(Some(Duration::ZERO));
        };
        let id = flight.id().to_owned();
        let lives = flight.lives();
        let progress = flight.progress()?;
        let looks = flight.carrier() == Carrier::Keyboard
            && lives
            && !matches!(progress, Progress::Queued | Progress::Taken);
        let (process, text) = (flight.claude().clone(), flight.text().to_owned());
        let pane = if looks { self.pane_of(&process).await } else { None };
        let screen = match &pane {
            Some(pane) => Some(keyboard::screen(&pane.id).await?),
            None => None,
        };
        let pasted = screen.map_or(Pasted::Unknown, |screen| locate_paste(&text, &id, &screen));
        let (wanted, stands) =
            (self.is_open(&id), matches!(pasted, Pasted::Alone | Pasted::WithMore));
        let Some(flight) = &mut self.flight else {
            return Ok(Some(Duration::ZERO));
        };
        // Its agent has read the file, and the message is not on its way any more.
        if !wanted && progress == Progress::Nothing && !stands {
            return self.end_flight();
        }
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
        let pause = if flight.ago() < FAST_FOR {
            POLL_FAST
        } else {
            (flight.ago() / 20).clamp(POLL_SLOW, POLL_SLOWEST)
        };
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
                warn!(
                    local = self.local,
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
                let new = self.shared.hold(&self.local, reason);
                if new && needs_a_person(reason) {
                    self.show(&id, reason, pane.as_ref().map(|pane| pane.id.as_str())).await;
                }
            }
        }
        Ok(Some(pause))
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
