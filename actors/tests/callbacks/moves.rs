//! Callbacks that move to another time, places that are held, callbacks that are made once more.

use std::sync::Arc;

use actors::testing::{Fault, Op, World, booking, plain_queue, queue_name, tenant, tenant_id, until};
use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Callback, Cause, Idempotency, NewCallback, Options, Reason, State};
use domain::event::{ActorKind, Event};
use domain::holds::{Hold, HoldBound, HoldsReached};
use domain::ids::{CallbackId, HoldId, TenantId};
use domain::ports::{
    HoldError, How, MovesDesk, NewHold, RecreateError, Recreation, RescheduleError, SubmitError, Unserved,
};
use domain::queue::{QueueSettings, SlotMinutes};

use super::support::{SOON, Service, at, pass, seconds};

fn desk(service: &Service) -> Arc<dyn MovesDesk> {
    service.tree.moves_desk()
}

async fn reschedule(service: &Service, id: CallbackId, to: DateTime<Utc>) -> Result<(), RescheduleError> {
    desk(service).reschedule(tenant_id(), id, to).await
}

fn slots_of(minutes: u32, capacity: u32) -> QueueSettings {
    QueueSettings { slot_minutes: SlotMinutes::new(minutes).unwrap(), slot_capacity: capacity, ..plain_queue() }
}

/// Nothing but the version may differ from before, and the history says what happened.
fn assert_unchanged(service: &Service, before: &Callback) {
    assert_eq!(service.row(before.id), *before);
}

#[tokio::test(start_paused = true)]
async fn a_moved_callback_starts_at_its_new_time_and_only_then() {
    let service = Service::calling_with(plain_queue()).await;
    let start = service.now();
    let after = |seconds| start + TimeDelta::seconds(seconds);
    // From and to: near (our scheduler has it), claimed meanwhile, and far.
    let moves = [(60, 110), (100, 7_000), (7_100, 90), (7_200, 9_000), (60, 60), (120, 20), (3_700, 3_650)];
    let mut ids = Vec::new();
    for (from, to) in moves {
        let id = service.schedule(after(from)).await;
        reschedule(&service, id, after(to)).await.unwrap();
        ids.push(id);
    }
    let claimed = service.schedule(after(170)).await;
    pass(seconds(100)).await;
    assert!(service.row(claimed).owner.is_some(), "the tick has claimed it");
    reschedule(&service, claimed, after(5_000)).await.unwrap();
    assert_eq!(service.row(claimed).owner, None, "beyond the horizon it is nobody's");
    pass(seconds(9_000)).await;
    ids.push(claimed);
    until("all ended", SOON, || ids.iter().all(|id| service.row(*id).reason == Some(Reason::AGENT_CONNECTED))).await;
    let wanted = moves.iter().map(|(_, to)| after(*to)).chain([after(5_000)]);
    for (id, wanted) in ids.iter().zip(wanted) {
        let entered = service.world.routing.entered();
        let of: Vec<_> = entered.iter().filter(|entered| entered.invitation.id == *id).map(|it| it.at).collect();
        assert_eq!(of.len(), 1, "one attempt");
        assert!(of[0] >= wanted && of[0] - wanted < TimeDelta::milliseconds(50), "{} for {wanted}", of[0]);
    }
    assert_eq!(service.world.recorder.started(ActorKind::Session), ids.len(), "none began at an old time");
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn a_time_so_near_that_it_should_have_started_starts_at_once() {
    let service = Service::calling_with(QueueSettings { execution_buffer_seconds: 120, ..plain_queue() }).await;
    let id = service.schedule(service.now() + TimeDelta::hours(5)).await;
    reschedule(&service, id, service.now() + TimeDelta::seconds(30)).await.unwrap();
    service.until_entered(1).await;
    assert_eq!(service.row(id).desired_time, service.world.routing.entered()[0].invitation.desired_time);
}

#[tokio::test(start_paused = true)]
async fn the_place_moves_along_and_the_history_says_so() {
    let service = Service::calling_with(slots_of(30, 2)).await;
    let id = service.schedule(at("2026-11-24T12:10:00Z")).await;
    let before = service.row(id);
    reschedule(&service, id, at("2026-11-24T12:20:00Z")).await.unwrap();
    assert_eq!(service.row(id).slot, before.slot, "within the slot it keeps its place");
    reschedule(&service, id, at("2026-11-24T14:10:00Z")).await.unwrap();
    let row = service.world.store.row(id).unwrap();
    assert_eq!(row.callback.slot, Some(at("2026-11-24T14:00:00Z")));
    assert_eq!(row.callback.expires_at - row.callback.desired_time, before.expires_at - before.desired_time);
    assert_eq!(service.world.store.places(), 1);
    let causes: Vec<_> = row.history.iter().map(|entry| entry.cause).collect();
    assert_eq!(causes, [Cause::Booked, Cause::Rescheduled, Cause::Rescheduled]);
    let saved = service.world.recorder.count(|event| *event == Event::Saved { cause: Cause::Rescheduled });
    assert_eq!(saved, 2);
    // Asked again, it is done again, without a new version.
    reschedule(&service, id, at("2026-11-24T14:10:00Z")).await.unwrap();
    assert_eq!(service.row(id), row.callback);
}

#[tokio::test(start_paused = true)]
async fn a_refused_move_leaves_everything_as_it_was() {
    let service = Service::calling_with(slots_of(30, 1)).await;
    let id = service.schedule(at("2026-11-24T12:10:00Z")).await;
    service.schedule(at("2026-11-24T13:00:00Z")).await;
    let before = service.row(id);
    let full = reschedule(&service, id, at("2026-11-24T13:10:00Z")).await;
    let Err(RescheduleError::Refused(SubmitError::SlotFull { proposals })) = full else { panic!("{full:?}") };
    assert_eq!(proposals[..2], [(at("2026-11-24T13:30:00Z"), 1), (at("2026-11-24T14:00:00Z"), 1)]);
    assert_eq!(proposals.len(), 10);
    assert_eq!(service.world.recorder.count(|event| matches!(event, Event::SlotFull { .. })), 1);
    let late = service.now() + TimeDelta::days(15);
    let past = service.now() - TimeDelta::seconds(1);
    for (to, expected) in [
        (late, SubmitError::TooFarAhead { latest: service.now() + TimeDelta::days(14), max_ahead_days: 14 }),
        (past, SubmitError::TooSoon { earliest: service.now(), lead_seconds: 0 }),
    ] {
        assert_eq!(reschedule(&service, id, to).await, Err(RescheduleError::Refused(expected)));
    }
    assert_unchanged(&service, &before);
    assert_eq!(service.world.store.places(), 2);
    service.world.settings.put(tenant(QueueSettings { paused: true, ..slots_of(30, 1) }));
    pass(seconds(5)).await;
    let paused = reschedule(&service, id, at("2026-11-24T15:00:00Z")).await;
    assert_eq!(paused, Err(RescheduleError::Refused(SubmitError::Paused)));
    assert_unchanged(&service, &before);
}

#[tokio::test(start_paused = true)]
async fn only_what_waits_for_its_time_is_moved() {
    let service = Service::start(World::new()).await;
    let later = service.now() + TimeDelta::hours(1);
    let queued = service.create().await;
    assert_eq!(reschedule(&service, queued, later).await, Err(RescheduleError::NotReschedulable(State::Queued)));
    let cancelled = service.schedule(later).await;
    service.cancel(cancelled).await.unwrap();
    for to in [later, later + TimeDelta::hours(1)] {
        let refused = reschedule(&service, cancelled, to).await;
        assert_eq!(refused, Err(RescheduleError::NotReschedulable(State::Completed)));
    }
    let unknown = CallbackId::generate(service.now());
    assert_eq!(reschedule(&service, unknown, later).await, Err(Unserved::NotFound.into()));
    let nobody = desk(&service).reschedule(TenantId::from_name("nobody"), queued, later).await;
    assert_eq!(nobody, Err(Unserved::Busy.into()), "a tenant that is not known is served by nobody");
}

#[tokio::test(start_paused = true)]
async fn a_move_survives_races_and_outages() {
    let service = Service::calling_with(slots_of(30, 1)).await;
    let id = service.schedule(at("2026-11-24T12:10:00Z")).await;
    service.world.faults.next_for(Op::Save, id, Fault::Conflict, 3);
    reschedule(&service, id, at("2026-11-24T14:10:00Z")).await.unwrap();
    service.world.faults.next_for(Op::Save, id, Fault::PerhapsDone, 1);
    let to = at("2026-11-24T16:10:00Z");
    assert_eq!(reschedule(&service, id, to).await, Err(Unserved::Perhaps.into()));
    reschedule(&service, id, to).await.expect("it was done");
    assert_eq!(service.row(id).slot, Some(at("2026-11-24T16:00:00Z")));
    let before = service.row(id);
    for (op, fault, expected) in [
        (Op::Save, Fault::NotDone, Unserved::Busy),
        (Op::Load, Fault::NotDone, Unserved::Busy),
        (Op::Load, Fault::Unreadable, Unserved::Busy),
        (Op::Save, Fault::PerhapsNot, Unserved::Perhaps),
    ] {
        service.world.faults.set(op, fault);
        let refused = reschedule(&service, id, at("2026-11-24T18:10:00Z")).await;
        assert_eq!(refused, Err(expected.into()), "{op:?} {fault:?}");
        service.world.faults.heal();
        assert_unchanged(&service, &before);
    }
    assert_eq!(service.world.store.places(), 1);
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn a_move_waits_while_places_are_counted_by_other_slots() {
    let service = Service::calling_with(slots_of(60, 9)).await;
    let id = service.schedule(at("2026-11-24T12:40:00Z")).await;
    service.world.faults.set(Op::Recount, Fault::NotDone);
    service.world.settings.put(tenant(slots_of(30, 9)));
    pass(seconds(10)).await;
    let to = at("2026-11-24T12:50:00Z");
    assert_eq!(reschedule(&service, id, to).await, Err(Unserved::Busy.into()));
    let desk = desk(&service);
    let waits = tokio::spawn(async move { desk.reschedule(tenant_id(), id, to).await });
    service.world.faults.heal_op(Op::Recount);
    assert_eq!(waits.await.unwrap(), Ok(()), "within its time the count is done");
    assert_eq!(service.row(id).slot, Some(at("2026-11-24T12:30:00Z")));
    assert_eq!(service.world.store.places(), 1);
}

fn new_hold(desired_time: DateTime<Utc>) -> NewHold {
    NewHold { service_name: "support".into(), desired_time, phone_number: None, idempotency: None }
}

async fn hold(service: &Service, new: NewHold) -> Result<Hold, HoldError> {
    desk(service).hold(tenant_id(), new).await
}

async fn book(service: &Service, hold: HoldId, desired_time: DateTime<Utc>) -> Result<CallbackId, SubmitError> {
    let new = NewCallback { hold: Some(hold), ..booking(Some(desired_time)) };
    service.desk.submit(tenant_id(), new).await.map(|submitted| submitted.id)
}

#[tokio::test(start_paused = true)]
async fn a_held_place_becomes_a_booking_once() {
    let service = Service::calling_with(QueueSettings { hold_seconds: 60, ..slots_of(30, 1) }).await;
    let wanted = at("2026-11-24T12:10:00Z");
    let held = hold(&service, new_hold(wanted)).await.unwrap();
    assert_eq!((held.desired_time, held.slot), (wanted, at("2026-11-24T12:00:00Z")));
    assert_eq!(held.expires_at - service.now(), TimeDelta::seconds(60));
    let full = service.desk.submit(tenant_id(), booking(Some(wanted))).await;
    assert!(matches!(full, Err(SubmitError::SlotFull { .. })), "{full:?}");
    let elsewhere = book(&service, held.id, at("2026-11-24T13:10:00Z")).await;
    assert_eq!(elsewhere, Err(SubmitError::HoldElsewhere));
    // Anywhere in the slot will do.
    let id = book(&service, held.id, at("2026-11-24T12:20:00Z")).await.unwrap();
    assert_eq!(service.row(id).slot, Some(held.slot));
    assert_eq!(book(&service, held.id, wanted).await, Err(SubmitError::HoldGone));
    assert_eq!(service.world.store.places(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_over_by_itself_or_given_up() {
    let service = Service::calling_with(QueueSettings { hold_seconds: 60, ..slots_of(30, 1) }).await;
    let wanted = at("2026-11-24T12:10:00Z");
    let first = hold(&service, new_hold(wanted)).await.unwrap();
    pass(seconds(61)).await;
    assert_eq!(book(&service, first.id, wanted).await, Err(SubmitError::HoldGone));
    until("the place is free", seconds(6), || service.world.store.places() == 0).await;
    let second = hold(&service, new_hold(wanted)).await.unwrap();
    desk(&service).release(tenant_id(), second.id).await.unwrap();
    assert_eq!(service.world.store.places(), 0);
    assert_eq!(desk(&service).release(tenant_id(), second.id).await, Err(Unserved::NotFound));
    // The tree ends, and another finds what it left.
    hold(&service, new_hold(wanted)).await.unwrap();
    let world = service.world.clone();
    service.tree.stop(seconds(1)).await;
    pass(seconds(120)).await;
    assert_eq!(world.store.places(), 1);
    let service = Service::start(world).await;
    until("the place is free", seconds(6), || service.world.store.places() == 0).await;
    assert!(service.world.store.holds().is_empty());
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn nobody_hoards() {
    let service =
        Service::calling_with(QueueSettings { hold_limit: 3, hold_limit_per_number: 1, ..slots_of(30, 9) }).await;
    let wanted = at("2026-11-24T12:10:00Z");
    let of = |number: &str| NewHold { phone_number: Some(number.into()), ..new_hold(wanted) };
    let first = hold(&service, of("+14155550101")).await.unwrap();
    // The same number, written otherwise.
    let again = hold(&service, of("(415) 555-0101")).await;
    let until = first.expires_at;
    assert_eq!(again, Err(HoldError::TooMany(HoldsReached { bound: HoldBound::Number, limit: 1, until })));
    hold(&service, of("+14155550102")).await.unwrap();
    hold(&service, new_hold(wanted)).await.unwrap();
    let fourth = hold(&service, of("+14155550103")).await;
    assert_eq!(fourth, Err(HoldError::TooMany(HoldsReached { bound: HoldBound::Queue, limit: 3, until })));
    let refused = |bound| {
        let told = move |event: &Event| matches!(event, Event::HoldRefused { bound: told, .. } if *told == bound);
        service.world.recorder.count(told)
    };
    assert_eq!([HoldBound::Number, HoldBound::Queue].map(refused), [1, 1]);
    let Err(HoldError::Refused(_)) = hold(&service, of("+1900")).await else { panic!("no such number") };
    assert_eq!(service.world.recorder.count(|event| matches!(event, Event::NumberRefused { .. })), 1);
    desk(&service).release(tenant_id(), first.id).await.unwrap();
    hold(&service, of("+14155550101")).await.unwrap();
    service.world.settings.put(tenant(QueueSettings { hold_limit: 0, ..slots_of(30, 9) }));
    pass(seconds(5)).await;
    assert_eq!(hold(&service, new_hold(wanted)).await, Err(HoldError::NotOffered));
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_refused_as_a_booking_would_be_and_repeated_by_its_key() {
    let service = Service::calling_with(slots_of(30, 1)).await;
    let wanted = at("2026-11-24T12:10:00Z");
    let keyed =
        |body: u8| NewHold { idempotency: Some(Idempotency { key: [1; 16], body: [body; 16] }), ..new_hold(wanted) };
    service.world.faults.next(Op::Hold, Fault::PerhapsDone, 1);
    assert_eq!(hold(&service, keyed(1)).await, Err(Unserved::Perhaps.into()));
    let held = hold(&service, keyed(1)).await.unwrap();
    assert_eq!(service.world.store.holds(), [held]);
    assert_eq!(hold(&service, keyed(2)).await, Err(SubmitError::KeyReused.into()));
    let full = hold(&service, new_hold(wanted)).await;
    let Err(HoldError::Refused(SubmitError::SlotFull { proposals })) = full else { panic!("{full:?}") };
    assert_eq!(proposals[0], (at("2026-11-24T12:30:00Z"), 1));
    desk(&service).release(tenant_id(), held.id).await.unwrap();
    assert_eq!(hold(&service, keyed(1)).await, Err(HoldError::Gone));
    let nowhere = NewHold { service_name: "nowhere".into(), ..new_hold(wanted) };
    assert_eq!(hold(&service, nowhere).await, Err(SubmitError::UnknownQueue.into()));
    let past = hold(&service, new_hold(service.now() - TimeDelta::seconds(1))).await;
    assert_eq!(past, Err(SubmitError::TooSoon { earliest: service.now(), lead_seconds: 0 }.into()));
    service.world.faults.set(Op::Hold, Fault::NotDone);
    assert_eq!(hold(&service, new_hold(wanted)).await, Err(Unserved::Busy.into()));
    service.world.faults.set(Op::Release, Fault::PerhapsNot);
    assert_eq!(desk(&service).release(tenant_id(), held.id).await, Err(Unserved::Perhaps));
}

#[tokio::test(start_paused = true)]
async fn a_hold_follows_the_slots_of_new_settings() {
    let service = Service::calling_with(slots_of(60, 9)).await;
    let wanted = at("2026-11-24T12:40:00Z");
    let held = hold(&service, new_hold(wanted)).await.unwrap();
    assert_eq!(held.slot, at("2026-11-24T12:00:00Z"));
    service.world.settings.put(tenant(slots_of(30, 9)));
    until("it has its new slot", SOON, || service.world.store.holds()[0].slot == at("2026-11-24T12:30:00Z")).await;
    let id = book(&service, held.id, wanted).await.unwrap();
    assert_eq!(service.row(id).slot, Some(at("2026-11-24T12:30:00Z")));
}

const AGAIN: Recreation = Recreation {
    desired_time: None,
    always_check_capacity: false,
    idempotency: None,
    counted_headers: Vec::new(),
    captcha: None,
};

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_made_once_more() {
    let service = Service::calling_with(plain_queue()).await;
    let options = Options { language: Some("de-DE".into()), ..Options::default() };
    let new = NewCallback { user_data: Some(r#"{"a":1}"#.into()), options: options.clone(), ..booking(None) };
    let first = service.desk.submit(tenant_id(), new).await.unwrap().id;
    service.until_ended(first, Reason::AGENT_CONNECTED).await;
    let old = service.row(first);
    let second = desk(&service).recreate(tenant_id(), first, AGAIN).await.unwrap();
    assert_eq!(second.how, How::Booked);
    assert_ne!(second.id, first);
    service.until_ended(second.id, Reason::AGENT_CONNECTED).await;
    let row = service.world.store.row(second.id).unwrap();
    assert_eq!((row.callback.phone, &row.callback.queue), (old.phone, &queue_name()));
    assert_eq!((row.details.user_data.as_deref(), row.details.options), (Some(r#"{"a":1}"#), options));
    assert_eq!(service.row(first), old, "the old one stays as it is");
    let wanted = service.now() + TimeDelta::hours(1);
    let later = Recreation { desired_time: Some(wanted), ..AGAIN };
    let third = desk(&service).recreate(tenant_id(), second.id, later).await.unwrap();
    assert_eq!((service.row(third.id).state, service.row(third.id).desired_time), (State::Scheduled, wanted));
    assert!(service.row(third.id).slot.is_some());
}

#[tokio::test(start_paused = true)]
async fn it_is_made_by_the_rules_of_a_booking() {
    let service = Service::calling_with(QueueSettings { slot_capacity: 1, ..plain_queue() }).await;
    let waiting = service.schedule(service.now() + TimeDelta::hours(1)).await;
    let again = async |id, again| desk(&service).recreate(tenant_id(), id, again).await;
    assert_eq!(again(waiting, AGAIN).await, Err(RecreateError::NotEnded(State::Scheduled)));
    let cancelled = service.schedule(service.now() + TimeDelta::hours(2)).await;
    service.cancel(cancelled).await.unwrap();
    let full = Recreation { desired_time: Some(service.now() + TimeDelta::hours(1)), ..AGAIN };
    let refused = again(cancelled, full).await;
    assert!(matches!(refused, Err(RecreateError::Refused(SubmitError::SlotFull { .. }))), "{refused:?}");
    let keyed = |body: u8| Recreation { idempotency: Some(Idempotency { key: [1; 16], body: [body; 16] }), ..AGAIN };
    let made = again(cancelled, keyed(1)).await.unwrap();
    let replayed = again(cancelled, keyed(1)).await.unwrap();
    assert_eq!((replayed.id, replayed.how), (made.id, How::Replayed));
    assert_eq!(again(cancelled, keyed(2)).await, Err(RecreateError::Refused(SubmitError::KeyReused)));
    let unknown = again(CallbackId::generate(service.now()), AGAIN).await;
    assert_eq!(unknown, Err(Unserved::NotFound.into()));
    service.world.faults.set(Op::Details, Fault::NotDone);
    assert_eq!(again(cancelled, AGAIN).await, Err(Unserved::Busy.into()));
    service.world.faults.heal();
    service.world.settings.put(tenant(QueueSettings { immediate_enabled: false, ..plain_queue() }));
    pass(seconds(5)).await;
    let refused = again(cancelled, AGAIN).await;
    assert_eq!(refused, Err(RecreateError::Refused(SubmitError::ImmediateDisabled)));
}
