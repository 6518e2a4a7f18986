//! What tests of several modules ask for.

use chrono::{DateTime, Utc};

use crate::callback::{NewCallback, Options};
use crate::hours::{BusinessHours, Range, Week};
use crate::queue::QueueSettings;

/// An instant as it is written.
pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A queue that is served on working days in New York, nine to five.
pub(crate) fn office() -> QueueSettings {
    let week = Week::working_days(Range::new("09:00", "17:00").unwrap());
    let hours = BusinessHours::weekly(chrono_tz::Tz::America__New_York, week).into();
    QueueSettings { hours, ..QueueSettings::default() }
}

/// A booking of a number in Toronto, with nothing else.
pub(crate) fn booking(desired_time: Option<DateTime<Utc>>) -> NewCallback {
    NewCallback {
        service_name: "support".to_owned(),
        phone_number: "(416) 555-0100".to_owned(),
        desired_time,
        always_check_capacity: false,
        user_data: None,
        options: Options::default(),
        idempotency: None,
        counted_headers: Vec::new(),
        captcha: None,
        hold: None,
    }
}
