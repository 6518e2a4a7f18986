//! TLS of the listeners: what they agree on, and the certificate that they show, in whose place another may come.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::TlsAcceptor;

/// What clients choose from, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Sessions that clients can go on with in place of a whole handshake, some 500 bytes each.
const SESSIONS: usize = 4_096;

/// TLS 1.2 and 1.3 with one certificate. Clones are one and the same.
#[derive(Clone)]
pub struct ListenerTls(Arc<ArcSwap<ServerConfig>>);

impl ListenerTls {
    /// Shows `certificate`.
    ///
    /// # Errors
    /// If the library knows no version of TLS.
    pub fn new(certificate: Arc<CertifiedKey>) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        Ok(Self(Arc::new(ArcSwap::from_pointee(config))))
    }

    /// Shows `certificate` to whoever comes from now on. Connections that are open go on.
    pub fn replace(&self, certificate: Arc<CertifiedKey>) {
        let mut config = ServerConfig::clone(&self.0.load());
        config.cert_resolver = Arc::new(SingleCertAndKey::from(certificate));
        // Whoever went on with a session would not see it.
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        self.0.store(Arc::new(config));
    }

    /// For one handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load_full())
    }
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenerTls(…)")
    }
}
