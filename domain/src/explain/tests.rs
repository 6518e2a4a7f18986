use proptest::prelude::*;

use super::*;
use crate::booking::{Outlook, judge};
use crate::callback::{Callback, HandOff, NewCallback, Originated, Terms};
use crate::captcha::TokenRefusal;
use crate::ids::{Incarnation, QueueName, TenantId};
use crate::number_rules::NumberRefusal;
use crate::numbers::PhoneNumber;
use crate::ports::Unserved;
use crate::queue::{Queue, QueueSettings};
use crate::samples::{booking, office, utc};
use crate::tenant::TenantDocument;
use crate::throttle::LimitReached;
use chrono::TimeDelta;

fn now() -> DateTime<Utc> {
    utc("2030-03-04T17:00:00Z")
}

fn limited(rule: LimitRule) -> SubmitError {
    SubmitError::Limited(LimitReached { rule, limit: 3, until: Some(utc("2030-03-05T00:00:00Z")) })
}

/// One of each refusal, beside the rule that it belongs to.
fn refusals() -> Vec<(SubmitError, Rule)> {
    let day = LimitRule::Day { parameter: "phoneNumber".to_owned() };
    vec![
        (SubmitError::KeyReused, Rule::IdempotencyKey),
        (SubmitError::UnknownQueue, Rule::Queue),
        (SubmitError::CaptchaMissing, Rule::CaptchaToken),
        (SubmitError::Paused, Rule::Pause),
        (SubmitError::ImmediateDisabled, Rule::Kind),
        (SubmitError::ScheduledDisabled, Rule::Kind),
        (SubmitError::PushTargetsRequired, Rule::Devices),
        (SubmitError::UnknownPushEndpoint, Rule::Devices),
        (SubmitError::NotANumber, Rule::Number),
        (SubmitError::ImpossibleNumber, Rule::Number),
        (SubmitError::NumberNotAllowed { rule: NumberRefusal::Premium }, Rule::NumberRule),
        (SubmitError::TooSoon { earliest: now(), lead_seconds: 60 }, Rule::MinLead),
        (SubmitError::TooFarAhead { latest: now(), max_ahead_days: 14 }, Rule::MaxAhead),
        (SubmitError::ClosesSoon { closes_at: now(), blackout_seconds: 60 }, Rule::Closing),
        (SubmitError::Closed { next_opening: None }, Rule::Hours),
        (
            SubmitError::SlotUnlikely { wait_seconds: 60, slot_end: now(), first: now(), proposals: vec![] },
            Rule::LikelySlot,
        ),
        (SubmitError::NoAgents, Rule::Agents),
        (SubmitError::CaptchaRefused(TokenRefusal::Used), Rule::Captcha),
        (SubmitError::CaptchaUnavailable, Rule::Captcha),
        (SubmitError::HoldGone, Rule::Hold),
        (SubmitError::HoldElsewhere, Rule::Hold),
        (SubmitError::SlotFull { proposals: vec![] }, Rule::Slot),
        (limited(LimitRule::Duplicates), Rule::Duplicates),
        (limited(day), Rule::Day),
        (limited(LimitRule::Window { seconds: 60 }), Rule::Window),
        (limited(LimitRule::Depth), Rule::Depth),
    ]
}

#[test]
fn every_refusal_belongs_to_a_rule_and_the_rule_decides() {
    for (refused, rule) in refusals() {
        assert_eq!(refused.rule(), Some(rule), "{refused}");
        let explanation = Explanation::new(Err(refused.clone()), vec![], None);
        assert_eq!(explanation.decider().map(|check| check.rule), Some(rule), "{refused}");
        for check in &explanation.checks {
            let expected = match check.rule.cmp(&rule) {
                std::cmp::Ordering::Less => Outcome::Passed,
                std::cmp::Ordering::Equal => Outcome::Decides,
                std::cmp::Ordering::Greater => Outcome::NotReached,
            };
            assert_eq!(check.outcome, expected, "{refused}: {:?}", check.rule);
        }
    }
    // Whatever is left is decided before anything is judged by a queue.
    let explained: Vec<Rule> = refusals().into_iter().map(|(_, rule)| rule).collect();
    let left: Vec<Rule> = Rule::ALL.into_iter().filter(|rule| !explained.contains(rule)).collect();
    assert_eq!(left, [Rule::Body]);
    assert_eq!(SubmitError::Unserved(Unserved::Busy).rule(), None);
}

#[test]
fn rules_stand_in_their_order_and_have_names_of_their_own() {
    assert!(Rule::ALL.is_sorted());
    let mut names = Rule::ALL.map(Rule::name);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    let mut why = Why::ALL.map(Why::name);
    why.sort_unstable();
    assert!(why.windows(2).all(|pair| pair[0] != pair[1]), "{why:?}");
}

#[test]
fn of_several_things_that_a_rule_counts_the_last_decides() {
    let day = |parameter: &str, counted| Tally {
        of: Counted::Limit(LimitRule::Day { parameter: parameter.to_owned() }),
        counted,
        limit: 3,
    };
    let slot = Tally { of: Counted::Slot(now()), counted: 4, limit: 9 };
    let refused = limited(LimitRule::Day { parameter: "customerId".to_owned() });
    let tallies = vec![slot.clone(), day("phoneNumber", 1), day("customerId", 3)];
    let explanation = Explanation::new(Err(refused), tallies, Some(Rule::Captcha));
    let told = |rule| -> Vec<_> {
        let checks = explanation.checks.iter().filter(|check| check.rule == rule);
        checks.map(|check| (check.outcome, check.tally.as_ref().map(|tally| tally.counted))).collect()
    };
    assert_eq!(told(Rule::Day), [(Outcome::Passed, Some(1)), (Outcome::Decides, Some(3))]);
    assert_eq!(told(Rule::Slot), [(Outcome::Passed, Some(4))]);
    assert_eq!(told(Rule::Captcha), [(Outcome::NotJudged, None)]);
    assert_eq!(told(Rule::Depth), [(Outcome::NotReached, None)]);
    assert!(explanation.decider().unwrap().tally.as_ref().unwrap().is_full() && !slot.is_full());
}

#[test]
fn what_is_there_already_is_decided_by_who_finds_it() {
    let id = CallbackId::generate(now());
    for (how, rule) in [(How::Replayed, Rule::IdempotencyKey), (How::Existing, Rule::Duplicates)] {
        let explanation = Explanation::new(Ok(WouldBe::there(id, how)), vec![], None);
        assert_eq!(explanation.decider().map(|check| check.rule), Some(rule));
    }
    for how in [How::Booked, How::Replaced] {
        let verdict = Ok(WouldBe { how, id: None, ends: None, booked: None });
        assert_eq!(Explanation::new(verdict, vec![], None).decider(), None);
    }
}

/// What is told of a refusal holds: at the time that is told, the same rule refuses no more.
#[test]
fn when_next_is_when_the_rule_lets_it_pass() {
    let closing = QueueSettings { immediate_blackout_seconds: 3_600, ..office() };
    let leading = QueueSettings { min_lead_seconds: 900, ..office() };
    let monday_evening = utc("2030-03-04T23:00:00Z");
    let half_an_hour_left = utc("2030-03-04T21:30:00Z");
    for (settings, new, at) in [
        (office(), booking(None), monday_evening),
        (office(), booking(Some(utc("2030-03-09T12:00:00Z"))), now()),
        (closing, booking(None), half_an_hour_left),
        (leading, booking(Some(now() + TimeDelta::seconds(10))), now()),
        (office(), booking(Some(utc("2030-04-01T15:00:00Z"))), now()),
    ] {
        let queue = QueueName::new("support").unwrap();
        let document = TenantDocument::with_queues("demo", [(queue, settings)]);
        let tenant = document.resolve(TenantId::from_name("demo")).unwrap();
        let refused = judge(&tenant, &new, Outlook::default(), at).unwrap_err();
        let next = refused.next(&new, tenant.queue("support").map(|(_, queue)| queue.as_ref()), at);
        assert!(next.retry_at.is_some() || next.bookable_from.is_some(), "{refused:?}");
        if let Some(retry_at) = next.retry_at {
            assert_eq!(judge(&tenant, &new, Outlook::default(), retry_at).map(drop), Ok(()), "{refused:?}");
        }
        for wanted in [next.bookable_from, next.bookable_until].into_iter().flatten() {
            let moved = NewCallback { desired_time: Some(wanted), ..new.clone() };
            let judged = judge(&tenant, &moved, Outlook::default(), at);
            let still = judged.as_ref().err().and_then(SubmitError::rule);
            assert_ne!(still, refused.rule(), "{refused:?}");
        }
    }
}

#[test]
fn times_are_told_with_what_they_were_held_against() {
    let later = booking(Some(now() + TimeDelta::seconds(60)));
    let told = |refused: SubmitError, new: &NewCallback| {
        refused.measure(new, now()).map(|measure| (measure.seconds, measure.limit_seconds))
    };
    let earliest = now() + TimeDelta::seconds(900);
    assert_eq!(told(SubmitError::TooSoon { earliest, lead_seconds: 900 }, &later), Some((60, 900)));
    let far = booking(Some(now() + TimeDelta::days(20)));
    let days = |days: i64| days * 86_400;
    for limit in [3, 14] {
        let refused = SubmitError::TooFarAhead { latest: now(), max_ahead_days: limit };
        assert_eq!(told(refused, &far), Some((days(20), days(limit.into()))));
    }
    let closes_at = now() + TimeDelta::seconds(30);
    assert_eq!(told(SubmitError::ClosesSoon { closes_at, blackout_seconds: 600 }, &booking(None)), Some((30, 600)));
    let slot_end = now() + TimeDelta::seconds(300);
    let unlikely = SubmitError::SlotUnlikely { wait_seconds: 700, slot_end, first: slot_end, proposals: vec![] };
    assert_eq!(told(unlikely, &later), Some((700, 300)));
    assert_eq!(told(SubmitError::Paused, &later), None);
}

fn terms() -> Terms {
    let queue = QueueName::new("support").unwrap();
    Terms { tenant: TenantId::from_name("demo"), queue, phone: PhoneNumber::from_digits(1), ttl: TimeDelta::days(1) }
}

fn immediate() -> Callback {
    Callback::immediate(CallbackId::generate(now()), terms(), Incarnation(1), now())
}

#[test]
fn a_callback_waits_for_one_thing() {
    let in_hours = |hours: i64| now() + TimeDelta::hours(hours);
    let id = CallbackId::generate(now());
    let scheduled = Callback::scheduled(id, terms(), None, in_hours(3), in_hours(2), None);
    let postponed = Callback { start_at: in_hours(9), ..scheduled.clone() };
    let due = Callback { start_at: now(), wake_at: Some(now()), ..scheduled.clone() };
    let again = now() + TimeDelta::seconds(5);
    let retrying = Callback { attempt: 1, refusals: 1, wake_at: Some(again), ..immediate() };
    let originated = Originated { within_seconds: 60, until: Some(again) };
    let accepted = || Callback { hand_off: HandOff::Accepted, attempt: 1, ..immediate() };
    let state = |state| Callback { state, ..accepted() };
    let line = Place::InLine { ahead: 3 };
    for (callback, parked, place, why_it_waits, next_at) in [
        (scheduled.clone(), false, Place::None, Why::Time, Some(in_hours(2))),
        (scheduled, true, Place::None, Why::Parked, None),
        (postponed, false, Place::None, Why::Opening, Some(in_hours(9))),
        (due.clone(), false, Place::None, Why::Node, Some(now())),
        (due, false, line, Why::Place, None),
        (immediate(), false, line, Why::Place, None),
        (immediate(), false, Place::Held, Why::Grant, Some(now())),
        (retrying.clone(), false, Place::None, Why::Retry, Some(again)),
        (retrying, false, line, Why::Place, None),
        (
            Callback { hand_off: HandOff::Started, wake_at: Some(again), ..immediate() },
            false,
            Place::Held,
            Why::Grant,
            Some(again),
        ),
        (accepted(), false, Place::None, Why::Agent, None),
        (Callback { originated: Some(originated), ..accepted() }, false, Place::None, Why::CustomerCall, Some(again)),
        (state(State::Routing), false, Place::None, Why::Customer, None),
        (state(State::Processing), false, Place::None, Why::Conversation, None),
        (state(State::Completed), false, Place::None, Why::Ended, None),
        (
            Callback { owes_terminate: true, wake_at: Some(again), ..state(State::Completed) },
            false,
            Place::None,
            Why::Owed,
            Some(again),
        ),
    ] {
        let told = why(&callback, parked, place, now());
        assert_eq!(told, Waiting { why: why_it_waits, next_at }, "{callback:?}");
    }
}

proptest! {
    /// The order of the checks is that of the rules: what is broken first is told, whatever else is.
    #[test]
    fn the_decider_is_the_first_rule_that_is_broken(
        paused in any::<bool>(), immediate in any::<bool>(), odd_number in any::<bool>(), blackout in any::<bool>(),
        nobody in any::<bool>(), hour in 0i64..24,
    ) {
        let settings = QueueSettings {
            paused,
            immediate_enabled: immediate,
            immediate_blackout_seconds: if blackout { 86_400 } else { 0 },
            logged_in_check: true,
            ..office()
        };
        let queue = QueueName::new("support").unwrap();
        let document = TenantDocument::with_queues("demo", [(queue, settings.clone())]);
        let tenant = document.resolve(TenantId::from_name("demo")).unwrap();
        let at = now() + TimeDelta::hours(hour);
        let is_open = Queue::standalone(settings).hours.is_open(at);
        let mut new = booking(None);
        if odd_number {
            new.phone_number = "none".to_owned();
        }
        let broken = [
            (paused, Rule::Pause),
            (!immediate, Rule::Kind),
            (odd_number, Rule::Number),
            (blackout && is_open, Rule::Closing),
            (!is_open, Rule::Hours),
            (nobody, Rule::Agents),
        ];
        let expected = broken.into_iter().find(|(broken, _)| *broken).map(|(_, rule)| rule);
        let outlook = Outlook { wait_seconds: None, has_no_agents: nobody };
        let told = judge(&tenant, &new, outlook, at).err().and_then(|refused| refused.rule());
        prop_assert_eq!(told, expected);
    }
}
