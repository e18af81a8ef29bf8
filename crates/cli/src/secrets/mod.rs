//! Secrets: in the system's keychain if there is a session with
//! one, else the file `credentials`. They are never in settings, arguments, the
//! environment, logs or errors.

mod file;
mod keychain;
mod name;

pub use name::Name;

use crate::failure::{Failure, Outcome};
use crate::files::Draft;
use crate::home::Home;
use crate::settings::{SecretStore, Settings};
use std::collections::BTreeSet;

/// Keeps a secret, in the keychain if there is one and it is wanted, and changes the
/// settings so that they refer to it; or, if that fails, does neither. A secret that
/// nothing refers to would never be found again.
pub fn keep<T>(
    home: &Home,
    name: &Name,
    secret: &str,
    keychain: bool,
    change: impl FnOnce(&mut Settings, SecretStore) -> T,
) -> Outcome<(T, Settings)> {
    if !(keychain && keychain::keep(&name.0, secret)) {
        let draft = || file::with(home, &name.0, secret).map(Some);
        return changed(home, draft, |settings| change(settings, SecretStore::File));
    }
    let changed = changed(home, || Ok(None), |settings| change(settings, SecretStore::Keychain));
    changed.map_err(|failure| {
        let settings = Settings::load(home);
        // An older login may refer to it.
        if settings.is_ok_and(|settings| !settings.refers_to(name, SecretStore::Keychain))
            && let Err(stays) = keychain::forget(&name.0)
        {
            let message = format!("{}; the keychain keeps it: {}", failure.message, stays.message);
            return Failure { message, ..failure };
        }
        failure
    })
}

/// Both files are written before either is put in its place, which takes no room on
/// the disk.
fn changed<T>(
    home: &Home,
    secret: impl FnOnce() -> Outcome<Option<Draft>>,
    change: impl FnOnce(&mut Settings) -> T,
) -> Outcome<(T, Settings)> {
    let _lock = home.lock()?;
    let secret = secret()?;
    let mut settings = Settings::load(home)?;
    let result = change(&mut settings);
    let draft = settings.draft(home)?;
    secret.map_or(Ok(()), Draft::place)?;
    draft.place()?;
    Ok((result, settings))
}

/// A secret that was kept, if it is still there.
pub fn find(home: &Home, name: &Name, place: SecretStore) -> Outcome<Option<String>> {
    match place {
        SecretStore::Keychain => keychain::find(&name.0),
        SecretStore::File => file::find(home, &name.0),
    }
}

pub fn forget(home: &Home, name: &Name, place: SecretStore) -> Outcome {
    match place {
        SecretStore::Keychain => keychain::forget(&name.0),
        SecretStore::File => {
            let _lock = home.lock()?;
            file::retain(home, |other| other != name.0).map(|_| ())
        }
    }
}

/// Forgets what the settings do not refer to, in the file and in the keychain: how
/// many secrets that were, and what could not be done.
pub fn forget_leftovers(home: &Home) -> (usize, Vec<Failure>) {
    let in_file = || {
        let _lock = home.lock()?;
        let wanted = wanted(home, SecretStore::File)?;
        file::retain(home, |name| wanted.contains(name))
    };
    let in_keychain = || keychain::retain(wanted(home, SecretStore::Keychain)?);
    let (mut forgotten, mut failures) = (0, Vec::new());
    for done in [in_file(), in_keychain()] {
        match done {
            Ok(more) => forgotten += more,
            Err(failure) => failures.push(failure),
        }
    }
    (forgotten, failures)
}

/// The names of the secrets there that the settings refer to.
fn wanted(home: &Home, place: SecretStore) -> Outcome<BTreeSet<String>> {
    let settings = Settings::load(home)?;
    let there = settings.secrets().filter(|(_, at)| *at == place);
    Ok(there.map(|(name, _)| name.0).collect())
}

pub fn place_name(home: &Home, place: SecretStore) -> String {
    match place {
        SecretStore::Keychain => "the system's keychain".to_owned(),
        SecretStore::File => home.credentials().display().to_string(),
    }
}
