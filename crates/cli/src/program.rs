//! This program: its name, its file, and the variables that it reads.

use crate::failure::{Failure, Outcome};
use std::path::PathBuf;

pub const NAME: &str = "multiclaude-hybrid";

/// The environment variables, for the help.
pub const ENVIRONMENT: &str = "MULTICLAUDE_API_URL, the coordinator's URL; NO_COLOR, no colours.";

/// The file of this program.
pub fn this_program() -> Outcome<PathBuf> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find this program: {error}")))
}
