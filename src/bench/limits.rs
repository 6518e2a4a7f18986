//! What the parts can do alone: hyper answering a constant, SQLite committing the same rows.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::target::Folder;
use super::{BenchError, seed};
use crate::stores::sqlite::DirectWriter;

/// As long as the answer to a create.
const CONSTANT: &[u8] = br#"{"status":{"code":0,"message":"Successful","corrId":"5a0f7c1e-8f5b-4d6e-9d0c-2f1b7a3c4e55"},"data":{"id":"0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10"}}"#;

/// Serves the constant on both ports until the process is ended: the same hyper, the same runtime, the body
/// read to its end, and nothing else.
///
/// # Errors
/// If the ports cannot be had.
pub async fn serve_constant(external: SocketAddr, internal: SocketAddr) -> Result<(), BenchError> {
    tokio::try_join!(serve_on(external), serve_on(internal)).map(drop)
}

async fn serve_on(address: SocketAddr) -> Result<(), BenchError> {
    let failed = |error: std::io::Error| BenchError::Target(error.to_string());
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    loop {
        let (stream, _) = listener.accept().await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            drop(server.serve_connection(TokioIo::new(stream), service_fn(answer)).await);
        });
    }
}

/// Most bytes of an answer whose length is asked for.
const MAX_BYTES: usize = 1 << 20;

static BYTES: [u8; MAX_BYTES] = [b'x'; MAX_BYTES];

/// As many bytes as the path `/bytes/…` asks for, else the constant.
fn body(path: &str) -> Bytes {
    let asked = path.strip_prefix("/bytes/").and_then(|length| BYTES.get(..length.parse().ok()?));
    Bytes::from_static(asked.unwrap_or(CONSTANT))
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = body(request.uri().path());
    drop(request.into_body().collect().await);
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// SQLite with the statements and settings of the store, but without queue, channel or thread around them. Like
/// the service's, its database grows from one measurement to the next.
pub(super) struct BareSqlite {
    writer: DirectWriter,
    // Goes after the writer.
    _folder: Folder,
}

impl BareSqlite {
    /// With an empty database in a folder of its own.
    ///
    /// # Errors
    /// If the temporary database cannot be made.
    pub(super) async fn open() -> Result<Self, BenchError> {
        let folder = seed::folder().await?;
        let writer = DirectWriter::open(folder.path()).map_err(|error| BenchError::Data(error.to_string()))?;
        Ok(Self { writer, _folder: folder })
    }

    /// Rows of scheduled callbacks per second that it commits in batches of `batch`. Blocks its thread; the
    /// runtime has to have several.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) fn rows_per_second(&mut self, batch: usize, rows: usize) -> Result<f64, BenchError> {
        let bookings = seed::bookings(rows)?;
        let started = Instant::now();
        let committed = tokio::task::block_in_place(|| self.writer.commit(bookings, batch));
        committed.map_err(|error| BenchError::Data(error.to_string()))?;
        Ok(rows as f64 / started.elapsed().as_secs_f64().max(1e-9))
    }
}
