//! The files of the user's shells, and our links.

use crate::failure::{Outcome, io};
use crate::files::temporary;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::symlink;
use std::path::Path;

/// The content of a file; nothing if there is none. A link that leads nowhere is an
/// error: the user meant something by it.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Err(_) if path.is_symlink() => Err(refused("is a link that leads nowhere")),
        Err(_) => Ok(None),
    }
}

/// Refuses a file that must not be changed. Replacing a read-only one would succeed, but
/// the user has protected it.
pub(super) fn check(path: &Path) -> Result<()> {
    match path.metadata() {
        Ok(found) if !found.is_file() => Err(refused("is not a regular file")),
        Ok(found) if found.permissions().readonly() => Err(refused("is read-only")),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes `link` lead to `target`; whether it did not before.
pub(super) fn link(link: &Path, target: &Path) -> Outcome<bool> {
    if fs::read_link(link).is_ok_and(|before| before == target) {
        return Ok(false);
    }
    let draft = temporary(link);
    // A process that died here may have had our id.
    let _ = fs::remove_file(&draft);
    let done = symlink(target, &draft).and_then(|()| fs::rename(&draft, link));
    if done.is_err() {
        let _ = fs::remove_file(&draft);
    }
    done.map(|()| true).map_err(io("make the link", link))
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, why)
}
