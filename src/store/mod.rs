//! D1: one file per table, one folder for the requests for workers. All SQL text is here,
//! except that of the mailboxes, in `mailbox/sql`.
//!
//! Each row is one JSON text: one crossing from JavaScript per row, and no conversion to
//! floats. SQLite makes the wire form of rows that are only forwarded, and they are never
//! parsed; serde reads the others.

pub mod agents;
pub mod audit;
pub mod configs;
mod db;
pub mod presence;
pub mod spawns;
pub mod tokens;

pub use db::Db;
