//! Writes the slots of an availability answer. A fortnight of short slots is four thousand objects, so they are
//! written digit by digit into one buffer: no text of its own for any of them.

use bytes::Bytes;
use chrono::{DateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use domain::availability::Availability;

/// Longest slot, in bytes.
const SLOT_BYTES: usize = 132;
/// What stands around the slots, in bytes.
const AROUND_BYTES: usize = 96;
const DAY_SECONDS: i64 = 86_400;

/// Bytes that an answer takes at most, without its envelope.
pub(crate) fn bytes(availability: &Availability) -> usize {
    availability.slots.len() * SLOT_BYTES + AROUND_BYTES
}

/// The answer's data, with local times of `zone`, and the brace that closes the envelope around it.
pub(crate) fn written(availability: &Availability, zone: Tz) -> Bytes {
    let mut out = Vec::with_capacity(bytes(availability));
    write(availability, zone, &mut out);
    out.push(b'}');
    Bytes::from(out)
}

fn write(availability: &Availability, zone: Tz, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"slots\":[");
    let mut utc = Wall::new();
    let mut local = Local::new(zone);
    for (position, slot) in availability.slots.iter().enumerate() {
        out.extend_from_slice(if position == 0 { b"{\"utcTime\":\"" } else { b",{\"utcTime\":\"" });
        utc.set(slot.start.timestamp());
        out.extend_from_slice(&utc.text);
        out.extend_from_slice(b"Z\",\"localTime\":\"");
        local.set(slot.start);
        out.extend_from_slice(&local.wall.text);
        out.extend_from_slice(local.offset_text());
        out.extend_from_slice(b"\",\"capacity\":");
        number(slot.free, out);
        out.extend_from_slice(b",\"total\":");
        number(slot.total, out);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"durationMin\":");
    number(availability.slot_minutes, out);
    out.extend_from_slice(b",\"timezone\":\"");
    // Letters, digits, slashes, underscores and signs: nothing to escape.
    out.extend_from_slice(zone.name().as_bytes());
    out.extend_from_slice(b"\"}");
}

/// A number in decimal digits.
fn number(mut value: u32, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 10];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = digit_of(i64::from(value), 1);
        value /= 10;
        length += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// The digit of `value` at a power of ten.
fn digit_of(value: i64, power: i64) -> u8 {
    b'0' + u8::try_from(value / power % 10).unwrap_or_default()
}

/// What a clock on a wall shows, as `2030-03-04T15:30:00.000`.
struct Wall {
    text: [u8; 23],
    /// Days since 1970 of the date in the text.
    day: i64,
}

impl Wall {
    fn new() -> Self {
        Self { text: *b"1970-01-01T00:00:00.000", day: 0 }
    }

    /// Sets the clock to so many seconds after 1970 began on its wall. Slots begin on whole seconds.
    fn set(&mut self, seconds: i64) {
        let (day, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
        if day != self.day {
            self.set_date(day);
        }
        let [.., h1, h0, _, m1, m0, _, s1, s0, _, _, _, _] = &mut self.text;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        (*h1, *h0) = (digit_of(hour, 10), digit_of(hour, 1));
        (*m1, *m0) = (digit_of(minute, 10), digit_of(minute, 1));
        (*s1, *s0) = (digit_of(second, 10), digit_of(second, 1));
    }

    fn set_date(&mut self, day: i64) {
        use chrono::Datelike as _;
        self.day = day;
        let date = i32::try_from(day).ok().and_then(chrono::NaiveDate::from_epoch_days).unwrap_or_default();
        let (year, month, day) = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
        let [y3, y2, y1, y0, _, m1, m0, _, d1, d0, ..] = &mut self.text;
        (*y3, *y2, *y1, *y0) = (digit_of(year, 1_000), digit_of(year, 100), digit_of(year, 10), digit_of(year, 1));
        (*m1, *m0) = (digit_of(month, 10), digit_of(month, 1));
        (*d1, *d0) = (digit_of(day, 10), digit_of(day, 1));
    }
}

/// A clock in a zone. Its offset is looked up once for as long as it holds.
struct Local {
    zone: Tz,
    wall: Wall,
    offset: i64,
    /// `+hh:mm`.
    offset_text: [u8; 6],
    /// Before this instant the offset is the same.
    steady_until: Option<DateTime<Utc>>,
}

impl Local {
    fn new(zone: Tz) -> Self {
        Self { zone, wall: Wall::new(), offset: 0, offset_text: *b"+00:00", steady_until: None }
    }

    /// Later instants follow earlier ones.
    fn set(&mut self, at: DateTime<Utc>) {
        if self.steady_until.is_none_or(|until| at >= until) {
            self.look_up(at);
        }
        self.wall.set(at.timestamp() + self.offset);
    }

    /// Clocks do not change twice in a day, so equal offsets now and in a day are the same between.
    fn look_up(&mut self, at: DateTime<Utc>) {
        let offset_at =
            |at: DateTime<Utc>| i64::from(self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc());
        let tomorrow = at + TimeDelta::days(1);
        let (offset, later) = (offset_at(at), offset_at(tomorrow));
        self.steady_until = (offset == later).then_some(tomorrow);
        self.offset = offset;
        let (hours, minutes) = (offset.abs() / 3_600, offset.abs() / 60 % 60);
        let [sign, h1, h0, _, m1, m0] = &mut self.offset_text;
        *sign = if offset < 0 { b'-' } else { b'+' };
        (*h1, *h0) = (digit_of(hours, 10), digit_of(hours, 1));
        (*m1, *m0) = (digit_of(minutes, 10), digit_of(minutes, 1));
    }

    /// `Z` where the clock shows UTC.
    fn offset_text(&self) -> &[u8] {
        if self.offset == 0 { b"Z" } else { &self.offset_text }
    }
}

#[cfg(test)]
mod tests {
    use domain::slots::FreeSlot;
    use proptest::prelude::*;

    use super::super::super::wire::time::Stamp;
    use super::*;

    fn written(availability: &Availability, zone: Tz) -> serde_json::Value {
        let mut out = Vec::with_capacity(bytes(availability));
        let room = out.capacity();
        write(availability, zone, &mut out);
        assert_eq!(out.capacity(), room, "it never had to grow");
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn an_answer_is_what_the_contract_shows() {
        let slot = |start: &str, free, total| FreeSlot { start: start.parse().unwrap(), free, total };
        let slots = vec![slot("2030-03-04T15:30:00Z", 2, 5), slot("2030-12-31T23:59:00Z", 0, 1_000_000)];
        let mut out = Vec::new();
        write(&Availability { slot_minutes: 30, slots }, Tz::America__Toronto, &mut out);
        insta::assert_snapshot!(
            String::from_utf8(out).unwrap(),
            @r#"{"slots":[{"utcTime":"2030-03-04T15:30:00.000Z","localTime":"2030-03-04T10:30:00.000-05:00","capacity":2,"total":5},{"utcTime":"2030-12-31T23:59:00.000Z","localTime":"2030-12-31T18:59:00.000-05:00","capacity":0,"total":1000000}],"durationMin":30,"timezone":"America/Toronto"}"#
        );
        let none = Availability { slot_minutes: 120, slots: Vec::new() };
        assert_eq!(written(&none, Tz::UTC), serde_json::json!({"slots": [], "durationMin": 120, "timezone": "UTC"}));
    }

    proptest! {
        /// Whatever the zone and the season, also across changes of clocks: the texts are those of the instants.
        #[test]
        fn every_slot_is_written_as_it_is(
            zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]), from in 1_600_000_000i64..4_000_000_000,
            steps in prop::collection::vec((1i64..20_000, any::<u32>(), any::<u32>()), 0..60),
        ) {
            let mut at = from;
            let slots = steps.iter().map(|(step, free, total)| {
                at += step * 60;
                FreeSlot { start: DateTime::from_timestamp(at, 0).unwrap(), free: *free, total: *total }
            });
            let availability = Availability { slot_minutes: 5, slots: slots.collect() };
            let found = written(&availability, zone);
            prop_assert_eq!(found["timezone"].as_str(), Some(zone.name()));
            for (slot, written) in availability.slots.iter().zip(found["slots"].as_array().unwrap()) {
                let local = slot.start.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string().replace("+00:00", "Z");
                prop_assert_eq!(&written["utcTime"], &Stamp(slot.start).to_string());
                prop_assert_eq!(&written["localTime"], &local);
                prop_assert_eq!(written["capacity"].as_u64(), Some(slot.free.into()));
                prop_assert_eq!(written["total"].as_u64(), Some(slot.total.into()));
            }
        }
    }
}
