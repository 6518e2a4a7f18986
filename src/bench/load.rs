//! The load: a number of keep-alive connections, each sending one request after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::BenchError;

/// One request after the other is asked for here, by its number from 0.
pub(super) type MakeRequest = Arc<dyn Fn(u64) -> Request<Full<Bytes>> + Send + Sync>;
/// Hears every answer of status 200.
pub(super) type HearAnswer = Arc<dyn Fn(u64, &[u8]) + Send + Sync>;

/// When the load ends, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    /// After so many requests.
    pub(super) requests: u64,
    /// After this time.
    pub(super) elapsed: Duration,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Answers of status 200.
    pub(super) ok: u64,
    /// Any other answers.
    pub(super) refused: u64,
    /// From the first request to the last answer.
    pub(super) took: Duration,
    /// Microseconds from request to answer.
    pub(super) latency_us: Histogram<u64>,
}

impl Seen {
    /// Nothing yet.
    pub(super) fn nothing() -> Result<Self, BenchError> {
        Ok(Self { ok: 0, refused: 0, took: Duration::ZERO, latency_us: histogram()? })
    }

    /// Adds what was seen at the same time (`took` stays) on another connection.
    fn join(&mut self, other: &Self) -> Result<(), BenchError> {
        self.ok += other.ok;
        self.refused += other.refused;
        self.latency_us.add(&other.latency_us).map_err(|error| BenchError::Load(error.to_string()))
    }

    /// Adds what was seen in another run.
    pub(super) fn add(&mut self, other: &Self) -> Result<(), BenchError> {
        self.took += other.took;
        self.join(other)
    }

    /// Answers of status 200 per second.
    pub(super) fn per_second(&self) -> f64 {
        self.ok as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// The latency at a quantile, in milliseconds.
    pub(super) fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency_us.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// Longest latency that the histogram tells apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

fn histogram() -> Result<Histogram<u64>, BenchError> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).map_err(|error| BenchError::Load(error.to_string()))
}

/// Runs the load and waits for its end.
///
/// # Errors
/// A connection that cannot be made or breaks.
pub(super) async fn run(
    address: SocketAddr,
    connections: usize,
    until: Until,
    make: MakeRequest,
    hear: HearAnswer,
) -> Result<Seen, BenchError> {
    run_on(&[address], connections, until, make, hear).await
}

/// As [`run`], with connections to several addresses in turn.
///
/// # Errors
/// A connection that cannot be made or breaks.
pub(super) async fn run_on(
    addresses: &[SocketAddr],
    connections: usize,
    until: Until,
    make: MakeRequest,
    hear: HearAnswer,
) -> Result<Seen, BenchError> {
    let next = Arc::new(AtomicU64::new(0));
    let mut senders = Vec::with_capacity(connections);
    for address in addresses.iter().cycle().take(connections) {
        senders.push(connect(*address).await?);
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for sender in senders {
        tasks.spawn(one_connection(sender, until, started, next.clone(), make.clone(), hear.clone()));
    }
    let mut seen = Seen::nothing()?;
    while let Some(joined) = tasks.join_next().await {
        seen.join(&joined.map_err(|error| BenchError::Load(error.to_string()))??)?;
    }
    seen.took = started.elapsed();
    Ok(seen)
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, BenchError> {
    let failed = |error: &dyn std::fmt::Display| BenchError::Load(format!("cannot connect to {address}: {error}"));
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // The connection ends with its sender; an error of it shows at the next request.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn one_connection(
    mut sender: SendRequest<Full<Bytes>>,
    until: Until,
    started: Instant,
    next: Arc<AtomicU64>,
    make: MakeRequest,
    hear: HearAnswer,
) -> Result<Seen, BenchError> {
    let mut seen = Seen::nothing()?;
    let broken = |error: hyper::Error| BenchError::Load(format!("the connection broke: {error}"));
    while started.elapsed() < until.elapsed {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= until.requests {
            break;
        }
        let request = make(number);
        let sent = Instant::now();
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(broken)?.to_bytes();
        seen.latency_us.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(LONGEST_US));
        if status == StatusCode::OK {
            seen.ok += 1;
            hear(number, &body);
        } else {
            seen.refused += 1;
        }
    }
    Ok(seen)
}
