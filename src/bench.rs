//! `ges bench`: prints what this program can do on this machine, beside the limits of its parts.
//!
//! The service under test and the constant server are child processes; this process makes the load. Figures
//! of one run on a shared machine say little alone, so every budget is a ratio or a count from one run.

mod bytes_per_callback;
mod lateness;
mod limits;
mod load;
mod memory;
mod neighbours;
mod questions;
mod seed;
mod table;
mod target;
mod throughput;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;

pub use limits::serve_constant;

/// One part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Durable creates and retrieves per second beside the limits of their parts.
    Throughput,
    /// Questions about free times beside retrieves.
    Questions,
    /// Memory idle and with active sessions.
    Memory,
    /// Database bytes per scheduled callback.
    Bytes,
    /// What a tenant feels of another that floods.
    Neighbours,
    /// Lateness of 2,000 callbacks over three minutes.
    Lateness,
    /// 100,000 callbacks due in one minute.
    Burst,
}

/// What to run, and how long.
#[derive(Debug, Clone, clap::Args)]
pub struct BenchOptions {
    /// Parts to run; all of them if none is named.
    pub sections: Vec<Section>,
    /// A tenth of the size, to see that everything works.
    #[arg(long)]
    pub short: bool,
}

/// Why a bench could not be finished.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The service under test.
    #[error("service under test: {0}")]
    Target(String),
    /// The load.
    #[error("load: {0}")]
    Load(String),
    /// The data folder under test.
    #[error("data: {0}")]
    Data(String),
    /// A promise was broken during the bench.
    #[error("broken: {0}")]
    Broken(String),
}

/// Sizes of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    short: bool,
}

impl Scale {
    /// `full`, or a tenth of it in a short run.
    pub(crate) fn count(self, full: u64) -> u64 {
        if self.short { full.div_ceil(10) } else { full }
    }

    /// How often a comparison goes round: an odd number, so that one of the rounds is the median.
    pub(crate) fn rounds(self) -> u32 {
        if self.short { 3 } else { 7 }
    }

    /// Time of one measured load in one round: long enough for thousands of requests, short enough that what
    /// stands beside each other was measured under the same weather.
    pub(crate) fn load_time(self) -> Duration {
        if self.short { Duration::from_millis(300) } else { Duration::from_millis(800) }
    }
}

/// Runs the sections one after the other and prints their tables.
///
/// # Errors
/// The first thing that could not be measured, or a broken promise.
pub async fn run(options: BenchOptions) -> Result<(), BenchError> {
    let scale = Scale { short: options.short };
    let sections = if options.sections.is_empty() { Section::value_variants().to_vec() } else { options.sections };
    for section in sections {
        match section {
            Section::Throughput => throughput::run(scale).await?,
            Section::Questions => questions::run(scale).await?,
            Section::Memory => memory::run(scale).await?,
            Section::Bytes => bytes_per_callback::run(scale).await?,
            Section::Neighbours => neighbours::run(scale).await?,
            Section::Lateness => lateness::run(lateness::Load::steady(scale)).await?,
            Section::Burst => lateness::run(lateness::Load::burst(scale)).await?,
        }
    }
    Ok(())
}

/// Fetches a page of text.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<String, BenchError> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("http://{address}{path}").parse().map_err(|error| BenchError::Load(format!("{error}")))?;
    let answer = client.get(uri).await.map_err(|error| BenchError::Load(error.to_string()))?;
    let body = answer.into_body().collect().await.map_err(|error| BenchError::Load(error.to_string()))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}
