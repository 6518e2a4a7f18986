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

use super::{BenchError, seed};

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

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    drop(request.into_body().collect().await);
    let mut response = Response::new(Full::new(Bytes::from_static(CONSTANT)));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Rows of scheduled callbacks per second that SQLite commits in batches of `batch`, with the statements and
/// settings of the store but without queue, channel or thread around them.
///
/// # Errors
/// If the temporary database fails.
pub(super) async fn commit_rate(batch: usize, rows: usize) -> Result<f64, BenchError> {
    let folder = seed::folder().await?;
    let bookings = seed::bookings(rows)?;
    let path = folder.path().to_owned();
    let took = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        crate::stores::sqlite::commit_directly(&path, bookings, batch).map(|()| started.elapsed())
    });
    let took = took.await.map_err(|error| BenchError::Data(error.to_string()))?;
    let took = took.map_err(|error| BenchError::Data(error.to_string()))?;
    Ok(rows as f64 / took.as_secs_f64().max(1e-9))
}
