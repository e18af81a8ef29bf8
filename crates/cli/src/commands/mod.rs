//! The commands, one file a theme: their arguments, and what they do.

pub mod agents;
pub mod bridge;
pub mod config;
pub mod doctor;
pub mod host;
pub mod inbox;
pub mod invite;
pub mod join;
pub mod keys;
pub mod leave;
pub mod list;
mod log;
pub mod login;
pub mod logout;
pub mod mcp;
pub mod prompt;
pub mod receipt;
pub mod roles;
pub mod runner;
pub mod send;
pub mod shell;
pub mod status;
pub mod tokens;
pub mod whoami;
pub mod work;
