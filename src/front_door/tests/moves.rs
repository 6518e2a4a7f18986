//! Holds, moves and repetitions: what is read, what is refused, and how it is answered; an operator's cancel.

use axum::body::Body;
use domain::callback::{Canceller, State};
use domain::holds::{HoldBound, HoldsReached};
use domain::ports::{
    CancelError, HoldError, How, NewHold, RecreateError, Recreation, RescheduleError, SubmitError, Submitted, Unserved,
};
use http::Request;

use crate::front_door::router::Side;
use crate::front_door::testing::moves::{HOLD, hold};
use crate::front_door::testing::{Answer, CREATE, House, ID, READ_ONLY_KEY, at, id, post};

pub(super) const HOLDS: &str = "/engagement/v3/callbacks/holds";
const RELEASE: &str = "/engagement/v3/callbacks/holds/release";
pub(super) const RESCHEDULE: &str = "/engagement/v3/callbacks/reschedule";
pub(super) const RECREATE: &str = "/engagement/v3/callbacks/recreate";
const TIME: &str = "2030-03-04T10:41:00.0009-05:00";
const HOLD_BODY: &str = r#"{"serviceName":"support","desiredTime":"2030-03-04T15:41:00Z"}"#;

fn reschedule_body() -> String {
    format!(r#"{{"id":"{ID}","desiredTime":"{TIME}"}}"#)
}

fn release_body() -> String {
    format!(r#"{{"id":"{HOLD}"}}"#)
}

/// What another slot is proposed with.
fn full() -> SubmitError {
    SubmitError::SlotFull { proposals: vec![(at("2030-03-04T16:00:00Z"), 3)] }
}

async fn keyed(house: &House, path: &str, body: &str) -> Answer {
    house.send(post(path).header("Idempotency-Key", "k").body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_hold_is_read_and_answered_with_its_id_slot_and_end() {
    let house = House::new(Side::External);
    let answer = house.post(HOLDS, HOLD_BODY).await;
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"id":"0192f0a0-0000-7000-8000-0000000000bb","slot":"2030-03-04T15:30:00.000Z","desiredTime":"2030-03-04T15:41:00.000Z","expiresAt":"2030-01-01T01:05:00.000Z"}}"#
    );
    let least = NewHold {
        service_name: "support".into(),
        desired_time: at("2030-03-04T15:41:00Z"),
        phone_number: None,
        idempotency: None,
    };
    assert_eq!(house.fake.moves.held.lock().unwrap().remove(0), least);
    let odd = r#"{"serviceName":"support","desiredTime":"2030-03-04T15:41:00Z","phoneNumber":"","x":[{}]}"#;
    house.post(HOLDS, odd).await;
    assert_eq!(house.fake.moves.held.lock().unwrap().remove(0), least);
    let whole = r#"{"serviceName":"support","desiredTime":"2030-03-04T15:41:00Z","phoneNumber":"(416) 555-0101"}"#;
    keyed(&house, HOLDS, whole).await;
    let asked = house.fake.moves.held.lock().unwrap().remove(0);
    assert_eq!(asked.phone_number.as_deref(), Some("(416) 555-0101"));
    assert!(asked.idempotency.is_some());
}

#[tokio::test]
async fn a_hold_is_refused_with_words() {
    let house = House::new(Side::External);
    for body in [
        "{}",
        r#"{"serviceName":"support"}"#,
        r#"{"desiredTime":"2030-03-04T15:41:00Z"}"#,
        r#"{"serviceName":"support","desiredTime":"tomorrow"}"#,
        r#"{"serviceName":"support","desiredTime":1893456000000}"#,
        r#"{"serviceName":"support","desiredTime":"2030-03-04T15:41:00Z","phoneNumber":7}"#,
    ] {
        assert_eq!(house.post(HOLDS, body).await.refusal(), (400, 501), "{body}");
    }
    assert!(house.fake.moves.held.lock().unwrap().is_empty());
    let many = |bound| HoldError::TooMany(HoldsReached { bound, limit: 3, until: at("2030-01-01T01:00:30.5Z") });
    let past = SubmitError::TooSoon { earliest: at("2030-01-01T01:00Z"), lead_seconds: 0 };
    for (error, expected, words) in [
        (HoldError::Refused(SubmitError::UnknownQueue), (400, 7040), "serviceName"),
        (HoldError::NotOffered, (400, 7040), "holdLimit is 0"),
        (HoldError::Refused(past), (400, 501), "desiredTime has passed"),
        (HoldError::Refused(full()), (429, 7043), "No capacity"),
        (many(HoldBound::Queue), (429, 7041), "3 held places of the service (holdLimit)"),
        (many(HoldBound::Number), (429, 7041), "for the same phoneNumber (holdLimitPerNumber)"),
        (HoldError::Gone, (400, 409), "unknown, used, given up, or over"),
        (HoldError::Refused(SubmitError::KeyReused), (422, 422), "Idempotency-Key"),
        (HoldError::Refused(Unserved::Busy.into()), (503, 500), "nothing was done"),
        (HoldError::Refused(Unserved::Perhaps.into()), (500, 500), "with an Idempotency-Key"),
    ] {
        *house.fake.moves.hold.lock().unwrap() = Err(error.clone());
        let answer = house.post(HOLDS, HOLD_BODY).await;
        assert_eq!(answer.refusal(), expected, "{error:?}");
        assert!(answer.message().contains(words), "{}", answer.message());
        match error {
            HoldError::TooMany(_) => assert_eq!(answer.headers["retry-after"], "31", "rounded up"),
            HoldError::Refused(SubmitError::SlotFull { .. }) => {
                assert_eq!(answer.json()["data"]["slots"]["2030-03-04T16:00:00.000Z"], "3");
            }
            _ => {}
        }
    }
    // Under a key the question may be repeated.
    let answer = keyed(&house, HOLDS, HOLD_BODY).await;
    assert_eq!(answer.refusal(), (503, 500));
}

#[tokio::test]
async fn a_hold_is_given_up_by_its_id() {
    let house = House::new(Side::External);
    let answer = house.post(RELEASE, release_body()).await;
    assert_eq!(answer.json()["data"]["id"], HOLD);
    assert_eq!(*house.fake.moves.released.lock().unwrap(), [hold().id]);
    for body in ["{}", r#"{"id":"x"}"#, r#"{"id":7}"#] {
        assert_eq!(house.post(RELEASE, body).await.refusal(), (400, 501), "{body}");
    }
    *house.fake.moves.release.lock().unwrap() = Err(Unserved::NotFound);
    let answer = house.post(RELEASE, release_body()).await;
    assert_eq!(answer.refusal(), (404, 404));
    assert!(answer.message().starts_with("Hold not found"), "{}", answer.message());
    *house.fake.moves.release.lock().unwrap() = Err(Unserved::Perhaps);
    assert_eq!(house.post(RELEASE, release_body()).await.refusal(), (503, 500));
}

#[tokio::test]
async fn a_booking_names_its_hold() {
    let house = House::new(Side::External);
    let with = |members: &str| format!(r#"{{"serviceName":"support","phoneNumber":"+14165550101",{members}}}"#);
    let answer = house.post(CREATE, with(&format!(r#""desiredTime":"{TIME}","holdId":"{HOLD}""#))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(house.fake.booked.lock().unwrap().remove(0).hold, Some(hold().id));
    for absent in [r#""holdId":null"#, r#""holdId":"""#] {
        house.post(CREATE, with(absent)).await;
        assert_eq!(house.fake.booked.lock().unwrap().remove(0).hold, None, "{absent}");
    }
    for (members, words) in [
        (format!(r#""holdId":"{HOLD}""#), "desiredTime is required with holdId"),
        (format!(r#""desiredTime":"{TIME}","holdId":"x""#), "holdId must be a UUID"),
        (format!(r#""desiredTime":"{TIME}","holdId":7"#), "holdId must be a string"),
    ] {
        let answer = house.post(CREATE, with(&members)).await;
        assert_eq!(answer.refusal(), (400, 501), "{members}");
        assert!(answer.message().contains(words), "{}", answer.message());
    }
    for (error, expected, words) in [
        (SubmitError::HoldGone, (400, 409), "unknown, used, given up, or over"),
        (SubmitError::HoldElsewhere, (400, 501), "another service or another slot"),
    ] {
        *house.fake.submit.lock().unwrap() = Err(error);
        let answer = house.post(CREATE, with(&format!(r#""desiredTime":"{TIME}","holdId":"{HOLD}""#))).await;
        assert_eq!(answer.refusal(), expected);
        assert!(answer.message().contains(words), "{}", answer.message());
    }
}

#[tokio::test]
async fn a_move_is_read_and_answered() {
    let house = House::new(Side::External);
    let answer = house.post(RESCHEDULE, reschedule_body()).await;
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"id":"0192f0a0-0000-7000-8000-000000000001","desiredTime":"2030-03-04T15:41:00.000Z"}}"#
    );
    assert_eq!(*house.fake.moves.rescheduled.lock().unwrap(), [(id(), at("2030-03-04T15:41:00Z"))]);
    for body in ["{}".to_owned(), format!(r#"{{"id":"{ID}"}}"#), format!(r#"{{"desiredTime":"{TIME}"}}"#)] {
        assert_eq!(house.post(RESCHEDULE, body).await.refusal(), (400, 501));
    }
    for (error, expected) in [
        (RescheduleError::NotReschedulable(State::Routing), (400, 409)),
        (RescheduleError::Refused(SubmitError::Closed { next_opening: None }), (400, 7042)),
        (RescheduleError::Refused(full()), (429, 7043)),
        (RescheduleError::Refused(Unserved::NotFound.into()), (404, 404)),
        (RescheduleError::Refused(Unserved::Busy.into()), (503, 500)),
        // Moving to the same time twice is moving once.
        (RescheduleError::Refused(Unserved::Perhaps.into()), (503, 500)),
    ] {
        *house.fake.moves.reschedule.lock().unwrap() = Err(error.clone());
        assert_eq!(house.post(RESCHEDULE, reschedule_body()).await.refusal(), expected, "{error:?}");
    }
}

#[tokio::test]
async fn a_callback_is_made_once_more() {
    let house = House::new(Side::External);
    let least = Recreation {
        desired_time: None,
        always_check_capacity: false,
        idempotency: None,
        counted_headers: Vec::new(),
        captcha: None,
    };
    let answer = house.post(RECREATE, format!(r#"{{"id":"{ID}"}}"#)).await;
    assert_eq!(answer.json()["data"]["id"], ID);
    assert_eq!(house.fake.moves.recreated.lock().unwrap().remove(0), (id(), least));
    let body = format!(r#"{{"id":"{ID}","desiredTime":"{TIME}","alwaysCheckCapacity":true,"captchaToken":"t"}}"#);
    keyed(&house, RECREATE, &body).await;
    let (_, again) = house.fake.moves.recreated.lock().unwrap().remove(0);
    assert_eq!((again.desired_time, again.always_check_capacity), (Some(at("2030-03-04T15:41:00Z")), true));
    assert_eq!(again.captcha.as_ref().map(|token| token.text.reveal()), Some("t"));
    // The same key for a booking is another key.
    keyed(&house, CREATE, r#"{"serviceName":"support","phoneNumber":"+14165550101"}"#).await;
    let booked = house.fake.booked.lock().unwrap().remove(0);
    assert_ne!(booked.idempotency.map(|it| it.key), again.idempotency.map(|it| it.key));
    *house.fake.moves.recreate.lock().unwrap() = Ok(Submitted { id: id(), how: How::Replayed });
    assert_eq!(keyed(&house, RECREATE, &body).await.headers["idempotency-status"], "replayed");
    for (error, expected) in [
        (RecreateError::NotEnded(State::Queued), (400, 409)),
        (RecreateError::Refused(SubmitError::Paused), (400, 7040)),
        (RecreateError::Refused(full()), (429, 7043)),
        (RecreateError::Refused(Unserved::NotFound.into()), (404, 404)),
        (RecreateError::Refused(Unserved::Perhaps.into()), (500, 500)),
    ] {
        *house.fake.moves.recreate.lock().unwrap() = Err(error.clone());
        let answer = house.post(RECREATE, format!(r#"{{"id":"{ID}"}}"#)).await;
        assert_eq!(answer.refusal(), expected, "{error:?}");
    }
}

#[tokio::test]
async fn they_need_a_key_that_may_book() {
    let house = House::new(Side::External);
    for path in [HOLDS, RELEASE, RESCHEDULE, RECREATE] {
        let request = |key: Option<&str>| {
            let head = Request::post(path).header("content-type", "application/json");
            let head = key.into_iter().fold(head, |head, key| head.header("x-api-key", key));
            head.body(Body::from("{}")).unwrap()
        };
        assert_eq!(house.send(request(None)).await.refusal(), (401, 1103), "{path}");
        assert_eq!(house.send(request(Some(READ_ONLY_KEY))).await.refusal(), (403, 403), "{path}");
    }
}

#[tokio::test]
async fn a_person_in_the_office_cancels_inside() {
    let cancel = async |house: &House, path: &str| {
        let request = Request::post(path).header("ContactCenterID", "demo");
        house.send(request.body(Body::empty()).unwrap()).await
    };
    let house = House::new(Side::Internal);
    let path = format!("/ges/v1/callbacks/{ID}/cancel");
    assert_eq!(cancel(&house, &path).await.json()["data"]["id"], ID);
    assert_eq!(*house.fake.cancelled.lock().unwrap(), [Canceller::Admin]);
    assert_eq!(cancel(&house, "/ges/v1/callbacks/x/cancel").await.refusal(), (400, 501));
    for (error, expected) in [
        (CancelError::NotCancellable(State::Processing), (409, 409)),
        (CancelError::Unserved(Unserved::NotFound), (404, 404)),
        (CancelError::Unserved(Unserved::Perhaps), (503, 500)),
    ] {
        *house.fake.cancel.lock().unwrap() = Err(error.clone());
        assert_eq!(cancel(&house, &path).await.refusal(), expected, "{error:?}");
    }
    let outside = House::new(Side::External);
    let answer = outside.send(Request::post(&path).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.refusal(), (404, 404), "not from outside");
}
