//! The same key is the same booking: whatever became of the program or of the answer, and whoever asks at the same time.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use chrono::{TimeDelta, Utc};

use crate::harness::service::{Options, Service};
use crate::harness::{api, database, http, poll};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_crash_between_commit_and_answer_changes_no_answer() {
    let mut service = Service::start(Options::default());
    let data = service.folder().data();
    for round in 0..6 {
        let key = format!("round-{round}");
        let desired_time = (round % 2 == 0).then(|| Utc::now() + TimeDelta::hours(5));
        let body = api::booking(&format!("+1416555{:04}", 2_000 + round), desired_time);
        let before: BTreeSet<_> = database::callbacks(&data).into_iter().collect();

        // The request goes out, and its answer is never read: the program dies as soon as the booking is on disk.
        let mut connection = http::connect(service.external()).unwrap();
        connection.write_all(request(&key, &body).as_bytes()).unwrap();
        let kept = poll::until("the booking is on disk", SOON, || {
            database::callbacks(&data).into_iter().find(|id| !before.contains(id))
        });
        service.kill9();
        drop(connection);
        service.restart();

        let mut client = api::client(service.external());
        for _ in 0..2 {
            let again = api::create(&mut client, Some(&key), &body).unwrap();
            assert_eq!((again.status, api::id_of(&again)), (200, Some(kept)), "{}", again.text());
            assert_eq!(again.header("idempotency-status"), Some("replayed"));
        }
        let other = api::create(&mut client, Some(&key), &api::booking("+14165550177", desired_time)).unwrap();
        assert_eq!((other.status, other.code()), (422, Some(422)), "{}", other.text());
        assert_eq!(database::callbacks(&data).len(), before.len() + 1, "one booking");
    }
    assert!(service.sigterm().success());
}

fn request(key: &str, body: &str) -> String {
    format!(
        "POST {} HTTP/1.1\r\nHost: ges\r\nX-API-Key: {}\r\nIdempotency-Key: {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        api::CREATE,
        api::KEY,
        body.len()
    )
}

#[test]
fn equal_keys_at_the_same_time_book_once() {
    let service = Service::start(Options::default());
    let external = service.external();
    for round in 0..10 {
        let body = api::booking(&format!("+1416555{:04}", 3_000 + round), None);
        let ask = |_| {
            let (key, body) = (format!("round-{round}"), body.clone());
            thread::spawn(move || api::create(&mut api::client(external), Some(&key), &body).unwrap())
        };
        let asked: Vec<_> = (0..24).map(ask).collect();
        let answers: Vec<_> = asked.into_iter().map(|asking| asking.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| answer.status == 200));
        let ids: BTreeSet<_> = answers.iter().map(api::id_of).collect();
        assert_eq!(ids.len(), 1, "one booking for all of them");
        let first = answers.iter().filter(|answer| answer.header("idempotency-status").is_none()).count();
        assert_eq!(first, 1, "it was booked once, and the others are told that they repeat");
    }
    assert_eq!(database::callbacks(&service.folder().data()).len(), 10);
}
