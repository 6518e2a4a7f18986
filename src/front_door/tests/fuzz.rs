//! Any bytes at all: never a 5xx, always the envelope.

use proptest::prelude::*;

use crate::front_door::engagement::statistics::PATH as STATISTICS;
use crate::front_door::router::Side;
use crate::front_door::testing::{CANCEL, CREATE, House, ID};
use crate::front_door::tests::moves::{HOLDS, RECREATE, RESCHEDULE};

const NAMES: [&str; 27] = [
    "serviceName",
    "phoneNumber",
    "desiredTime",
    "cbOfferType",
    "language",
    "inboundVQ",
    "offerThreshold",
    "channel",
    "offerTiming",
    "cbOriginationIxnId",
    "surveyRP",
    "priority",
    "routePoint",
    "userData",
    "captchaToken",
    "pushTargets",
    "pushChannel",
    "pushTarget",
    "alwaysCheckCapacity",
    "holdId",
    "id",
    "target",
    "x",
    "data",
    "statistics",
    "objectId",
    "objectType",
];

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        any::<i64>().prop_map(|it| it.to_string()),
        any::<f64>().prop_filter("JSON has no others", |it| it.is_finite()).prop_map(|it| format!("{it:e}")),
        any::<String>().prop_map(|it| serde_json::to_string(&it).unwrap()),
        Just(r#""FCM""#.to_owned()),
        Just(r#""{\"a\":{}}""#.to_owned()),
        Just(r#""2030-03-04T15:30:00.000Z""#.to_owned()),
        Just(format!("\"{ID}\"")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((prop::sample::select(&NAMES[..]), inner), 0..4).prop_map(|it| object(&it)),
        ]
    })
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..12)
            .prop_map(|members| object(&members).into_bytes()),
        1 => value().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..64),
        2 => (prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 1..6), any::<prop::sample::Index>())
            .prop_map(|(members, cut)| {
                let mut whole = object(&members).into_bytes();
                whole.truncate(cut.index(whole.len()));
                whole
            }),
    ]
}

proptest! {
    #[test]
    fn no_body_breaks_the_door(body in body()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let house = House::new(Side::External);
            for path in [CREATE, CANCEL, STATISTICS, HOLDS, RESCHEDULE, RECREATE] {
                let answer = house.post(path, body.clone()).await;
                if answer.status == 200 {
                    assert_eq!(answer.json()["status"]["code"], 0);
                } else {
                    assert_eq!(answer.refusal(), (400, 501));
                }
            }
            // What got through can be kept: no text that a store would refuse.
            for new in house.fake.booked.lock().unwrap().iter() {
                assert!(!format!("{new:?}").contains("\\0"));
                if let Some(text) = &new.user_data {
                    assert!(serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok());
                }
            }
        });
    }
}
