//! How a file of the user is changed: whole or not at all, with its mode and
//! its owner, and where it really is. Dotfiles are often links into a
//! repository, and a rename onto the link would tear them out of it.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

/// The same error, which says of what.
pub(super) fn about(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What the file holds; nothing if there is none. A link that leads nowhere is
/// an error: the user had something in mind.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Err(_) if path.is_symlink() => Err(refused("is a link that leads nowhere")),
        Err(_) => Ok(None),
    }
}

/// Writes the file, which need not exist.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let (target, before) = match path.canonicalize() {
        Ok(target) => {
            let before = target.metadata()?;
            check(&before)?;
            (target, Some(before))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(error),
    };
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let draft = beside(&target);
    let written = write_draft(&draft, bytes, before.as_ref());
    let done = written.and_then(|()| fs::rename(&draft, &target));
    if done.is_err() {
        let _ = fs::remove_file(&draft);
    }
    done
}

/// Makes `link` lead to `target`; whether it did not before.
pub(super) fn link(link: &Path, target: &Path) -> Result<bool> {
    if fs::read_link(link).is_ok_and(|before| before == target) {
        return Ok(false);
    }
    let draft = beside(link);
    // Of a process that died here with our id.
    let _ = fs::remove_file(&draft);
    let done = symlink(target, &draft).and_then(|()| fs::rename(&draft, link));
    if done.is_err() {
        let _ = fs::remove_file(&draft);
    }
    done.map(|()| true).map_err(|error| about(link, &error))
}

fn check(before: &Metadata) -> Result<()> {
    if !before.is_file() {
        return Err(refused("is not a regular file"));
    }
    // A rename would succeed, but this is somebody's word.
    if before.permissions().readonly() {
        return Err(refused("is read-only"));
    }
    Ok(())
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, why)
}

/// In the same directory, so that a rename suffices.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".multiclaude-hybrid-{}", std::process::id()));
    path.with_file_name(name)
}

fn write_draft(draft: &Path, bytes: &[u8], before: Option<&Metadata>) -> Result<()> {
    let _ = fs::remove_file(draft);
    let mut file: File = OpenOptions::new().write(true).create_new(true).open(draft)?;
    file.write_all(bytes)?;
    if let Some(before) = before {
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            chown(draft, Some(before.uid()), Some(before.gid()))?;
        }
        file.set_permissions(before.permissions())?;
    }
    // Else a crash could leave an empty file where the user's was.
    file.sync_all()
}
