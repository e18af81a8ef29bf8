//! Finds the real program after the shim on the PATH, never the shim itself, and starts it as
//! if there were no shim.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::chain::{self, Start};
use crate::home::Home;

/// The exit code of a shell for a command that was not found.
pub const NOT_FOUND: u8 = 127;
/// The exit code of a shell for a command that could not be started.
const NOT_STARTED: u8 = 126;

#[derive(Debug)]
pub struct Search {
    pub name: &'static str,
    pub own: Option<PathBuf>,
    pub own_dirs: Vec<PathBuf>,
    pub path: OsString,
    /// The files that the shims before this one have passed.
    pub passed: Vec<PathBuf>,
}

/// A program that is not this one.
#[derive(Debug, PartialEq, Eq)]
pub struct Real {
    name: &'static str,
    program: PathBuf,
    /// This program, and all candidates before it.
    passed: Vec<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct NotFound {
    name: &'static str,
    searched: Vec<PathBuf>,
}

impl Search {
    pub fn here(name: &'static str) -> Self {
        let mut passed = chain::passed();
        passed.retain(|file| file.file_name() == Some(OsStr::new(name)));
        Self {
            name,
            own: std::env::current_exe().ok(),
            own_dirs: Home::of_user()
                .map_or_else(|_| Vec::new(), |home| vec![home.shim_dir(), home.pane_dir()]),
            path: std::env::var_os("PATH").unwrap_or_default(),
            passed,
        }
    }

    /// Did another shim of this name call this one? Then it has done the work of a shim.
    pub fn is_called_by_a_shim(&self) -> bool {
        !self.passed.is_empty()
    }

    /// The first program on the PATH that is executable, not this binary by
    /// any name, and not one that a shim before this one has passed.
    pub fn find(&self) -> Result<Real, NotFound> {
        let mut passed = self.passed.clone();
        let mut searched = Vec::new();
        for dir in std::env::split_paths(&self.path) {
            // An empty entry means the current directory, as for a shell.
            let dir = if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir };
            let program = dir.join(self.name);
            let is_passed = self.passed.contains(&program);
            if !is_passed {
                passed.push(program.clone());
            }
            if !is_passed && !self.is_own_dir(&dir) && self.is_other(&program) {
                return Ok(Real { name: self.name, program, passed });
            }
            searched.push(dir);
        }
        Err(NotFound { name: self.name, searched })
    }

    /// Also of a link that an older installation has left.
    fn is_own_dir(&self, dir: &Path) -> bool {
        self.own_dirs.iter().any(|own| own == dir || same_file(own, dir))
    }

    /// Not this binary, by a link of either kind.
    fn is_other(&self, program: &Path) -> bool {
        let runs = |meta: Metadata| meta.is_file() && meta.permissions().mode() & 0o111 != 0;
        program.metadata().is_ok_and(runs)
            && !self.own.as_ref().is_some_and(|own| same_file(own, program))
    }
}

/// By device and inode: canonical paths would miss a hard link.
fn same_file(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => false,
    }
}

impl Real {
    pub fn path(&self) -> &Path {
        &self.program
    }

    /// Becomes that program, with `args` and, if given, another PATH. Returns
    /// only after a failure, with the exit code; the error is printed.
    pub fn exec(&self, args: &[OsString], path: Option<&OsStr>) -> u8 {
        let mut command = self.command(args, Start::Exec);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        self.failed(&command.exec())
    }

    /// Runs that program and waits for it: its exit code, 128 and the number
    /// if a signal ended it.
    pub fn run(&self, args: &[OsString]) -> u8 {
        match self.command(args, Start::Spawn).status() {
            Ok(status) => {
                let signal = || status.signal().map(|signal| 128 + signal);
                let code = status.code().or_else(signal).unwrap_or(1);
                u8::try_from(code).unwrap_or(u8::MAX)
            }
            Err(error) => self.failed(&error),
        }
    }

    fn command(&self, args: &[OsString], start: Start) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg0(self.name)
            .args(args)
            .env(chain::VARIABLE, chain::written(start, &self.passed));
        command
    }

    fn failed(&self, error: &std::io::Error) -> u8 {
        eprintln!("multiclaude-hybrid: {} could not be started: {error}", self.program.display());
        NOT_STARTED
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        writeln!(out, "no {name} on the PATH but this stand-in for it")?;
        writeln!(out, "  looked for an executable file `{name}`, other than this program, in:")?;
        for dir in &self.searched {
            writeln!(out, "    {}", dir.display())?;
        }
        write!(
            out,
            "  install {name}, or put its directory on the PATH; \
             `multiclaude-hybrid shim uninstall` removes the stand-in"
        )
    }
}

impl std::error::Error for NotFound {}

#[cfg(test)]
mod tests;
