//! Files that are read, checked and replaced as a whole; private ones have mode 0600.

use crate::failure::{Failure, Outcome, io};
use multiclaude_hybrid_bridge::dirs::remove;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// The content of a file; nothing if there is none.
pub fn read(path: &Path) -> Outcome<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("read", path)(error)),
    }
}

/// The value in a JSON file; nothing if there is no file. `hint` makes the hint for a
/// damaged one of its path.
pub fn read_json<T: DeserializeOwned>(
    path: &Path,
    hint: impl FnOnce(&str) -> String,
) -> Outcome<Option<T>> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let path = path.display().to_string();
        Failure::new(format!("{path} is damaged: {error}")).hint(hint(&path))
    })
}

/// Replaces a private JSON file. The caller holds the lock of the home.
pub fn write_json(path: &Path, value: &impl Serialize) -> Outcome {
    Draft::json(path, value)?.place()
}

/// A private file, written beside the one that it is to replace. It is removed again
/// unless it is placed. Its name is fixed, so that the next write removes what a crash
/// has left of a secret.
#[derive(Debug)]
pub struct Draft {
    beside: PathBuf,
    path: PathBuf,
    is_placed: bool,
}

impl Draft {
    /// Writes the next content of `path`. The caller holds the lock of the home.
    pub fn write(path: &Path, content: &[u8]) -> Outcome<Self> {
        let draft = Self { beside: draft_of(path), path: path.to_owned(), is_placed: false };
        let write = || {
            remove(&draft.beside)?;
            write_new(&draft.beside, 0o600, content, |_| Ok(()))
        };
        write().map_err(io("write", path))?;
        Ok(draft)
    }

    /// The same for a value.
    pub fn json(path: &Path, value: &impl Serialize) -> Outcome<Self> {
        // The serializer's error could repeat a part of a secret.
        let text = serde_json::to_vec_pretty(value);
        let text =
            text.map_err(|_| Failure::new(format!("{} has no JSON form", path.display())))?;
        Self::write(path, &text)
    }

    /// Replaces the file in one step, which takes no room on the disk.
    pub fn place(mut self) -> Outcome {
        fs::rename(&self.beside, &self.path).map_err(io("write", &self.path))?;
        self.is_placed = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_placed {
            // The next write removes what cannot be removed now.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

pub fn draft_of(path: &Path) -> PathBuf {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    draft.into()
}

/// Replaces a file of the user that other programs write, too: it keeps its mode and its
/// owner, and a link stays one. A dotfile is often a link into a repository, and a rename
/// onto the link would replace it. `mode` is that of a new file.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let (target, before) = match path.canonicalize() {
        Ok(target) => {
            let before = target.metadata()?;
            (target, Some(before))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(error),
    };
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let draft = temporary(&target);
    remove(&draft)?;
    let mode = if before.is_some() { 0o600 } else { mode };
    let written = write_new(&draft, mode, content, |file| {
        let Some(before) = before else {
            return Ok(());
        };
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            chown(&draft, Some(before.uid()), Some(before.gid()))?;
        }
        file.set_permissions(before.permissions())
    });
    let done = written.and_then(|()| fs::rename(&draft, &target));
    if done.is_err() {
        let _ = fs::remove_file(&draft);
    }
    done
}

/// A name in the same directory that only this process uses.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".multiclaude-hybrid-{}", std::process::id()));
    path.with_file_name(name)
}

/// Writes a new file. Without the `sync` a crash could leave an empty one.
fn write_new(
    path: &Path,
    mode: u32,
    content: &[u8],
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    finish(&file)?;
    file.sync_all()
}

/// Creates a directory that only the user can enter, or makes it so.
pub fn private_dir(dir: &Path) -> Outcome {
    match fs::metadata(dir) {
        Ok(found) if found.is_dir() => {
            if found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 != 0 {
                let private = Permissions::from_mode(0o700);
                fs::set_permissions(dir, private).map_err(io("make private", dir))?;
            }
            Ok(())
        }
        Ok(_) => Err(not_a("directory", dir)),
        Err(_) => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(io("create", dir))
        }
    }
}

/// Refuses a file that others could have changed: it decides where tokens go.
pub fn check_trusted(path: &Path) -> Outcome {
    let Some(found) = own_metadata(path)? else {
        return Ok(());
    };
    let (mode, shown) = (found.mode() & 0o7777, path.display());
    if mode & 0o022 == 0 {
        return Ok(());
    }
    Err(Failure::new(format!("{shown} has mode {mode:04o}: others may change it"))
        .hint(format!("look at what is in it, then: chmod go-w {shown}")))
}

/// Refuses a file with secrets that others can read, or replace.
pub fn check_private(path: &Path) -> Outcome {
    let Some(found) = own_metadata(path)? else {
        return Ok(());
    };
    if !found.is_file() {
        return Err(not_a("file", path));
    }
    let (mode, shown) = (found.mode() & 0o7777, path.display());
    if mode & 0o077 != 0 {
        return Err(Failure::new(format!(
            "{shown} has mode {mode:04o}: others may read the tokens in it"
        ))
        .hint(format!("chmod 600 {shown}; if another person uses this machine, get new tokens")));
    }
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mode = fs::metadata(dir).map_err(io("look at", dir))?.mode() & 0o7777;
    if mode & 0o022 != 0 {
        let dir = dir.display();
        return Err(Failure::new(format!(
            "{dir} has mode {mode:04o}: others may replace the credentials in it"
        ))
        .hint(format!("chmod 700 {dir}")));
    }
    Ok(())
}

/// A file's metadata, if it is there; refuses one of another user.
fn own_metadata(path: &Path) -> Outcome<Option<Metadata>> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("look at", path)(error)),
    };
    if found.uid() == rustix::process::geteuid().as_raw() {
        return Ok(Some(found));
    }
    let shown = path.display();
    Err(Failure::new(format!("{shown} belongs to another user"))
        .hint(format!("look at what is in it, then: sudo chown $(id -u) {shown}")))
}

fn not_a(kind: &str, path: &Path) -> Failure {
    let path = path.display();
    Failure::new(format!("{path} is not a {kind}"))
        .hint(format!("move it out of the way: mv {path} {path}.old"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_that_is_not_placed_leaves_nothing_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        Draft::write(&path, b"before").unwrap().place().unwrap();
        // A crash has left this.
        fs::write(draft_of(&path), "half of a secr").unwrap();
        drop(Draft::write(&path, b"after").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        Draft::write(&path, b"after").unwrap().place().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // A write that fails.
        let nowhere = dir.path().join("none/credentials");
        Draft::write(&nowhere, b"x").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_or_directory_that_others_may_touch_is_refused_with_the_hint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        check_private(&path).unwrap();
        fs::write(&path, "{}").unwrap();
        let set =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
            set(&path, mode);
            let refused = check_private(&path).unwrap_err();
            assert!(refused.hint.unwrap().starts_with("chmod 600 "), "{mode:o}");
        }
        set(&path, 0o600);
        set(dir.path(), 0o770);
        let refused = check_private(&path).unwrap_err();
        assert!(refused.hint.unwrap().starts_with("chmod 700 "));
        set(dir.path(), 0o700);
        check_private(&path).unwrap();
    }
}
