//! How much the door lets in, and for how long. Every queue, body and wait of the HTTP side has its limit here.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Where the two listeners stand and what they allow.
#[derive(Debug, Clone)]
pub struct DoorSettings {
    /// Address of the public listener. Port 0 takes any free port.
    pub external: SocketAddr,
    /// Address of the listener for operators, routing and metrics.
    pub internal: SocketAddr,
    /// What callers of the internal work routes (signals, parked callbacks) must show as
    /// `Authorization: Bearer …`. None asks for nothing.
    pub internal_token: Option<InternalToken>,
    /// Limits, the same for both listeners unless a field says otherwise.
    pub limits: DoorLimits,
}

/// A shared secret, kept as a hash so that it can neither print nor be compared byte by byte.
#[derive(Clone, PartialEq, Eq)]
pub struct InternalToken(blake3::Hash);

impl InternalToken {
    /// Takes the secret in.
    pub fn new(secret: &str) -> Self {
        Self(blake3::hash(secret.as_bytes()))
    }

    /// Whether `presented` is the secret; takes the same time whatever it is.
    pub(crate) fn admits(&self, presented: &[u8]) -> bool {
        self.0 == blake3::hash(presented)
    }
}

impl fmt::Debug for InternalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InternalToken(…)")
    }
}

/// The limits of the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorLimits {
    /// Longest body in bytes, 1 kB to 16 MiB; longer ones get 413. Default 1 MiB, above the 100 kB of user data
    /// that large installations send.
    pub body_bytes: usize,
    /// Bytes of bodies above 16 kB held at once by one listener; over it requests get 503. Default 64 MiB.
    pub body_memory_bytes: usize,
    /// Longest request head in bytes, at least 8,192; longer ones get hyper's bare 431. Default 16 KiB, which is
    /// also the read buffer of a busy connection.
    pub head_bytes: usize,
    /// Open connections of the external listener; over it a new one is answered 503 and closed. Default 20,000.
    pub external_connections: usize,
    /// Open connections of the internal listener. Default 2,000.
    pub internal_connections: usize,
    /// Requests between head and answer, per listener; over it they get 503 before any work. Default 2,048.
    pub requests_in_flight: usize,
    /// From the start of a connection to the end of its first request head. Default 10 s.
    pub first_request: Duration,
    /// Longest quiet time between requests; over HTTP/1 also the longest time for a request head. Default 60 s.
    pub idle: Duration,
    /// Longest wait for the next part of a body; then 408. Default 10 s.
    pub body_gap: Duration,
    /// From the end of the head to the answer, body included. Default 30 s, above every deadline of the desk.
    pub request: Duration,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            body_memory_bytes: 64 << 20,
            head_bytes: 16 << 10,
            external_connections: 20_000,
            internal_connections: 2_000,
            requests_in_flight: 2_048,
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_gap: Duration::from_secs(10),
            request: Duration::from_secs(30),
        }
    }
}
