//! Timestamps: one form out, every form that an official client writes in.

use std::fmt;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use chrono::{Datelike, TimeZone};
use chrono_tz::Tz;
use serde::{Serialize, Serializer};

/// An instant as it goes out: UTC, milliseconds, `Z`. The Java client throws on anything without an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) DateTime<Utc>);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.timestamp_subsec_millis().min(999)
        )
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As [`parse_in`]; without an offset it is UTC.
pub(crate) fn parse(text: &str) -> Option<DateTime<Utc>> {
    parse_in(text, Tz::UTC)
}

/// Reads `YYYY-MM-DDTHH:MM[:SS[.fraction]][Z|±HH:MM|±HHMM]`, fraction of 1 to 9 digits. Without an offset it is
/// wall-clock time of `zone`: a time that the spring change skips is the first instant after the gap, one that the
/// autumn change repeats is its first occurrence. Kept to the millisecond, as everything is stored.
pub(crate) fn parse_in(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let mut rest = Scan(text.as_bytes());
    let year = rest.digits(4)?;
    rest.byte(b'-')?;
    let month = rest.digits(2)?;
    rest.byte(b'-')?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, rest.digits(2)?)?;
    rest.byte(b'T')?;
    let hour = rest.digits(2)?;
    rest.byte(b':')?;
    let minute = rest.digits(2)?;
    let (second, millis) = if rest.byte(b':').is_some() { (rest.digits(2)?, rest.fraction()?) } else { (0, 0) };
    let time = NaiveTime::from_hms_milli_opt(hour, minute, second, millis)?;
    let wall = NaiveDateTime::new(date, time);
    if rest.0.is_empty() {
        return domain::hours::first_instant(zone, wall);
    }
    let offset = rest.offset()?;
    rest.0.is_empty().then_some(())?;
    offset.from_local_datetime(&wall).single().map(|at| at.to_utc())
}

/// What is left to read.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn byte(&mut self, wanted: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[wanted])?;
        Some(())
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let value = digits
            .iter()
            .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))?;
        self.0 = rest;
        Some(value)
    }

    /// Milliseconds of an optional fraction; further digits are cut off.
    fn fraction(&mut self) -> Option<u32> {
        if self.byte(b'.').is_none() {
            return Some(0);
        }
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let kept = length.min(3);
        (1..=9).contains(&length).then_some(())?;
        let value = self.digits(kept)?;
        self.digits(length - kept)?;
        Some(value * 10_u32.pow(3 - u32::try_from(kept).ok()?))
    }

    fn offset(&mut self) -> Option<FixedOffset> {
        let sign = match self.0.first() {
            Some(b'Z') => {
                self.byte(b'Z')?;
                return FixedOffset::east_opt(0);
            }
            Some(b'+') => self.byte(b'+').map(|()| 1)?,
            _ => self.byte(b'-').map(|()| -1)?,
        };
        let hours = self.digits(2).filter(|hours| *hours < 24)?;
        let _ = self.byte(b':');
        let minutes = self.digits(2).filter(|minutes| *minutes < 60)?;
        FixedOffset::east_opt(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_documented_form_is_read() {
        for (text, expected) in [
            ("2030-03-04T15:30:00.000Z", "2030-03-04T15:30:00.000Z"),
            ("2030-03-04T15:30:00Z", "2030-03-04T15:30:00.000Z"),
            ("2030-03-04T15:30Z", "2030-03-04T15:30:00.000Z"),
            ("2030-03-04T15:30", "2030-03-04T15:30:00.000Z"),
            ("2030-03-04T15:30:00.000", "2030-03-04T15:30:00.000Z"),
            ("2030-03-04T15:30:00.123456789Z", "2030-03-04T15:30:00.123Z"),
            ("2030-03-04T15:30:00.5-04:00", "2030-03-04T19:30:00.500Z"),
            ("2030-03-04T15:30:00+0000", "2030-03-04T15:30:00.000Z"),
            ("2030-03-04T15:30:00-0400", "2030-03-04T19:30:00.000Z"),
            ("2030-03-04T00:15:00+05:45", "2030-03-03T18:30:00.000Z"),
            ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(parse(text).map(|at| Stamp(at).to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_read_off_the_wall_of_the_zone() {
        for (text, zone, expected) in [
            ("2030-03-04T10:30:00", Tz::America__Toronto, "2030-03-04T15:30:00.000Z"),
            ("2030-07-04T10:30", Tz::America__Toronto, "2030-07-04T14:30:00.000Z"),
            ("2030-03-04T10:30:00.250", Tz::Asia__Kathmandu, "2030-03-04T04:45:00.250Z"),
            // An offset wins over the zone.
            ("2030-03-04T10:30:00Z", Tz::America__Toronto, "2030-03-04T10:30:00.000Z"),
            ("2030-03-04T10:30:00+02:00", Tz::America__Toronto, "2030-03-04T08:30:00.000Z"),
            // New York skips 02:00 to 03:00: the first instant after the gap, whatever of it was named.
            ("2030-03-10T02:00", Tz::America__New_York, "2030-03-10T07:00:00.000Z"),
            ("2030-03-10T02:59:59.999", Tz::America__New_York, "2030-03-10T07:00:00.000Z"),
            ("2030-03-10T03:00", Tz::America__New_York, "2030-03-10T07:00:00.000Z"),
            // It has 01:00 to 02:00 twice in autumn: the first.
            ("2030-11-03T01:30", Tz::America__New_York, "2030-11-03T05:30:00.000Z"),
            ("2030-11-03T02:00", Tz::America__New_York, "2030-11-03T07:00:00.000Z"),
            // Samoa had no 2011-12-30 at all.
            ("2011-12-30T12:00", Tz::Pacific__Apia, "2011-12-30T10:00:00.000Z"),
        ] {
            assert_eq!(
                parse_in(text, zone).map(|at| Stamp(at).to_string()).as_deref(),
                Some(expected),
                "{text} {zone}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "now",
            "2030-03-04",
            "2030-03-04 15:30:00Z",
            "2030-03-04T15",
            "2030-03-04T15:30:",
            "2030-03-04T15:30:00.",
            "2030-03-04T15:30:00.1234567890Z",
            "2030-03-04T15:30:00z",
            "2030-03-04T15:30:00Z ",
            "2030-03-04T15:30:00+1",
            "2030-03-04T15:30:00+24:00",
            "2030-03-04T15:30:00+05:60",
            "2030-03-04T15:30:00+01:00[Europe/Paris]",
            "2030-03-04T24:00:00Z",
            "2030-03-04T23:59:60Z",
            "2030-02-29T00:00:00Z",
            "2030-13-01T00:00:00Z",
            "+2030-03-04T15:30:00Z",
            "２030-03-04T15:30:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_out_comes_in(ms in 0_i64..253_402_300_800_000) {
            let at = DateTime::from_timestamp_millis(ms).unwrap();
            prop_assert_eq!(parse(&Stamp(at).to_string()), Some(at));
        }

        #[test]
        fn reading_never_panics(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn near_misses_never_panic(text in "[0-9T:.Z+-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
