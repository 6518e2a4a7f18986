//! Bookings: what is read, what is refused, and with which words.

use axum::body::Body;
use domain::callback::{NewCallback, OfferType, Options, PushTarget};
use domain::captcha::TokenRefusal;
use domain::number_rules::NumberRefusal;
use domain::numbers::Region;
use domain::ports::{SubmitError, Unserved};

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, CREATE, House, at, post};

const MINIMAL: &str = r#""serviceName":"support","phoneNumber":"+14165550101""#;

fn with(members: &str) -> String {
    format!("{{{MINIMAL},{members}}}")
}

async fn booked(body: String) -> NewCallback {
    let house = House::new(Side::External);
    let answer = house.post(CREATE, body.clone()).await;
    assert_eq!(answer.status, 200, "{body}: {answer:?}");
    house.fake.booked.lock().unwrap().remove(0)
}

#[tokio::test]
async fn the_least_that_can_be_booked() {
    let expected = NewCallback {
        service_name: "support".into(),
        phone_number: "+14165550101".into(),
        desired_time: None,
        always_check_capacity: false,
        user_data: None,
        options: Options::default(),
        idempotency: None,
        counted_headers: Vec::new(),
        captcha: None,
        hold: None,
    };
    assert_eq!(booked(format!("{{{MINIMAL}}}")).await, expected);
    let nulls = r#""desiredTime":null,"cbOfferType":null,"userData":null,"priority":null,"pushTargets":null,
                   "alwaysCheckCapacity":null,"channel":"","userdata":{"a":1},"unknown":[{"deep":[]}]"#;
    assert_eq!(booked(with(nulls)).await, expected);
}

#[tokio::test]
async fn everything_that_can_be_said() {
    let new = booked(with(
        r#""desiredTime":"2030-03-04T10:30:00.000-05:00","cbOfferType":"COMBINED_SCHEDULED_AND_ASAP","language":"en-UK",
           "inboundVQ":"VQ_in","offerThreshold":1.53E+2,"channel":"web","offerTiming":"ON-HOURS",
           "cbOriginationIxnId":"ixn","surveyRP":"RP1","priority":7.0,"routePoint":"RP2","captchaToken":"t",
           "userData":{"topic":"billing","tier":2,"not-kept":1},"alwaysCheckCapacity":true,
           "pushTargets":[{"channel":"FCM","target":"token"}]"#,
    ))
    .await;
    let target = PushTarget { channel: "FCM".into(), target: "token".into() };
    assert_eq!(new.desired_time, Some(at("2030-03-04T15:30:00.000Z")));
    assert!(new.always_check_capacity);
    assert_eq!(new.captcha.as_ref().map(|token| token.text.reveal()), Some("t"));
    assert!(!format!("{new:?}").contains("\"t\""), "tokens do not print");
    assert_eq!(new.user_data.as_deref(), Some(r#"{"topic":"billing","tier":2}"#));
    assert_eq!(
        new.options,
        Options {
            cb_offer_type: Some(OfferType::CombinedScheduledAndAsap),
            language: Some("en-UK".into()),
            inbound_vq: Some("VQ_in".into()),
            offer_threshold: Some(153.0),
            channel: Some("web".into()),
            offer_timing: Some("ON-HOURS".into()),
            cb_origination_ixn_id: Some("ixn".into()),
            survey_rp: Some("RP1".into()),
            priority: Some(7.0),
            route_point: Some("RP2".into()),
            push_targets: vec![target],
        }
    );
}

#[tokio::test]
async fn what_old_clients_send_is_understood() {
    // The prose default of both generated clients, with the language that rides along.
    let prose = r#""cbOfferType":"ASAP or SCHEDULED. Default is ASAP if no desiredTime","language":"en-US""#;
    assert_eq!(booked(with(prose)).await.options, Options::default());
    let unspecified = r#""offerTiming":"<unspecified>","cbOriginationIxnId":"<unspecified>""#;
    assert_eq!(booked(with(unspecified)).await.options, Options::default());
    assert_eq!(booked(with(r#""userData":"{}""#)).await.user_data, None);
    let text = r#""userData":"{\"a\": 1}""#;
    assert_eq!(booked(with(text)).await.user_data.as_deref(), Some(r#"{"a":1}"#));
    let legacy = booked(with(r#""pushChannel":"FCM","pushTarget":"token""#)).await.options.push_targets;
    assert_eq!(legacy, [PushTarget { channel: "FCM".into(), target: "token".into() }]);
    let both = r#""pushChannel":"old","pushTarget":"old","pushTargets":[]"#;
    assert_eq!(booked(with(both)).await.options.push_targets, []);
    let repeated = booked(with(r#""phoneNumber":1,"phoneNumber":"+14165550102""#)).await;
    assert_eq!(repeated.phone_number, "+14165550102");
}

#[tokio::test]
async fn a_booking_that_breaks_a_rule_of_form_is_told_which() {
    let house = House::new(Side::External);
    let long = |field: &str, length: usize| with(&format!(r#""{field}":"{}""#, "é".repeat(length)));
    let targets = |count: usize| {
        let list = vec![r#"{"channel":"FCM","target":"t"}"#; count].join(",");
        with(&format!(r#""pushTargets":[{list}]"#))
    };
    let deep = with(&format!(r#""userData":{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200)));
    for (body, message) in [
        ("{".to_owned(), "The body is not valid JSON, or nested too deeply, at line 1, column 1."),
        (r#"{"a":1} x"#.to_owned(), "The body is not valid JSON, or nested too deeply, at line 1, column 9."),
        (r#""{}""#.to_owned(), "The body must be a JSON object."),
        ("null".to_owned(), "The body must be a JSON object."),
        (r#"{"phoneNumber":"1"}"#.to_owned(), "serviceName is required."),
        (r#"{"serviceName":"s"}"#.to_owned(), "phoneNumber is required."),
        (r#"{"serviceName":"","phoneNumber":"1"}"#.to_owned(), "serviceName must not be empty."),
        (r#"{"serviceName":["s"],"phoneNumber":"1"}"#.to_owned(), "serviceName must be a string."),
        (r#"{"serviceName":"s","phoneNumber":14165550101}"#.to_owned(), "phoneNumber must be a string."),
        (
            r#"{"serviceName":"s","phoneNumber":"\u0000"}"#.to_owned(),
            "phoneNumber must not contain the character U+0000.",
        ),
        (long("serviceName", 256), "serviceName must have at most 255 characters."),
        (long("phoneNumber", 65), "phoneNumber must have at most 64 characters."),
        (long("language", 36), "language must have at most 35 characters."),
        (long("channel", 256), "channel must have at most 255 characters."),
        (with(r#""desiredTime":"tomorrow""#), TIME_RULE),
        (with(r#""desiredTime":"""#), TIME_RULE),
        (with(r#""desiredTime":1898870400000"#), TIME_RULE),
        (with(r#""cbOfferType":1"#), "cbOfferType must be a string."),
        (with(r#""priority":"7""#), "priority must be a number."),
        (with(r#""priority":1e10"#), "priority must be a number between -1000000000 and 1000000000."),
        (with(r#""offerThreshold":true"#), "offerThreshold must be a number."),
        (with(r#""alwaysCheckCapacity":"false""#), "alwaysCheckCapacity must be true or false."),
        (with(r#""alwaysCheckCapacity":0"#), "alwaysCheckCapacity must be true or false."),
        (with(r#""userData":[]"#), "userData must be a JSON object, or the JSON text of one."),
        (with(r#""userData":"[]""#), "userData must be a JSON object, or the JSON text of one."),
        (with(r#""userData":"""#), "userData must be a JSON object, or the JSON text of one."),
        (with(r#""userData":{"a":["\u0000"]}"#), "userData must not contain the character U+0000."),
        (with(r#""pushTargets":{}"#), "pushTargets must be an array of objects with channel and target."),
        (with(r#""pushTargets":[1]"#), "pushTargets must be an array of objects with channel and target."),
        (with(r#""pushTargets":[{"channel":"FCM"}]"#), "pushTargets.target is required."),
        (with(r#""pushTargets":[{"channel":"SMS","target":"t"}]"#), "pushTargets.channel must be FCM or HTTP."),
        (with(r#""pushTarget":"t""#), "pushChannel is required."),
        (targets(11), "pushTargets must have at most 10 entries."),
    ] {
        let answer = house.post(CREATE, body.clone()).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), message), "{body}");
    }
    let answer = house.post(CREATE, deep).await;
    assert_eq!(answer.refusal(), (400, 501));
    assert_eq!(house.post(CREATE, vec![b'{', b'"', 0xff, b'"']).await.refusal(), (400, 501));
    assert!(house.fake.booked.lock().unwrap().is_empty(), "nothing malformed reaches the desk");
    assert_eq!(house.post(CREATE, targets(10)).await.status, 200);
}

const TIME_RULE: &str = "desiredTime must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z.";

#[tokio::test]
async fn every_refusal_of_the_desk_has_its_status_and_code() {
    let house = House::new(Side::External);
    let latest = at("2030-03-04T15:30:00.000Z");
    for (error, expected, message) in [
        (SubmitError::UnknownQueue, (400, 7040), "serviceName names no configured service."),
        (SubmitError::CaptchaMissing, (400, 501), "captchaToken is required."),
        (SubmitError::CaptchaRefused(TokenRefusal::LowScore), (400, 501), "captchaToken has too low a score."),
        (SubmitError::CaptchaRefused(TokenRefusal::Used), (400, 501), "captchaToken was used before."),
        (SubmitError::CaptchaUnavailable, (503, 500), "captchaToken cannot be checked just now; nothing was done."),
        (SubmitError::ImmediateDisabled, (400, 7040), "The service is not configured for immediate callbacks."),
        (SubmitError::ScheduledDisabled, (400, 7040), "The service is not configured for scheduled callbacks."),
        (
            SubmitError::PushTargetsRequired,
            (400, 501),
            "pushTargets is required: customers of this service are told when to call.",
        ),
        (
            SubmitError::UnknownPushEndpoint,
            (400, 501),
            "pushTargets.target must begin with the name of a configured endpoint for channel HTTP.",
        ),
        (SubmitError::NotANumber, (400, 7030), "phoneNumber is not a valid number."),
        (SubmitError::ImpossibleNumber, (400, 7036), "phoneNumber is not a number that can be called."),
        (
            SubmitError::NumberNotAllowed { rule: NumberRefusal::Premium },
            (400, 7037),
            "Premium-rate numbers are not called.",
        ),
        (
            SubmitError::NumberNotAllowed { rule: NumberRefusal::CountryNotPermitted { country: Region::US } },
            (400, 7037),
            "Numbers of the country of phoneNumber are not called.",
        ),
        (
            SubmitError::NumberNotAllowed { rule: NumberRefusal::CountryUnknown },
            (400, 7037),
            "The country of phoneNumber cannot be determined, so it is not called.",
        ),
        (
            SubmitError::NumberNotAllowed {
                rule: NumberRefusal::Blocked { country: Region::US, pattern: "416*".to_owned() },
            },
            (400, 7037),
            "phoneNumber is not called.",
        ),
        (
            SubmitError::TooFarAhead { latest, max_ahead_days: 3 },
            (400, 501),
            "desiredTime is too far ahead: maxAheadDays is 3, and the latest that can be booked is \
             2030-03-04T15:30:00.000Z.",
        ),
        (SubmitError::Closed { next_opening: None }, (400, 7042), "The office is closed at desiredTime."),
        (SubmitError::Paused, (400, 7040), "The service takes no callbacks for the time being; it is paused."),
        (
            SubmitError::TooSoon { earliest: latest, lead_seconds: 900 },
            (400, 501),
            "desiredTime is too soon: minLeadSeconds is 900, and the earliest that can be booked is \
             2030-03-04T15:30:00.000Z.",
        ),
        (
            SubmitError::ClosesSoon { closes_at: latest, blackout_seconds: 600 },
            (400, 7042),
            "The office closes at 2030-03-04T15:30:00.000Z, and takes no immediate callbacks in the last 600 s before \
             (immediateBlackoutSeconds).",
        ),
        (
            SubmitError::Closed { next_opening: Some(latest) },
            (400, 7042),
            "The office is closed at desiredTime; it opens next at 2030-03-04T15:30:00.000Z.",
        ),
        (SubmitError::KeyReused, (422, 422), "Idempotency-Key was used before with another request body."),
        (SubmitError::Unserved(Unserved::NotFound), (404, 404), "Callback not found."),
        (SubmitError::Unserved(Unserved::Busy), (503, 500), "The service cannot take this now; nothing was done."),
        (
            SubmitError::Unserved(Unserved::Perhaps),
            (500, 500),
            "It is not known whether the callback was booked; with an Idempotency-Key the request could be repeated \
             safely.",
        ),
    ] {
        *house.fake.submit.lock().unwrap() = Err(error.clone());
        let answer = house.post(CREATE, format!("{{{MINIMAL}}}")).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), (expected, message), "{error:?}");
        assert_eq!(answer.headers.contains_key("retry-after"), expected.0 == 503, "{error:?}");
        assert!(answer.json().get("data").is_none(), "{error:?}");
    }
}

#[tokio::test]
async fn a_full_slot_proposes_others() {
    let house = House::new(Side::External);
    let proposals = vec![(at("2030-03-04T16:00:00.000Z"), 3), (at("2030-03-04T16:30:00.000Z"), 5)];
    *house.fake.submit.lock().unwrap() = Err(SubmitError::SlotFull { proposals });
    let answer = house.post(CREATE, format!("{{{MINIMAL}}}")).await;
    assert_eq!(answer.refusal(), (429, 7043));
    assert!(!answer.headers.contains_key("retry-after"));
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":7043,"message":"No capacity is left at the requested time.","corrId":"[uuid]"},"data":{"slots":{"2030-03-04T16:00:00.000Z":"3","2030-03-04T16:30:00.000Z":"5"}}}"#
    );
    let request = post(CREATE).header("accept", "application/problem+json");
    let answer = house.send(request.body(Body::from(format!("{{{MINIMAL}}}"))).unwrap()).await;
    assert_eq!(answer.json()["slots"]["2030-03-04T16:30:00.000Z"], "5");
}

#[tokio::test]
async fn a_slot_that_would_hardly_serve_proposes_others() {
    let house = House::new(Side::External);
    *house.fake.submit.lock().unwrap() = Err(SubmitError::SlotUnlikely {
        wait_seconds: 3_600,
        slot_end: at("2030-03-04T15:30:00.000Z"),
        first: at("2030-03-04T16:00:00.000Z"),
        proposals: vec![(at("2030-03-04T16:00:00.000Z"), 3)],
    });
    let answer = house.post(CREATE, with(r#""alwaysCheckCapacity":true"#)).await;
    assert_eq!(answer.refusal(), (429, 7043));
    assert!(!answer.headers.contains_key("retry-after"));
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":7043,"message":"The callback would hardly be served in its slot (alwaysCheckCapacity): the expected wait is 3600 s, and the slot ends at 2030-03-04T15:30:00.000Z.","corrId":"[uuid]"},"data":{"slots":{"2030-03-04T16:00:00.000Z":"3"}}}"#
    );
}

async fn keyed(house: &House, key: &[u8], body: &str) -> Answer {
    let request = post(CREATE).header("Idempotency-Key", key).body(Body::from(body.to_owned())).unwrap();
    house.send(request).await
}

#[tokio::test]
async fn an_idempotency_key_goes_in_as_two_hashes() {
    let house = House::new(Side::External);
    let (body, other) = (format!("{{{MINIMAL}}}"), with(r#""channel":"web""#));
    for (key, body) in [("key-1", &body), ("key-1", &body), ("key-1", &other), ("key-2", &body)] {
        assert_eq!(keyed(&house, key.as_bytes(), body).await.status, 200);
    }
    let booked = house.fake.booked.lock().unwrap();
    let kept: Vec<_> = booked.iter().map(|new| new.idempotency.unwrap()).collect();
    let [first, again, changed, renamed] = kept[..] else { panic!("{kept:?}") };
    assert_eq!(first, again);
    assert!(changed.key == first.key && changed.body != first.body);
    assert!(renamed.key != first.key && renamed.body == first.body);
}

#[tokio::test]
async fn an_idempotency_key_has_a_form() {
    let house = House::new(Side::External);
    let body = format!("{{{MINIMAL}}}");
    let long = "k".repeat(256);
    for key in [b"".as_slice(), b"a b", b"\xc3\xa9", long.as_bytes()] {
        let answer = keyed(&house, key, &body).await;
        assert_eq!(answer.refusal(), (400, 501), "{key:?}");
        assert_eq!(answer.message(), "Idempotency-Key must have 1 to 255 visible ASCII characters.");
    }
    assert_eq!(keyed(&house, &[b'~'; 255], &body).await.status, 200);
    *house.fake.submit.lock().unwrap() = Err(SubmitError::Unserved(Unserved::Perhaps));
    let answer = keyed(&house, b"key", &body).await;
    assert_eq!((answer.refusal(), answer.headers["retry-after"].as_str()), ((503, 500), "1"));
}
