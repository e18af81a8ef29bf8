//! Hands a message over, as soon as a carrier can take it.

use super::choice::{Activity, Carrier, Choice, Situation, choose};
use super::courier::{Again, Courier, HELD, POLL_FAST, WINDOWS_AGE};
use super::flight::Flight;
use super::keyboard;
use super::reason::Reason;
use super::session::{Session, SessionFile};
use super::text::Letter;
use crate::clock;
use crate::inbox::Stage;
use crate::presence::is_successor;
use crate::socket::{Channel, PostError};
use std::io;
use std::time::Duration;
use tracing::{info, warn};

/// Why a message is not handed over now.
enum Obstacle {
    /// It is held for a reason, which may be shown to the human in a pane.
    Hold {
        reason: Reason,
        pane: Option<String>,
    },
    /// It is tried again after a pause.
    Pause(Duration),
    Failed(io::Error),
}

impl From<io::Error> for Obstacle {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Obstacle {
    fn hold(reason: Reason) -> Self {
        Self::Hold { reason, pane: None }
    }
}

/// The agent's window and session.
struct Recipient {
    /// The pane of its window.
    pane: Option<String>,
    session: Option<Session>,
}

/// The carrier for a message, and the session that it leads to.
struct Route {
    carrier: Carrier,
    channel: Option<Channel>,
    session: Session,
}

impl Courier {
    /// Hands a message over, the first of those that wait, if a carrier can take it now.
    pub(super) async fn hand_over(&mut self, id: &str, waiting: &[String]) -> io::Result<Again> {
        match self.attempt(id).await {
            Ok(()) => Ok(Some(POLL_FAST)),
            Err(Obstacle::Hold { reason, pane }) => {
                let pause = self.hold(waiting, &reason, pane.as_deref()).await;
                // A human reads the messages of a workspace.
                Ok((reason != Reason::Workspace).then_some(pause))
            }
            Err(Obstacle::Pause(pause)) => Ok(Some(pause)),
            Err(Obstacle::Failed(error)) => Err(error),
        }
    }

    async fn attempt(&mut self, id: &str) -> Result<(), Obstacle> {
        let recipient = self.recipient().await?;
        let route = self.route(recipient).await?;
        let letter = self.open_letter(id)?;
        self.shared.hold(&self.local, &Reason::HandingOver);
        self.carry(&letter, route).await
    }

    /// Looks for the agent's window and session.
    async fn recipient(&self) -> Result<Recipient, Obstacle> {
        let state = self.shared.state.read();
        let repo = state.as_ref().and_then(|state| state.repos.get(&self.shared.nickname));
        let Some((repo, agent)) = repo.and_then(|repo| Some((repo, repo.agents.get(&self.local)?)))
        else {
            return Err(Obstacle::hold(Reason::NoAgent));
        };
        let record = self.shared.registry.records.get(&self.local);
        if record.is_some_and(|record| is_successor(agent, &record.created_at)) {
            return Err(Obstacle::hold(Reason::EarlierAgent(self.local.clone())));
        }
        let panes = self.shared.windows.within(WINDOWS_AGE).await;
        let target = repo.tmux_target();
        let pane = panes.window(&target, agent).map(|pane| pane.id.clone());
        if agent.r#type == "workspace" && !self.shared.options.workspace {
            return Err(Obstacle::Hold { reason: Reason::Workspace, pane });
        }
        let session = Session::find(&self.shared.home, &panes, &target, agent);
        Ok(Recipient { pane, session })
    }

    /// Chooses the carrier. The screen is only captured if the decision needs it.
    async fn route(&mut self, recipient: Recipient) -> Result<Route, Obstacle> {
        let Recipient { pane, session } = recipient;
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
        if let (Choice::Look, Some(session)) = (&choice, &session) {
            screen = keyboard::screen(&session.pane.id).await?;
            known.screen = Some(&screen);
            choice = choose(&known);
        }
        match (choice, session) {
            (Choice::Hand(carrier), Some(session)) => Ok(Route { carrier, channel, session }),
            (Choice::Hold(reason), _) => Err(Obstacle::Hold { reason, pane }),
            _ => Err(Obstacle::Pause(HELD)),
        }
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

    /// Reads the message. If its file was removed unread, perhaps with all of multiclaude's
    /// directory, the next pass writes it again.
    fn open_letter(&self, id: &str) -> Result<Letter, Obstacle> {
        if let Some(letter) = self.letter(id)? {
            return Ok(letter);
        }
        if self.path_of(id).exists() {
            return Err(Obstacle::hold(Reason::Unreadable));
        }
        self.shared.store.advance(&self.local, id, Stage::Placed, Stage::New)?;
        self.shared.withdraw(&self.local, id);
        warn!(local = self.local, id, "its file was removed unread; it is written again");
        Err(Obstacle::Pause(Duration::ZERO))
    }

    /// Gives the message to its carrier. After an error, the flight is followed.
    async fn carry(&mut self, letter: &Letter, route: Route) -> Result<(), Obstacle> {
        let Route { carrier, channel, session } = route;
        let id = &letter.id;
        let text = match carrier {
            Carrier::Channel => letter.whole(),
            Carrier::Keyboard => letter.short(),
        };
        let flight = Flight::begin(self.path(), id, (carrier, &text), &session)?;
        let flight = self.flight.insert(flight);
        self.handed = Some(clock::since_boot());
        info!(local = self.local, id, ?carrier, "handing a message over");
        let not_posted = match channel {
            Some(channel) if carrier == Carrier::Channel => match channel.post(text).await {
                Ok(()) => None,
                Err(PostError::Unknown) => return Ok(()),
                Err(PostError::Not(reason)) => Some(Reason::ChannelFailed(reason)),
            },
            _ if keyboard::paste(&session.pane, id, &text).await? => None,
            _ => Some(Reason::NotInFront),
        };
        let Some(reason) = not_posted else {
            flight.posted()?;
            return Ok(());
        };
        self.end_flight()?;
        Err(Obstacle::hold(reason))
    }
}
