//! An engine that behaves badly, and a service that bears it.

use std::time::Duration;

use super::{SOON, book, options, redis_is, state, until_ended};
use crate::harness::ors::{Manner, Ors};
use crate::harness::redis::Redis;
use crate::harness::service::Service;
use crate::harness::{api, poll};

/// Nothing is asked after in the first minute, and then after a minute of silence.
const ASKED_WITHIN: Duration = Duration::from_secs(240);

#[test]
fn an_engine_that_refuses_repeats_reorders_forgets_and_answers_late_is_borne() {
    let redis = Redis::start();
    let ors = Ors::start(redis.port());
    let service = Service::start(options(&redis));
    redis_is(&service, "UP");
    let mut client = api::client(service.external());
    let mut booked = |manner: Manner| book(&mut client, manner.digits());
    let serves = booked(Manner::Serves);
    let refuses = booked(Manner::Refuses);
    let late = booked(Manner::AnswersLate);
    let reorders = booked(Manner::RepeatsAndReorders);
    let twice = booked(Manner::BeginsTwice);
    let forgets = booked(Manner::Forgets);
    let never_asks = booked(Manner::NeverAsks);

    assert_eq!(until_ended(&mut client, serves, SOON), "AGENT_CONNECTED");
    assert_eq!(until_ended(&mut client, refuses, SOON), "SUBMIT_FAILED");
    assert_eq!(ors.starts_of(refuses), [1, 2, 3], "three attempts");
    assert_eq!(until_ended(&mut client, twice, SOON), "AGENT_CONNECTED");
    assert_eq!(ors.starts_of(twice), [1]);

    assert_eq!(until_ended(&mut client, reorders, SOON), "AGENT_CONNECTED");
    let told = poll::until("the last word of it", SOON, || Some(ors.said_of(reorders)).filter(|it| it.len() == 11));
    let statuses: Vec<u16> = told.iter().map(|(.., status)| *status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 409], "{told:?}");

    // Whoever never asked for its attempt is refused, and nothing of it happened.
    let told = poll::until("its only word", SOON, || ors.said_of(never_asks).pop());
    assert_eq!((told.1.as_str(), told.2), ("queued", 409));
    assert_eq!(state(&mut client, never_asks).0, "QUEUED");

    // From here on it takes the minutes that questions take.
    assert_eq!(until_ended(&mut client, late, ASKED_WITHIN), "AGENT_CONNECTED");
    assert_eq!(ors.starts_of(late), [1], "asked after, alive, and no second attempt");
    assert_eq!(until_ended(&mut client, forgets, ASKED_WITHIN), "AGENT_CONNECTED");
    assert_eq!(ors.starts_of(forgets), [1, 2], "gone in the queue: a second attempt");
    assert!(ors.seen().iter().any(|it| it.action == "ping"));
    let granted: Vec<_> = ors.said().into_iter().filter(|it| it.event == "accepted" && it.status == 200).collect();
    let mut sessions: Vec<_> = granted.iter().map(|it| (it.callback, it.attempt, &it.session)).collect();
    sessions.sort();
    sessions.dedup();
    let mut attempts: Vec<_> = sessions.iter().map(|(callback, attempt, _)| (callback, attempt)).collect();
    attempts.dedup();
    assert_eq!(attempts.len(), sessions.len(), "every attempt was granted to one session only");
}

#[test]
fn flows_that_cannot_ask_are_taken_at_their_first_report_if_the_operator_says_so() {
    let redis = Redis::start();
    let ors = Ors::start(redis.port());
    let service = Service::start(options(&redis).with("GES_ORS_ACCEPT", "implicit"));
    let mut client = api::client(service.external());
    let id = book(&mut client, Manner::NeverAsks.digits());
    assert_eq!(until_ended(&mut client, id, SOON), "AGENT_CONNECTED");
    assert!(ors.said_of(id).iter().all(|(.., status)| *status == 200), "{:?}", ors.said_of(id));
    assert_eq!(ors.starts_of(id), [1]);
}
