//! Listening, accepting and draining. One task per listener accepts; one task per connection serves it
//! ([`connection`]). Nothing here knows a route.

mod connection;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use domain::event::Event;
use domain::ports::Observer;
use futures::future::Either;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::Problem;
use super::peers::Peer;
use super::router::{self, Shared, Side};
use super::settings::{DoorLimits, DoorSettings};
use super::tls::ListenerTls;
use super::{Door, reply};

/// Connections that the system holds for us before we accept them.
const BACKLOG: u32 = 4_096;
/// Pause after an accept that failed for want of something (file descriptors, memory); more would be a loop
/// that burns a core while nothing can change.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address} ({listener} listener)")]
pub struct BindError {
    /// `external` or `internal`.
    pub listener: &'static str,
    /// The address that was asked for.
    pub address: SocketAddr,
    /// Why; for example that the port is in use.
    #[source]
    pub source: io::Error,
}

/// The two open listeners. Dropping it leaves them open; [`Self::shutdown`] closes them.
#[derive(Debug)]
pub struct Doors {
    /// Where the public listener stands, with its real port.
    pub external: SocketAddr,
    /// Where the internal listener stands, with its real port.
    pub internal: SocketAddr,
    leaving: CancellationToken,
    drain: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Doors {
    /// From now on every answer ends its connection, while everything is still served: whoever asks next connects anew,
    /// to wherever a balancer sends it, and finds no connection closed under its request.
    pub fn begin_leaving(&self) {
        self.leaving.cancel();
    }

    /// Stops accepting, closes what is idle, lets requests in flight be answered for at most `grace`, and cuts
    /// the rest. Returns how many connections were cut.
    pub async fn shutdown(self, grace: Duration) -> usize {
        self.drain.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_ok() {
            return 0;
        }
        let cut = self.tasks.len();
        self.cut.cancel();
        self.tasks.wait().await;
        cut
    }
}

/// Opens both listeners, then serves them.
pub(crate) fn open(settings: DoorSettings, door: Door) -> Result<Doors, BindError> {
    let (external, external_address) = bind(Side::External, settings.external)?;
    let (internal, internal_address) = bind(Side::Internal, settings.internal)?;
    let doors = Doors {
        external: external_address,
        internal: internal_address,
        leaving: CancellationToken::new(),
        drain: CancellationToken::new(),
        cut: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    for (side, listener) in [(Side::External, external), (Side::Internal, internal)] {
        let shared = Arc::new(Shared::new(side, &settings, door.clone()));
        let connections = match side {
            Side::External => settings.limits.external_connections,
            Side::Internal => settings.limits.internal_connections,
        };
        let acceptor = Acceptor {
            side,
            limits: settings.limits,
            tls: settings.tls.clone(),
            observer: Arc::clone(&door.observer),
            router: router::router(shared),
            places: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            leaving: doors.leaving.clone(),
            drain: doors.drain.clone(),
            cut: doors.cut.clone(),
            tasks: doors.tasks.clone(),
        };
        doors.tasks.spawn(acceptor.run(listener));
    }
    Ok(doors)
}

fn bind(side: Side, address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Only lets a restart follow at once: a port that another process listens on stays refused.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listen().map_err(|source| BindError { listener: side.name(), address, source })
}

struct Acceptor {
    side: Side,
    limits: DoorLimits,
    tls: Option<ListenerTls>,
    observer: Arc<dyn Observer>,
    router: Router,
    places: Arc<Semaphore>,
    leaving: CancellationToken,
    drain: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Acceptor {
    /// Accepts until the drain begins; the listener closes with it.
    async fn run(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.drain.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(listener = self.side.name(), %error, "cannot accept a connection; pausing");
                    tokio::select! {
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                        () = self.drain.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Gives a connection its task, or turns it away if there are too many.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.observer.note(Event::Shed);
            // Whoever begins with a handshake would not understand it.
            if self.tls.is_none() {
                turn_away(stream);
            }
            return;
        };
        // Answers are written whole; waiting for more bytes to send with them only adds delay.
        let _ = stream.set_nodelay(true);
        let terms = connection::Terms {
            began: Instant::now(),
            limits: self.limits,
            peer: Peer(peer.ip()),
            leaving: self.leaving.clone(),
            drain: self.drain.clone(),
        };
        let (router, listener) = (self.router.clone(), self.side.name());
        let served = match &self.tls {
            None => Either::Left(connection::serve(stream, router, terms)),
            // On the heap: connections without it have no room set aside for it.
            Some(tls) => {
                Either::Right(Box::pin(connection::serve_encrypted(tls.acceptor(), stream, listener, router, terms)))
            }
        };
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = served => {}
                () = cut.cancelled() => {}
            }
            drop(place);
        });
    }
}

/// The other side gave up between its call and our answer: the next accept may well work.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Answers 503 without reading anything and without waiting, then closes.
fn turn_away(stream: TcpStream) {
    use std::io::Write as _;

    // Fits any fresh send buffer, so the one write that does not block is enough.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(&reply::raw_refusal(&Problem::shed()));
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}

#[cfg(test)]
mod tests;
