//! The real multiclaude on this machine, as far as its files show it.

mod place;
mod state;

pub use place::{Place, here};
pub use state::{LocalAgent, LocalRepo, State, repo_of_url, without_user};
