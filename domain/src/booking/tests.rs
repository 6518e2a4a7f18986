use super::*;
use crate::hours::{BusinessHours, Range, Week};
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

fn tenant(settings: QueueSettings) -> Tenant {
    let queue = QueueName::new("support").unwrap();
    TenantDocument::with_queues("demo", [(queue, settings)]).resolve(TenantId::from_name("demo")).unwrap()
}

fn booking(desired_time: Option<DateTime<Utc>>) -> NewCallback {
    NewCallback {
        service_name: "support".to_owned(),
        phone_number: "(416) 555-0100".to_owned(),
        desired_time,
        always_check_capacity: false,
        user_data: None,
        options: crate::callback::Options::default(),
        idempotency: None,
        counted_headers: Vec::new(),
    }
}

fn office() -> QueueSettings {
    let week = Week::working_days(Range::new("09:00", "17:00").unwrap());
    QueueSettings {
        hours: BusinessHours::weekly(chrono_tz::Tz::America__New_York, week).into(),
        ..QueueSettings::default()
    }
}

#[test]
fn a_booking_without_time_is_for_now() {
    let plan = judge(&tenant(office()), &booking(None), Some(300), now()).unwrap();
    assert_eq!(plan.when, When::Immediate);
    assert_eq!(plan.when.slot(), None);
    assert_eq!(plan.terms.phone.e164(), "+14165550100");
    assert_eq!((plan.terms.queue.as_str(), plan.terms.ttl), ("support", Duration::days(1)));
}

#[test]
fn a_time_that_has_come_is_now_unless_capacity_is_always_checked() {
    for wanted in [now(), now() - Duration::days(3)] {
        let mut new = booking(Some(wanted));
        assert_eq!(judge(&tenant(office()), &new, None, now()).unwrap().when, When::Immediate);
        new.always_check_capacity = true;
        let when = judge(&tenant(office()), &new, None, now() + Duration::seconds(61)).unwrap().when;
        let desired_time = now() + Duration::seconds(61);
        let start_at = desired_time - Duration::seconds(120);
        assert_eq!(when, When::Scheduled { desired_time, start_at, slot_start: now(), capacity: 100 });
    }
    let mut new = booking(None);
    new.always_check_capacity = true;
    assert_eq!(judge(&tenant(office()), &new, None, now()).unwrap().when, When::Immediate, "no time was named");
}

#[test]
fn a_scheduled_callback_starts_a_wait_and_a_buffer_early() {
    let wanted = utc("2030-03-05T15:02:03Z");
    let table = [(None, 120), (Some(-1), 120), (Some(600), 720), (Some(i32::MAX), 7200)];
    for (wait, lead) in table {
        let when = judge(&tenant(office()), &booking(Some(wanted)), wait, now()).unwrap().when;
        let start_at = wanted - Duration::seconds(lead);
        let slot_start = utc("2030-03-05T15:00:00Z");
        assert_eq!(when, When::Scheduled { desired_time: wanted, start_at, slot_start, capacity: 100 }, "{wait:?}");
        assert_eq!(when.slot(), Some(SlotClaim { start: slot_start, capacity: 100 }));
    }
}

#[test]
fn a_time_within_the_expected_wait_is_scheduled_and_already_due() {
    let wanted = now() + Duration::minutes(5);
    let plan = judge(&tenant(office()), &booking(Some(wanted)), Some(3600), now()).unwrap();
    let When::Scheduled { desired_time, start_at, .. } = plan.when else { panic!("{plan:?}") };
    assert_eq!((desired_time, start_at), (wanted, wanted - Duration::seconds(3720)));
    assert!(start_at < now());
}

#[test]
fn every_rule_refuses() {
    let far = now() + MAX_AHEAD + Duration::milliseconds(1);
    let evening = utc("2030-03-04T22:00:00Z");
    let closed = |next: &str| SubmitError::Closed { next_opening: Some(utc(next)) };
    let with = |change: fn(&mut QueueSettings)| {
        let mut settings = office();
        change(&mut settings);
        settings
    };
    let number = |text: &str| NewCallback { phone_number: text.to_owned(), ..booking(None) };
    let table = [
        (office(), NewCallback { service_name: "sales".to_owned(), ..booking(None) }, SubmitError::UnknownQueue),
        (office(), NewCallback { service_name: String::new(), ..booking(None) }, SubmitError::UnknownQueue),
        (with(|it| it.immediate_enabled = false), booking(None), SubmitError::ImmediateDisabled),
        (with(|it| it.scheduled_enabled = false), booking(Some(evening)), SubmitError::ScheduledDisabled),
        (office(), number("call me"), SubmitError::NotANumber),
        (office(), number("555"), SubmitError::ImpossibleNumber),
        (
            office(),
            number("+1 900 555 0100"),
            SubmitError::NumberNotAllowed { rule: crate::number_rules::NumberRefusal::Premium },
        ),
        (office(), booking(Some(far)), SubmitError::TooFarAhead { latest: now() + MAX_AHEAD }),
        (office(), booking(Some(evening)), closed("2030-03-05T14:00:00Z")),
    ];
    for (settings, new, expected) in table {
        assert_eq!(judge(&tenant(settings), &new, None, now()), Err(expected));
    }
    assert_eq!(
        judge(&tenant(office()), &booking(None), None, evening),
        Err(closed("2030-03-05T14:00:00Z")),
        "an immediate callback is wanted now"
    );
}

#[test]
fn numbers_are_judged_as_the_queue_says() {
    let document = |queue: serde_json::Value| -> Tenant {
        let document = serde_json::json!({
            "tenant": "demo",
            "queues": {"support": queue},
            "numberRules": {"canada": {"countries": {"CA": ["416555019", "900"]}}},
        });
        let document: TenantDocument = serde_json::from_value(document).unwrap();
        document.resolve(TenantId::from_name("demo")).unwrap()
    };
    let told = |tenant: &Tenant, text: &str| {
        let new = NewCallback { phone_number: text.to_owned(), ..booking(None) };
        judge(tenant, &new, None, now()).map(|plan| plan.terms.phone.e164()).map_err(|refused| refused.number_rule())
    };
    let ruled = document(serde_json::json!({"numberRule": "canada", "defaultRegion": "CA"}));
    assert_eq!(told(&ruled, "416 555 0107"), Ok("+14165550107".to_owned()));
    assert_eq!(told(&ruled, "416 555 0190"), Err(Some("pattern")));
    assert_eq!(told(&ruled, "+1 212 555 0100"), Err(Some("country")));
    assert_eq!(told(&ruled, "call me"), Err(Some("not-a-number")));
    let lenient = document(serde_json::json!({"refusePremiumNumbers": false, "refuseImpossibleNumbers": false}));
    assert_eq!(told(&lenient, "+1 900 555 0100"), Ok("+19005550100".to_owned()));
    assert_eq!(told(&lenient, "555"), Ok("+1555".to_owned()));
    let usual = document(serde_json::json!({}));
    assert_eq!(told(&usual, "555"), Err(Some("impossible")));
    assert_eq!(told(&usual, "+1 900 555 0100"), Err(Some("premium")));
}

#[test]
fn the_last_bookable_instant_is_booked() {
    assert!(judge(&tenant(office()), &booking(Some(now() + MAX_AHEAD)), None, now()).is_ok());
}

#[test]
fn out_of_hours_is_taken_if_the_queue_says_so() {
    let settings = QueueSettings { reject_out_of_hours: false, ..office() };
    assert!(judge(&tenant(settings), &booking(Some(utc("2030-03-09T12:00:00Z"))), None, now()).is_ok());
}

#[test]
fn the_first_broken_rule_is_the_one_told() {
    let mut settings = office();
    settings.scheduled_enabled = false;
    let mut new = booking(Some(utc("2031-01-04T03:00:00Z")));
    new.phone_number = "none".to_owned();
    let latest = now() + MAX_AHEAD;
    let told =
        |settings: &QueueSettings, new: &NewCallback| judge(&tenant(settings.clone()), new, None, now()).unwrap_err();
    assert_eq!(told(&settings, &new), SubmitError::ScheduledDisabled);
    settings.scheduled_enabled = true;
    assert_eq!(told(&settings, &new), SubmitError::NotANumber);
    new.phone_number = "+1 416 555 0100".to_owned();
    assert_eq!(told(&settings, &new), SubmitError::TooFarAhead { latest });
    new.desired_time = Some(utc("2030-03-10T03:00:00Z"));
    assert!(matches!(told(&settings, &new), SubmitError::Closed { .. }));
}

proptest! {
    #[test]
    fn what_is_planned_keeps_the_rules(
        minutes in -2000i64..30_000, strict in any::<bool>(), wait in prop::option::of(any::<i32>()), buffer in 0u32..=3600,
    ) {
        let settings = QueueSettings { execution_buffer_seconds: buffer, ..office() };
        let new = NewCallback { always_check_capacity: strict, ..booking(Some(now() + Duration::minutes(minutes))) };
        if let Ok(Plan { when: When::Scheduled { desired_time, start_at, slot_start, .. }, .. }) =
            judge(&tenant(settings.clone()), &new, wait, now())
        {
            prop_assert!(desired_time >= now() && desired_time <= now() + MAX_AHEAD);
            prop_assert!(start_at <= desired_time && desired_time - start_at <= crate::callback::Limits::LEAD);
            prop_assert!(slot_start <= desired_time);
            prop_assert!(Queue::standalone(settings.clone()).hours.is_open(desired_time));
        } else {
            prop_assert!(minutes <= 0 || !Queue::standalone(settings.clone()).hours.is_open(now() + Duration::minutes(minutes)) || minutes > 20_160);
        }
    }
}
