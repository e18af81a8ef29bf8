//! Hands the messages of one agent over, in order, one at a time.
//!
//! Cost: nothing while no message waits. While a message is held, it looks at tmux and the
//! processes twice a second at first, later every 5 s. After a message was handed over, it
//! looks at the transcripts every 40 ms for 3 s, then less and less often, down to once a
//! second.

use super::choice::POST_INTERVAL;
use super::flight::{self, Flight};
use super::reason::Reason;
use super::session::Process;
use super::shared::Shared;
use crate::clock;
use crate::trouble::Trouble;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// The wait between two looks at the transcript of a message just handed over.
pub(super) const POLL_FAST: Duration = Duration::from_millis(40);
/// How old the list of windows may be. The tmux call that uses a window checks it again.
pub(super) const WINDOWS_AGE: Duration = Duration::from_millis(400);

/// The wait between two looks at a held message is a tenth of the time that it has been
/// held, within these limits.
pub(super) const HELD: Duration = Duration::from_millis(500);
pub(super) const HELD_LONG: Duration = Duration::from_secs(5);

/// Hands over the messages of one agent.
#[derive(Debug)]
pub(super) struct Courier {
    pub(super) shared: Arc<Shared>,
    pub(super) local: String,
    pub(super) flight: Option<Flight>,
    /// When the last message was handed over.
    pub(super) handed: Option<Duration>,
    /// The claude in the foreground, and since when.
    pub(super) front: Option<(Process, Duration)>,
    /// Why the first message waits, and since when.
    pub(super) held: Option<(Reason, Duration)>,
    /// The ids and reasons that were shown to the human.
    pub(super) shown: BTreeSet<(String, Reason)>,
}

/// When to look again; `None`: when something changes.
pub(super) type Again = Option<Duration>;

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
                self.shared.hold(&self.local, &Reason::Failed(error.to_string()));
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

    pub(super) fn path(&self) -> PathBuf {
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
    pub(super) fn end_flight(&mut self) -> io::Result<Again> {
        if let Some(flight) = &self.flight {
            flight.end()?;
        }
        self.flight = None;
        Ok(Some(Duration::ZERO))
    }
}
