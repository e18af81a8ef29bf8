//! Makes the links, and puts the shim first on the PATH of login shells.
//!
//! Agents' windows run login shells, and nothing else reaches their PATH: not
//! the daemon's, not tmux's environment. A developer's own terminals run
//! shells that are not login shells, so both kinds of files get the block.
//!
//! - `dotfiles`: the directories of those files.
//! - `block`: the marked lines in a shell's file; exactly those come and go.
//! - `shells`: which files, and what the lines say.
//! - `file`: which file may be changed, and how a link is replaced.

mod block;
mod dotfiles;
mod file;
mod report;
mod shells;

pub use dotfiles::Dotfiles;
pub use report::{Change, Refusal, Report};

use crate::failure::{Failure, Outcome, io};
use crate::files::{private_dir, replace};
use crate::home::Home;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The mode of a shell's file that is made, less the umask.
const NEW_MODE: u32 = 0o666;

/// Makes the links to `exe` and writes the block into the files of `shell`
/// (`$SHELL`) and of other shells that are in use. To do it again changes
/// nothing, or corrects what was changed since.
///
/// A shell's file that can't be changed doesn't stop the rest: it is among the
/// refusals. An error means that the links could not be made.
pub fn install(dotfiles: &Dotfiles, exe: &Path, shell: Option<&OsStr>) -> Outcome<Report> {
    let home = &dotfiles.home;
    if home.user().as_os_str().as_bytes().contains(&b':') {
        let home = home.user().display();
        return Err(Failure::new(format!(
            "the home directory {home} has a colon in its name, so nothing in it can be on a PATH"
        )));
    }
    let exe = exe.canonicalize().map_err(io("find", exe))?;
    for dir in [home.hybrid(), home.shim_dir(), home.pane_dir()] {
        private_dir(&dir)?;
    }
    let mut report = Report::installed();
    for link in [home.shim(), home.pane()] {
        if file::link(&link, &exe)? {
            report.changed.push(Change { did: "linked", path: link });
        }
    }
    for (path, dialect) in shells::files_for(dotfiles, shell) {
        let lines = shells::lines(dialect);
        let changed = file::read(&path).and_then(|before| {
            let after = block::with(before.as_deref(), lines)?;
            if before.as_ref() == Some(&after) {
                return Ok(None);
            }
            file::check(&path)?;
            replace(&path, &after, NEW_MODE)?;
            let did = if before.is_some() { "changed" } else { "created" };
            Ok(Some(Change { did, path: path.clone() }))
        });
        report.note(path, changed, Some(lines));
    }
    Ok(report)
}

/// Removes everything that [`install`] made: the block from every file that has one,
/// the links, and what is empty then.
pub fn uninstall(dotfiles: &Dotfiles) -> Outcome<Report> {
    let home = &dotfiles.home;
    let mut report = Report::uninstalled();
    for path in shells::all_files(dotfiles) {
        let changed = file::read(&path).and_then(|before| {
            let Some(left) = before.as_deref().map(block::without).transpose()?.flatten() else {
                return Ok(None);
            };
            // One that became a link since is in use elsewhere, too.
            if left.made_for_it && left.rest.is_empty() && !path.is_symlink() {
                fs::remove_file(&path)?;
                return Ok(Some(Change { did: "removed", path: path.clone() }));
            }
            file::check(&path)?;
            replace(&path, &left.rest, NEW_MODE)?;
            Ok(Some(Change { did: "restored", path: path.clone() }))
        });
        report.note(path, changed, None);
    }
    for link in [home.shim(), home.pane()] {
        if link.is_symlink() {
            fs::remove_file(&link).map_err(io("remove", &link))?;
            report.changed.push(Change { did: "removed", path: link });
        }
    }
    for dir in [home.shim_dir(), home.pane_dir(), home.hybrid()] {
        // One that is not empty holds other files.
        let _ = fs::remove_dir(&dir);
    }
    Ok(report)
}

/// Is the shim installed?
pub fn is_installed(home: &Home) -> bool {
    home.shim().is_symlink() && home.shim().exists()
}
