//! `ges bench`: prints what this program can do on this machine, beside the limits of its parts.
//!
//! The service under test and the constant server are child processes; this process makes the load. Figures
//! of one run on a shared machine say little alone, so every budget is a ratio or a count from one run.

mod bytes_per_callback;
mod cluster;
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
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
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
    /// Several nodes: time to ready, log lines of a create.
    ClusterStart,
    /// Several nodes: what Redis is asked, idle and per callback; bytes of a finished callback.
    ClusterLives,
    /// Several nodes: the product's example of 134,400 scheduled and 1,000 active callbacks.
    ClusterExample,
    /// Several nodes: database bytes with user data.
    ClusterBytes,
    /// Several nodes: memory of one, with 20,000 active sessions.
    ClusterMemory,
    /// The same with 100,000; only by its name.
    ClusterMemoryFull,
    /// Several nodes: lateness of 600 callbacks over a minute.
    ClusterLateness,
    /// Several nodes: 20,000 callbacks due in one minute.
    ClusterBurst,
    /// The same with 100,000; only by its name.
    ClusterBurstFull,
    /// Several nodes: one with 10,000 sessions is killed.
    ClusterTakeover,
    /// Several nodes: one with 10,000 sessions is asked to end.
    ClusterDrain,
    /// Several nodes: durable creates beside pgbench committing the same rows.
    ClusterThroughput,
}

impl Section {
    /// What is run if nothing is named.
    const EMBEDDED: [Self; 7] =
        [Self::Throughput, Self::Questions, Self::Memory, Self::Bytes, Self::Neighbours, Self::Lateness, Self::Burst];
    /// The same of several nodes.
    const CLUSTER: [Self; 10] = [
        Self::ClusterStart,
        Self::ClusterLives,
        Self::ClusterExample,
        Self::ClusterBytes,
        Self::ClusterMemory,
        Self::ClusterLateness,
        Self::ClusterBurst,
        Self::ClusterTakeover,
        Self::ClusterDrain,
        Self::ClusterThroughput,
    ];
}

/// What to run, and how long.
#[derive(Debug, Clone, clap::Args)]
pub struct BenchOptions {
    /// Parts to run; all of them if none is named.
    pub sections: Vec<Section>,
    /// A tenth of the size, to see that everything works.
    #[arg(long)]
    pub short: bool,
    /// If no part is named, those about several nodes: on the servers that scripts/bench-cluster starts
    #[arg(long)]
    pub cluster: bool,
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
    let usual = if options.cluster { Section::CLUSTER.as_slice() } else { Section::EMBEDDED.as_slice() };
    let sections = if options.sections.is_empty() { usual.to_vec() } else { options.sections };
    let mut figures = cluster::Figures::default();
    for section in sections {
        match section {
            Section::Throughput => throughput::run(scale).await?,
            Section::Questions => questions::run(scale).await?,
            Section::Memory => memory::run(scale).await?,
            Section::Bytes => bytes_per_callback::run(scale).await?,
            Section::Neighbours => neighbours::run(scale).await?,
            Section::Lateness => lateness::run(lateness::Load::steady(scale)).await?,
            Section::Burst => lateness::run(lateness::Load::burst(scale)).await?,
            several => cluster::run(several, scale, &mut figures).await?,
        }
    }
    figures.print();
    Ok(())
}

/// Whether the answer to a GET is of status 200.
pub(crate) async fn is_ok(address: SocketAddr, path: &str) -> bool {
    ask(address, path).await.is_ok_and(|answer| answer.status() == StatusCode::OK)
}

async fn ask(address: SocketAddr, path: &str) -> Result<Response<Incoming>, BenchError> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("http://{address}{path}").parse().map_err(|error| BenchError::Load(format!("{error}")))?;
    client.get(uri).await.map_err(|error| BenchError::Load(error.to_string()))
}

/// Fetches a page of text.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<String, BenchError> {
    let answer = ask(address, path).await?;
    let body = answer.into_body().collect().await.map_err(|error| BenchError::Load(error.to_string()))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}
