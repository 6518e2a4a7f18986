//! Call-ins: what is read, what is refused, and how it is answered, outside and inside.

use axum::body::Body;
use domain::call_in::{CallIn, Criteria, Criterion, Presented, State};
use domain::ids::{CallInGroupName, TenantId};
use domain::ports::{
    CallInCancelError, CallInError, CallInListError, CallInOrder, CallInPage, CallInQuery, IncomingCall, MatchError,
    Matched, NewCallIn, Unserved, Won,
};
use http::Request;
use proptest::prelude::*;

use crate::front_door::router::Side;
use crate::front_door::testing::call_in::{CALL_IN, call_in, call_in_id};
use crate::front_door::testing::{Answer, House, ID, READ_ONLY_KEY, at, id, post};

const OPEN: &str = "/engagement/v3/call-in/requests/create";
const MATCH: &str = "/ges/v1/call-in/match";
const LIST: &str = "/ges/v1/call-in/requests";

fn cancel() -> String {
    format!("{LIST}/{CALL_IN}/cancel")
}

async fn inside(house: &House, method: &str, path: &str, body: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("ContactCenterID", "demo");
    house.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn opened(body: &str) -> NewCallIn {
    let house = House::new(Side::External);
    let answer = house.post(OPEN, body.to_owned()).await;
    assert_eq!(answer.status, 200, "{body}: {answer:?}");
    house.fake.call_in.opened.lock().unwrap().remove(0)
}

#[tokio::test]
async fn a_request_is_read_as_clients_send_it() {
    let least = NewCallIn {
        group_name: "mobile".into(),
        from_phone_number: None,
        user_data: None,
        callback: None,
        idempotency: None,
    };
    assert_eq!(opened(r#"{"groupName":"mobile"}"#).await, least);
    let nulls = r#"{"groupName":"mobile","fromPhoneNumber":null,"userData":null,"callbackServiceId":null,"x":[{}]}"#;
    assert_eq!(opened(nulls).await, least);
    // Members that are not said come as empty texts from some clients, and user data as text.
    let empty = r#"{"groupName":"mobile","fromPhoneNumber":"","userData":"{}","callbackServiceId":""}"#;
    assert_eq!(opened(empty).await, least);
    let full = format!(
        r#"{{"groupName":"mobile","fromPhoneNumber":"(416) 555-0101","callbackServiceId":"{ID}",
            "userData":{{"page":"checkout","no-name":1}}}}"#
    );
    let expected = NewCallIn {
        from_phone_number: Some("(416) 555-0101".into()),
        user_data: Some(r#"{"page":"checkout"}"#.into()),
        callback: Some(id()),
        ..least
    };
    assert_eq!(opened(&full).await, expected);
}

#[tokio::test]
async fn the_answer_leaves_out_what_is_not_there() {
    let house = House::new(Side::External);
    let answer = house.post(OPEN, r#"{"groupName":"mobile"}"#).await;
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"id":"0192f0a0-0000-7000-8000-0000000000aa","toPhoneNumber":"+18005550199","groupName":"mobile","expirationTime":1898870400000,"accessCode":482913,"fromPhoneNumber":"+14165550101","callbackServiceId":"0192f0a0-0000-7000-8000-000000000001"}}"#
    );
    *house.fake.call_in.open.lock().unwrap() = Ok(CallIn { code: None, caller: None, callback: None, ..call_in() });
    let answer = house.post(OPEN, r#"{"groupName":"mobile"}"#).await;
    insta::assert_snapshot!(
        answer.json()["data"].to_string(),
        @r#"{"expirationTime":1898870400000,"groupName":"mobile","id":"0192f0a0-0000-7000-8000-0000000000aa","toPhoneNumber":"+18005550199"}"#
    );
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_of_form_is_told_which() {
    let house = House::new(Side::External);
    let long = |field: &str, length: usize| format!(r#"{{"groupName":"m","{field}":"{}"}}"#, "é".repeat(length));
    for (body, message) in [
        ("{}".to_owned(), "groupName is required."),
        (r#"{"groupName":""}"#.to_owned(), "groupName must not be empty."),
        (r#"{"groupName":7}"#.to_owned(), "groupName must be a string."),
        (long("groupName", 256), "groupName must have at most 255 characters."),
        (long("fromPhoneNumber", 65), "fromPhoneNumber must have at most 64 characters."),
        (r#"{"groupName":"m","fromPhoneNumber":14165550101}"#.to_owned(), "fromPhoneNumber must be a string."),
        (
            r#"{"groupName":"m","callbackServiceId":"x"}"#.to_owned(),
            "callbackServiceId must be a UUID in the form 8-4-4-4-12.",
        ),
        (r#"{"groupName":"m","callbackServiceId":7}"#.to_owned(), "callbackServiceId must be a string."),
        (r#"{"groupName":"m","userData":[]}"#.to_owned(), "userData must be a JSON object, or the JSON text of one."),
        (
            r#"{"groupName":"m","userData":{"a":"\u0000"}}"#.to_owned(),
            "userData must not contain the character U+0000.",
        ),
    ] {
        let answer = house.post(OPEN, body.clone()).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), message), "{body}");
    }
    assert!(house.fake.call_in.opened.lock().unwrap().is_empty(), "nothing malformed reaches the desk");
}

#[tokio::test]
async fn every_refusal_of_the_desk_has_its_status_and_code() {
    let house = House::new(Side::External);
    for (error, expected, message) in [
        (CallInError::UnknownGroup, (400, 7040), "groupName names no configured call-in group."),
        (CallInError::NotANumber, (400, 7030), "fromPhoneNumber is not a valid number."),
        (CallInError::ImpossibleNumber, (400, 7036), "fromPhoneNumber is not a number that can call."),
        (CallInError::UnknownCallback, (400, 501), "callbackServiceId names no callback."),
        (
            CallInError::NothingFree,
            (500, 500),
            "No access number and code of the group is free; it can be tried again once an open request has ended.",
        ),
        (CallInError::KeyReused, (422, 422), "Idempotency-Key was used before with another request body."),
        (CallInError::Unserved(Unserved::NotFound), (404, 404), "Call-in request not found."),
        (CallInError::Unserved(Unserved::Busy), (503, 500), "The service cannot take this now; nothing was done."),
        (
            CallInError::Unserved(Unserved::Perhaps),
            (500, 500),
            "It is not known whether the request was opened; with an Idempotency-Key it could be repeated safely.",
        ),
    ] {
        *house.fake.call_in.open.lock().unwrap() = Err(error.clone());
        let answer = house.post(OPEN, r#"{"groupName":"mobile"}"#).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), (expected, message), "{error:?}");
        assert_eq!(answer.headers.contains_key("retry-after"), expected.0 == 503, "{error:?}");
    }
    // Under a key the same doubt is an invitation.
    let keyed = post(OPEN).header("Idempotency-Key", "k").body(Body::from(r#"{"groupName":"mobile"}"#)).unwrap();
    assert_eq!(house.send(keyed).await.refusal(), (503, 500));
}

#[tokio::test]
async fn opening_needs_its_own_scope() {
    let house = House::new(Side::External);
    let request = Request::post(OPEN).header("x-api-key", READ_ONLY_KEY).body(Body::from("{}")).unwrap();
    assert_eq!(house.send(request).await.refusal(), (403, 403));
    let request = Request::post(OPEN).body(Body::from("{}")).unwrap();
    assert_eq!(house.send(request).await.refusal(), (401, 1103));
    for path in [MATCH, LIST, &cancel()] {
        assert_eq!(house.post(path, "{}").await.refusal(), (404, 404), "outside there is no {path}");
    }
}

#[tokio::test]
async fn a_call_is_read_as_flows_send_it() {
    let house = House::new(Side::Internal);
    let none = IncomingCall::default();
    let code = |access_code| IncomingCall { access_code, ..IncomingCall::default() };
    for (body, expected) in [
        (r#"{"accessCode":"482913"}"#, code(Presented::Value(482_913))),
        (r#"{"accessCode":482913}"#, code(Presented::Value(482_913))),
        (r#"{"accessCode":4.82913E+5}"#, code(Presented::Value(482_913))),
        (r#"{"accessCode":"048291"}"#, code(Presented::Unreadable)),
        (r#"{"accessCode":"12"}"#, code(Presented::Unreadable)),
        (r#"{"accessCode":"1234567890"}"#, code(Presented::Unreadable)),
        (r##"{"accessCode":"123#"}"##, code(Presented::Unreadable)),
        (r#"{"accessCode":-123}"#, code(Presented::Unreadable)),
        (r#"{"accessCode":123.5}"#, code(Presented::Unreadable)),
        (r#"{"accessCode":"","ani":"anonymous"}"#, IncomingCall { ani: Some("anonymous".into()), ..none.clone() }),
        (
            r#"{"groupName":"mobile","ani":"+14165550101","dnis":"8005550199","callUuid":"x"}"#,
            IncomingCall {
                group_name: Some("mobile".into()),
                ani: Some("+14165550101".into()),
                dnis: Some("8005550199".into()),
                ..none.clone()
            },
        ),
    ] {
        assert_eq!(inside(&house, "POST", MATCH, body).await.status, 200, "{body}");
        let asked = house.fake.call_in.calls.lock().unwrap().pop().unwrap();
        assert_eq!(asked, (TenantId::from_name("demo"), expected), "{body}");
    }
    for (body, message) in [
        ("{}", "accessCode, ani or dnis is required."),
        (r#"{"groupName":"mobile"}"#, "accessCode, ani or dnis is required."),
        (r#"{"accessCode":true}"#, "accessCode must be a string."),
        (r#"{"accessCode":[1]}"#, "accessCode must be a string."),
        (r#"{"ani":14165550101}"#, "ani must be a string."),
    ] {
        let answer = inside(&house, "POST", MATCH, body).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), message), "{body}");
    }
    assert!(house.fake.call_in.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_match_says_what_fitted_and_hands_out_the_user_data() {
    let house = House::new(Side::Internal);
    let body = r#"{"accessCode":"482913","dnis":"+18005550199"}"#;
    let criteria: Criteria = [Criterion::AccessCode, Criterion::Dnis].into_iter().collect();
    let matched = CallIn { state: State::Matched, criteria, ended_at: Some(at("2030-03-04T15:56:00Z")), ..call_in() };
    let won = Won { call_in: matched, user_data: Some(r#"{"page":"checkout","n":1.50}"#.into()) };
    *house.fake.call_in.matched.lock().unwrap() = Ok(Matched::Won(Box::new(won)));
    let answer = inside(&house, "POST", MATCH, body).await;
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"matched":true,"criteria":["accessCode","dnis"],"callIn":{"id":"0192f0a0-0000-7000-8000-0000000000aa","state":"MATCHED","groupName":"mobile","toPhoneNumber":"+18005550199","fromPhoneNumber":"+14165550101","callbackServiceId":"0192f0a0-0000-7000-8000-000000000001","createdAt":"2030-03-04T15:55:00.000Z","expiresAt":"2030-03-04T16:00:00.000Z","endedAt":"2030-03-04T15:56:00.000Z","criteria":["accessCode","dnis"]},"userData":{"page":"checkout","n":1.50}}}"#
    );
    for (fitting, expected) in [
        (Criteria::NONE, r#"{"criteria":[],"matched":false}"#),
        ([Criterion::Dnis].into_iter().collect(), r#"{"criteria":["dnis"],"matched":false}"#),
    ] {
        *house.fake.call_in.matched.lock().unwrap() = Ok(Matched::Nobody(fitting));
        assert_eq!(inside(&house, "POST", MATCH, body).await.json()["data"].to_string(), expected);
    }
    for (error, expected) in [
        (MatchError::UnknownGroup, (400, 7040)),
        (MatchError::KeyReused, (422, 422)),
        (MatchError::Unserved(Unserved::Busy), (503, 500)),
        (MatchError::Unserved(Unserved::Perhaps), (500, 500)),
    ] {
        *house.fake.call_in.matched.lock().unwrap() = Err(error.clone());
        assert_eq!(inside(&house, "POST", MATCH, body).await.refusal(), expected, "{error:?}");
    }
    *house.fake.call_in.matched.lock().unwrap() = Err(MatchError::Unserved(Unserved::Perhaps));
    let keyed = post(MATCH).header("ContactCenterID", "demo").header("Idempotency-Key", "call-7");
    assert_eq!(house.send(keyed.body(Body::from(body)).unwrap()).await.refusal(), (503, 500), "under a key it may");
}

#[tokio::test]
async fn a_key_goes_along_with_requests_and_matches() {
    let house = House::new(Side::Internal);
    let keyed = |path: &str, body: &'static str| {
        let head = post(path).header("ContactCenterID", "demo").header("Idempotency-Key", "call-7");
        head.body(Body::from(body)).unwrap()
    };
    assert_eq!(house.send(keyed(OPEN, r#"{"groupName":"mobile"}"#)).await.status, 200);
    assert_eq!(house.send(keyed(MATCH, r#"{"accessCode":"482913"}"#)).await.status, 200);
    let opened = house.fake.call_in.opened.lock().unwrap()[0].idempotency.unwrap();
    let matched = house.fake.call_in.calls.lock().unwrap()[0].1.idempotency.unwrap();
    assert!(opened.key == matched.key && opened.body != matched.body);
    let bad = post(MATCH).header("ContactCenterID", "demo").header("Idempotency-Key", "a b");
    let answer = house.send(bad.body(Body::from(r#"{"accessCode":"482913"}"#)).unwrap()).await;
    assert_eq!(answer.refusal(), (400, 501));
}

#[tokio::test]
async fn a_list_is_asked_with_filters_and_pages() {
    let house = House::new(Side::Internal);
    let usual = CallInQuery {
        state: None,
        group: None,
        caller: None,
        order: CallInOrder::NewestFirst,
        after: None,
        limit: 100,
    };
    let full = CallInQuery {
        state: Some(State::Expired),
        group: Some(CallInGroupName::new("a b").unwrap()),
        order: CallInOrder::OldestFirst,
        after: Some(call_in_id()),
        limit: 7,
        ..usual.clone()
    };
    let asked = format!("?state=EXPIRED&group=a%20b&sort=created&cursor={CALL_IN}&limit=7.0&ani=%2B14165550101&_=1");
    for (query, expected) in [
        ("", (None, usual.clone())),
        ("?state=&group=&limit=", (None, usual.clone())),
        ("?sort=-created", (None, usual)),
        (asked.as_str(), (Some("+14165550101".to_owned()), full)),
    ] {
        let answer = inside(&house, "GET", &format!("{LIST}{query}"), "").await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        assert_eq!(house.fake.call_in.queries.lock().unwrap().pop().unwrap(), expected, "{query}");
    }
    for (query, message) in [
        ("state=OPEN", "state must be one of WAITING, MATCHED, EXPIRED, CANCELLED."),
        ("sort=ani", "sort must be created or -created."),
        ("cursor=7", "cursor must be a UUID in the form 8-4-4-4-12."),
        ("limit=0", "limit must be a whole number between 1 and 1000."),
        ("limit=1001", "limit must be a whole number between 1 and 1000."),
        ("limit=ten", "limit must be a whole number."),
        ("group=a%0Ab", "group must not contain control characters."),
    ] {
        let answer = inside(&house, "GET", &format!("{LIST}?{query}"), "").await;
        assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), message), "{query}");
    }
}

#[tokio::test]
async fn a_list_shows_neither_codes_nor_user_data() {
    let house = House::new(Side::Internal);
    let page = CallInPage {
        call_ins: vec![call_in(), CallIn { state: State::Expired, caller: None, callback: None, ..call_in() }],
        next: Some(call_in_id()),
        total: 7,
        total_is_complete: false,
    };
    *house.fake.call_in.list.lock().unwrap() = Ok(page);
    let answer = inside(&house, "GET", LIST, "").await;
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"requests":[{"id":"0192f0a0-0000-7000-8000-0000000000aa","state":"WAITING","groupName":"mobile","toPhoneNumber":"+18005550199","fromPhoneNumber":"+14165550101","callbackServiceId":"0192f0a0-0000-7000-8000-000000000001","createdAt":"2030-03-04T15:55:00.000Z","expiresAt":"2030-03-04T16:00:00.000Z"},{"id":"0192f0a0-0000-7000-8000-0000000000aa","state":"EXPIRED","groupName":"mobile","toPhoneNumber":"+18005550199","createdAt":"2030-03-04T15:55:00.000Z","expiresAt":"2030-03-04T16:00:00.000Z"}],"total":7,"totalIsComplete":false,"nextCursor":"0192f0a0-0000-7000-8000-0000000000aa"}}"#
    );
    for (error, expected) in
        [(CallInListError::NotANumber, (400, 501)), (CallInListError::Unserved(Unserved::Busy), (503, 500))]
    {
        *house.fake.call_in.list.lock().unwrap() = Err(error.clone());
        assert_eq!(inside(&house, "GET", LIST, "").await.refusal(), expected, "{error:?}");
    }
}

#[tokio::test]
async fn a_cancel_echoes_the_id_or_says_why_not() {
    let house = House::new(Side::Internal);
    assert_eq!(inside(&house, "POST", &cancel(), "").await.json()["data"]["id"], CALL_IN);
    for (error, expected) in [
        (CallInCancelError::NotWaiting(State::Matched), (409, 409)),
        (CallInCancelError::Unserved(Unserved::NotFound), (404, 404)),
        (CallInCancelError::Unserved(Unserved::Busy), (503, 500)),
    ] {
        *house.fake.call_in.cancel.lock().unwrap() = Err(error.clone());
        assert_eq!(inside(&house, "POST", &cancel(), "").await.refusal(), expected, "{error:?}");
    }
    let answer = inside(&house, "POST", &format!("{LIST}/7/cancel"), "").await;
    assert_eq!(answer.message(), "The id in the path must be a UUID in the form 8-4-4-4-12.");
}

proptest! {
    /// Any values at all: never a 5xx, always the envelope, and nothing that a store would refuse.
    #[test]
    fn no_body_breaks_the_door(members in prop::collection::vec((prop::sample::select(&MEMBERS[..]), value()), 0..8)) {
        let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let body = format!("{{{}}}", members.join(","));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let house = House::new(Side::Internal);
            for path in [OPEN, MATCH, &format!("/ges/v1/callbacks/{ID}/user-data")] {
                let request = post(path).header("ContactCenterID", "demo").body(Body::from(body.clone())).unwrap();
                let answer = house.send(request).await;
                assert!(answer.status == 200 || answer.refusal() == (400, 501), "{path} {body}: {answer:?}");
            }
            let kept = house.fake.call_in.opened.lock().unwrap();
            assert!(!format!("{kept:?}").contains("\\0"));
            for text in house.fake.call_in.attached.lock().unwrap().iter() {
                assert!(domain::user_data::attach(None, text).is_ok(), "{text}");
            }
        });
    }
}

const MEMBERS: [&str; 8] =
    ["groupName", "fromPhoneNumber", "userData", "callbackServiceId", "accessCode", "ani", "dnis", "x"];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just(r#"{"a":{"b":["}"]},"c d":1}"#.to_owned()),
        Just(format!("\"{ID}\"")),
        any::<bool>().prop_map(|it| it.to_string()),
        any::<i64>().prop_map(|it| it.to_string()),
        any::<f64>().prop_filter("JSON has no others", |it| it.is_finite()).prop_map(|it| format!("{it:e}")),
        any::<String>().prop_map(|it| serde_json::to_string(&it).unwrap()),
        "[0-9]{0,12}".prop_map(|it| format!("\"{it}\"")),
    ]
}

#[tokio::test]
async fn the_tenant_must_be_named() {
    let house = House::new(Side::Internal);
    for (method, path) in [("POST", MATCH), ("GET", LIST), ("POST", &cancel())] {
        for (tenant, expected) in [("", (400, 501)), ("nobody", (404, 404))] {
            let request = Request::builder().method(method).uri(path).header("ContactCenterID", tenant);
            let answer = house.send(request.body(Body::from(r#"{"ani":"1"}"#)).unwrap()).await;
            assert_eq!(answer.refusal(), expected, "{method} {path}");
        }
    }
}
