//! One connection from its first byte to its end: TLS, if the listener speaks it, and HTTP/1.1 or HTTP/2 as it was agreed
//! on there or with prior knowledge, watched by a timer of our own.
//!
//! hyper's head timeout begins only when the version is known, and knows nothing of HTTP/2. So the service
//! counts requests in a [`Pulse`], and a timer beside the connection closes it when nothing has been asked of
//! it for too long: no first request, no next request, a client that sends ping frames and nothing else.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::header::CONNECTION;
use http::{HeaderValue, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::front_door::peers::Peer;
use crate::front_door::settings::DoorLimits;

/// Requests that one HTTP/2 connection may have open.
const HTTP2_STREAMS: u32 = 100;
/// Bytes of one HTTP/2 request, and of all requests of a connection, sent ahead of our reading.
const HTTP2_WINDOW: u32 = 64 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 256 << 10;
/// A connection that was asked to close gets this long to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What holds for a connection.
pub(super) struct Terms {
    /// When it was accepted.
    pub(super) began: Instant,
    pub(super) limits: DoorLimits,
    /// Its other end.
    pub(super) peer: Peer,
    /// Once it is cancelled, every answer is the last of its connection.
    pub(super) leaving: CancellationToken,
    pub(super) drain: CancellationToken,
}

/// What the service tells the timer.
struct Pulse {
    born: Instant,
    /// Requests begun.
    begun: AtomicUsize,
    /// Requests that are being served.
    in_flight: AtomicUsize,
    /// When the last one ended, in milliseconds after `born`.
    last_end_ms: AtomicU64,
}

impl Pulse {
    fn begin(self: &Arc<Self>) -> Beat {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Beat(Arc::clone(self))
    }

    /// When the connection has been quiet for too long; none while it works.
    fn overdue_at(&self, limits: &DoorLimits) -> Option<Instant> {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        if self.begun.load(Ordering::Relaxed) == 0 {
            return Some(self.born + limits.first_request);
        }
        Some(self.born + Duration::from_millis(self.last_end_ms.load(Ordering::Relaxed)) + limits.idle)
    }
}

/// One request being served, also if its client goes away.
struct Beat(Arc<Pulse>);

impl Drop for Beat {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end_ms.store(now, Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// As [`serve`], after a handshake that has to be over within the time for the first request. Whoever does not make one
/// gets nothing: a scanner, a client without TLS, one that does not trust us.
pub(super) async fn serve_encrypted(
    tls: TlsAcceptor,
    stream: TcpStream,
    listener: &'static str,
    router: Router,
    terms: Terms,
) {
    let handshake = timeout_at(terms.began + terms.limits.first_request, tls.accept(stream));
    let met = tokio::select! {
        met = handshake => met,
        () = terms.drain.cancelled() => return,
    };
    match met {
        Ok(Ok(stream)) => serve(stream, router, terms).await,
        Ok(Err(error)) => tracing::debug!(listener, %error, "a connection began with no handshake of TLS"),
        Err(_) => tracing::debug!(listener, "a handshake of TLS was not over in time"),
    }
}

/// Serves a connection until it ends, is idle for too long, or the drain has let it finish. `stream` may be
/// anything that carries bytes.
pub(super) async fn serve<S>(stream: S, router: Router, terms: Terms)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Terms { began, limits, peer, leaving, drain } = terms;
    let pulse = Arc::new(Pulse {
        born: began,
        begun: AtomicUsize::new(0),
        in_flight: AtomicUsize::new(0),
        last_end_ms: AtomicU64::new(0),
    });
    let counted = Arc::clone(&pulse);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let beat = counted.begin();
        request.extensions_mut().insert(peer);
        // HTTP/2 has no such header; its clients are told by a frame when the connection ends.
        let is_http1 = request.version() <= Version::HTTP_11;
        let answer = router.clone().oneshot(request);
        let leaving = leaving.clone();
        async move {
            let mut response: Result<Response, Infallible> = answer.await;
            if let Ok(response) = &mut response
                && is_http1
                && leaving.is_cancelled()
            {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(beat);
            response
        }
    });
    let builder = builder(&limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut closing = false;
    let mut timer = pin!(sleep_until(pulse.born + limits.first_request));
    loop {
        tokio::select! {
            // An error here is the client's: gone, too slow, or not speaking HTTP.
            _ = connection.as_mut() => return,
            () = drain.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = timer.as_mut() => {}
        }
        let now = Instant::now();
        match pulse.overdue_at(&limits) {
            None => timer.as_mut().reset(now + limits.idle),
            Some(at) if at > now => timer.as_mut().reset(at),
            Some(at) if at + GOODBYE > now => {
                if !closing {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                timer.as_mut().reset(at + GOODBYE);
            }
            Some(_) => return,
        }
    }
}

fn builder(limits: &DoorLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // A request of HTTP/1 may have 100 header fields, which is hyper's own bound: naming one, even this, would
    // move every request's list of fields to the heap. Browsers and proxies stay below 50.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(limits.head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(HTTP2_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(limits.first_request);
    builder
}
