//! Milliseconds since the Unix epoch inside, RFC 3339 in UTC on the wire.

use crate::text_form::text_form;
use chrono::{DateTime, SecondsFormat};
use serde_with::{DeserializeFromStr, SerializeDisplay};
use std::fmt;

/// A moment, in milliseconds since the Unix epoch.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    SerializeDisplay,
    DeserializeFromStr,
)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads any RFC 3339 time; `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp_millis()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

text_form! {
    Timestamp: |text| Self::parse(text).ok_or("must be an RFC 3339 time".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_written_in_utc_with_milliseconds() {
        assert_eq!(Timestamp(1_700_000_000_123).to_string(), "2023-11-14T22:13:20.123Z");
    }

    proptest! {
        #[test]
        fn a_written_time_is_read_back_the_same(ms in 0_i64..253_402_300_799_999) {
            let time = Timestamp(ms);
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }
    }
}
