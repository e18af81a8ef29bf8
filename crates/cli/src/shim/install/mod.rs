//! Makes the links, and puts the shim first on the PATH of login shells.
//!
//! Agents' windows run login shells, and nothing else reaches their PATH: not
//! the daemon's, not tmux's environment. A developer's own terminals run
//! shells that are not login shells, so both kinds of files get the block.
//!
//! - `block`: the marked lines in a shell's file; exactly those come and go.
//! - `shells`: which files, and what the lines say.
//! - `file`: how a file of the user is changed: whole or not at all.

mod block;
mod file;
mod report;
mod shells;

pub use report::{Change, Refusal, Report};

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::places::Places;

/// Where a user's files are.
#[derive(Debug, Clone)]
pub struct Home {
    /// `$HOME`.
    pub dir: PathBuf,
    /// `$ZDOTDIR`: zsh's files, where they are not in the home.
    pub zdotdir: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, where it is not `~/.config`.
    pub config_home: Option<PathBuf>,
}

impl Home {
    /// With everything in its usual place.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), zdotdir: None, config_home: None }
    }

    /// The caller's, from the environment.
    pub fn of_caller() -> Option<Self> {
        let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
        Some(Self {
            dir: set("HOME")?.into(),
            zdotdir: set("ZDOTDIR").map(PathBuf::from),
            config_home: set("XDG_CONFIG_HOME").map(PathBuf::from),
        })
    }

    fn places(&self) -> Places {
        Places::of(&self.dir)
    }
}

/// One of our links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// There is none.
    Missing,
    /// It leads to this program.
    To(PathBuf),
    /// It leads to this path, where nothing is.
    Broken(PathBuf),
    /// Something else stands in its place.
    Foreign,
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The one called `multiclaude`.
    pub shim: Link,
    /// The one called `tmux`.
    pub pane: Link,
    /// The shells' files that put the shim on the PATH.
    pub files: Vec<PathBuf>,
}

/// Makes the links to `exe` and writes the block into the files of `shell`
/// (`$SHELL`) and of other shells that are in use. To do it again changes
/// nothing, or corrects what was changed since.
///
/// A shell's file that can't be changed doesn't stop the rest: it is among the
/// refusals. An error means that the links could not be made.
pub fn install(home: &Home, exe: &Path, shell: Option<&OsStr>) -> Result<Report> {
    check(&home.dir)?;
    let exe = exe.canonicalize().map_err(|error| file::about(exe, &error))?;
    let places = home.places();
    for dir in [places.hybrid_dir(), &places.shim_dir(), &places.pane_dir()] {
        private_dir(dir)?;
    }
    let mut report = Report::installed();
    for link in [places.shim(), places.pane()] {
        if file::link(&link, &exe)? {
            report.changed.push(Change::Linked(link));
        }
    }
    for (path, dialect) in shells::files_for(home, shell) {
        let lines = shells::lines(dialect);
        let changed = file::read(&path).and_then(|before| {
            let after = block::with(before.as_deref(), lines)?;
            if before.as_ref() == Some(&after) {
                return Ok(None);
            }
            file::replace(&path, &after)?;
            Ok(Some(match before {
                Some(_) => Change::Written(path.clone()),
                None => Change::Created(path.clone()),
            }))
        });
        report.note(path, changed, Some(lines));
    }
    Ok(report)
}

/// Takes away what [`install`] made: the block from every file that has one,
/// the links, and what is empty then.
pub fn uninstall(home: &Home) -> Result<Report> {
    let mut report = Report::uninstalled();
    for path in shells::all_files(home) {
        let changed = file::read(&path).and_then(|before| {
            let Some(left) = before.as_deref().map(block::without).transpose()?.flatten() else {
                return Ok(None);
            };
            // One that became a link since is in use elsewhere, too.
            if left.made_for_it && left.rest.is_empty() && !path.is_symlink() {
                fs::remove_file(&path)?;
                return Ok(Some(Change::Removed(path.clone())));
            }
            file::replace(&path, &left.rest)?;
            Ok(Some(Change::Restored(path.clone())))
        });
        report.note(path, changed, None);
    }
    let places = home.places();
    for link in [places.shim(), places.pane()] {
        if link.is_symlink() {
            fs::remove_file(&link).map_err(|error| file::about(&link, &error))?;
            report.changed.push(Change::Removed(link));
        }
    }
    for dir in [&places.shim_dir(), &places.pane_dir(), places.hybrid_dir()] {
        // One that is not empty holds somebody else's files.
        let _ = fs::remove_dir(dir);
    }
    Ok(report)
}

/// What is installed now.
pub fn status(home: &Home) -> Status {
    let places = home.places();
    let has_block = |path: &PathBuf| {
        let text = file::read(path).ok().flatten().unwrap_or_default();
        block::without(&text).is_ok_and(|found| found.is_some())
    };
    Status {
        shim: link_at(&places.shim()),
        pane: link_at(&places.pane()),
        files: shells::all_files(home).into_iter().filter(has_block).collect(),
    }
}

fn link_at(path: &Path) -> Link {
    match fs::read_link(path) {
        Ok(target) if path.exists() => Link::To(target),
        Ok(target) => Link::Broken(target),
        Err(error) if error.kind() == ErrorKind::NotFound => Link::Missing,
        Err(_) => Link::Foreign,
    }
}

fn check(home: &Path) -> Result<()> {
    let refuse = |why: &str| {
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the home directory {} {why}", home.display()),
        ))
    };
    if !home.is_absolute() {
        return refuse("is not an absolute path");
    }
    if home.as_os_str().as_bytes().contains(&b':') {
        return refuse("has a colon in its name, so nothing in it can be on a PATH");
    }
    Ok(())
}

fn private_dir(dir: &Path) -> Result<()> {
    let about = |error| file::about(dir, &error);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(about)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(about)
}
