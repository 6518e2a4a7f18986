use super::*;
use crate::hours::{BusinessHours, Range, Week};
use crate::queue::{QueueSettings, SlotMinutes};
use crate::slots::Grid;
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
        captcha: None,
        hold: None,
    }
}

/// A slot of five minutes in New York with the usual places.
fn slot(start: &str) -> SlotClaim {
    let grid = Grid::new(chrono_tz::Tz::America__New_York, SlotMinutes::new(5).unwrap());
    SlotClaim { start: utc(start), capacity: 100, grid }
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
        assert_eq!(when, When::Scheduled { desired_time, start_at, slot: slot("2030-03-04T17:00:00Z") });
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
        let slot = slot("2030-03-05T15:00:00Z");
        assert_eq!(when, When::Scheduled { desired_time: wanted, start_at, slot }, "{wait:?}");
        assert_eq!(when.slot(), Some(slot));
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
        (office(), booking(Some(far)), SubmitError::TooFarAhead { latest: now() + MAX_AHEAD, max_ahead_days: 14 }),
        (office(), booking(Some(evening)), closed("2030-03-05T14:00:00Z")),
        (with(|it| it.paused = true), booking(None), SubmitError::Paused),
        (
            with(|it| it.min_lead_seconds = 900),
            booking(Some(now() + Duration::seconds(899))),
            SubmitError::TooSoon { earliest: now() + Duration::seconds(900), lead_seconds: 900 },
        ),
        (
            with(|it| it.immediate_blackout_seconds = 18_000),
            booking(None),
            SubmitError::ClosesSoon { closes_at: evening, blackout_seconds: 18_000 },
        ),
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
fn a_queue_is_booked_as_far_ahead_as_it_says() {
    for max_ahead_days in QueueSettings::MAX_AHEAD_DAYS {
        let settings = QueueSettings { max_ahead_days, reject_out_of_hours: false, ..office() };
        let latest = now() + Duration::days(max_ahead_days.into());
        let judged = |wanted| judge(&tenant(settings.clone()), &booking(Some(wanted)), None, now()).map(drop);
        assert_eq!(judged(latest), Ok(()), "{max_ahead_days}");
        let refused = SubmitError::TooFarAhead { latest, max_ahead_days };
        assert_eq!(judged(latest + Duration::milliseconds(1)), Err(refused), "{max_ahead_days}");
    }
    // What records are kept for holds even of settings that nobody has checked.
    let unchecked = QueueSettings { max_ahead_days: u32::MAX, ..office() };
    assert_eq!(unchecked.max_ahead(), MAX_AHEAD);
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
    assert_eq!(told(&settings, &new), SubmitError::TooFarAhead { latest, max_ahead_days: 14 });
    new.desired_time = Some(utc("2030-03-10T03:00:00Z"));
    assert!(matches!(told(&settings, &new), SubmitError::Closed { .. }));
}

#[test]
fn a_lead_is_wanted_of_scheduled_callbacks_only() {
    let settings = QueueSettings { min_lead_seconds: 900, ..office() };
    let told = |new: &NewCallback| judge(&tenant(settings.clone()), new, None, now()).map(drop);
    assert_eq!(told(&booking(None)), Ok(()));
    assert_eq!(told(&booking(Some(now() - Duration::hours(1)))), Ok(()), "a time that has come is now");
    assert_eq!(told(&booking(Some(now() + Duration::seconds(900)))), Ok(()));
    let mut strict = booking(Some(now()));
    strict.always_check_capacity = true;
    let earliest = now() + Duration::seconds(900);
    assert_eq!(told(&strict), Err(SubmitError::TooSoon { earliest, lead_seconds: 900 }));
}

#[test]
fn before_closing_only_callbacks_for_later_are_taken() {
    let settings = QueueSettings { immediate_blackout_seconds: 600, ..office() };
    let closes_at = utc("2030-03-04T22:00:00Z");
    let at = |seconds: i64| closes_at - Duration::seconds(seconds);
    let told = |settings: &QueueSettings, new: &NewCallback, now| judge(&tenant(settings.clone()), new, None, now);
    assert!(told(&settings, &booking(None), at(601)).is_ok());
    let refused = SubmitError::ClosesSoon { closes_at, blackout_seconds: 600 };
    assert_eq!(told(&settings, &booking(None), at(600)), Err(refused.clone()));
    assert_eq!(told(&settings, &booking(None), at(1)), Err(refused));
    assert!(told(&settings, &booking(Some(at(30))), at(60)).is_ok(), "for later, in hours");
    assert!(matches!(told(&settings, &booking(None), closes_at), Err(SubmitError::Closed { .. })));
    let anytime = QueueSettings { reject_out_of_hours: false, ..settings };
    assert!(told(&anytime, &booking(None), closes_at).is_ok(), "it is closed, and takes callbacks all the same");
    let always = QueueSettings { immediate_blackout_seconds: 86_400, ..QueueSettings::default() };
    assert!(told(&always, &booking(None), at(1)).is_ok(), "it never closes");
}

#[test]
fn a_callback_that_must_not_slide_is_refused_if_the_wait_outlasts_its_slot() {
    let strict = |desired| NewCallback { always_check_capacity: true, ..booking(Some(desired)) };
    let told = |new: &NewCallback, wait| judge(&tenant(office()), new, wait, now()).map(drop);
    // 17:07, in the slot from 17:05 to 17:10.
    let wanted = now() + Duration::minutes(7);
    for fine in [None, Some(-1), Some(0), Some(599)] {
        assert_eq!(told(&strict(wanted), fine), Ok(()), "{fine:?}");
    }
    for (wait, first) in [(600, "2030-03-04T17:10:00Z"), (3_000, "2030-03-04T17:50:00Z"), (899, "2030-03-04T17:10:00Z")]
    {
        let refused = SubmitError::SlotUnlikely {
            wait_seconds: wait,
            slot_end: utc("2030-03-04T17:10:00Z"),
            first: utc(first),
            proposals: Vec::new(),
        };
        assert_eq!(told(&strict(wanted), Some(wait)), Err(refused), "{wait}");
        assert_eq!(told(&booking(Some(wanted)), Some(wait)), Ok(()), "it may slide");
    }
    assert_eq!(told(&strict(now() + Duration::hours(2)), Some(3_000)), Ok(()));
    let mut now_or_never = strict(now());
    now_or_never.desired_time = None;
    assert_eq!(told(&now_or_never, Some(3_000)), Ok(()), "no slot was wanted");
}

#[test]
fn places_come_from_the_rule_of_the_queue() {
    let rule = r#"{"slotMinutes":30,"week":{"mon-fri":{"09:00-17:00":5,"12:00":0}},"exceptions":{"2030-03-05":{"day":{"10:00":2}}}}"#;
    let mut document = TenantDocument::with_queues(
        "demo",
        [(QueueName::new("support").unwrap(), QueueSettings { capacity_rule: Some("office".into()), ..office() })],
    );
    document.capacity_rules.insert("office".into(), serde_json::from_str(rule).unwrap());
    let tenant = document.resolve(TenantId::from_name("demo")).unwrap();
    for (wanted, start, capacity) in [
        ("2030-03-04T19:40:00Z", "2030-03-04T19:30:00Z", 5),
        ("2030-03-04T17:29:00Z", "2030-03-04T17:00:00Z", 0),
        ("2030-03-05T15:29:59Z", "2030-03-05T15:00:00Z", 2),
        ("2030-03-05T15:30:00Z", "2030-03-05T15:30:00Z", 0),
    ] {
        let when = judge(&tenant, &booking(Some(utc(wanted))), None, now()).unwrap().when;
        let grid = Grid::new(chrono_tz::Tz::America__New_York, SlotMinutes::new(30).unwrap());
        assert_eq!(when.slot(), Some(SlotClaim { start: utc(start), capacity, grid }), "{wanted}");
    }
}

proptest! {
    #[test]
    fn what_is_planned_keeps_the_rules(
        minutes in -2000i64..30_000, strict in any::<bool>(), wait in prop::option::of(any::<i32>()), buffer in 0u32..=3600,
    ) {
        let settings = QueueSettings { execution_buffer_seconds: buffer, ..office() };
        let new = NewCallback { always_check_capacity: strict, ..booking(Some(now() + Duration::minutes(minutes))) };
        if let Ok(Plan { when: When::Scheduled { desired_time, start_at, slot }, .. }) =
            judge(&tenant(settings.clone()), &new, wait, now())
        {
            prop_assert!(desired_time >= now() && desired_time <= now() + MAX_AHEAD);
            prop_assert!(start_at <= desired_time && desired_time - start_at <= crate::callback::Limits::LEAD);
            prop_assert!(slot.start <= desired_time);
            prop_assert!(Queue::standalone(settings.clone()).hours.is_open(desired_time));
        } else {
            // The slot, of at most five minutes, is over before the wait.
            let slides = strict && i64::from(wait.unwrap_or_default()) >= minutes.max(0) * 60;
            prop_assert!(slides || minutes <= 0 || !Queue::standalone(settings.clone()).hours.is_open(now() + Duration::minutes(minutes)) || minutes > 20_160);
        }
    }
}

#[test]
fn who_calls_in_has_to_name_a_device_and_http_an_endpoint() {
    use crate::callback::PushTarget;
    use crate::push::PushEndpoint;
    use crate::queue::CallDirection;
    use crate::secret::SecretRef;

    let settings = QueueSettings { call_direction: CallDirection::UserOriginated, ..QueueSettings::default() };
    let judged = |targets: &[(&str, &str)], direction| {
        let mut tenant = tenant(QueueSettings { call_direction: direction, ..settings.clone() });
        let url = "https://example.com/".to_owned();
        let endpoint = PushEndpoint { url, secret: SecretRef::Sealed("x".into()) };
        tenant.push.endpoints.insert("app".into(), endpoint);
        let mut new = booking(None);
        new.options.push_targets = targets
            .iter()
            .map(|(channel, target)| PushTarget { channel: (*channel).into(), target: (*target).into() })
            .collect();
        judge(&tenant, &new, None, now()).map(|plan| plan.originated_within_seconds)
    };
    let (originated, terminated) = (CallDirection::UserOriginated, CallDirection::UserTerminated);
    assert_eq!(judged(&[], originated), Err(SubmitError::PushTargetsRequired));
    assert_eq!(judged(&[], terminated), Ok(None));
    // Without credentials for it, too: that is found out, and counted, when there is something to tell.
    assert_eq!(judged(&[("FCM", "token")], terminated), Ok(None));
    for target in ["app", "app:user 7", "app:"] {
        assert_eq!(judged(&[("HTTP", target)], originated), Ok(Some(300)), "{target}");
    }
    for target in ["other", "app ", ":app"] {
        let refused = Err(SubmitError::UnknownPushEndpoint);
        assert_eq!(judged(&[("FCM", "token"), ("HTTP", target)], originated), refused, "{target}");
    }
}
