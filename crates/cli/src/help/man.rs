//! The manual pages: one for the program, and one for each command.

use crate::failure::STATUSES;
use crate::program::{ENVIRONMENT, NAME};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// The page of the program, as roff; `command` is its whole command line.
pub fn main_page(mut command: Command, out: &mut impl Write) -> io::Result<()> {
    command.build();
    page(&command, out)
}

/// Writes all pages into a directory.
pub fn write_pages(mut command: Command, dir: &Path) -> io::Result<()> {
    command.build();
    write_below(&command, dir)
}

fn write_below(command: &Command, dir: &Path) -> io::Result<()> {
    let mut text = Vec::new();
    page(command, &mut text)?;
    fs::write(dir.join(format!("{}.1", page_name(command))), text)?;
    let shown = |sub: &&Command| !sub.is_hide_set() && sub.get_name() != "help";
    command.get_subcommands().filter(shown).try_for_each(|sub| write_below(sub, dir))
}

fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

fn page(command: &Command, out: &mut impl Write) -> io::Result<()> {
    // Examples and exit status have sections of their own.
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples) = match after.split_once("Examples:") {
        Some((notes, examples)) => (notes.trim(), examples),
        None => ("", ""),
    };
    let name = page_name(command);
    let plain = command.clone().after_help("").after_long_help("");
    let man = Man::new(plain).source(format!("{NAME} {}", env!("CARGO_PKG_VERSION")));
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.get_subcommands().any(|sub| !sub.is_hide_set()) {
        man.render_subcommands_section(out)?;
    }
    let mut roff = Roff::new();
    if !notes.is_empty() {
        section(&mut roff, "NOTES", notes);
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        for line in examples.lines().map(str::trim).filter(|line| !line.is_empty()) {
            roff.control("PP", []);
            roff.text([roman(line)]);
        }
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in STATUSES {
        roff.control("TP", []);
        roff.text([roman(status.to_string())]);
        roff.text([roman(*meaning)]);
    }
    section(&mut roff, "ENVIRONMENT", ENVIRONMENT);
    let above = name.rsplit_once('-').map_or(NAME, |(above, _)| above);
    let see = if name == NAME {
        "tmux(1), git(1), multiclaude".to_owned()
    } else if above == NAME || !above.starts_with(NAME) {
        format!("{NAME}(1)")
    } else {
        format!("{NAME}(1), {above}(1)")
    };
    section(&mut roff, "SEE ALSO", &see);
    roff.to_writer(out)
}

fn section(roff: &mut Roff, title: &str, text: &str) {
    roff.control("SH", [title]);
    roff.text([roman(text)]);
}
