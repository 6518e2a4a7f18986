//! What the adapter says of a Redis that is away, does not answer, refuses or has forgotten.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Connector, Probe, Routing, RoutingError};
use ges::clock::SystemClock;

use super::{STREAM, adapter, came_back, close, invited, opened, register, said, settings};
use crate::harness::redis::{Redis, Reply};

#[tokio::test]
async fn a_redis_that_is_not_there_surely_did_nothing() {
    let mut redis = Redis::start();
    let stream = adapter(&settings(&redis), Arc::new(SystemClock::default()));
    let start = async || stream.start(invited(1, 1)).await;
    assert!(matches!(start().await, Err(RoutingError::NotDone(_))), "not opened yet");
    redis.kill9();
    assert!(stream.open().await.is_err());
    Connector::close(stream.as_ref()).await;
    assert!(matches!(start().await, Err(RoutingError::NotDone(_))), "refused connection");
    assert!(Probe::check(stream.as_ref()).await.is_err());
    redis.restart();
    stream.open().await.unwrap();
    assert_eq!(start().await, Ok(()));
    redis.kill9();
    let answers = [start().await, start().await, start().await];
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert!(matches!(answers[2], Err(RoutingError::NotDone(_))), "the loss is known by now: {answers:?}");
    assert!(Connector::check(stream.as_ref()).await.is_err());
    redis.restart();
    came_back(&stream).await;
    assert_eq!(start().await, Ok(()));
    assert_eq!(said(&redis), [("start".to_owned(), "1".to_owned())], "the register was lost, so it enters again");
}

#[tokio::test]
async fn a_redis_that_does_not_answer_perhaps_did_it_and_once_is_enough() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    redis.stop();
    let began = tokio::time::Instant::now();
    let answer = stream.start(invited(1, 1)).await;
    assert!(matches!(answer, Err(RoutingError::Perhaps(_))), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "within the deadline of a session");
    redis.go_on();
    came_back(&stream).await;
    assert_eq!(stream.start(invited(1, 1)).await, Ok(()));
    assert_eq!(said(&redis), [("start".to_owned(), "1".to_owned())], "done twice, entered once");
}

#[tokio::test]
async fn what_the_server_refuses_was_surely_not_done() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let answer = stream.start(invited(1, 1)).await;
    assert!(matches!(answer, Err(RoutingError::NotDone(_))), "{answer:?}");
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(redis.ask(&["EXISTS", &register(1), STREAM]), Reply::Number(0));
    redis.ask(&["SET", STREAM, "no stream"]);
    assert!(matches!(stream.start(invited(1, 1)).await, Err(RoutingError::NotDone(_))));
    assert_eq!(redis.ask(&["EXISTS", &register(1)]), Reply::Number(0), "no register without an entry");
    assert!(Probe::check(stream.as_ref()).await.unwrap_err().contains("WRONGTYPE"));
}

#[tokio::test]
async fn scripts_and_registers_may_vanish() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    stream.start(invited(1, 1)).await.unwrap();
    redis.ask(&["SCRIPT", "FLUSH"]);
    stream.start(invited(1, 2)).await.unwrap();
    redis.ask(&["FLUSHALL"]);
    redis.ask(&["SCRIPT", "FLUSH"]);
    close(stream.as_ref(), 1).await.unwrap();
    assert_eq!(said(&redis), [("cancel".to_owned(), "0".to_owned())], "whoever works on it is told all the same");
    let refused = stream.start(invited(1, 3)).await;
    assert!(matches!(refused, Err(RoutingError::Refused(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_closed_leaves_no_connection_behind() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    for _ in 0..3 {
        // A server that answers nothing: it can neither be told goodbye nor opened anew.
        redis.stop();
        Connector::close(stream.as_ref()).await;
        assert!(stream.open().await.is_err());
        Connector::close(stream.as_ref()).await;
        redis.go_on();
        stream.open().await.unwrap();
    }
    crate::harness::poll::until("one connection and the one that asks", Duration::from_secs(15), || {
        (redis.ask(&["CLIENT", "LIST"]).text().lines().count() == 2).then_some(())
    });
    assert_eq!(stream.start(invited(1, 1)).await, Ok(()));
}
