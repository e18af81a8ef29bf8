//! Hands the messages of one agent over, in order, one at a time.
//!
//! Cost: nothing while nothing waits. While a message waits for a reason to end, a
//! look at tmux and the processes, twice a second at first, later every 5 s; while one is being taken, a look
//! at the transcripts every 40 ms for 3 s, then four times a second.

use super::choice::{
    BETWEEN, Carrier, Choice, Handed, Known, Next, Says, choose, needs_a_person, next,
};
use super::flight::{self, Flight};
use super::keyboard;
use super::screen::Screen;
use super::session::{Process, Said, Session};
use super::text::Letter;
use super::{Shared, text};
use crate::clock;
use crate::inbox::{Stage, Stored};
use crate::multiclaude::{LocalMessage, Pane, Status};
use crate::socket::PostError;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{debug, info, warn};

/// Between two looks at a transcript, at first and later.
const SOON: Duration = Duration::from_millis(40);
const LATER: Duration = Duration::from_millis(250);
/// How long the first looks go on.
const AT_FIRST: Duration = Duration::from_secs(3);
/// Between two looks at what holds a message up: a tenth of the time that it has been
/// so, within these limits.
const HELD: Duration = Duration::from_millis(500);
const HELD_LONG: Duration = Duration::from_secs(5);
/// How old the list of windows may be. What is done with a window is checked again
/// by the tmux call that does it.
const AGE: Duration = Duration::from_millis(400);
/// What a message for a workspace waits for.
pub(super) const WORKSPACE: &str = "for the human: multiclaude message list";

/// One agent's messages.
#[derive(Debug)]
pub(super) struct Courier {
    shared: Arc<Shared>,
    local: String,
    flight: Option<Flight>,
    /// When the last message was handed over.
    handed: Option<Duration>,
    /// The claude in front, and since when.
    front: Option<(Process, Duration)>,
    /// Why the first message waits, and since when.
    held: Option<(String, Duration)>,
    /// What was shown to the human.
    shown: BTreeSet<(String, String)>,
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
        match Flight::resume(self.path()) {
            Ok(flight) => self.flight = flight,
            Err(error) => warn!(local = self.local, %error, "what was handed over last is unknown"),
        }
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

    fn path(&self) -> std::path::PathBuf {
        flight::path(&self.shared.store.of(&self.local))
    }

    async fn step(&mut self) -> io::Result<Again> {
        if let Some(flight) = self.flight.take() {
            if !self.is_open(flight.id()) {
                flight.end()?;
                return Ok(Some(Duration::ZERO));
            }
            return self.follow(flight).await;
        }
        let waiting = self.shared.waiting(&self.local);
        let Some(first) = waiting.first() else {
            self.shown.clear();
            return Ok(None);
        };
        let since = self.handed.map(|at| clock::since_boot().saturating_sub(at));
        if let Some(since) = since.filter(|since| *since < BETWEEN) {
            return Ok(Some(BETWEEN.saturating_sub(since)));
        }
        self.hand_over(first, &waiting).await
    }

    /// Is this message placed, and unread by its agent?
    fn is_open(&self, id: &str) -> bool {
        let read = |file: LocalMessage| file.acked_at.is_some() || file.status != Status::Delivered;
        self.shared.store.has(&self.local, Stage::Placed, id) && !self.file(id).is_some_and(read)
    }

    fn file(&self, id: &str) -> Option<LocalMessage> {
        let path = self.shared.messages.join(&self.local).join(format!("{id}.json"));
        // Half written: it is there at the next look.
        LocalMessage::read(&path).ok()?
    }

    /// Hands the first message over, if a carrier can take it now.
    async fn hand_over(&mut self, id: &str, waiting: &[String]) -> io::Result<Again> {
        let state = self.shared.state.read();
        let repo = state.as_ref().and_then(|state| state.repos.get(&self.shared.nickname));
        let Some((repo, agent)) = repo.and_then(|repo| Some((repo, repo.agents.get(&self.local)?)))
        else {
            return Ok(Some(self.hold(waiting, "no such agent here", None).await));
        };
        let panes = self.shared.windows.within(AGE).await;
        let window = panes.window(&repo.tmux_target(), agent).map(|pane| pane.id.clone());
        if agent.r#type == "workspace" && !self.shared.wishes.workspace {
            self.hold(waiting, WORKSPACE, window.as_deref()).await;
            return Ok(None);
        }
        let session = Session::find(&self.shared.home, &panes, &repo.tmux_target(), agent);
        let front = self.in_front(session.as_ref());
        let channel = self.shared.channels.of(&self.shared.nickname, &self.local);
        let channel = channel.filter(|channel| {
            session.as_ref().is_some_and(|session| session.process == channel.claude)
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
            // Its file was removed, or is half written: the next change offers it again.
            self.shared.withdraw(&self.local, id);
            return Ok(Some(Duration::ZERO));
        };
        self.shared.hold(&self.local, "being handed over");
        let mut flight = Flight::begin(self.path(), id, carrier, &session)?;
        self.handed = Some(clock::since_boot());
        info!(local = self.local, id, ?carrier, "handing a message over");
        if let (Carrier::Channel, Some(channel)) = (carrier, channel) {
            match channel.post(letter.whole()).await {
                Ok(()) => flight.posted()?,
                Err(PostError::Unknown) => {}
                Err(PostError::Not(reason)) => {
                    flight.end()?;
                    let reason = format!("the channel is not usable: {reason}");
                    return Ok(Some(self.hold(waiting, &reason, None).await));
                }
            }
        } else if keyboard::paste(&session.pane, id, &letter.short()).await? {
            flight.posted()?;
        } else {
            flight.end()?;
            return Ok(Some(HELD));
        }
        self.flight = Some(flight);
        Ok(Some(SOON))
    }

    /// How long this claude has been in front.
    fn in_front(&mut self, session: Option<&Session>) -> Option<Duration> {
        let now = clock::since_boot();
        let Some(session) = session else {
            self.front = None;
            return None;
        };
        match &self.front {
            Some((process, since)) if *process == session.process => {
                Some(now.saturating_sub(*since))
            }
            _ => {
                self.front = Some((session.process.clone(), now));
                Some(session.process.age().unwrap_or_default())
            }
        }
    }

    fn letter(&self, id: &str) -> io::Result<Option<Letter>> {
        let owner = match self.shared.store.get(&self.local, Stage::Placed, id)? {
            Stored::Message { message, .. } => Some(message.from_owner),
            Stored::Notice { .. } => None,
        };
        Ok(self.file(id).map(|file| Letter {
            id: file.id,
            from: file.from,
            owner,
            body: file.body,
        }))
    }

    /// Looks what has become of the message that was handed over.
    async fn follow(&mut self, mut flight: Flight) -> io::Result<Again> {
        let lives = flight.lives();
        let progress = flight.progress()?;
        let said = Said::of(&self.shared.home, flight.claude());
        let pane = match flight.carrier() {
            Carrier::Keyboard if lives => self.pane_of(&flight).await,
            _ => None,
        };
        let screen = match &pane {
            Some(pane) => keyboard::screen(&pane.id).await.ok(),
            None => None,
        };
        let handed = Handed {
            carrier: flight.carrier(),
            posted: flight.is_posted(),
            ago: flight.ago(),
            progress,
            lives,
            has_transcript: flight
                .has_transcript(said.as_ref().map(|said| said.session_id.as_str())),
            says: said.as_ref().map_or(Says::Nothing, Said::says),
            in_box: screen.and_then(|screen| match screen {
                Screen::Box(text) => Some(is_in(&text, flight.id())),
                Screen::Shell | Screen::NoBox => None,
            }),
            enters: (flight.enters, clock::since_boot().saturating_sub(flight.entered)),
        };
        let id = flight.id().to_owned();
        match next(&handed) {
            Next::Taken => {
                self.advance(&id, Stage::Taken, "an agent has taken a message")?;
                flight.end()?;
                self.shared.taken.notify_one();
                return Ok(Some(Duration::ZERO));
            }
            Next::Unproven => {
                self.advance(&id, Stage::Handed, "handed over, and no transcript proves it")?;
                flight.end()?;
                return Ok(Some(Duration::ZERO));
            }
            Next::Lost => {
                warn!(
                    local = self.local,
                    id,
                    ?progress,
                    lives,
                    "lost with its session; it is handed over again"
                );
                flight.end()?;
                return Ok(Some(Duration::ZERO));
            }
            Next::Enter => {
                if let Some(pane) = &pane
                    && keyboard::enter(pane, &id).await?
                {
                    flight.enters += 1;
                    flight.entered = clock::since_boot();
                }
            }
            Next::Wait(reason) => {
                let new = self.shared.hold(&self.local, reason);
                if new && needs_a_person(reason) {
                    self.show(&id, reason, pane.as_ref().map(|pane| pane.id.as_str())).await;
                }
            }
        }
        let pause = if flight.ago() < AT_FIRST { SOON } else { LATER };
        self.flight = Some(flight);
        Ok(Some(pause))
    }

    fn advance(&self, id: &str, to: Stage, what: &str) -> io::Result<()> {
        self.shared.store.advance(&self.local, id, Stage::Placed, to)?;
        self.shared.withdraw(&self.local, id);
        info!(local = self.local, id, "{what}");
        Ok(())
    }

    /// The pane in which the claude of a flight is still in front.
    async fn pane_of(&self, flight: &Flight) -> Option<Pane> {
        let panes = self.shared.windows.within(AGE).await;
        let state = self.shared.state.read()?;
        let repo = state.repos.get(&self.shared.nickname)?;
        let agent = repo.agents.get(&self.local)?;
        let session = Session::find(&self.shared.home, &panes, &repo.tmux_target(), agent)?;
        (session.process == *flight.claude() && !session.pane.in_mode).then_some(session.pane)
    }

    /// Notes why messages wait, and shows the human what only they can end. When to
    /// look again.
    async fn hold(&mut self, waiting: &[String], reason: &str, pane: Option<&str>) -> Duration {
        let now = clock::since_boot();
        if self.shared.hold(&self.local, reason)
            || self.held.as_ref().is_none_or(|(held, _)| held != reason)
        {
            self.held = Some((reason.to_owned(), now));
        }
        let since = self.held.as_ref().map_or(now, |(_, since)| *since);
        for (number, id) in waiting.iter().enumerate() {
            if reason == WORKSPACE || (number == 0 && needs_a_person(reason)) {
                self.show(id, reason, pane).await;
            }
        }
        (now.saturating_sub(since) / 10).clamp(HELD, HELD_LONG)
    }

    /// Shows a reason once in tmux's status line.
    async fn show(&mut self, id: &str, reason: &str, pane: Option<&str>) {
        let Some(pane) = pane.filter(|_| !self.shared.wishes.quiet) else {
            return;
        };
        if !self.shown.insert((id.to_owned(), reason.to_owned())) {
            return;
        }
        let from = self.file(id).map(|file| file.from).unwrap_or_default();
        let line = if reason == WORKSPACE {
            format!("Message from {from}: multiclaude message read {id}")
        } else {
            format!("A message from {from} for {} waits: {reason}", self.local)
        };
        keyboard::notify(pane, &line).await;
    }
}

/// Is the message in the box? Narrow boxes break lines.
fn is_in(in_box: &str, id: &str) -> bool {
    let without = |text: &str| text.split_whitespace().collect::<String>();
    without(in_box).contains(&without(&text::mark(id)))
}
