//! The header `Retry-After` (RFC 9110, section 10.2.3).

use crate::Timestamp;
use chrono::{Datelike as _, NaiveDate, NaiveDateTime};

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How long the header asks to wait from `now`, in seconds, rounded up. It has digits, which
/// saturate, or a future date in the one form that senders may write,
/// `Sun, 06 Nov 1994 08:49:37 GMT`. Anything else is `None`.
pub fn read(text: &str, now: Timestamp) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(i64::MAX));
    }
    let ms = imf_fixdate(text)?.and_utc().timestamp_millis().saturating_sub(now.0);
    (ms > 0).then(|| ms.saturating_add(999) / 1000)
}

/// Read by position: every part has a fixed width. chrono's reader of mail dates takes
/// more forms than HTTP allows, and 20 KB of wasm.
fn imf_fixdate(text: &str) -> Option<NaiveDateTime> {
    let text = text.strip_suffix(" GMT")?;
    let (weekday, date) = text.split_once(", ")?;
    let mut parts = date.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)?.checked_add(1)?;
    let date = NaiveDate::from_ymd_opt(
        number(year, 4)?.try_into().ok()?,
        month.try_into().ok()?,
        number(day, 2)?,
    )?;
    let mut clock = time.split(':');
    let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next()?);
    let is_over = parts.next().is_none() && clock.next().is_none();
    let at = date.and_hms_opt(number(hour, 2)?, number(minute, 2)?, number(second, 2)?)?;
    let wanted = WEEKDAYS.get(date.weekday().num_days_from_monday() as usize)?;
    (is_over && *wanted == weekday).then_some(at)
}

/// A number that is written with exactly so many digits.
fn number(text: &str, digits: usize) -> Option<u32> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
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
