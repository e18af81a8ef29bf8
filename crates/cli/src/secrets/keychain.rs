//! The system's keychain: the Secret Service of a desktop session (GNOME
//! Keyring, `KWallet`, `KeePassXC`), or the macOS keychain.

use crate::failure::{Failure, Outcome};
use keyring_core::{CredentialStore, Entry, Error};
use std::collections::{BTreeSet, HashMap};
use std::io::{IsTerminal, stderr, stdin};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const SERVICE: &str = "multiclaude-hybrid";

/// How long a keychain may take, when a person is there to unlock it.
const UNLOCKING: Duration = Duration::from_mins(1);
/// And without a person.
const ALONE: Duration = Duration::from_secs(5);

/// Runs on a thread of its own: the keychain's client blocks, for ever if the
/// keychain does not answer, and may bring an async runtime along.
fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Outcome<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    let person = stdin().is_terminal() && stderr().is_terminal();
    match receiver.recv_timeout(if person { UNLOCKING } else { ALONE }) {
        Ok(done) => done.map_err(|error| locked(&error)),
        Err(_) => Err(locked("it does not answer")),
    }
}

#[cfg(target_os = "macos")]
fn store() -> Option<Arc<CredentialStore>> {
    let store = apple_native_keyring_store::keychain::Store::new().ok()?;
    Some(store)
}

#[cfg(not(target_os = "macos"))]
fn store() -> Option<Arc<CredentialStore>> {
    // Without a session's bus the client would look for one at length.
    std::env::var_os("DBUS_SESSION_BUS_ADDRESS").filter(|address| !address.is_empty())?;
    let store = zbus_secret_service_keyring_store::Store::new().ok()?;
    Some(store)
}

fn entry(name: &str) -> Result<Entry, String> {
    let store = store().ok_or("there is no session with a keychain here")?;
    store.build(SERVICE, name, None).map_err(text)
}

fn text(error: Error) -> String {
    error.to_string()
}

/// Keeps a secret, if there is a keychain that takes it: it is read back.
pub(super) fn keep(name: &str, secret: &str) -> bool {
    let (name, secret) = (name.to_owned(), secret.to_owned());
    let kept = apart(move || {
        let entry = entry(&name)?;
        entry.set_password(&secret).map_err(text)?;
        Ok(entry.get_password().map_err(text)? == secret)
    });
    kept.unwrap_or(false)
}

fn locked(error: &str) -> Failure {
    Failure::new(format!("the system's keychain does not open: {error}")).hint(
        "unlock it (log in to the desktop session that it belongs to); or log in again and keep the \
         token in a file: multiclaude-hybrid login --no-keychain",
    )
}

fn with<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(Entry) -> Result<T, Error> + Send + 'static,
) -> Outcome<Option<T>> {
    let name = name.to_owned();
    apart(move || match work(entry(&name)?) {
        Ok(found) => Ok(Some(found)),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(text(error)),
    })
}

pub(super) fn find(name: &str) -> Outcome<Option<String>> {
    with(name, |entry| entry.get_password())
}

pub(super) fn forget(name: &str) -> Outcome {
    with(name, |entry| entry.delete_credential()).map(|_| ())
}

/// Forgets every secret of ours whose name `keep` does not list; how many that were.
pub(super) fn retain(keep: BTreeSet<String>) -> Outcome<usize> {
    apart(move || {
        // No keychain, no secrets in it.
        let Some(store) = store() else { return Ok(0) };
        let mut forgotten = 0;
        for entry in store.search(&HashMap::from([("service", SERVICE)])).map_err(text)? {
            let ours = entry.get_specifiers().filter(|(service, _)| service == SERVICE);
            if ours.is_some_and(|(_, name)| !keep.contains(&name)) {
                entry.delete_credential().map_err(text)?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    })
}
