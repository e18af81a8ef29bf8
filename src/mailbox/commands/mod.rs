//! Executes commands.

mod endpoint;
mod inbox;
