//! The command line as a whole: what the derives say, with groups, examples, and one
//! spelling of flags that many commands have.

mod examples;
mod man;

pub use man::{main_page, write_pages};

use crate::args::Cli;
use crate::failure::STATUSES;
use crate::program::{ENVIRONMENT, NAME};
use clap::{Command, CommandFactory as _};
use examples::examples_of;
use std::fmt::Write as _;

/// The groups of the help, each with its first command. The commands follow each other in
/// the order of their enum.
const GROUPS: [(&str, &str); 6] = [
    ("Start", "login"),
    ("Messages", "send"),
    ("Agents", "list"),
    ("Workers", "work"),
    ("Team", "config"),
    ("This machine", "bridge"),
];

pub fn command() -> Command {
    let command = Cli::command();
    let groups = groups(&command);
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{groups}\nOptions:\n{{options}}{{after-help}}"
    );
    dressed(command, "").help_template(template).after_help(ending())
}

fn ending() -> String {
    let statuses = STATUSES.iter().map(|(status, meaning)| format!("  {status:<4} {meaning}\n"));
    format!("Exit status:\n{}\nEnvironment: {ENVIRONMENT}", statuses.collect::<String>())
}

fn groups(command: &Command) -> String {
    let mut text = String::new();
    for command in command.get_subcommands() {
        let name = command.get_name();
        if let Some((title, _)) = GROUPS.iter().find(|(_, first)| *first == name) {
            let _ = write!(text, "\n{title}:\n");
        }
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "  {name:<12} {about}");
    }
    text
}

/// The command at `path`, and all below it, with examples and common spellings.
fn dressed(mut command: Command, path: &str) -> Command {
    if command.get_arguments().any(|arg| arg.get_id() == "repo" && arg.get_long().is_some()) {
        // `-R` as in other tools; `-r` was there first.
        command = command.mut_arg("repo", |arg| arg.short('R').short_alias('r'));
    }
    let examples = examples_of(path);
    if !examples.is_empty() {
        let mut text = command.get_after_help().map_or(String::new(), |help| format!("{help}\n\n"));
        text.push_str("Examples:");
        for line in examples {
            let _ = write!(text, "\n  {NAME} {line}");
        }
        command = command.after_help(text);
    }
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let below = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(name, |sub| dressed(sub, &below));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn shown(command: &Command, path: &str, found: &mut BTreeSet<String>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let below = format!("{path} {}", sub.get_name()).trim().to_owned();
            shown(sub, &below, found);
            found.insert(below);
        }
    }

    #[test]
    fn clap_accepts_the_description_of_the_command_line() {
        command().debug_assert();
    }

    #[test]
    fn every_group_has_a_first_command_and_every_command_has_examples() {
        let mut all = BTreeSet::new();
        shown(&command(), "", &mut all);
        let firsts = GROUPS.iter().filter(|(_, first)| all.contains(*first)).count();
        assert_eq!(firsts, GROUPS.len());
        for path in all {
            assert!(!examples_of(&path).is_empty(), "{path}");
        }
    }

    fn own_ids(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            let ids = sub.get_arguments().map(|arg| arg.get_id().to_string());
            found.extend(ids.map(|id| (id, path.clone())));
            own_ids(sub, &path, found);
        }
    }

    /// clap gives the value of such an argument to the global one, too.
    #[test]
    fn no_command_has_an_argument_with_the_id_of_a_global_one() {
        let command = command();
        let mut all = Vec::new();
        own_ids(&command, "", &mut all);
        for arg in command.get_arguments().filter(|arg| arg.is_global_set()) {
            let same = all.iter().find(|(id, _)| id == arg.get_id().as_str());
            assert!(same.is_none(), "{same:?}");
        }
    }

    #[test]
    fn every_example_is_understood() {
        for line in examples::EXAMPLES.lines() {
            let before = line.split(" < ").next().unwrap().split(" > ").next().unwrap();
            let before = before.split(" >> ").next().unwrap();
            let words = shlex::split(before).unwrap();
            let parsed = command().try_get_matches_from([NAME.to_owned()].into_iter().chain(words));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn the_list_of_commands_fits_80_columns() {
        let help = command().render_help().to_string();
        for line in help.lines().take_while(|line| *line != "Options:") {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(help.contains("\nMessages:\n  send  "), "{help}");
    }
}
