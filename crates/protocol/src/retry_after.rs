//! The header `Retry-After` (RFC 9110, section 10.2.3).

use crate::Timestamp;
use httpdate::{fmt_http_date, parse_http_date};
use std::time::UNIX_EPOCH;

/// How long the header asks to wait from `now`, in seconds, rounded up. It has digits, which
/// saturate, or a future date in the one form that senders may write,
/// `Sun, 06 Nov 1994 08:49:37 GMT`. Anything else is `None`.
pub fn read(text: &str, now: Timestamp) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(i64::MAX));
    }
    // Older forms of dates are read, too: only the current one is written as it was.
    let date = parse_http_date(text).ok().filter(|date| fmt_http_date(*date) == text)?;
    let ms = i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    let wait = ms.saturating_sub(now.0);
    (wait > 0).then(|| wait.saturating_add(999) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sunday, 6 November 1994, 08:49:37 UTC.
    const THEN: Timestamp = Timestamp(784_111_777_000);

    fn at(ms_before: i64) -> Timestamp {
        Timestamp(THEN.0 - ms_before)
    }

    #[test]
    fn digits_are_seconds_however_many() {
        for (text, secs) in [("0", 0), ("007", 7), ("120", 120), ("4294967296", 4_294_967_296)] {
            assert_eq!(read(text, THEN), Some(secs), "{text}");
        }
        assert_eq!(read("99999999999999999999999", THEN), Some(i64::MAX));
    }

    #[test]
    fn a_date_in_the_future_counts_from_now_and_is_rounded_up() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(read(date, at(90_000)), Some(90));
        assert_eq!(read(date, at(1)), Some(1));
        for past in [0, -1, -1_000_000] {
            assert_eq!(read(date, at(past)), None, "{past}");
        }
    }

    #[test]
    fn nothing_else_is_read() {
        for text in [
            "",
            " ",
            "-1",
            "+5",
            "1.5",
            "1e3",
            "0x10",
            " 5",
            "5 ",
            "5,",
            "5, 10",
            "5;q=1",
            "soon 5",
            "５",
            "٣",
            "sun, 06 nov 1994 08:49:37 gmt",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06  Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37.5 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Thu, 31 Nov 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(read(text, at(1000)), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_date_that_is_written_is_read_back(secs in 0_i64..253_402_300_799, before in 1_i64..10_000_000) {
            let then = chrono::DateTime::from_timestamp(secs, 0).unwrap();
            let text = then.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let now = Timestamp((secs - before) * 1000);
            prop_assert_eq!(read(&text, now), Some(before));
        }

        #[test]
        fn any_text_is_digits_or_a_date_or_nothing(text in ".{0,40}") {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(read(&text, THEN).is_some(), digits);
        }
    }
}
