//! What the end-to-end tests share.
//!
//! | module | contents |
//! |---|---|
//! | `coordinator` | a coordinator in workerd, with D1 and Durable Objects on disk, and worlds in it |
//! | `machine`, `site`, `runner` | a machine with the binary; with a bridge, too; that runs workers |
//! | `claude`, `model` | a session of the stand-in for Claude Code; a stand-in for the Messages API |
//! | `containers` | podman, and an image |
//! | `sink`, `fake`, `proxy` | an endpoint; a server that is no coordinator; a proxy that breaks |
//! | `untyped` | the client, for invalid requests, too |
//! | `process` | programs that tests start |

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

use process::LIMIT;
use std::time::{Duration, Instant};

/// Waits until `check` gives something, at most [`LIMIT`].
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {LIMIT:?} in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `check` holds, at most [`LIMIT`].
pub async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    eventually(what, async || check().await.then_some(())).await;
}

/// Waits until `count` is at least `wanted`, as long as it grows.
pub async fn grows(what: &str, wanted: usize, mut count: impl AsyncFnMut() -> usize) {
    let mut reached = count().await;
    while reached < wanted {
        let more = async || Some(count().await).filter(|now| *now > reached);
        reached = eventually(&format!("{what}: more than {reached} of {wanted}"), more).await;
    }
}
