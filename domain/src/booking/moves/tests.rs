use super::*;
use crate::booking::{When, judge};
use crate::callback::{NewCallback, Options};
use crate::hours::{BusinessHours, Range, Week};
use crate::ids::TenantId;
use crate::queue::QueueSettings;
use crate::tenant::TenantDocument;
use proptest::prelude::*;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A Monday noon in New York.
fn now() -> DateTime<Utc> {
    utc("2030-03-04T17:00:00Z")
}

fn queue() -> QueueName {
    QueueName::new("support").unwrap()
}

fn tenant(settings: QueueSettings) -> Tenant {
    TenantDocument::with_queues("demo", [(queue(), settings)]).resolve(TenantId::from_name("demo")).unwrap()
}

fn office() -> QueueSettings {
    let week = Week::working_days(Range::new("09:00", "17:00").unwrap());
    QueueSettings {
        hours: BusinessHours::weekly(chrono_tz::Tz::America__New_York, week).into(),
        ..QueueSettings::default()
    }
}

fn booking(desired_time: DateTime<Utc>) -> NewCallback {
    NewCallback {
        service_name: "support".to_owned(),
        phone_number: "+14165550100".to_owned(),
        desired_time: Some(desired_time),
        always_check_capacity: false,
        user_data: None,
        options: Options::default(),
        idempotency: None,
        counted_headers: Vec::new(),
        captcha: None,
        hold: None,
    }
}

fn holding(desired_time: DateTime<Utc>, number: Option<&str>) -> NewHold {
    NewHold {
        service_name: "support".to_owned(),
        desired_time,
        phone_number: number.map(str::to_owned),
        idempotency: None,
    }
}

#[test]
fn a_time_is_judged_as_a_booking_for_it_would_be() {
    let off = |change: fn(&mut QueueSettings)| {
        let mut settings = office();
        change(&mut settings);
        settings
    };
    let tomorrow = utc("2030-03-05T15:02:03Z");
    let night = utc("2030-03-05T04:00:00Z");
    let far = now() + Duration::days(14) + Duration::milliseconds(1);
    let table = [
        (office(), tomorrow),
        (office(), night),
        (office(), far),
        (off(|it| it.paused = true), tomorrow),
        (off(|it| it.scheduled_enabled = false), tomorrow),
        (off(|it| it.min_lead_seconds = 100_000), tomorrow),
        (off(|it| it.max_ahead_days = 1), utc("2030-03-05T17:00:00Z")),
        (off(|it| it.max_ahead_days = 1), utc("2030-03-05T17:00:00.001Z")),
        (off(|it| it.reject_out_of_hours = false), night),
    ];
    for (settings, wanted) in table {
        let tenant = tenant(settings);
        let booked = judge(&tenant, &booking(wanted), Some(600), now());
        let moved = judge_new_time(&tenant, &queue(), wanted, Some(600), now());
        let held = judge_hold(&tenant, &holding(wanted, None), now()).map(|plan| plan.slot);
        match booked {
            Ok(plan) => {
                let When::Scheduled { desired_time, start_at, slot } = plan.when else { panic!("{:?}", plan.when) };
                assert_eq!(moved, Ok(NewTime { desired_time, start_at, slot }));
                assert_eq!(held, Ok(slot));
            }
            Err(refused) => {
                assert_eq!(moved, Err(refused.clone()));
                assert_eq!(held, Err(HoldError::Refused(refused)));
            }
        }
    }
    let nowhere = QueueName::new("nowhere").unwrap();
    assert_eq!(judge_new_time(&tenant(office()), &nowhere, now(), None, now()), Err(SubmitError::UnknownQueue));
}

#[test]
fn a_time_that_has_passed_is_none_to_move_to() {
    let wanted = now() - Duration::milliseconds(1);
    let expected = SubmitError::TooSoon { earliest: now(), lead_seconds: 0 };
    assert_eq!(judge_new_time(&tenant(office()), &queue(), wanted, None, now()), Err(expected.clone()));
    let held = judge_hold(&tenant(office()), &holding(wanted, None), now());
    assert_eq!(held, Err(HoldError::Refused(expected)));
    assert!(judge_new_time(&tenant(office()), &queue(), now(), None, now()).is_ok());
}

#[test]
fn a_hold_is_planned_by_the_settings() {
    let settings = QueueSettings { hold_seconds: 60, hold_limit: 7, hold_limit_per_number: 2, ..office() };
    let wanted = utc("2030-03-05T15:02:03Z");
    let plan = judge_hold(&tenant(settings.clone()), &holding(wanted, Some("(416) 555-0100")), now()).unwrap();
    assert_eq!(plan.queue, queue());
    assert_eq!(plan.phone.map(PhoneNumber::e164), Some("+14165550100".to_owned()));
    assert_eq!(plan.slot.start, utc("2030-03-05T15:00:00Z"));
    assert_eq!(plan.bounds, HoldBounds { of_queue: 7, of_number: 2 });
    assert_eq!(plan.expires_at, now() + Duration::seconds(60));
    let refused = |settings, number| judge_hold(&tenant(settings), &holding(wanted, number), now());
    assert_eq!(refused(settings.clone(), Some("none")), Err(HoldError::Refused(SubmitError::NotANumber)));
    let premium = refused(settings.clone(), Some("+19005550100"));
    assert!(matches!(premium, Err(HoldError::Refused(SubmitError::NumberNotAllowed { .. }))), "{premium:?}");
    let unoffered = refused(QueueSettings { hold_limit: 0, ..settings }, None);
    assert_eq!(unoffered, Err(HoldError::NotOffered));
}

#[test]
fn a_booking_with_a_hold_is_never_one_for_now() {
    let hold = Some(crate::ids::HoldId::generate(now()));
    let wanted = now() - Duration::seconds(90);
    let plan = judge(&tenant(office()), &NewCallback { hold, ..booking(wanted) }, None, now()).unwrap();
    assert_eq!(plan.when.slot().map(|slot| slot.start), Some(now()), "in the slot that runs");
    let plan = judge(&tenant(office()), &booking(wanted), None, now()).unwrap();
    assert_eq!(plan.when, When::Immediate);
}

proptest! {
    /// Whatever the time and the settings: a move is refused exactly where a booking for later would be.
    #[test]
    fn moves_and_bookings_agree(
        minutes in 1i64..30_000, lead in 0u32..200_000, wait in prop::option::of(-5i32..20_000),
        paused in any::<bool>(), scheduled in any::<bool>(), strict in any::<bool>(),
    ) {
        let settings = QueueSettings {
            paused, scheduled_enabled: scheduled, min_lead_seconds: lead, reject_out_of_hours: strict, ..office()
        };
        let tenant = tenant(settings);
        let wanted = now() + Duration::minutes(minutes);
        let booked = judge(&tenant, &booking(wanted), wait, now()).map(|plan| plan.when);
        let moved = judge_new_time(&tenant, &queue(), wanted, wait, now());
        let moved = moved.map(|NewTime { desired_time, start_at, slot }| When::Scheduled { desired_time, start_at, slot });
        prop_assert_eq!(moved, booked);
    }
}
