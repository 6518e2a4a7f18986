//! What the adapter writes, when, and what it takes away again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use domain::ports::{AttemptRef, Connector, Routing, RoutingError};
use ges::clock::SystemClock;
use ges::routing::ors_stream::{self, Action, MAX_PING, MAX_USER_DATA_BYTES, OrsStream, StreamSettings};

use super::{REPLY_TO, STREAM, adapter, asked, close, invited, opened, register, said, settings};
use crate::harness::redis::Redis;

#[tokio::test]
async fn entries_hold_what_the_contract_says_and_registers_outlive_their_callback() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    let mut long = invited(1, 2);
    long.details.user_data = Some("x".repeat(MAX_USER_DATA_BYTES + 1));
    stream.start(long).await.unwrap();
    stream.start(invited(1, 1)).await.unwrap();
    let (entry_id, fields) = redis.entries(STREAM).pop().unwrap();
    assert_eq!(redis.entries(STREAM).len(), 1, "the lower attempt did not enter");
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "action",
            "attempt",
            "callbackId",
            "desiredTime",
            "language",
            "notAfter",
            "options",
            "phoneNumber",
            "replyTo",
            "tenant",
            "ts",
            "userData",
            "v",
            "virtualQueue"
        ]
    );
    assert_eq!((fields["userData"].as_str(), fields["phoneNumber"].as_str()), ("", "+15551230000"));
    let held = redis.ask(&["GET", &register(1)]).text().to_owned();
    assert_eq!(held, format!("2 {entry_id} {}", fields["notAfter"]));
    let life = redis.ask(&["TTL", &register(1)]).number();
    assert!((47 * 3600..=48 * 3600).contains(&life), "{life} s: a day of life and a day more");

    close(stream.as_ref(), 1).await.unwrap();
    close(stream.as_ref(), 1).await.unwrap();
    assert_eq!(said(&redis), [("cancel".to_owned(), "2".to_owned())], "the start went, and is cancelled once");
    let (_, cancel) = redis.entries(STREAM).pop().unwrap();
    assert_eq!(cancel["unless"], "processing");
    assert_eq!(redis.ask(&["GET", &register(1)]).text(), "closed");
    assert!(redis.ask(&["TTL", &register(1)]).number() > 47 * 3600, "a closed register lives as long");
    close(stream.as_ref(), 2).await.unwrap();
    assert!(redis.ask(&["TTL", &register(2)]).number() > 14 * 86_400, "of one that was never seen: longer");
    Connector::close(stream.as_ref()).await;
}

#[tokio::test]
async fn what_is_over_is_taken_away_by_its_time_and_never_by_length() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    for n in 0..10 {
        let mut over = invited(n, 1);
        over.not_after = Utc::now() + chrono::Duration::milliseconds(100);
        stream.start(over).await.unwrap();
    }
    assert_eq!(redis.entries(STREAM).len(), 10);
    // Waits for an instant that the entries themselves name.
    let last = redis.entries(STREAM)[9].1["notAfter"].clone();
    crate::harness::poll::until("the end of their time", Duration::from_secs(5), || {
        (Utc::now().to_rfc3339() > last).then_some(())
    });
    for n in 10..15 {
        stream.start(invited(n, 1)).await.unwrap();
    }
    assert_eq!(redis.entries(STREAM).len(), 5, "two go for each that comes");
    for n in 15..115 {
        stream.start(invited(n, 1)).await.unwrap();
    }
    assert_eq!(redis.entries(STREAM).len(), 105, "however many there are");
}

#[tokio::test]
async fn five_hundred_attempts_are_asked_after_in_one_command() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    let many: Vec<AttemptRef> = (0..u128::try_from(MAX_PING).unwrap()).map(|n| asked(n, 1)).collect();
    stream.ping(many.clone()).await.unwrap();
    let before = redis.calls();
    stream.ping(many.clone()).await.unwrap();
    let sent = redis.calls()["evalsha"] - before.get("evalsha").copied().unwrap_or_default();
    assert_eq!((sent, redis.entries(STREAM).len()), (1, 2));
    let fields: HashMap<_, _> = redis.entries(STREAM)[0].1.clone().into_iter().collect();
    assert_eq!(ors_stream::read(&fields).unwrap().action, Action::Ping(many.clone()));
    let too_many = stream.ping(many.into_iter().chain([asked(7, 2)]).collect()).await;
    assert!(matches!(too_many, Err(RoutingError::NotDone(_))), "{too_many:?}");
}

#[tokio::test]
async fn nothing_is_asked_after_while_the_connection_has_only_just_come_back() {
    let redis = Redis::start();
    let settings = StreamSettings { quiet: ors_stream::QUIET, ..settings(&redis) };
    let stream = adapter(&settings, Arc::new(SystemClock::default()));
    stream.open().await.unwrap();
    let asked = stream.ping(vec![asked(1, 1)]).await;
    assert!(matches!(asked, Err(RoutingError::NotDone(_))), "{asked:?}");
    assert_eq!(redis.entries(STREAM), []);
}

#[tokio::test]
async fn nothing_goes_out_before_it_is_known_where_to_reply() {
    let redis = Redis::start();
    let clock = Arc::new(SystemClock::default());
    let stream = OrsStream::new(&settings(&redis), Arc::default(), clock);
    stream.open().await.unwrap();
    assert!(matches!(stream.start(invited(1, 1)).await, Err(RoutingError::NotDone(_))));
    assert_eq!(redis.entries(STREAM), []);
    stream.reply_to(REPLY_TO.into());
    assert_eq!(stream.start(invited(1, 1)).await, Ok(()));
}
