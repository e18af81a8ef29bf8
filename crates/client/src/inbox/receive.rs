//! The two ways to receive messages: a stream, and long polls.

use super::task::{Task, resolve};
use super::verdict::{Verdict, of_close, of_opening};
use crate::{Error, Event, Stream};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// How long it may take to write a frame.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// A stream that has stayed open for this long counts as working.
const WORKING_AFTER: Duration = Duration::from_secs(10);
/// Streams in a row that deliver nothing, while plain calls work, before it polls.
const USELESS_MAX: u32 = 3;
/// The longest that the coordinator holds a poll.
const POLL: Duration = Duration::from_secs(25);
/// Messages in a page.
const PAGE: u32 = 50;

/// When a silent stream is pinged, and when it counts as dead.
#[derive(Debug)]
struct KeepAlive {
    due: Instant,
    pinged: bool,
    /// Has the stream delivered anything that the one before had not?
    useful: bool,
}

impl Task {
    /// Opens a stream and serves it until it ends.
    pub(super) async fn stream(&mut self) -> Result<(), Error> {
        let (repo, name) = (self.repo.clone(), self.name.clone());
        let agent = self.options.agent.clone();
        let opening = async move { repo.stream(&name, agent.as_ref()).await };
        let mut stream = match self.while_serving(opening).await? {
            Ok(stream) => stream,
            Err(error) => {
                return match of_opening(&error, self.was_reached) {
                    Verdict::NoStream => {
                        self.poll_for_a_while();
                        Ok(())
                    }
                    Verdict::Wait => self.probe(error).await,
                    Verdict::Fatal => Err(error),
                };
            }
        };
        self.back_online();
        let began = Instant::now();
        let due = began + self.options.ping_every;
        let mut keep_alive = KeepAlive { due, pinged: false, useful: false };
        let Err(error) = self.serve(&mut stream, &mut keep_alive).await;
        if keep_alive.useful || began.elapsed() >= WORKING_AFTER {
            (self.useless_streams, self.failures, self.stream_worked) = (0, 0, true);
            return Err(error);
        }
        match error {
            Error::Stream(_) | Error::Unreachable { .. } => self.probe(error).await,
            Error::Closed { code, .. } if code < 4000 => self.probe(error).await,
            error => Err(error),
        }
    }

    /// Makes a plain call after a useless stream: if only streams fail, it polls.
    async fn probe(&mut self, error: Error) -> Result<(), Error> {
        let call = self.pending(None, 1, Duration::ZERO);
        if let Err(plain) = self.while_serving(call).await? {
            self.useless_streams = 0;
            return Err(plain);
        }
        self.was_reached = true;
        self.useless_streams += 1;
        if self.useless_streams < USELESS_MAX {
            return Err(error);
        }
        self.poll_for_a_while();
        Ok(())
    }

    fn poll_for_a_while(&mut self) {
        self.poll_until = Some(Instant::now() + self.options.stream_again);
    }

    async fn serve(
        &mut self,
        stream: &mut Stream,
        keep_alive: &mut KeepAlive,
    ) -> Result<Infallible, Error> {
        loop {
            while let Some(confirmation) = self.unconfirmed.front() {
                self.write(stream.confirm(&confirmation.id, confirmation.status)).await?;
                resolve(self.unconfirmed.pop_front());
            }
            self.send_patches().await?;
            self.answer_flushes().await?;
            tokio::select! {
                // An event that has arrived counts before a timeout.
                biased;
                event = stream.next() => {
                    match event? {
                        Event::Message(message) => keep_alive.useful |= self.receive(*message),
                        // The reason for a refused confirmation does not matter: a
                        // message that still waits comes again.
                        Event::Refused(_) => {}
                        Event::Pong => keep_alive.useful = true,
                        Event::Closed(code, reason) => return Err(of_close(code, reason)),
                    }
                    keep_alive.due = Instant::now() + self.options.ping_every;
                    keep_alive.pinged = false;
                }
                served = self.serve_consumer() => served?,
                () = sleep_until(keep_alive.due) => {
                    if keep_alive.pinged {
                        return Err(self.no_answer());
                    }
                    self.write(stream.ping()).await?;
                    keep_alive.due = Instant::now() + self.options.pong_within;
                    keep_alive.pinged = true;
                }
            }
        }
    }

    async fn write(&self, writing: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        timeout(WRITE_TIMEOUT, writing).await.unwrap_or_else(|_| Err(self.no_answer()))
    }

    fn no_answer(&self) -> Error {
        Error::unanswered(self.repo.client().base().as_str())
    }

    /// Polls until it is time to try a stream again.
    pub(super) async fn poll(&mut self) -> Result<(), Error> {
        let mut after = None;
        loop {
            self.patches.append(&mut self.unconfirmed);
            self.send_patches().await?;
            self.answer_flushes().await?;
            if self.poll_until.is_some_and(|until| until <= Instant::now()) {
                self.poll_until = None;
                return Ok(());
            }
            if !self.ready.is_empty() {
                self.serve_consumer().await?;
                continue;
            }
            let page = self.pending(after.clone(), PAGE, POLL);
            tokio::select! {
                page = page => {
                    let page = page?;
                    self.back_online();
                    self.failures = 0;
                    if let Some(last) = page.items.last() {
                        after = Some(last.id.clone());
                    }
                    for message in page.items {
                        self.receive(message);
                    }
                }
                // A poll changes nothing, so it may be cancelled.
                served = self.serve_consumer() => served?,
            }
        }
    }
}
