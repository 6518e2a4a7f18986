//! What the tests share: the program as a child process, a small HTTP client, waiting, and the checker that
//! judges recorded facts.

pub(crate) mod api;
pub(crate) mod balancer;
pub(crate) mod captcha;
pub(crate) mod checker;
pub(crate) mod database;
pub(crate) mod database_search;
pub(crate) mod fcm;
pub(crate) mod gws;
pub(crate) mod http;
pub(crate) mod identity;
pub(crate) mod journal;
pub(crate) mod load;
pub(crate) mod nodes;
pub(crate) mod on_postgres;
pub(crate) mod ors;
pub(crate) mod outside;
pub(crate) mod poll;
pub(crate) mod postgres;
pub(crate) mod postgres_rows;
pub(crate) mod postgres_search;
pub(crate) mod prometheus;
pub(crate) mod receiver;
pub(crate) mod redis;
pub(crate) mod sentinels;
pub(crate) mod service;
pub(crate) mod stand_in;
pub(crate) mod tenants;
pub(crate) mod tls;

use std::net::TcpListener;

/// Milliseconds since 1970 by the clock on the wall, as the database and the journal count them.
pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// The seed of a randomised test: `TEST_SEED` if it is set, else a fresh one. It is printed, so that a
/// failed run can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = match std::env::var("TEST_SEED") {
        Ok(text) => text.parse().expect("TEST_SEED is a number"),
        Err(_) => rand::random(),
    };
    println!("TEST_SEED={seed}");
    seed
}

/// A port that is free now, and below those that the system gives to outgoing connections, which would take it while
/// a server restarts. Low enough for the second port of a member of a cluster (10,000 above).
pub(crate) fn free_port() -> u16 {
    loop {
        let port = rand::random_range(20_000..30_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}
