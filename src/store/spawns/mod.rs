//! The tables of requests for workers.
//!
//! | module | what |
//! |---|---|
//! | `requests` | the table `spawns`: requests asked for, listed, cancelled |
//! | [`leases`] | claims and leases |
//! | [`outbox`] | pushes and notices that are due |
//! | [`callbacks`] | reports of the endpoint that requests are pushed to |
//! | [`logs`] | the end of each worker's log |

pub mod callbacks;
pub mod leases;
pub mod logs;
pub mod outbox;
mod requests;
mod row;
mod runners;

pub use requests::{New, Usage, by_key, cancel, get, insert, list, purge, usage};
pub use row::{CancelledBy, Row};
