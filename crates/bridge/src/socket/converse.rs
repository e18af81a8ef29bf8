//! An agent's connection after its agent is known: calls and posts.

use super::channels::Posts;
use super::{Agent, FromAgent, Serving, ToAgent, read, write};
use crate::abort::AbortOnDrop;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// The most calls of one agent at a time.
const CALLS_MAX: usize = 16;
const TOO_MANY: &str =
    "not done: 16 calls of this session have no answer yet; wait for one of them, then call again";
/// The most answers that wait to be written.
const ANSWERS: usize = 32;

/// Answers calls and makes posts until the other end closes the connection.
///
/// # Errors
/// The connection broke.
pub async fn converse(
    mut from: impl AsyncBufRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin,
    serving: Arc<dyn Serving>,
    agent: Agent,
    posts: &mut Posts,
) -> io::Result<()> {
    let (answers, mut to_write) = mpsc::channel::<ToAgent>(ANSWERS);
    let calls = Calls { serving, agent, slots: Arc::new(Semaphore::new(CALLS_MAX)), answers };
    let (mut number, mut posted) = (0, BTreeMap::<u64, oneshot::Sender<_>>::new());
    // Read in a separate task, because a partly read line must not be dropped.
    let (lines, mut read_lines) = mpsc::channel::<FromAgent>(1);
    let reading = tokio::spawn(async move {
        while let Ok(Some(line)) = read::<FromAgent>(&mut from).await {
            if lines.send(line).await.is_err() {
                return;
            }
        }
    });
    let _reading = AbortOnDrop(reading);
    loop {
        tokio::select! {
            line = read_lines.recv() => match line {
                None => return Ok(()),
                Some(FromAgent::Hello { .. }) => {}
                Some(FromAgent::Posted { n, error }) => {
                    if let Some(outcome) = posted.remove(&n) {
                        let _ = outcome.send(error.map_or(Ok(()), Err));
                    }
                }
                Some(FromAgent::Call { n, tool, arguments }) => {
                    if let Err(refusal) = calls.start(n, tool, arguments) {
                        write(&mut to, &refusal).await?;
                    }
                }
            },
            Some((text, outcome)) = posts.recv() => {
                number += 1;
                // Forget posts that had no answer in time.
                posted.retain(|_, outcome| !outcome.is_closed());
                posted.insert(number, outcome);
                write(&mut to, &ToAgent::Post { n: number, text }).await?;
            }
            Some(answer) = to_write.recv() => write(&mut to, &answer).await?,
        }
    }
}

/// The calls of one agent.
struct Calls {
    serving: Arc<dyn Serving>,
    agent: Agent,
    slots: Arc<Semaphore>,
    answers: mpsc::Sender<ToAgent>,
}

impl Calls {
    /// Starts a call, which sends its answer when it has one.
    ///
    /// # Errors
    /// The answer, if the agent has too many calls already.
    fn start(&self, n: u64, tool: String, arguments: Value) -> Result<(), ToAgent> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Err(ToAgent::Answer { n, result: Err(TOO_MANY.to_owned()) });
        };
        let call = Arc::clone(&self.serving).call(self.agent.clone(), tool, arguments);
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let result = call.await;
            let place = answers.reserve().await;
            // Free the slot before the answer, since the next call may follow.
            drop(slot);
            let _ = place.map(|place| place.send(ToAgent::Answer { n, result }));
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::time::Duration;
    use tokio::io::{BufReader, DuplexStream, duplex, split};
    use tokio::time::timeout;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A bridge whose tools answer when they are allowed to.
    #[derive(Debug)]
    struct Slow(Arc<Semaphore>);

    impl Serving for Slow {
        fn named(&self, _: &Agent) -> Option<(Option<String>, String)> {
            None
        }

        fn call(
            self: Arc<Self>,
            _: Agent,
            tool: String,
            _: Value,
        ) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>> {
            Box::pin(async move {
                self.0.acquire().await.unwrap().forget();
                Ok(tool.into())
            })
        }
    }

    async fn call(to: &mut (impl AsyncWrite + Unpin), n: u64) {
        let call = FromAgent::Call { n, tool: "list_agents".to_owned(), arguments: Value::Null };
        write(to, &call).await.unwrap();
    }

    async fn answer(from: &mut (impl AsyncBufRead + Unpin)) -> (u64, Result<Value, String>) {
        match timeout(LIMIT, read(from)).await.unwrap().unwrap() {
            Some(ToAgent::Answer { n, result }) => (n, result),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_call_beyond_the_limit_is_refused_and_posts_and_later_calls_work() {
        let (here, there): (DuplexStream, DuplexStream) = duplex(1 << 16);
        let allowed = Arc::new(Semaphore::new(0));
        let serving = Arc::new(Slow(Arc::clone(&allowed)));
        let agent = Agent { nickname: "app".to_owned(), local: "fox".to_owned(), claude: None };
        let (post, mut posts) = mpsc::channel(1);
        tokio::spawn(async move {
            let (from, to) = split(here);
            converse(BufReader::new(from), to, serving, agent, &mut posts).await
        });
        let (from, mut to) = split(there);
        let mut from = BufReader::new(from);
        let most = CALLS_MAX as u64;
        for n in 0..=most {
            call(&mut to, n).await;
        }
        assert_eq!(answer(&mut from).await, (most, Err(TOO_MANY.to_owned())));
        assert!(TOO_MANY.contains(&format!(" {CALLS_MAX} calls")));
        // Posts still arrive.
        let (outcome, posted) = oneshot::channel();
        post.send(("hello".to_owned(), outcome)).await.unwrap();
        let Some(ToAgent::Post { n, text }) = read(&mut from).await.unwrap() else { panic!() };
        assert_eq!(text, "hello");
        write(&mut to, &FromAgent::Posted { n, error: None }).await.unwrap();
        assert_eq!(posted.await.unwrap(), Ok(()));
        // After one answer there is a slot for another call.
        allowed.add_permits(1);
        assert!(answer(&mut from).await.1.is_ok());
        allowed.add_permits(CALLS_MAX);
        call(&mut to, most + 1).await;
        let mut answered = Vec::new();
        for _ in 0..CALLS_MAX {
            let (n, result) = answer(&mut from).await;
            result.unwrap();
            answered.push(n);
        }
        assert!(answered.contains(&(most + 1)), "{answered:?}");
    }
}
