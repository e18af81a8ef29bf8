//! Executes commands.

mod endpoint;
mod messages;
