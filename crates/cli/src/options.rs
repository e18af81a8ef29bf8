//! Options, and values of options, that many commands share.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use multiclaude_hybrid_client::protocol::{AgentName, Owner};

/// The repo that a command is about.
#[derive(Debug, Args)]
pub struct RepoArg {
    /// The repo: multiclaude's name for it, or owner/repo [default: this directory's, else
    /// multiclaude's current one]
    #[arg(long, short = 'R', short_alias = 'r', value_name = "REPO", global = true)]
    pub repo: Option<String>,
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

pub fn agent_name(text: &str) -> Result<AgentName, String> {
    AgentName::parse(text).map_err(|error| format!("the agent name {error}"))
}

pub fn owner(text: &str) -> Result<Owner, String> {
    Owner::parse(text).map_err(|error| format!("the owner {error}"))
}

/// Reads `90d`, `12h`, `30m`, `45s` as milliseconds.
pub fn duration(text: &str) -> Result<i64, String> {
    let wrong = || "is not a time: write 90d, 12h, 30m or 45s".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let scale = match unit {
        'd' => 86_400_000,
        'h' => 3_600_000,
        'm' => 60_000,
        's' => 1000,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    let number: i64 = number.parse().map_err(|_| wrong())?;
    (1..=36_500).contains(&number).then_some(number * scale).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("90d"), Ok(90 * 86_400_000));
        assert_eq!(duration("30m"), Ok(1_800_000));
        assert_eq!(duration("45s"), Ok(45_000));
        for bad in ["", "90", "d", "-1d", "0h", "1.5d", "1w", "99999999999d", "1dd"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
