//! D1: one file per table, one folder for the requests for workers. SQL text lives
//! nowhere else (but for the mailboxes' own, in `mailbox/sql`).
//!
//! Rows come back as one JSON text each: one crossing from JavaScript a row, and
//! no detour over floats. Rows that only pass through are made by SQLite in their wire
//! form and never taken apart; serde reads the others.

pub mod agents;
pub mod audit;
pub mod configs;
mod db;
pub mod presence;
pub mod spawns;
pub mod tokens;

pub use db::Db;
