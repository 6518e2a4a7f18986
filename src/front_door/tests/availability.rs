//! Questions about free times: every parameter and every rule between them, and the answer.

use std::io::Read as _;

use axum::body::Body;
use chrono::TimeDelta;
use domain::availability::{Availability, Busy, End, Question, Show};
use domain::event::Event;
use domain::ports::{AvailabilityError, Mark, Unserved};
use domain::slots::FreeSlot;
use flate2::read::GzDecoder;
use http::Request;
use http_body_util::BodyExt as _;
use proptest::prelude::*;

use crate::front_door::DoorLimits;
use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, House, KEY, READ_ONLY_KEY, at, settings};

const PATH: &str = "/engagement/v3/callbacks/availability/support";

async fn ask(house: &House, path: &str) -> Answer {
    house.send(Request::get(path).header("x-api-key", KEY).body(Body::empty()).unwrap()).await
}

/// The answer, of which nothing has been read yet.
async fn head(house: &House) -> axum::response::Response {
    house.begin(Request::get(PATH).header("x-api-key", KEY).body(Body::empty()).unwrap()).await
}

fn free(count: usize) -> Availability {
    let slot = |number: usize| FreeSlot {
        start: at("2030-03-04T15:30:00.000Z") + TimeDelta::minutes(30 * i64::try_from(number).unwrap()),
        free: 2,
        total: 5,
    };
    Availability { slot_minutes: 30, slots: (0..count).map(slot).collect() }
}

fn answering(slots: usize) -> House {
    let house = House::new(Side::External);
    *house.fake.availability.lock().unwrap() = Ok(free(slots));
    house
}

/// The question that a query string comes to.
async fn asked(query: &str) -> Question {
    let house = answering(1);
    let answer = ask(&house, &format!("{PATH}?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    house.fake.asked.lock().unwrap().remove(0)
}

#[tokio::test]
async fn every_parameter_is_read_in_all_its_forms() {
    let nothing = Question {
        service_name: "support".into(),
        start: None,
        end: End::AtStart,
        show: Show { max_free: None, busy: Busy::Hidden },
    };
    let start = |text: &str| Question { start: Some(at(text)), ..nothing.clone() };
    let end = |end: End| Question { end, ..nothing.clone() };
    let show = |max_free, busy| Question { show: Show { max_free, busy }, ..nothing.clone() };
    let days = |days: i64| end(End::After(TimeDelta::days(days)));
    for (query, expected) in [
        ("", nothing.clone()),
        ("_=1898870400000&unknown&start=", nothing.clone()),
        ("start=2030-03-04T15:30:00.000Z", start("2030-03-04T15:30:00.000Z")),
        ("start=2030-03-04T15%3A30%3A00.123456789%2B01%3A00", start("2030-03-04T14:30:00.123Z")),
        ("start=2030-03-04T15:30", start("2030-03-04T15:30:00.000Z")),
        // A time without an offset is one of the zone, wherever the zone stands; an offset wins.
        ("start=2030-03-04T10:30&timezone=America%2FToronto", start("2030-03-04T15:30:00.000Z")),
        ("timezone=America/Toronto&start=2030-03-04T15:30:00Z", start("2030-03-04T15:30:00.000Z")),
        // Skipped by the change of clocks: the first instant after it.
        ("timezone=America/Toronto&start=2030-03-10T02:30:00", start("2030-03-10T07:00:00.000Z")),
        ("startMS=1898870400000", start("2030-03-04T16:00:00.000Z")),
        ("startMS=1.8988704E%2B12", start("2030-03-04T16:00:00.000Z")),
        ("start-ms=1898870400000.0", start("2030-03-04T16:00:00.000Z")),
        ("end=2030-03-04T15:30:00.000Z", end(End::At(at("2030-03-04T15:30:00.000Z")))),
        ("end=2030-03-04T10:30&timezone=America%2FToronto", end(End::At(at("2030-03-04T15:30:00.000Z")))),
        ("endMS=1898870400000", end(End::At(at("2030-03-04T16:00:00.000Z")))),
        ("end-ms=1.8988704e12", end(End::At(at("2030-03-04T16:00:00.000Z")))),
        ("numberOfDays=7", days(7)),
        ("numberOfDays=7.0", days(7)),
        ("number-of-days=1.4E%2B1", days(14)),
        ("numberOfDays=0", days(0)),
        ("numberOfDays=0.5", end(End::After(TimeDelta::hours(12)))),
        ("numberOfDays=40000", days(36_500)),
        ("numberOfDays=1e300", days(36_500)),
        ("maxTimeSlots=5", show(Some(5), Busy::Hidden)),
        ("maxTimeSlots=2147483647", show(Some(1_000_000), Busy::Hidden)),
        ("maxTimeSlots=9223372036854775807", show(Some(1_000_000), Busy::Hidden)),
        ("max-time-slots=5.0", show(Some(5), Busy::Hidden)),
        ("reportBusy=true", show(None, Busy::Shown)),
        ("report-busy=TRUE", show(None, Busy::Shown)),
        ("reportBusy=false", nothing.clone()),
        // What the official tutorials and the older one send.
        ("reportBusy=true&_=1", show(None, Busy::Shown)),
        (
            "start=2030-03-04T15:30:00.000Z&number-of-days=7&max-time-slots=5",
            Question {
                end: End::After(TimeDelta::days(7)),
                show: Show { max_free: Some(5), busy: Busy::Hidden },
                ..start("2030-03-04T15:30:00.000Z")
            },
        ),
        (
            "startMS=1898870400000&endMS=1898870400000",
            Question { end: End::At(at("2030-03-04T16:00:00.000Z")), ..start("2030-03-04T16:00:00.000Z") },
        ),
        // The first name that has a value counts; both names of one parameter do not exclude each other.
        ("numberOfDays=2&number-of-days=3", days(2)),
    ] {
        assert_eq!(asked(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn what_breaks_a_rule_is_named() {
    const TIME: &str = "must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z.";
    const MS: &str = "must be a whole number between 0 and 253402300799999.";
    let house = answering(1);
    for (query, message) in [
        ("start=2030-03-04T15:30Z&startMS=1898870400000", "startMS excludes start: give one of them.".to_owned()),
        ("start=x&start-ms=y", "startMS excludes start: give one of them.".to_owned()),
        ("end=2030-03-04T15:30Z&endMS=1898870400000", "endMS excludes end: give one of them.".to_owned()),
        ("end=2030-03-04T15:30Z&numberOfDays=1", "numberOfDays excludes end: give one of them.".to_owned()),
        ("end-ms=1898870400000&number-of-days=1", "numberOfDays excludes endMS: give one of them.".to_owned()),
        ("start=2030-03-04T15:30Z&end=2030-03-04T15:29Z", "end must not be before the start.".to_owned()),
        ("startMS=2&endMS=1", "endMS must not be before the start.".to_owned()),
        ("start=tomorrow", format!("start {TIME}")),
        ("start=2030-03-04", format!("start {TIME}")),
        ("start=1898870400000", format!("start {TIME}")),
        ("end=2030-03-04T24:00:00Z", format!("end {TIME}")),
        ("startMS=2030-03-04T15:30Z", "startMS must be a whole number.".to_owned()),
        ("startMS=1.5", "startMS must be a whole number.".to_owned()),
        ("startMS=-1", format!("startMS {MS}")),
        ("end-ms=1e15", format!("endMS {MS}")),
        ("endMS=NaN", "endMS must be a whole number.".to_owned()),
        ("numberOfDays=-1", "numberOfDays must be a number between 0 and 36500.".to_owned()),
        ("number-of-days=week", "numberOfDays must be a number.".to_owned()),
        ("maxTimeSlots=0", "maxTimeSlots must be a whole number between 1 and 1000000.".to_owned()),
        ("max-time-slots=many", "maxTimeSlots must be a whole number.".to_owned()),
        ("maxTimeSlots=2.5", "maxTimeSlots must be a whole number.".to_owned()),
        ("reportBusy=1", "reportBusy must be true or false.".to_owned()),
        ("report-busy=yes", "reportBusy must be true or false.".to_owned()),
        ("timezone=Mars/Base", "timezone must be a zone of the tz database, such as America/Toronto.".to_owned()),
        ("timezone=%2B01:00", "timezone must be a zone of the tz database, such as America/Toronto.".to_owned()),
    ] {
        let answer = ask(&house, &format!("{PATH}?{query}")).await;
        assert_eq!((answer.refusal(), answer.message()), ((400, 501), message), "{query}");
    }
    assert!(house.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn names_in_the_path_are_decoded() {
    for (path, expected) in [
        ("support", "support"),
        ("a%2Fb", "a/b"),
        ("caf%C3%A9%20%26+1", "café &+1"),
        ("%E6%9C%8D%E5%8A%A1", "服务"),
        ("..%2F..", "../.."),
    ] {
        let house = answering(0);
        let answer = ask(&house, &format!("/engagement/v3/callbacks/availability/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(house.fake.asked.lock().unwrap()[0].service_name, expected);
    }
    let house = answering(0);
    let answer = ask(&house, "/engagement/v3/callbacks/availability/caf%E9").await;
    assert_eq!(answer.refusal(), (400, 501));
    assert_eq!(answer.message(), "service-name must be percent-encoded UTF-8.");
    for path in ["/engagement/v3/callbacks/availability", "/engagement/v3/callbacks/availability/a/b"] {
        assert_eq!(ask(&house, path).await.refusal(), (404, 404), "{path}");
    }
}

#[tokio::test]
async fn answers_are_whole() {
    let house = answering(2);
    let answer = ask(&house, &format!("{PATH}?timezone=America/Toronto")).await;
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"slots":[{"utcTime":"2030-03-04T15:30:00.000Z","localTime":"2030-03-04T10:30:00.000-05:00","capacity":2,"total":5},{"utcTime":"2030-03-04T16:00:00.000Z","localTime":"2030-03-04T11:00:00.000-05:00","capacity":2,"total":5}],"durationMin":30,"timezone":"America/Toronto"}}"#
    );
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["content-length"], answer.text.len().to_string());
    *house.fake.availability.lock().unwrap() = Ok(free(0));
    let answer = ask(&house, PATH).await;
    let data = serde_json::json!({"slots": [], "durationMin": 30, "timezone": "UTC"});
    assert_eq!(answer.json()["data"], data, "an empty list is a list");
    *house.fake.availability.lock().unwrap() = Ok(free(4_032));
    let answer = ask(&house, PATH).await;
    assert_eq!(answer.json()["data"]["slots"].as_array().unwrap().len(), 4_032);
}

#[tokio::test]
async fn refusals_are_the_contracts() {
    let house = House::new(Side::External);
    let answer = ask(&house, PATH).await;
    assert_eq!(answer.refusal(), (400, 7040));
    assert_eq!(answer.message(), "The path names no configured service.");
    *house.fake.availability.lock().unwrap() = Err(Unserved::Busy.into());
    let answer = ask(&house, PATH).await;
    assert_eq!(answer.refusal(), (503, 500));
    assert!(answer.headers.contains_key("retry-after"));
    *house.fake.availability.lock().unwrap() = Err(AvailabilityError::UnknownQueue);
    assert_eq!(house.get(PATH).await.refusal(), (401, 1103), "no key");
    let other = Request::get(PATH).header("x-api-key", READ_ONLY_KEY).body(Body::empty()).unwrap();
    let answer = house.send(other).await;
    assert_eq!(
        (answer.refusal(), answer.message().as_str()),
        ((403, 403), "The API key lacks the scope availability-read.")
    );
    let answer = house.post(PATH, "{}").await;
    assert_eq!(answer.refusal(), (405, 405));
    assert!(answer.headers["allow"].starts_with("GET"), "{answer:?}");
    let typed = Request::get(PATH).header("x-api-key", KEY).header("content-type", "application/json");
    assert_eq!(
        house.send(typed.body(Body::empty()).unwrap()).await.refusal(),
        (400, 7040),
        "clients type empty bodies"
    );
}

#[tokio::test]
async fn long_answers_need_a_share_of_the_memory() {
    let limits = DoorLimits { body_memory_bytes: 40_000, ..DoorLimits::default() };
    let house = House::with(Side::External, settings(limits));
    for (slots, expected) in [(100, 200), (250, 200), (250, 200), (1_000, 503)] {
        *house.fake.availability.lock().unwrap() = Ok(free(slots));
        assert_eq!(ask(&house, PATH).await.status, expected, "{slots}");
    }
    assert_eq!(house.fake.count(|event| matches!(event, Event::OverShare { .. })), 1);
    // One that is given again is held by whoever gets it, and needs a share as well.
    let settings = house.fake.tenant.lock().unwrap().clone().unwrap();
    *house.fake.mark.lock().unwrap() = Some(Mark { settings, writes: 1, second: 1 });
    *house.fake.availability.lock().unwrap() = Ok(free(250));
    let slow: Vec<_> = [head(&house).await, head(&house).await].into_iter().collect();
    assert_eq!(slow.iter().map(|response| response.status().as_u16()).collect::<Vec<_>>(), [200, 503]);
    drop(slow);
    assert_eq!(head(&house).await.status(), 200, "the share came back");
}

#[tokio::test]
async fn a_long_answer_is_given_again_while_it_is_true() {
    let house = answering(1_000);
    let settings = house.fake.tenant.lock().unwrap().clone().unwrap();
    let mark = |writes| Mark { settings: settings.clone(), writes, second: 1_898_870_400 };
    let read = async |path: &str| {
        let answer = ask(&house, path).await;
        assert_eq!(
            (answer.status, answer.headers["content-length"].as_str()),
            (200, answer.text.len().to_string().as_str())
        );
        answer
    };
    let asked = || house.fake.asked.lock().unwrap().len();
    read(PATH).await;
    assert_eq!(asked(), 1);
    read(PATH).await;
    assert_eq!(asked(), 2, "nothing says that it is still true");
    *house.fake.mark.lock().unwrap() = Some(mark(1));
    let first = read(PATH).await;
    let again = read(&format!("{PATH}?_=1")).await;
    assert_eq!(asked(), 3, "the second was not asked about");
    assert_eq!(first.redacted(), again.redacted());
    assert_ne!(first.text, again.text, "each has its own correlation id");
    *house.fake.availability.lock().unwrap() = Ok(free(999));
    read(&format!("{PATH}?timezone=Asia/Tokyo")).await;
    assert_eq!(asked(), 4, "another question");
    *house.fake.mark.lock().unwrap() = Some(mark(2));
    let later = read(PATH).await;
    assert_eq!((asked(), later.json()["data"]["slots"].as_array().unwrap().len()), (5, 999));
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_asks() {
    let house = answering(1_000);
    let settings = house.fake.tenant.lock().unwrap().clone().unwrap();
    *house.fake.mark.lock().unwrap() = Some(Mark { settings, writes: 1, second: 1 });
    let plain = ask(&house, PATH).await;
    assert_eq!(plain.headers.get("content-encoding"), None);
    assert_eq!(plain.headers["vary"], "accept-encoding", "caches have to know");
    // The second one is given again.
    for asked in [2, 2] {
        let request = Request::get(PATH).header("x-api-key", KEY).header("accept-encoding", "deflate, gzip");
        let response = house.begin(request.body(Body::empty()).unwrap()).await;
        let headers = response.headers().clone();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(house.fake.asked.lock().unwrap().len(), asked);
        assert_eq!(headers["content-encoding"], "gzip");
        assert_eq!(headers["vary"], "accept-encoding");
        assert_eq!(headers["content-length"], body.len().to_string().as_str());
        assert!(body.len() * 10 < plain.text.len(), "{} of {}", body.len(), plain.text.len());
        let mut text = String::new();
        GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        let unpacked = Answer { status: 200, headers: plain.headers.clone(), text };
        assert_eq!(unpacked.redacted(), plain.redacted());
    }
    *house.fake.availability.lock().unwrap() = Ok(free(3));
    let request =
        Request::get(format!("{PATH}?maxTimeSlots=3")).header("x-api-key", KEY).header("accept-encoding", "gzip");
    let short = house.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((short.headers.get("content-encoding"), short.headers.get("vary")), (None, None));
    assert_eq!(short.json()["data"]["slots"].as_array().unwrap().len(), 3);
}

proptest! {
    #[test]
    fn no_question_breaks_the_door(path in "[a-z%0-9/]{0,12}", query in "[a-zA-Z=&%+0-9.:T-]{0,80}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let house = answering(3);
            let uri = format!("/engagement/v3/callbacks/availability/{path}?{query}");
            let Ok(request) = Request::get(uri).header("x-api-key", KEY).body(Body::empty()) else { return };
            let answer = house.send(request).await;
            assert!(matches!(answer.status, 200 | 400 | 404), "{answer:?}");
            assert_eq!(answer.json()["status"]["code"] == 0, answer.status == 200);
        });
    }
}
