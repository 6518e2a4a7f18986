//! The handbook's way to back up and restore, rehearsed: a dump while everything runs, restored under another name. What was
//! promised before the dump began is there, and a service on the copy keeps it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use crate::harness::http::Client;
use crate::harness::postgres::{self, Server};
use crate::harness::redis::Redis;
use crate::harness::service::{Folder, Options, Service, run_to_end};
use crate::harness::{api, nodes, poll};

const SOON: Duration = Duration::from_secs(60);
const COPY: &str = "ges_restored";

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Books a callback for later; the id, if that was answered.
fn book(client: &mut Client, minutes: i64) -> Option<Uuid> {
    let body = api::booking("+14165550100", Some(Utc::now() + TimeDelta::minutes(minutes)));
    let answer = api::create(client, None, &body).ok()?;
    (answer.status == 200).then(|| api::id_of(&answer).unwrap())
}

fn state(service: &Service, id: Uuid) -> Option<String> {
    let answer = api::retrieve(&mut api::client(service.external()), id).ok()?;
    answer.json()["data"]["callbackState"].as_str().map(str::to_owned)
}

#[test]
fn a_dump_made_under_load_has_everything_that_was_promised() {
    let server = Server::start(&[]);
    postgres::query(&server.address("postgres"), "CREATE DATABASE ges");
    nodes::settle(&server.address("ges"));
    let voice = Redis::start();
    let options = |database: &str, node| -> Options {
        nodes::options(&server.address(database), node)
            .with("GES_VMCS_REDIS_HOST", "127.0.0.1")
            .with("GES_VMCS_REDIS_PORT", voice.port())
    };
    let service = Service::start(options("ges", 0));
    let mut client = api::client(service.external());
    let promised: Vec<Uuid> = (0..50).map(|number| book(&mut client, 60 + number).unwrap()).collect();
    api::cancel(&mut client, promised[0]).unwrap();

    // Bookings go on while the dump is made.
    let (stopped, address) = (Arc::new(AtomicBool::new(false)), service.external());
    let stop = stopped.clone();
    let load = std::thread::spawn(move || {
        let mut client = api::client(address);
        let mut booked = 0;
        while !stop.load(Ordering::Relaxed) {
            booked += u32::from(book(&mut client, 90).is_some());
        }
        booked
    });
    let file = service.folder().beside("ges.dump");
    run(server.tool("pg_dump").args(["--format=custom", "--dbname=ges", "--file"]).arg(&file));
    stopped.store(true, Ordering::Relaxed);
    assert!(load.join().unwrap() > 0, "nothing went on meanwhile");

    run(server.tool("createdb").arg(COPY));
    run(server.tool("pg_restore").args(["--no-owner", "--exit-on-error", &format!("--dbname={COPY}")]).arg(&file));
    let migrated = run_to_end(&Folder::without_tenants(), &options(COPY, 1), &["migrate"]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));

    let restored = Service::start(options(COPY, 1));
    assert_eq!(state(&restored, promised[0]).as_deref(), Some("COMPLETED"));
    for id in &promised[1..] {
        assert_eq!(state(&restored, *id).as_deref(), Some("SCHEDULED"), "{id}");
    }
    // It is a service like any other: what it has is its own.
    let mut client = api::client(restored.external());
    assert_eq!(api::cancel(&mut client, promised[1]).unwrap().status, 200);
    let fresh = book(&mut client, 60).unwrap();
    poll::until("a new booking", SOON, || state(&restored, fresh));
    assert_eq!(state(&service, promised[1]).as_deref(), Some("SCHEDULED"), "the original is untouched");
}
