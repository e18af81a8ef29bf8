//! The real multiclaude on this machine, as far as its files show it.

mod place;

use crate::failure::{Failure, Outcome};
use crate::home::Home;
use multiclaude_hybrid_bridge::multiclaude::StateError;

pub use multiclaude_hybrid_bridge::multiclaude::{LocalRepo, State, Window};
pub use place::{Place, here};

/// The state of multiclaude; an empty one if it has none yet.
pub fn state(home: &Home) -> Outcome<State> {
    let loaded = State::load(&home.multiclaude().state());
    loaded.map(Option::unwrap_or_default).map_err(|error| {
        let failure = Failure::new(error.to_string());
        match error {
            StateError::Damaged { .. } => {
                failure.hint("it is multiclaude's own: see `multiclaude repair`")
            }
            StateError::Read { .. } => failure,
        }
    })
}
