//! The outside of `ges`: front door, stores, routing, telemetry, and the wiring that joins them to the
//! rules (`domain`) and the supervision tree (`actors`). The binary is a thin shell around [`app`].

pub mod app;
pub mod bench;
pub mod blinds;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod config;
pub mod drill;
mod event_document;
pub mod front_door;
pub mod master_key;
pub mod privacy;
pub mod provisioning;
pub mod redis;
pub mod root_key;
mod rotation;
pub mod routing;
pub mod seal;
pub mod shutdown;
pub mod simulate_ors;
pub mod stores;
pub mod telemetry;
pub mod testing;
pub mod users;
