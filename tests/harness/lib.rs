//! Starts the coordinator in workerd, and endpoints for it to push to.
//!
//! Everything is real: `wrangler dev`, D1 and Durable Objects on disk. A
//! coordinator is stopped with its whole process group when it is dropped.

#![allow(clippy::new_without_default, reason = "no test would call it")]

mod claude;
mod containers;
mod coordinator;
mod fake;
mod machine;
mod model;
pub mod process;
mod proxy;
mod runner;
mod sink;
mod site;
mod untyped;

pub use claude::Claude;
pub use containers::Containers;
pub use coordinator::{Coordinator, MASTER_KEY, Options, World, free_port, scaled, shared, tool};
pub use fake::Fake;
pub use machine::{Machine, Ran};
pub use model::{Model, Turn};
pub use proxy::Proxy;
pub use runner::{Runner, marked};
pub use sink::{Answer, Received, Sink, refusing_port};
pub use site::{Site, Writer};
pub use untyped::{Client, RepoClient};

use std::time::{Duration, Instant};

/// Waits until `check` gives something, at most `seconds`.
pub async fn eventually<T>(
    what: &str,
    seconds: u64,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {seconds} s in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `check` holds, at most `seconds`.
pub async fn until(what: &str, seconds: u64, mut check: impl AsyncFnMut() -> bool) {
    eventually(what, seconds, async || check().await.then_some(())).await;
}
