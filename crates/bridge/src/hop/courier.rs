//! Hands the messages of one agent over, in order, one at a time.
//!
//! Cost: nothing while nothing waits. While a message waits for a reason to end, a look
//! at tmux and the processes, twice a second at first, later every 5 s. While one is
//! being taken, a look at the transcripts every 40 ms for 3 s, then ever more seldom,
//! down to once a second.

use super::Shared;
use super::choice::{
    BETWEEN, Carrier, Choice, Handed, Known, Next, Pasted, Says, choose, needs_a_person, next,
};
use super::flight::{self, Flight};
use super::held::{HELD, HELD_LONG, WORKSPACE};
use super::keyboard;
use super::screen::Screen;
use super::session::{Process, Said, Session};
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
use tracing::{debug, info, warn};

/// Between two looks at a transcript, at first and later.
const SOON: Duration = Duration::from_millis(40);
const LATER: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_secs(1);
/// How long the first looks go on.
const AT_FIRST: Duration = Duration::from_secs(3);
/// How old the list of windows may be. What is done with a window is checked again
/// by the tmux call that does it.
const AGE: Duration = Duration::from_millis(400);

/// One agent's messages.
#[derive(Debug)]
pub(super) struct Courier {
    pub(super) shared: Arc<Shared>,
    pub(super) local: String,
    flight: Option<Flight>,
    /// When the last message was handed over.
    handed: Option<Duration>,
    /// The claude in front, and since when.
    front: Option<(Process, Duration)>,
    /// Why the first message waits, and since when.
    pub(super) held: Option<(String, Duration)>,
    /// What was shown to the human.
    pub(super) shown: BTreeSet<(String, String)>,
}

/// When to look again; nothing: when there is something new.
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
        // Without it a message could come twice.
        let unknown = Trouble::new("what was handed over last cannot be read", "it can be read");
        self.flight = loop {
            match unknown.note(&self.local, Flight::resume(self.path())) {
                Some(flight) => break flight,
                None => sleep(HELD_LONG).await,
            }
        };
        loop {
            let again = match self.step().await {
                Ok(again) => again,
                Err(error) => {
                    debug!(local = self.local, %error, "the last hop failed; trying again");
                    Some(HELD)
                }
            };
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
            // Its agent has read it, or ended.
            self.shared.withdraw(&self.local, first);
            return Ok(Some(Duration::ZERO));
        }
        let since = self.handed.map(|at| clock::since_boot().saturating_sub(at));
        if let Some(since) = since.filter(|since| *since < BETWEEN) {
            return Ok(Some(BETWEEN.saturating_sub(since)));
        }
        self.hand_over(first, &waiting).await
    }

    /// The flight is over.
    fn land(&mut self) -> io::Result<Again> {
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
        let panes = self.shared.windows.within(AGE).await;
        let window = panes.window(&repo.tmux_target(), agent).map(|pane| pane.id.clone());
        if agent.r#type == "workspace" && !self.shared.wishes.workspace {
            self.hold(waiting, WORKSPACE, window.as_deref()).await;
            return Ok(None);
        }
        let session = Session::find(&self.shared.home, &panes, &repo.tmux_target(), agent);
        let front = self.in_front(session.as_ref());
        let channel = session.as_ref().and_then(|session| {
            self.shared.channels.to(&self.shared.nickname, &self.local, &session.process)
        });
        let waits =
            |session: &Session| session.said.as_ref().map(Said::says) == Some(Says::Waiting);
        let mut known = Known {
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
            // Removed unread, perhaps with all of multiclaude's directory: the next
            // pass writes the file again.
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
        // From here on an error leaves the flight, which is followed.
        let flight = Flight::begin(self.path(), id, (carrier, &text), &session)?;
        let flight = self.flight.insert(flight);
        self.handed = Some(clock::since_boot());
        info!(local = self.local, id, ?carrier, "handing a message over");
        let not_posted = match channel {
            Some(channel) if carrier == Carrier::Channel => match channel.post(text).await {
                Ok(()) => None,
                Err(PostError::Unknown) => return Ok(Some(SOON)),
                Err(PostError::Not(reason)) => Some(format!("the channel is not usable: {reason}")),
            },
            _ if keyboard::paste(&session.pane, id, &text).await? => None,
            _ => Some("copy mode, or another program is in front".to_owned()),
        };
        let Some(reason) = not_posted else {
            flight.posted()?;
            return Ok(Some(SOON));
        };
        self.land()?;
        Ok(Some(self.hold(waiting, &reason, None).await))
    }

    /// How long this claude has been in front.
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
        // After a start of the bridge its channel needs a moment to connect again.
        Some(now.saturating_sub(since.max(self.shared.since)))
    }

    /// Looks what has become of the message that was handed over.
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
        let pasted = screen.map_or(Pasted::Unknown, |screen| where_is(&text, &id, &screen));
        let (wanted, stands) =
            (self.is_open(&id), matches!(pasted, Pasted::Alone | Pasted::WithMore));
        let Some(flight) = &mut self.flight else {
            return Ok(Some(Duration::ZERO));
        };
        // Its agent has read it meanwhile, and nothing of it is on its way.
        if !wanted && progress == Progress::Nothing && !stands {
            return self.land();
        }
        let handed = Handed {
            carrier: flight.carrier(),
            posted: flight.is_posted(),
            ago: flight.ago(),
            progress,
            lives,
            // The last look before an Enter: is a dialog open?
            says: flight.says(&self.shared.home),
            has_transcript: flight.has_transcript(),
            pasted,
            enters: flight.enters(),
        };
        let pause =
            if flight.ago() < AT_FIRST { SOON } else { (flight.ago() / 20).clamp(LATER, LATEST) };
        match next(&handed) {
            Next::Taken => {
                self.advance(&id, Stage::Taken, "an agent has taken a message")?;
                self.shared.taken.notify_one();
                return self.land();
            }
            Next::Unproven => {
                self.advance(
                    &id,
                    Stage::Handed,
                    "handed over, and nothing proves that it was taken",
                )?;
                return self.land();
            }
            Next::Lost => {
                warn!(
                    local = self.local,
                    id,
                    ?progress,
                    lives,
                    "it did not arrive; it is handed over again"
                );
                return self.land();
            }
            Next::Enter => {
                if let Some(pane) = &pane {
                    // Counted first: it may be pressed although tmux reports an error.
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

    /// The pane in which the claude of a flight is still in front.
    async fn pane_of(&self, process: &Process) -> Option<Pane> {
        let panes = self.shared.windows.within(AGE).await;
        let state = self.shared.state.read()?;
        let repo = state.repos.get(&self.shared.nickname)?;
        let agent = repo.agents.get(&self.local)?;
        let session = Session::find(&self.shared.home, &panes, &repo.tmux_target(), agent)?;
        (session.process == *process && !session.pane.in_mode).then_some(session.pane)
    }
}

/// Where a text that was pasted is. Narrow boxes break lines.
fn where_is(text: &str, id: &str, screen: &Screen) -> Pasted {
    let without = |text: &str| text.split_whitespace().collect::<String>();
    match screen {
        Screen::NoBox | Screen::Shell => Pasted::NoBox,
        Screen::Box(shown) if without(shown) == without(text) => Pasted::Alone,
        Screen::Box(shown) if without(shown).contains(&without(&mark(id))) => Pasted::WithMore,
        Screen::Box(_) => Pasted::Gone,
    }
}
