//! Options, and values of options, that many commands share.

use crate::completion;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use multiclaude_hybrid_client::protocol::AgentName;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The repo that a command is about.
#[derive(Debug, Args)]
pub struct RepoArg {
    /// The repo: multiclaude's name for it, or owner/repo [default: this directory's, else
    /// multiclaude's current one]
    #[arg(long, short = 'R', short_alias = 'r', value_name = "REPO", global = true)]
    pub repo: Option<String>,
}

/// The agent that a command is about.
#[derive(Debug, Args)]
pub struct NameArg {
    /// The agent's name
    #[arg(add = completion::names())]
    pub name: AgentName,
}

impl RepoArg {
    pub fn given(&self) -> Option<&str> {
        self.repo.as_deref()
    }
}

/// One of `texts`, as `parse` reads it: shells complete them, and a typo gets a suggestion.
pub fn one_of<T: Clone + Send + Sync + 'static>(
    texts: &'static [&'static str],
    parse: fn(&str) -> Result<T, String>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(texts).try_map(move |text| parse(&text))
}

/// Reads a time within `range`, in seconds: `90d`, `12h`, `30m`, `45s`, or only a number of
/// seconds.
pub fn time(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = Duration> {
    move |text: &str| {
        let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
        let scale = match text.get(digits.len()..).unwrap_or_default() {
            "d" => 86_400,
            "h" => 3600,
            "m" => 60,
            "" | "s" => 1,
            _ => 0,
        };
        let number = digits.parse::<u64>().ok().filter(|_| !digits.starts_with('+'));
        let secs = number.and_then(|number| number.checked_mul(scale));
        let secs = secs.filter(|_| scale > 0).ok_or("is not a time: write 90d, 12h, 30m or 45s")?;
        if range.contains(&secs) {
            return Ok(Duration::from_secs(secs));
        }
        let (least, most) = (shown(*range.start()), shown(*range.end()));
        Err(format!("is not between {least} and {most}"))
    }
}

/// A number of seconds in the largest unit that fits.
fn shown(secs: u64) -> String {
    match secs {
        0 => "0s".to_owned(),
        secs if secs % 86_400 == 0 => format!("{}d", secs / 86_400),
        secs if secs % 3600 == 0 => format!("{}h", secs / 3600),
        secs if secs % 60 == 0 => format!("{}m", secs / 60),
        secs => format!("{secs}s"),
    }
}

/// Seconds of the longest time that a person may give: 100 years.
pub const TIME_MAX: u64 = 36_500 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, Command};

    fn read(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
        let arg = Arg::new("time").allow_hyphen_values(true).value_parser(time(range));
        let matches = Command::new("test").arg(arg).try_get_matches_from(["test", text]);
        let matches = matches.map_err(|error| error.to_string())?;
        Ok(matches.get_one::<Duration>("time").unwrap().as_secs())
    }

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds_and_lies_within_its_limits() {
        for (text, secs) in
            [("90d", 90 * 86_400), ("12h", 43_200), ("30m", 1800), ("45s", 45), ("45", 45)]
        {
            assert_eq!(read(text, 1..=TIME_MAX), Ok(secs), "{text}");
        }
        for bad in ["", "d", "-1d", "+1d", "0h", "1.5d", "1w", "99999999999d", "1dd", "m5", "5 m"] {
            assert!(read(bad, 1..=TIME_MAX).is_err(), "{bad}");
        }
        let error = read("2h", 30..=3600).unwrap_err();
        assert!(error.contains("is not between 30s and 1h"), "{error}");
    }
}
