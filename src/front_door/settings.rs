//! How much the door lets in, and for how long. Every queue, body and wait of the HTTP side has its limit here.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::network::Network;
use tokio::time::Instant;

use super::tls::ListenerTls;

/// How long a token stays good after another has taken its place: callers get theirs at another time than this node.
const OVERLAP: Duration = Duration::from_secs(600);
/// Tokens that are good beside the present one; the oldest goes first.
const MAX_BEFORE: usize = 4;

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
    /// Proxies whose word counts for the address of whoever asks.
    pub trusted_proxies: Vec<Network>,
    /// What both listeners speak TLS with. None: plain HTTP.
    pub tls: Option<ListenerTls>,
    /// Limits, the same for both listeners unless a field says otherwise.
    pub limits: DoorLimits,
}

/// A shared secret, kept as a hash so that it can neither print nor be compared byte by byte. Another may take its place;
/// for ten minutes both are good. Clones are one and the same.
#[derive(Clone)]
pub struct InternalToken(Arc<ArcSwap<Good>>);

/// What is good now.
struct Good {
    present: blake3::Hash,
    /// Oldest first, each until that instant.
    before: Vec<(blake3::Hash, Instant)>,
}

impl InternalToken {
    /// Takes the secret in.
    pub fn new(secret: &str) -> Self {
        let present = blake3::hash(secret.as_bytes());
        Self(Arc::new(ArcSwap::from_pointee(Good { present, before: Vec::new() })))
    }

    /// Whether `presented` is the secret; takes the same time whatever it is.
    pub(crate) fn admits(&self, presented: &[u8]) -> bool {
        let (good, presented, now) = (self.0.load(), blake3::hash(presented), Instant::now());
        good.before.iter().filter(|(_, until)| *until > now).fold(good.present == presented, |any, (before, _)| {
            let same = *before == presented;
            any | same
        })
    }

    /// From now on `secret` counts, and what it takes the place of for a while.
    pub fn replace(&self, secret: &str) {
        let (good, now) = (self.0.load(), Instant::now());
        let mut before: Vec<_> = good.before.iter().filter(|(_, until)| *until > now).copied().collect();
        before.push((good.present, now + OVERLAP));
        before.drain(..before.len().saturating_sub(MAX_BEFORE));
        self.0.store(Arc::new(Good { present: blake3::hash(secret.as_bytes()), before }));
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
    /// Open connections of the external listener; over it a new one is answered 503 (not with TLS) and closed. Default
    /// 20,000.
    pub external_connections: usize,
    /// Open connections of the internal listener. Default 2,000.
    pub internal_connections: usize,
    /// Requests between head and answer, per listener; over it they get 503 before any work. Default 2,048.
    pub requests_in_flight: usize,
    /// From the start of a connection to the end of its first request head, TLS included. Default 10 s.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_stays_good_for_a_while_after_another_took_its_place() {
        let token = InternalToken::new("one");
        let clone = token.clone();
        token.replace("two");
        assert!(clone.admits(b"one") && clone.admits(b"two") && !clone.admits(b"three"));
        tokio::time::sleep(OVERLAP).await;
        assert!(!clone.admits(b"one") && clone.admits(b"two"));
        for number in 0..10 {
            token.replace(&number.to_string());
        }
        let good: Vec<_> = (0..10).filter(|number| clone.admits(number.to_string().as_bytes())).collect();
        assert_eq!(good, [5, 6, 7, 8, 9]);
    }
}
