//! One command line, from its words to its exit status.

use crate::args::Cli;
use crate::failure::{Exit, Failure};
use crate::help;
use crate::output::Output;
use crate::redact;
use crate::runtime::block_on;
use clap::FromArgMatches as _;
use std::ffi::OsString;

/// Runs one command line, the program's name first; the exit status.
pub fn run(args: Vec<OsString>) -> u8 {
    let json = args.iter().any(|arg| arg == "--json");
    let mut command = help::command();
    let matches = command.try_get_matches_from_mut(args);
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed.map_err(|error| error.format(&mut command)) {
        Ok(cli) => cli,
        Err(error) => {
            return print_usage_error(&error, json);
        }
    };
    let out = Output::new(cli.json);
    let done = cli.run_part().unwrap_or_else(|| block_on(cli.run(help::command)));
    match done {
        Ok(()) => 0,
        Err(failure) => {
            // The reader of a closed pipe has what it wanted.
            if failure.exit != Exit::PipeClosed {
                out.fail(&failure);
            }
            failure.exit as u8
        }
    }
}

/// Prints an error of clap, or the text of `--help` or `--version`, which are none.
fn print_usage_error(error: &clap::Error, json: bool) -> u8 {
    let text = error.render().to_string();
    if json && error.use_stderr() {
        let message = text.trim().trim_start_matches("error: ");
        Output::new(true).fail(&Failure::usage(message));
        return Exit::Usage as u8;
    }
    let redacted = redact::secrets(&text);
    if redacted == text {
        let _ = error.print();
    } else {
        Output::new(false).note(&format!(
            "{redacted}\nA secret was on the command line, where every process of this machine and the \
             shell's history can see it: revoke it, and pass the new one on standard input."
        ));
    }
    if error.use_stderr() { Exit::Usage as u8 } else { 0 }
}
