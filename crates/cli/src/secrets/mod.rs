//! Where secrets are kept: the system's keychain when there is a session with
//! one, else the file `credentials`. They are never in settings, arguments, the
//! environment, logs or errors.

mod file;
mod keychain;

use crate::failure::Outcome;
use crate::home::Home;
use crate::settings::Place;

/// What a secret is for. Tokens go by the coordinator that they are for, too:
/// a coordinator chooses its tokens' ids, and must not reach another one's, or a
/// key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The token `id` of the coordinator at `url`.
    pub fn token(url: &str, id: &str) -> Self {
        Self(format!("token {url} {id}"))
    }

    /// The secret half of an encryption key, by its public one.
    pub fn key(recipient: &str) -> Self {
        Self(format!("key {recipient}"))
    }
}

/// The places of one user.
#[derive(Debug, Clone)]
pub struct Secrets {
    home: Home,
}

impl Secrets {
    /// Those of the user of `home`.
    pub fn new(home: &Home) -> Self {
        Self { home: home.clone() }
    }

    /// Keeps a secret, in the keychain if there is one and it is wanted.
    pub fn keep(&self, name: &Name, secret: &str, keychain: bool) -> Outcome<Place> {
        if keychain && keychain::keep(&name.0, secret) {
            return Ok(Place::Keychain);
        }
        file::keep(&self.home, &name.0, secret)?;
        Ok(Place::File)
    }

    /// A secret that was kept, if it is still there.
    pub fn find(&self, name: &Name, place: Place) -> Outcome<Option<String>> {
        match place {
            Place::Keychain => keychain::find(&name.0),
            Place::File => file::find(&self.home, &name.0),
        }
    }

    /// Forgets a secret.
    pub fn forget(&self, name: &Name, place: Place) -> Outcome {
        match place {
            Place::Keychain => keychain::forget(&name.0),
            Place::File => file::forget(&self.home, &name.0),
        }
    }

    /// Where the place is, for people.
    pub fn told(&self, place: Place) -> String {
        match place {
            Place::Keychain => "the system's keychain".to_owned(),
            Place::File => self.home.credentials().display().to_string(),
        }
    }

    /// Is `credentials` as private as it must be?
    pub fn check_file(&self) -> Outcome {
        file::check(&self.home.credentials()).map(|_| ())
    }
}
