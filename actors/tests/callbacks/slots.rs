//! Slots: what is free, what a change of settings does to places, and what is proposed instead of a full one.

use std::sync::Arc;

use actors::testing::{Fault, Op, booking, plain_queue, queue_name, tenant, tenant_id, until};
use chrono::{DateTime, TimeDelta, Utc};
use domain::availability::{Availability, Busy, End, Question, Show};
use domain::callback::{Cause, NewCallback};
use domain::ids::CallbackId;
use domain::ports::{AvailabilityDesk, AvailabilityError, CallbackStore as _, SubmitError, Unserved};
use domain::queue::{QueueSettings, SlotMinutes};

use super::support::{SOON, Service, at, pass, seconds};

fn slots_of(minutes: u32, capacity: u32) -> QueueSettings {
    let slot_minutes = SlotMinutes::new(minutes).unwrap();
    QueueSettings { slot_minutes, slot_capacity: capacity, execution_buffer_seconds: 0, ..plain_queue() }
}

fn question(service_name: &str, start: &str, hours: i64, show: Show) -> Question {
    let end = End::After(TimeDelta::hours(hours));
    Question { service_name: service_name.into(), start: Some(at(start)), end, show }
}

const ALL: Show = Show { max_free: None, busy: Busy::Shown };

async fn ask(service: &Service, question: Question) -> Result<Availability, AvailabilityError> {
    let desk: Arc<dyn AvailabilityDesk> = service.tree.availability();
    desk.availability(tenant_id(), question).await
}

/// Free and total places by hour and minute.
async fn free(service: &Service, question: Question) -> Vec<(String, u32, u32)> {
    let found = ask(service, question).await.unwrap();
    found.slots.iter().map(|slot| (slot.start.format("%H:%M").to_string(), slot.free, slot.total)).collect()
}

/// The slot that a callback holds.
fn held(service: &Service, id: CallbackId) -> Option<DateTime<Utc>> {
    service.row(id).slot
}

/// The places taken in all slots of the day.
async fn taken(service: &Service) -> Vec<(String, u32)> {
    let (from, to) = (at("2026-11-24T00:00:00Z"), at("2026-11-25T00:00:00Z"));
    let taken = service.world.store.places_taken(tenant_id(), &queue_name(), from, to).await.unwrap();
    taken.iter().map(|(start, places)| (start.format("%H:%M").to_string(), *places)).collect()
}

async fn until_counted(service: &Service, expected: &[(&str, u32)]) {
    let expected: Vec<_> = expected.iter().map(|(start, places)| ((*start).to_owned(), *places)).collect();
    for _ in 0..1_000 {
        if taken(service).await == expected {
            return;
        }
        pass(seconds(1)).await;
    }
    panic!("{:?} never became {expected:?}", taken(service).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_free_is_told() {
    let service = Service::with(slots_of(30, 2)).await;
    for _ in 0..2 {
        service.schedule(at("2026-11-24T12:31:00Z")).await;
    }
    service.schedule(at("2026-11-24T13:00:00Z")).await;
    let day = |show| question("support", "2026-11-24T12:10:00Z", 1, show);
    let all = [("12:00", 2, 2), ("12:30", 0, 2), ("13:00", 1, 2)].map(|(at, free, all)| (at.to_owned(), free, all));
    assert_eq!(free(&service, day(ALL)).await, all);
    let [first, _, last] = all;
    assert_eq!(free(&service, day(Show { max_free: None, busy: Busy::Hidden })).await, [first.clone(), last]);
    assert_eq!(free(&service, day(Show { max_free: Some(1), busy: Busy::Hidden })).await, [first]);
    let found = ask(&service, day(ALL)).await.unwrap();
    assert_eq!(found.slot_minutes, 30);
    assert_eq!(
        ask(&service, question("nobody", "2026-11-24T12:10:00Z", 1, ALL)).await,
        Err(AvailabilityError::UnknownQueue)
    );
    service.world.faults.set(Op::PlacesTaken, Fault::NotDone);
    assert_eq!(ask(&service, day(ALL)).await, Err(Unserved::Busy.into()));
}

#[tokio::test(start_paused = true)]
async fn few_free_slots_are_found_behind_many_full_ones() {
    let service = Service::with(slots_of(5, 1)).await;
    for slot in 0..150 {
        service.schedule(at("2026-11-24T00:00:00Z") + TimeDelta::minutes(5 * slot)).await;
    }
    let show = Show { max_free: Some(2), busy: Busy::Hidden };
    let found = free(&service, question("support", "2026-11-24T00:00:00Z", 14 * 24, show)).await;
    assert_eq!(found, [("12:30".to_owned(), 1, 1), ("12:35".to_owned(), 1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn other_slots_move_the_bookings_that_are_there() {
    let service = Service::with(slots_of(60, 2)).await;
    let early = service.schedule(at("2026-11-24T12:10:00Z")).await;
    let late = service.schedule(at("2026-11-24T12:40:00Z")).await;
    assert_eq!(taken(&service).await, [("12:00".to_owned(), 2)]);
    service.world.settings.put(tenant(slots_of(30, 1)));
    until_counted(&service, &[("12:00", 1), ("12:30", 1)]).await;
    assert_eq!(held(&service, early), Some(at("2026-11-24T12:00:00Z")));
    assert_eq!(held(&service, late), Some(at("2026-11-24T12:30:00Z")));
    let row = service.world.store.row(late).unwrap();
    assert_eq!(row.history.last().map(|entry| entry.cause), Some(Cause::Recounted));
    assert_eq!(service.world.store.row(early).unwrap().history.len(), 1, "what does not move has no new version");
    // Both are full now, and a cancel gives back the place where it is counted now.
    let again = service.desk.submit(tenant_id(), booking(Some(at("2026-11-24T12:59:00Z")))).await;
    assert!(matches!(again, Err(SubmitError::SlotFull { .. })), "{again:?}");
    service.cancel(late).await.unwrap();
    assert_eq!(taken(&service).await, [("12:00".to_owned(), 1)]);
    service.schedule(at("2026-11-24T12:59:00Z")).await;
}

#[tokio::test(start_paused = true)]
async fn fewer_places_leave_bookings_where_they_are() {
    let service = Service::with(slots_of(60, 3)).await;
    for _ in 0..3 {
        service.schedule(at("2026-11-24T12:10:00Z")).await;
    }
    service.world.settings.put(tenant(slots_of(60, 1)));
    pass(seconds(10)).await;
    assert_eq!(taken(&service).await, [("12:00".to_owned(), 3)]);
    let found = free(&service, question("support", "2026-11-24T12:00:00Z", 1, ALL)).await;
    assert_eq!(found, [("12:00".to_owned(), 0, 1)]);
    let more = service.desk.submit(tenant_id(), booking(Some(at("2026-11-24T12:10:00Z")))).await;
    assert!(matches!(more, Err(SubmitError::SlotFull { .. })), "{more:?}");
}

#[tokio::test(start_paused = true)]
async fn a_count_that_was_not_done_is_done_later_and_bookings_wait_for_it() {
    let service = Service::with(slots_of(60, 9)).await;
    let id = service.schedule(at("2026-11-24T12:40:00Z")).await;
    service.world.faults.set(Op::Recount, Fault::NotDone);
    service.world.settings.put(tenant(slots_of(30, 9)));
    pass(seconds(10)).await;
    assert_eq!(held(&service, id), Some(at("2026-11-24T12:00:00Z")));
    let refused = service.desk.submit(tenant_id(), booking(Some(at("2026-11-24T12:40:00Z")))).await;
    assert_eq!(refused, Err(Unserved::Busy.into()), "no place is taken by slots that are not counted");
    service.world.faults.heal_op(Op::Recount);
    let again = || service.desk.submit(tenant_id(), booking(Some(at("2026-11-24T12:50:00Z"))));
    let mut kept = again().await;
    if kept == Err(Unserved::Busy.into()) {
        // The pause between two counts may be longer than a booking waits, which then asks for one itself.
        kept = again().await;
    }
    let kept = kept.expect("the count is done").id;
    assert_eq!(held(&service, kept), Some(at("2026-11-24T12:30:00Z")));
    assert_eq!(held(&service, id), Some(at("2026-11-24T12:30:00Z")));
    assert_eq!(taken(&service).await, [("12:30".to_owned(), 2)]);
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn what_changed_while_nobody_was_there_is_counted_at_the_start() {
    let service = Service::with(slots_of(60, 9)).await;
    let id = service.schedule(at("2026-11-24T12:40:00Z")).await;
    let world = service.world.clone();
    service.tree.stop(seconds(1)).await;
    world.settings.put(tenant(slots_of(20, 9)));
    let service = Service::start(world).await;
    until("it has its new slot", SOON, || service.row(id).slot == Some(at("2026-11-24T12:40:00Z"))).await;
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_must_not_slide_is_proposed_slots_that_serve_it() {
    let service = Service::with(slots_of(30, 1)).await;
    service.world.routing.set_wait(&queue_name(), 3_600);
    let now = service.now();
    // Half past the minute after ten: the wait ends after eleven. The slot of that time is taken.
    service.schedule(at("2026-11-23T11:10:00Z")).await;
    let strict = NewCallback { always_check_capacity: true, ..booking(Some(now + TimeDelta::minutes(20))) };
    let refused = service.desk.submit(tenant_id(), strict).await.unwrap_err();
    let SubmitError::SlotUnlikely { wait_seconds, slot_end, proposals, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((wait_seconds, slot_end), (3_600, at("2026-11-23T10:30:00Z")));
    assert_eq!(proposals[..2], [(at("2026-11-23T11:30:00Z"), 1), (at("2026-11-23T12:00:00Z"), 1)]);
    assert_eq!(proposals.len(), 10);
    service.schedule(now + TimeDelta::minutes(20)).await;
}
