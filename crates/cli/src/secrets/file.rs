//! `~/.multiclaude/credentials`: JSON, mode 0600, in a directory that nobody
//! else may write to. Loose permissions are refused, with the command that corrects
//! them.

use crate::failure::{Failure, Outcome, io};
use crate::home::{Draft, Home, draft_of, remove_if_there};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

#[derive(Default, Serialize, Deserialize)]
struct Credentials {
    #[serde(default)]
    secrets: BTreeMap<String, String>,
}

/// Is the file there, and only the user's?
pub(super) fn check(path: &Path) -> Outcome<bool> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io("look at", path)(error)),
    };
    let (shown, mode) = (path.display(), found.mode() & 0o7777);
    if !found.is_file() {
        return Err(Failure::new(format!("{shown} is no file"))
            .hint(format!("move it out of the way: mv {shown} {shown}.old")));
    }
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us {
        return Err(Failure::new(format!("{shown} belongs to another user"))
            .hint(format!("look at what is in it, then: sudo chown {us} {shown}")));
    }
    if mode & 0o077 != 0 {
        return Err(Failure::new(format!(
            "{shown} has mode {mode:04o}: others may read the tokens in it"
        ))
        .hint(format!("chmod 600 {shown}; if somebody else uses this machine, get new tokens")));
    }
    let dir = path.parent().unwrap_or(Path::new("/"));
    let around = fs::metadata(dir).map_err(io("look at", dir))?.mode() & 0o7777;
    if around & 0o022 != 0 {
        let dir = dir.display();
        return Err(Failure::new(format!(
            "{dir} has mode {around:04o}: others may replace the credentials in it"
        ))
        .hint(format!("chmod 700 {dir}")));
    }
    Ok(true)
}

fn read(path: &Path) -> Outcome<Credentials> {
    if !check(path)? {
        return Ok(Credentials::default());
    }
    let text = fs::read(path).map_err(io("read", path))?;
    // The parser's own words could repeat a part of a secret.
    serde_json::from_slice(&text).map_err(|error| {
        let (line, shown) = (error.line(), path.display());
        Failure::new(format!("{shown} is damaged, in line {line}"))
            .hint(format!("move it away and log in again: mv {shown} {shown}.damaged"))
    })
}

fn draft(home: &Home, credentials: &Credentials) -> Outcome<Draft> {
    let text = serde_json::to_vec_pretty(credentials)
        .map_err(|_| Failure::new("cannot write the credentials"))?;
    Draft::write(&home.credentials(), &text)
}

/// The file with one secret more, to be placed. The caller holds the [`Home::lock`].
pub(super) fn with(home: &Home, name: &str, secret: &str) -> Outcome<Draft> {
    let mut credentials = read(&home.credentials())?;
    credentials.secrets.insert(name.to_owned(), secret.to_owned());
    draft(home, &credentials)
}

pub(super) fn find(home: &Home, name: &str) -> Outcome<Option<String>> {
    Ok(read(&home.credentials())?.secrets.remove(name))
}

/// Forgets the secrets whose names `keep` does not want; how many that were. What a
/// crash left of a secret goes, too. The caller holds the [`Home::lock`].
pub(super) fn retain(home: &Home, keep: impl Fn(&str) -> bool) -> Outcome<usize> {
    let path = home.credentials();
    let left = draft_of(&path);
    let had_left = remove_if_there(&left).map_err(io("remove", &left))?;
    let mut credentials = read(&path)?;
    let before = credentials.secrets.len();
    credentials.secrets.retain(|name, _| keep(name));
    let forgotten = before - credentials.secrets.len();
    if credentials.secrets.is_empty() {
        remove_if_there(&path).map_err(io("remove", &path))?;
    } else if forgotten > 0 {
        draft(home, &credentials)?.place()?;
    }
    Ok(forgotten + usize::from(had_left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_or_directory_that_others_may_touch_is_refused_with_the_hint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        assert!(!check(&path).unwrap());
        fs::write(&path, "{}").unwrap();
        let of =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
            of(&path, mode);
            let refused = check(&path).unwrap_err();
            assert!(refused.hint.unwrap().starts_with("chmod 600 "), "{mode:o}");
        }
        of(&path, 0o600);
        of(dir.path(), 0o770);
        let refused = check(&path).unwrap_err();
        assert!(refused.hint.unwrap().starts_with("chmod 700 "));
        of(dir.path(), 0o700);
        assert!(check(&path).unwrap());
    }

    #[test]
    fn a_damaged_file_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        crate::home::write_private(&path, br#"{"secrets": {"a": "mcu_secret"#).unwrap();
        let Err(refused) = read(&path) else { panic!() };
        assert!(!format!("{refused:?}").contains("mcu_secret"));
    }
}
