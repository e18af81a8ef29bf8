//! The places of a user's shell files.

use crate::failure::Outcome;
use crate::home::Home;
use std::env;
use std::path::PathBuf;

/// The directories of a user's shell files.
#[derive(Debug, Clone)]
pub struct Dotfiles {
    /// The home directory.
    pub home: Home,
    /// `$ZDOTDIR`: zsh's files, where they are not in the home.
    pub zdotdir: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, where it is not `~/.config`.
    pub config_home: Option<PathBuf>,
}

impl Dotfiles {
    /// Everything in its usual place.
    pub fn new(home: Home) -> Self {
        Self { home, zdotdir: None, config_home: None }
    }

    /// The directories of the user that runs this, from the environment.
    pub fn of_user() -> Outcome<Self> {
        let dir = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Ok(Self {
            home: Home::of_user()?,
            zdotdir: dir("ZDOTDIR"),
            config_home: dir("XDG_CONFIG_HOME"),
        })
    }
}
