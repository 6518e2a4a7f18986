use proptest::prelude::*;

use super::*;
use crate::booking::judge;
use crate::callback::{Cause, State};
use crate::ids::{CallbackId, Incarnation, QueueName, TenantId};
use crate::queue::QueueSettings;
use crate::samples::{self, office, utc};
use crate::setting::Checks;
use crate::tenant::TenantDocument;

/// Blinds so that a test can see what was blinded: tenant, parameter and value side by side.
struct Glass;

impl Blinds for Glass {
    fn blind(&self, tenant: TenantId, parameter: &str, value: &[u8]) -> [u8; 16] {
        let (mut blinded, tenant) = ([0; 16], tenant.as_uuid());
        let bytes = parameter.as_bytes().iter().chain(value).chain(tenant.as_bytes());
        bytes.enumerate().for_each(|(place, byte)| blinded[place % 16] ^= byte.rotate_left(place as u32 / 16));
        blinded
    }
}

/// A Monday noon in New York.
fn now() -> DateTime<Utc> {
    utc("2030-03-04T17:00:00Z")
}

fn booking(desired_time: Option<DateTime<Utc>>) -> NewCallback {
    NewCallback {
        user_data: Some(r#"{"customerId":"c-1","deviceId":7}"#.to_owned()),
        counted_headers: vec![("deviceid".to_owned(), "from the header".to_owned())],
        ..samples::booking(desired_time)
    }
}

/// What is counted of a booking under these settings.
fn counted(settings: &QueueSettings, new: &NewCallback) -> BookingLimits {
    let name = QueueName::new("support").unwrap();
    let document = TenantDocument::with_queues("demo", [(name.clone(), settings.clone())]);
    let tenant = document.resolve(TenantId::from_name("demo")).unwrap();
    let plan = judge(&tenant, new, None, now()).unwrap();
    BookingLimits::of(&tenant.queues[&name], &plan, new, now(), &Glass)
}

fn value(parameter: &str, value: &str) -> CountedValue {
    let blinded = Glass.blind(TenantId::from_name("demo"), parameter, value.as_bytes());
    CountedValue { parameter: parameter.to_owned(), blinded }
}

#[test]
fn a_booking_for_now_is_counted_by_every_rule() {
    let windows = QueueSettings::default().throttle_windows;
    let limits = counted(&office(), &booking(None));
    let expected = BookingLimits {
        duplicates: Some(Duplicates { then: OnDuplicate::Refuse, limit: 2 }),
        day: Some(Day {
            limit: 6,
            ends_at: utc("2030-03-05T05:00:00Z"),
            values: vec![value("phoneNumber", "14165550100")],
        }),
        windows: windows.clone(),
        depth: Some(1_000),
    };
    assert_eq!(limits, expected);
    let later = counted(&office(), &booking(Some(utc("2030-03-05T16:00:00Z"))));
    assert_eq!(later, BookingLimits { day: None, depth: None, ..expected }, "places are what bounds those for later");
}

#[test]
fn an_unlimited_queue_counts_nothing() {
    for time in [None, Some(now() + Duration::days(1))] {
        let limits = counted(&QueueSettings::unlimited(), &booking(time));
        assert!(limits.is_empty(), "{limits:?}");
        assert_eq!(limits, BookingLimits::default());
    }
}

#[test]
fn parameters_are_the_number_members_and_headers() {
    let names = ["_customer_number", "customerId", "phoneNumber", "deviceId", "missing"].map(str::to_owned);
    let mut settings = QueueSettings { throttle_parameters: names.to_vec(), ..office() };
    let values = |settings: &QueueSettings, new: &NewCallback| counted(settings, new).day.map(|day| day.values);
    let with_header =
        vec![value("phoneNumber", "14165550100"), value("customerId", "c-1"), value("deviceId", "from the header")];
    assert_eq!(values(&settings, &booking(None)), Some(with_header));
    settings.throttle_headers = false;
    let without = vec![value("phoneNumber", "14165550100"), value("customerId", "c-1"), value("deviceId", "7")];
    assert_eq!(values(&settings, &booking(None)), Some(without));
    let nothing = NewCallback { user_data: None, ..booking(None) };
    assert_eq!(values(&settings, &nothing), Some(vec![value("phoneNumber", "14165550100")]));
    settings.throttle_parameters = vec!["missing".to_owned()];
    assert_eq!(values(&settings, &booking(None)), None, "nothing to count is no rule");
}

#[test]
fn a_header_cannot_stand_for_the_number() {
    let mut new = booking(None);
    new.counted_headers.push(("phonenumber".to_owned(), "1".to_owned()));
    let day = counted(&office(), &new).day.unwrap();
    assert_eq!(day.values, [value("phoneNumber", "14165550100")]);
}

#[test]
fn every_policy_has_its_consequence() {
    for (duplicate_policy, then) in [
        (DuplicatePolicy::Allow, None),
        (DuplicatePolicy::ReturnExisting, Some(OnDuplicate::ReturnExisting)),
        (DuplicatePolicy::Replace, Some(OnDuplicate::Replace)),
        (DuplicatePolicy::Refuse, Some(OnDuplicate::Refuse)),
    ] {
        let limits = counted(&QueueSettings { duplicate_policy, duplicate_limit: 3, ..office() }, &booking(None));
        assert_eq!(limits.duplicates, then.map(|then| Duplicates { then, limit: 3 }));
    }
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let settings = QueueSettings {
        duplicate_limit: 0,
        throttle_parameters: vec!["a".to_owned(), " ".to_owned(), "a".to_owned()],
        throttle_windows: vec![
            ThrottleWindow { limit: 1, seconds: 60 },
            ThrottleWindow { limit: 1_000_001, seconds: 60 },
            ThrottleWindow { limit: 0, seconds: 0 },
        ],
        max_queued: 10_000_001,
        ..QueueSettings::default()
    };
    let mut checks = Checks::default();
    check(&settings, &mut checks);
    let told: Vec<_> = checks.into_errors().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "duplicateLimit: has to be 1 to 100, not 0",
            "throttleParameters.1: has to be 1 to 255 characters without control characters, or left out, not \" \"",
            "throttleParameters.2: has to be there once, not a",
            "throttleWindows.1.limit: has to be 0 to 1000000, not 1000001",
            "throttleWindows.1.seconds: has to differ from every other window's, not 60",
            "throttleWindows.2.seconds: has to be 1 to 86400, not 0",
            "maxQueued: has to be 0 to 10000000, not 10000001",
        ]
    );
}

#[test]
fn days_end_at_midnight_on_the_wall() {
    use chrono_tz::{Africa::Cairo, America::New_York, America::Sao_Paulo, Asia::Kathmandu, UTC};
    for (zone, at, end) in [
        (UTC, "2030-03-04T00:00:00Z", "2030-03-05T00:00:00Z"),
        (UTC, "2030-03-04T23:59:59.999Z", "2030-03-05T00:00:00Z"),
        (Kathmandu, "2030-03-04T18:14:59Z", "2030-03-04T18:15:00Z"),
        (New_York, "2030-03-10T05:00:00Z", "2030-03-11T04:00:00Z"),
        (New_York, "2030-11-03T04:00:00Z", "2030-11-04T05:00:00Z"),
        // Midnight is skipped: the day ends when the clocks go forward.
        (Cairo, "2024-04-25T12:00:00Z", "2024-04-25T22:00:00Z"),
        // The hour before midnight comes twice: both belong to the day.
        (Sao_Paulo, "2018-02-18T01:30:00Z", "2018-02-18T03:00:00Z"),
        (Sao_Paulo, "2018-02-18T02:30:00Z", "2018-02-18T03:00:00Z"),
    ] {
        assert_eq!(day_end(zone, utc(at)), utc(end), "{zone} {at}");
    }
}

#[test]
fn a_window_opens_when_enough_has_left_it() {
    let window = ThrottleWindow { limit: 3, seconds: 300 };
    let minute = |minute: u32| now() + Duration::minutes(minute.into());
    let counts = [(minute(1), 1), (minute(2), 2), (minute(3), 1)];
    assert_eq!(window.passes_at(&counts), Some(minute(2)), "4 booked: one less is not enough");
    assert_eq!(ThrottleWindow { limit: 4, ..window }.passes_at(&counts), Some(minute(1)));
    assert_eq!(ThrottleWindow { limit: 1, ..window }.passes_at(&counts), Some(minute(3)));
    assert_eq!(ThrottleWindow { limit: 0, ..window }.passes_at(&counts), None);
    assert_eq!(ThrottleWindow { limit: 0, ..window }.passes_at(&[]), None);
}

fn waiting(slot: Option<DateTime<Utc>>) -> Callback {
    let terms = crate::callback::Terms {
        tenant: TenantId::from_name("demo"),
        queue: QueueName::new("support").unwrap(),
        phone: crate::numbers::PhoneNumber::from_digits(14_165_550_100),
        ttl: Duration::days(1),
    };
    let id = CallbackId::generate(now());
    match slot {
        Some(_) => Callback::scheduled(id, terms, None, now() + Duration::hours(1), now(), slot),
        None => Callback::immediate(id, terms, Incarnation(1), now()),
    }
}

#[test]
fn a_replaced_callback_ends_and_gives_its_place_back() {
    let slot = now() + Duration::hours(1);
    let before = waiting(Some(slot));
    let change = replacement(&before, now()).unwrap();
    assert_eq!((change.from, change.expected_version, change.callback.version), (State::Scheduled, 1, 2));
    assert_eq!(change.saving.cause, Cause::Replaced);
    assert_eq!((change.saving.give_back, change.callback.slot), (Some(slot), None));
    assert!(change.callback.is_settled(), "routing never heard of it");
    assert!(change.callback.reason.is_some_and(|reason| reason.is_cancellation()));
}

#[test]
fn routing_is_told_of_a_replaced_attempt_at_once() {
    let mut before = waiting(None);
    let _ = before.start_with_booking(crate::callback::Again::EntersOnce, now());
    let later = now() + Duration::minutes(1);
    let change = replacement(&before, later).unwrap();
    assert_eq!((change.callback.state, change.callback.owes_terminate), (State::Completed, true));
    assert_eq!((change.callback.owner, change.callback.wake_at), (Some(Incarnation(1)), Some(later)));
    let mut talking = before;
    talking.state = State::Processing;
    assert_eq!(replacement(&talking, later), None);
}

fn zones() -> impl Strategy<Value = Tz> {
    prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec())
}

proptest! {
    #[test]
    fn a_day_has_one_end(zone in zones(), seconds in 1_500_000_000i64..2_200_000_000, step in 0i64..90_000) {
        let at = DateTime::from_timestamp(seconds, 0).unwrap();
        let end = day_end(zone, at);
        let date = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
        prop_assert!(end > at && end - at <= Duration::hours(49));
        prop_assert!(date(end) > date(at), "the next day begins then");
        let other = at + Duration::seconds(step);
        prop_assert_eq!(day_end(zone, other) == end, date(other) == date(at));
    }

    #[test]
    fn a_window_never_lets_more_pass(
        limit in 1u32..20, seconds in 1u32..=86_400, pauses in prop::collection::vec(0i64..100, 1..200),
    ) {
        let window = ThrottleWindow { limit, seconds };
        let length = Duration::seconds(seconds.into());
        let part = length / 60;
        let (mut at, mut booked) = (now(), Vec::<DateTime<Utc>>::new());
        for pause in pauses {
            at += length * i32::try_from(pause).unwrap() / 1_000;
            let mut counts: Vec<_> =
                booked.iter().map(|it| (window.counts_until(*it), 1)).filter(|(until, _)| *until > at).collect();
            counts.sort_unstable();
            let in_window = booked.iter().filter(|it| **it > at - length).count();
            prop_assert!(in_window <= counts.len(), "whatever is in the window counts");
            let around = booked.iter().filter(|it| **it > at - length - part - Duration::milliseconds(2)).count();
            prop_assert!(counts.len() <= around, "and little else does");
            if counts.len() < limit as usize {
                booked.push(at);
            } else {
                let passes = window.passes_at(&counts).unwrap();
                prop_assert!(passes > at && passes <= at + length + part);
                let left = counts.iter().filter(|(until, _)| *until > passes).count();
                prop_assert!(left < limit as usize);
            }
        }
    }
}
