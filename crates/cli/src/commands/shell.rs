//! `completions`, `man`, `shim`: for the shell around.

use crate::completion;
use crate::failure::{Failure, Outcome, io};
use crate::help;
use crate::output::Output;
use crate::program::this_program;
use crate::shim::install::{self, Dotfiles};
use clap::{Args, Command, Subcommand};
use clap_complete::Shell;
use std::io::Write;
use std::path::PathBuf;

/// Print completions for a shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write the manual pages, or print the main one.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write all pages to this directory
    dir: Option<PathBuf>,
}

/// Add the hybrid commands to `multiclaude` itself.
///
/// The shim is a program called multiclaude before the real one on the PATH. It takes the
/// lines that other machines are part of, such as `multiclaude work --remote`, and hands all others
/// to the real program as they are.
#[derive(Debug, Args)]
pub struct ShimArgs {
    #[command(subcommand)]
    command: ShimCommand,
}

#[derive(Debug, Subcommand)]
enum ShimCommand {
    /// Put the shim first on the PATH of new shells
    Install,
    /// Remove the shim, and restore the shells' files
    Uninstall,
}

impl CompletionsArgs {
    pub fn run(&self) -> Outcome {
        let script = completion::script(self.shell);
        print(&script.map_err(|error| Failure::new(format!("{}: {error}", self.shell)))?)
    }
}

impl ManArgs {
    /// Writes the pages of this command line.
    pub fn run(&self, command: Command) -> Outcome {
        let Some(dir) = &self.dir else {
            let mut text = Vec::new();
            let rendered = help::main_page(command, &mut text);
            rendered.map_err(|error| Failure::new(error.to_string()))?;
            return print(&text);
        };
        std::fs::create_dir_all(dir).map_err(io("create", dir))?;
        help::write_pages(command, dir).map_err(io("write to", dir))
    }
}

fn print(text: &[u8]) -> Outcome {
    match std::io::stdout().write_all(text) {
        // A pager that was closed has seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

/// Installs the shim for the user that runs this.
pub(super) fn install_shim() -> Outcome<install::Report> {
    let dotfiles = Dotfiles::of_user()?;
    dotfiles.home.make_private()?;
    install::install(&dotfiles, &this_program()?, std::env::var_os("SHELL").as_deref())
}

impl ShimArgs {
    pub fn run(&self, out: Output) -> Outcome {
        let report = match self.command {
            ShimCommand::Install => install_shim()?,
            ShimCommand::Uninstall => install::uninstall(&Dotfiles::of_user()?)?,
        };
        let text = report.to_string();
        let refused: Vec<_> = report.refused.iter().map(|refusal| &refusal.path).collect();
        let value = serde_json::json!({ "report": text, "refused": refused });
        out.show(&value, || text.clone())?;
        if refused.is_empty() {
            return Ok(());
        }
        Err(Failure::new("some of the shell's files could not be changed")
            .hint("add the lines that are printed above by hand"))
    }
}
