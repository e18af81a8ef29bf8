//! Arguments together with the words that a command line gave them by, so that another
//! command line can repeat them.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Id};

/// Arguments, and how they were given: `--flag` and `--flag=value`. Defaults are left out.
#[derive(Debug)]
pub struct Spelled<T> {
    pub args: T,
    pub words: Vec<String>,
}

impl<T: Args> FromArgMatches for Spelled<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let mut words = Vec::new();
        for arg in T::augment_args(Command::default()).get_arguments() {
            let (id, flag) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
            if given(id) && !arg.get_action().takes_values() {
                words.push(format!("--{flag}"));
            } else if given(id) {
                let values = matches.get_raw(id).into_iter().flatten();
                words.extend(values.map(|value| format!("--{flag}={}", value.to_string_lossy())));
            }
        }
        Ok(Self { args: T::from_arg_matches(matches)?, words })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T: Args> Args for Spelled<T> {
    fn augment_args(command: Command) -> Command {
        T::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        T::augment_args_for_update(command)
    }

    fn group_id() -> Option<Id> {
        T::group_id()
    }
}
