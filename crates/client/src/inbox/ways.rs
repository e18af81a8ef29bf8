//! The two ways on which messages come: a stream, and long polls.

use super::task::{Task, answer};
use super::verdict::{Verdict, of_close, of_opening};
use crate::{Error, Event, Stream};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a frame may take to leave this machine.
const WRITING: Duration = Duration::from_secs(15);
/// A stream that has lived so long has worked.
const WORKED: Duration = Duration::from_secs(10);
/// Streams in a row that come to nothing, while plain calls work, until it is
/// polled.
const HOPELESS: u32 = 3;
/// The longest that the coordinator holds a poll.
const POLL: Duration = Duration::from_secs(25);
/// Messages of a page.
const PAGE: u32 = 50;

/// Is a stream alive? It is asked when it has said nothing for a while.
#[derive(Debug)]
struct Pulse {
    due: Instant,
    asked: bool,
    /// Has the stream brought anything that the one before had not?
    useful: bool,
}

impl Task {
    /// Opens a stream and serves it until it ends.
    pub(super) async fn stream(&mut self) -> Result<(), Error> {
        let (repo, name) = (self.repo.clone(), self.name.clone());
        let agent = self.options.agent.clone();
        let opening = async move { repo.stream(&name, agent.as_ref()).await };
        let mut stream = match self.meanwhile(opening).await? {
            Ok(stream) => stream,
            Err(error) => {
                return match of_opening(&error, self.met) {
                    Verdict::NoStream => {
                        self.poll_for_a_while();
                        Ok(())
                    }
                    Verdict::Wait => self.doubt(error).await,
                    Verdict::Fatal => Err(error),
                };
            }
        };
        self.came_back();
        let began = Instant::now();
        let mut pulse = Pulse { due: began + self.options.ping_every, asked: false, useful: false };
        let Err(error) = self.serve(&mut stream, &mut pulse).await;
        if pulse.useful || began.elapsed() >= WORKED {
            (self.hopeless, self.failures, self.broke) = (0, 0, true);
            return Err(error);
        }
        match error {
            Error::Stream(_) | Error::Unreachable { .. } => self.doubt(error).await,
            Error::Closed { code, .. } if code < 4000 => self.doubt(error).await,
            error => Err(error),
        }
    }

    /// A stream has come to nothing: is that all that does not work here?
    async fn doubt(&mut self, error: Error) -> Result<(), Error> {
        let probe = self.page(None, 1, Duration::ZERO);
        if let Err(plain) = self.meanwhile(probe).await? {
            self.hopeless = 0;
            return Err(plain);
        }
        self.met = true;
        self.hopeless += 1;
        if self.hopeless < HOPELESS {
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
        pulse: &mut Pulse,
    ) -> Result<std::convert::Infallible, Error> {
        loop {
            while let Some(word) = self.fresh.front() {
                self.written(stream.confirm(&word.id, word.status)).await?;
                answer(self.fresh.pop_front());
            }
            self.pay().await?;
            self.answer_flushes().await?;
            tokio::select! {
                // What has come counts before the time that is over.
                biased;
                event = stream.next() => {
                    match event? {
                        Event::Message(message) => pulse.useful |= self.meet(*message),
                        // What a confirmation was refused for does not matter:
                        // a message that still waits comes again.
                        Event::Refused(_) => {}
                        Event::Pong => pulse.useful = true,
                        Event::Closed(code, reason) => return Err(of_close(code, reason)),
                    }
                    pulse.due = Instant::now() + self.options.ping_every;
                    pulse.asked = false;
                }
                served = self.consumer() => served?,
                () = sleep_until(pulse.due) => {
                    if pulse.asked {
                        return Err(self.silent());
                    }
                    self.written(stream.ping()).await?;
                    pulse.due = Instant::now() + self.options.pong_within;
                    pulse.asked = true;
                }
            }
        }
    }

    async fn written(&self, writing: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        timeout(WRITING, writing).await.unwrap_or_else(|_| Err(self.silent()))
    }

    fn silent(&self) -> Error {
        Error::unanswered(self.repo.client().base().as_str())
    }

    /// Polls until it is time to try a stream again.
    pub(super) async fn poll(&mut self) -> Result<(), Error> {
        let mut after = None;
        loop {
            self.owed.append(&mut self.fresh);
            self.pay().await?;
            self.answer_flushes().await?;
            if self.poll_until.is_some_and(|until| until <= Instant::now()) {
                self.poll_until = None;
                return Ok(());
            }
            if !self.ready.is_empty() {
                self.consumer().await?;
                continue;
            }
            let page = self.page(after.clone(), PAGE, POLL);
            tokio::select! {
                page = page => {
                    let page = page?;
                    self.came_back();
                    self.failures = 0;
                    if let Some(last) = page.items.last() {
                        after = Some(last.id.clone());
                    }
                    for message in page.items {
                        self.meet(message);
                    }
                }
                // A poll changes nothing, so it can be given up.
                served = self.consumer() => served?,
            }
        }
    }
}
