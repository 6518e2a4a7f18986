//! `ges simulate-ors`: the built-in contact centre as a process of its own that speaks the protocols of Orchestration.
//! It reads the stream in the voice Redis, sends signals over HTTP until they are answered, and keeps its journal, so
//! that it can be killed and started again. With it several nodes can be tried, and loaded, without other software.
//!
//! ```text
//!   sessions over HTTP ──▶ rest ──┐
//!   stream ──XREADGROUP──▶ reader ──▶ Simulator ──▶ signals ──HTTP──▶ replyTo
//!                                        └──▶ reports, every few seconds ──HTTP──▶ replyTo
//! ```

mod addresses;
mod reader;
mod reports;
mod rest;
mod signals;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use domain::ports::Clock;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::clients::http::{SetupError, authorities};
use crate::clock::SystemClock;
use crate::config::{Config, Secret};
use crate::redis::{Endpoint, Layout, RedisSettings, TlsSettings, Verify};
use crate::routing::ors_stream::StreamSettings;
use crate::routing::simulator::{Journal, OpenError, Simulator, SimulatorSettings};

pub use reader::entries;
pub use rest::router;

use addresses::Addresses;
use reader::Reader;
use signals::{HttpInbox, Poster};

/// How the process is run. What is not said here is taken from the settings of the service.
#[derive(Debug, Clone, Args)]
pub struct SimulateOrsOptions {
    /// The voice Redis, such as redis://127.0.0.1:6379; a password goes before the @, and rediss:// encrypts
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// Take sessions over HTTP at this address, as the REST interface of Orchestration does, instead of reading a stream
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with_all = ["redis", "cluster"])]
    pub listen: Option<SocketAddr>,
    /// The Redis is a cluster
    #[arg(long)]
    pub cluster: bool,
    /// Folder of the journal; `simulate-ors` in the data folder of the service if absent
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Divides the simulator's own durations
    #[arg(long)]
    pub speed: Option<f64>,
    /// Agents of each virtual queue
    #[arg(long)]
    pub agents: Option<u32>,
    /// Seed of everything that is left to chance
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Why it cannot begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// Nobody said where the stream is.
    #[error(
        "--redis, GES_VMCS_REDIS_HOST or GES_ORS_REDIS_LOCATION has to say where the voice Redis is, or --listen where \
             sessions are taken over HTTP"
    )]
    NoRedis,
    /// The URL is none.
    #[error("--redis is not a URL such as redis://127.0.0.1:6379")]
    BadUrl,
    /// The folder cannot be used.
    #[error("cannot use the folder {0}")]
    Folder(PathBuf, #[source] std::io::Error),
    /// The simulator cannot begin.
    #[error(transparent)]
    Simulator(#[from] OpenError),
    /// The address cannot be used.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Calls cannot be made.
    #[error("cannot set up calls to the service")]
    Http(#[from] reqwest::Error),
    /// Nobody can be trusted.
    #[error("cannot set up calls to the service")]
    Authorities(#[from] SetupError),
}

/// Runs until `stop`.
///
/// # Errors
/// [`StartError`]; a Redis or a service that is not there is waited for.
pub async fn run(options: &SimulateOrsOptions, config: &Config, stop: CancellationToken) -> Result<(), StartError> {
    let stream = options.listen.is_none().then(|| stream_settings(options, config)).transpose()?;
    let folder = options.data.clone().unwrap_or_else(|| config.data.data_dir.join("simulate-ors"));
    std::fs::create_dir_all(&folder).map_err(|error| StartError::Folder(folder.clone(), error))?;
    let settings = SimulatorSettings {
        speed: options.speed.unwrap_or(config.sim.speed),
        seed: options.seed.unwrap_or(config.sim.seed),
        agents: options.agents.unwrap_or(config.sim.agents),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let journal = folder.join(Journal::FILE_NAME);
    let simulator = match options.listen {
        Some(_) => Simulator::open(settings, &journal, clock)?,
        None => Simulator::open_behind_stream(settings, &journal, clock)?,
    };
    let addresses = Arc::new(Addresses::open(folder.join("reply-to")));
    let token = config.listeners.internal_token.as_ref().map(Secret::reveal);
    let poster = Arc::new(Poster::new(addresses.clone(), token, authorities(&config.outward.ca_files)?)?);
    simulator.attach(Arc::new(HttpInbox::new(poster.clone())));
    let reporting = tokio::spawn(reports::report(simulator.clone(), poster, stop.clone()));
    tracing::info!(folder = %folder.display(), "standing in for Orchestration");
    let ended = take_work(options.listen, stream, (&simulator, addresses), stop.clone()).await;
    stop.cancel();
    // Stopped by the same token; a panic of it has been reported.
    let _ = reporting.await;
    simulator.shutdown().await;
    ended
}

/// Takes starts the way that was chosen, until `stop`.
async fn take_work(
    listen: Option<SocketAddr>,
    stream: Option<StreamSettings>,
    (simulator, addresses): (&Arc<Simulator>, Arc<Addresses>),
    stop: CancellationToken,
) -> Result<(), StartError> {
    if let Some(stream) = stream {
        tracing::info!(stream = stream.stream, "reading the stream");
        Reader::new(stream, simulator.clone(), addresses.clone()).run(stop.clone()).await;
    }
    if let Some(address) = listen {
        let router = rest::router(Arc::downgrade(simulator), move |said| addresses.said(said));
        let served = rest::serve(address, router, stop).await;
        served.map_err(|error| StartError::Listen(address, error))?;
    }
    Ok(())
}

/// Where the stream is: as the arguments say, else as the service itself is told.
fn stream_settings(options: &SimulateOrsOptions, config: &Config) -> Result<StreamSettings, StartError> {
    let told = crate::app::stream_settings(config);
    let Some(url) = &options.redis else {
        return if told.redis.servers.is_empty() { Err(StartError::NoRedis) } else { Ok(told) };
    };
    let url = reqwest::Url::parse(url).map_err(|_| StartError::BadUrl)?;
    let tls = match url.scheme() {
        "redis" => None,
        "rediss" => {
            Some(TlsSettings { server_name: None, verify: Verify::Yes, ca_files: config.outward.ca_files.clone() })
        }
        _ => return Err(StartError::BadUrl),
    };
    let redis = RedisSettings {
        servers: vec![Endpoint::new(url.host_str().ok_or(StartError::BadUrl)?, url.port().unwrap_or(6379))],
        layout: if options.cluster { Layout::Cluster } else { Layout::Single },
        password: url.password().map(Secret::new),
        tls,
    };
    Ok(StreamSettings { redis, ..told })
}
