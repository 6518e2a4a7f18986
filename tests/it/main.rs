//! The one integration-test binary. Everything here drives the real program or a real adapter from outside.
//!
//! Run it with `make test`, which brings what some tests need (see `docs/testing.md`).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests judge the program by the clock on the wall, as its users do"
)]

mod handbook;
mod harness;

mod alarms;
mod alerts;
mod availability;
mod backup;
mod bad_input;
mod call_in;
mod captcha;
mod chart;
mod clients;
mod cluster;
mod configuration;
mod contract;
mod courier;
mod dashboards;
mod deployment;
mod documents;
mod drill;
mod explain;
mod faults;
mod gws;
mod hours;
mod http_properties;
mod idempotency;
mod image;
mod lateness;
mod limits;
mod log_events;
mod log_level;
mod metrics;
mod moves;
mod nginx;
mod numbers;
mod ors_rest;
mod ors_stream;
mod pages;
mod places;
mod privacy;
mod prometheus;
mod push;
mod recovery;
mod redis;
mod roles;
mod rotation;
mod routing_contract;
mod secrets_in_output;
mod shutdown;
mod statistics;
mod store_contract;
mod tenants;
mod tls;
mod transcript;
mod webhooks;
