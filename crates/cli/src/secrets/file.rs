//! `~/.multiclaude/credentials`: JSON, mode 0600, in a directory that only the user may
//! write to. Loose permissions are refused, with the command that corrects them.

use crate::failure::{Failure, Outcome, io};
use crate::files::{self, Draft, check_private, draft_of, write_json};
use crate::home::Home;
use multiclaude_hybrid_bridge::dirs::remove;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Default, Serialize, Deserialize)]
struct Credentials {
    #[serde(default)]
    secrets: BTreeMap<String, String>,
}

fn read(path: &Path) -> Outcome<Credentials> {
    check_private(path)?;
    let Some(text) = files::read(path)? else {
        return Ok(Credentials::default());
    };
    // The parser's error could repeat a part of a secret.
    serde_json::from_slice(&text).map_err(|error| {
        let (line, shown) = (error.line(), path.display());
        Failure::new(format!("{shown} is damaged, in line {line}"))
            .hint(format!("move it away and log in again: mv {shown} {shown}.damaged"))
    })
}

/// The file with one secret more, to be placed. The caller holds the [`Home::lock`].
pub(super) fn with(home: &Home, name: &str, secret: &str) -> Outcome<Draft> {
    let mut credentials = read(&home.credentials())?;
    credentials.secrets.insert(name.to_owned(), secret.to_owned());
    Draft::json(&home.credentials(), &credentials)
}

pub(super) fn find(home: &Home, name: &str) -> Outcome<Option<String>> {
    Ok(read(&home.credentials())?.secrets.remove(name))
}

/// Forgets the secrets whose names `keep` does not accept, and a draft that a crash has
/// left; returns their number. The caller holds the [`Home::lock`].
pub(super) fn retain(home: &Home, keep: impl Fn(&str) -> bool) -> Outcome<usize> {
    let path = home.credentials();
    let left = draft_of(&path);
    let had_left = left.exists();
    remove(&left).map_err(io("remove", &left))?;
    let mut credentials = read(&path)?;
    let before = credentials.secrets.len();
    credentials.secrets.retain(|name, _| keep(name));
    let forgotten = before - credentials.secrets.len();
    if credentials.secrets.is_empty() {
        remove(&path).map_err(io("remove", &path))?;
    } else if forgotten > 0 {
        write_json(&path, &credentials)?;
    }
    Ok(forgotten + usize::from(had_left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let text = br#"{"secrets": {"a": "mcu_secret"#;
        Draft::write(&path, text).unwrap().place().unwrap();
        let Err(refused) = read(&path) else { panic!() };
        assert!(!format!("{refused:?}").contains("mcu_secret"));
    }
}
