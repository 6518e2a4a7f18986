//! How far ahead a queue takes bookings: whichever way a time is chosen.

use actors::testing::{booking, plain_queue, tenant, tenant_id};
use chrono::TimeDelta;
use domain::availability::{Busy, End, Question, Show};
use domain::explain::Rule;
use domain::ports::{HoldError, NewHold, RescheduleError, SubmitError};
use domain::queue::{QueueSettings, SlotMinutes};

use super::support::{Service, pass, seconds};

fn three_days() -> QueueSettings {
    let slot_minutes = SlotMinutes::new(60).unwrap();
    QueueSettings { slot_minutes, slot_capacity: 1, max_ahead_days: 3, ..plain_queue() }
}

#[tokio::test(start_paused = true)]
async fn no_time_beyond_the_days_of_the_queue_is_given_to_anybody() {
    let service = Service::with(three_days()).await;
    let latest = service.now() + TimeDelta::days(3);
    let (last, fourth) = (latest - TimeDelta::minutes(1), latest + TimeDelta::hours(1));

    let submit = async |at| service.desk.submit(tenant_id(), booking(Some(at))).await;
    let Err(refused) = submit(fourth).await else { panic!("booked on the fourth day") };
    let SubmitError::TooFarAhead { latest: told, max_ahead_days: 3 } = refused else { panic!("{refused:?}") };
    assert!(told >= latest && told < latest + TimeDelta::seconds(1), "{told}");
    let explained = service.tree.explain_desk().explain(tenant_id(), booking(Some(fourth))).await.unwrap();
    assert_eq!(explained.explanation.decider().map(|check| check.rule), Some(Rule::MaxAhead));
    let measure = explained.measure.unwrap();
    assert_eq!((measure.seconds > measure.limit_seconds, measure.limit_seconds), (true, 3 * 86_400));
    assert_eq!(Rule::MaxAhead.settings(), ["maxAheadDays"]);

    let moves = service.tree.moves_desk();
    let id = service.schedule(service.now() + TimeDelta::hours(1)).await;
    let moved = moves.reschedule(tenant_id(), id, fourth).await;
    let too_far = |refused: &SubmitError| matches!(refused, SubmitError::TooFarAhead { max_ahead_days: 3, .. });
    assert!(matches!(&moved, Err(RescheduleError::Refused(refused)) if too_far(refused)), "{moved:?}");
    let hold = |at| NewHold { service_name: "support".into(), desired_time: at, phone_number: None, idempotency: None };
    let held = moves.hold(tenant_id(), hold(fourth)).await;
    assert!(matches!(&held, Err(HoldError::Refused(refused)) if too_far(refused)), "{held:?}");

    let show = Show { max_free: None, busy: Busy::Shown };
    let end = End::After(TimeDelta::days(14));
    let question = || Question { service_name: "support".into(), start: None, end, show };
    let offered = async || {
        let found = service.tree.availability().availability(tenant_id(), question()).await.unwrap();
        found.slots.last().map(|slot| slot.start)
    };
    let end = offered().await.unwrap();
    assert!(end <= service.now() + TimeDelta::days(3) && end > latest - TimeDelta::hours(1), "{end}");

    // The last slot is the last that is proposed: whoever finds it full is proposed none behind it.
    moves.reschedule(tenant_id(), id, last).await.unwrap();
    let full = submit(last).await;
    let Err(SubmitError::SlotFull { proposals }) = full else { panic!("{full:?}") };
    assert!(proposals.iter().all(|(start, _)| *start <= service.now() + TimeDelta::days(3)), "{proposals:?}");
}

#[tokio::test(start_paused = true)]
async fn fewer_days_leave_what_is_booked_where_it_is() {
    let service = Service::with(plain_queue()).await;
    let id = service.schedule(service.now() + TimeDelta::days(10)).await;
    let before = service.row(id);
    service.world.settings.put(tenant(three_days()));
    pass(seconds(5)).await;
    let refused = service.desk.submit(tenant_id(), booking(Some(service.now() + TimeDelta::days(10)))).await;
    assert!(matches!(refused, Err(SubmitError::TooFarAhead { max_ahead_days: 3, .. })), "{refused:?}");
    assert_eq!(service.row(id).desired_time, before.desired_time);
    service.assert_no_restarts();
}
