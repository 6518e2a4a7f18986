//! The client of the voice services' Redis: how it is set up, its limits, and what its errors mean.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::ports::RoutingError;
use domain::secret::Secret;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike as _;
use fred::rustls::pki_types::CertificateDer;
use fred::rustls::pki_types::pem::PemObject as _;
use fred::rustls::{ClientConfig, RootCertStore};
use fred::types::Builder;
use fred::types::config::{
    ClusterDiscoveryPolicy, Config, HostMapping, ReconnectPolicy, Server, ServerConfig, TlsConfig, TlsConnector,
    TlsHostMapping, UnresponsiveConfig,
};

use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::unverified::Unverified;

/// From the first packet to an open connection.
const CONNECT: Duration = Duration::from_secs(3);
/// A command that is not answered in this time may have been done or not.
const COMMAND: Duration = Duration::from_secs(3);
/// A connection on which an answer is overdue by this is closed and opened again.
const UNRESPONSIVE: Duration = Duration::from_secs(5);
/// How long a server may take to be told that a connection ends.
const GOODBYE: Duration = Duration::from_millis(500);
/// Commands that wait for the connection or for their answers; more are refused, surely not done.
const MAX_COMMANDS: usize = 10_000;
/// Pauses between attempts to connect again, in milliseconds; there is no last attempt.
const RECONNECT_MS: (u32, u32) = (50, 2_000);

/// Where the Redis of the voice services is.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisSettings {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// One server, or a cluster that is discovered through this one.
    pub layout: Layout,
    /// Password, if one is asked for.
    pub password: Option<Secret>,
    /// Encryption, if the server wants it.
    pub tls: Option<TlsSettings>,
}

/// How many servers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One.
    Single,
    /// Redis Cluster.
    Cluster,
}

/// How the connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The name that the certificate has to be for; the host's if absent.
    pub server_name: Option<String>,
    /// Whether the certificate is looked at.
    pub verify: Verify,
    /// Files of certificate authorities that are trusted beside the system's, in PEM form.
    pub ca_files: Vec<PathBuf>,
}

/// Whether a server has to prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// It has to.
    Yes,
    /// Any certificate will do (`rejectUnauthorized: false`): encrypted, not authenticated.
    No,
}

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Commands that are answered at once.
    Commands,
    /// Reads that wait on the server: they hold their connection.
    BlockingReads,
}

/// An open client. Dropped, it is gone, whatever its server does: else its task would connect again and again for ever,
/// with nobody to use it.
pub(crate) struct Link {
    client: Client,
    _connection: AbortOnDropHandle<Result<(), Error>>,
}

impl Link {
    /// Commands go here.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Says goodbye to the server, if it still listens.
    pub(crate) async fn quit(&self) {
        let _ = timeout(GOODBYE, self.client.quit()).await;
    }
}

/// Opens a client.
///
/// # Errors
/// A text without secrets: a certificate file cannot be used, or the server cannot be reached or lets nobody in.
pub(crate) async fn open(settings: &RedisSettings, what_for: Use) -> Result<Link, String> {
    let config = Config { server: server(settings), tls: tls(settings)?, ..Config::default() };
    let config = Config { password: settings.password.as_ref().map(|it| it.reveal().to_owned()), ..config };
    let mut builder = Builder::from_config(config);
    builder
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT;
            connection.internal_command_timeout = COMMAND;
            connection.max_command_buffer_len = MAX_COMMANDS;
            // A command in flight when the connection breaks is not sent again behind our back.
            connection.max_command_attempts = 1;
            connection.tcp.nodelay = Some(true);
            if what_for == Use::Commands {
                connection.unresponsive =
                    UnresponsiveConfig { max_timeout: Some(UNRESPONSIVE), interval: Duration::from_secs(1) };
            }
        })
        .with_performance_config(|performance| {
            if what_for == Use::Commands {
                performance.default_command_timeout = COMMAND;
            }
        })
        // Without a policy a lost connection would never come back, and commands would wait for ever.
        .set_policy(ReconnectPolicy::new_exponential(0, RECONNECT_MS.0, RECONNECT_MS.1, 2));
    let client = builder.build().map_err(|error| told(&error))?;
    let connection = AbortOnDropHandle::new(client.connect());
    let link = Link { client, _connection: connection };
    match link.client.wait_for_connect().await {
        Ok(()) => Ok(link),
        Err(error) => Err(told(&error)),
    }
}

fn server(settings: &RedisSettings) -> ServerConfig {
    let name = settings.tls.as_ref().and_then(|tls| tls.server_name.clone());
    let server = Server::new_with_tls(settings.host.as_str(), settings.port, name);
    match settings.layout {
        Layout::Single => ServerConfig::Centralized { server },
        Layout::Cluster => ServerConfig::Clustered { hosts: vec![server], policy: ClusterDiscoveryPolicy::default() },
    }
}

/// Members of a cluster tell addresses of each other: their certificates are for a name.
#[derive(Debug)]
struct OneName(String);

impl HostMapping for OneName {
    fn map(&self, _ip: &IpAddr, _default_host: &str) -> Option<String> {
        Some(self.0.clone())
    }
}

fn tls(settings: &RedisSettings) -> Result<Option<TlsConfig>, String> {
    let Some(tls) = &settings.tls else { return Ok(None) };
    let config = ClientConfig::builder();
    let config = match tls.verify {
        Verify::No => config.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new()?)),
        Verify::Yes => config.with_root_certificates(authorities(tls)?),
    };
    let connector = TlsConnector::from(config.with_no_client_auth());
    let name = tls.server_name.clone().unwrap_or_else(|| settings.host.clone());
    Ok(Some(TlsConfig { connector, hostnames: TlsHostMapping::Custom(Arc::new(OneName(name))) }))
}

/// The system's authorities and those of the settings.
fn authorities(tls: &TlsSettings) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(fred::rustls_native_certs::load_native_certs().certs);
    for path in &tls.ca_files {
        let unusable = |why: String| format!("the certificates in {} cannot be used: {why}", path.display());
        let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
        for certificate in found {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            store.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
    }
    Ok(store)
}

/// An error as text, bounded: no value of ours is in it.
pub(crate) fn told(error: &Error) -> String {
    let details: String = error.details().chars().take(200).collect();
    format!("{}: {details}", error.kind().to_str())
}

/// What an error means for what was to be done.
pub(super) fn failed(error: &Error) -> RoutingError {
    // A refusal in the server's own words came instead of the work, and so did one of the client's queue.
    let refused = is_reply(error.details()) || *error.kind() == ErrorKind::Backpressure;
    if refused { RoutingError::NotDone(told(error)) } else { RoutingError::Perhaps(told(error)) }
}

/// Whether a text is an error reply of the server: it begins with a code such as `OOM` or `READONLY`. None of our
/// scripts fails after its first write.
fn is_reply(details: &str) -> bool {
    let code = details.split(' ').next().unwrap_or_default();
    code.len() >= 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_means_surely_not_done() {
        let surely =
            |kind, details: &'static str| matches!(failed(&Error::new(kind, details)), RoutingError::NotDone(_));
        assert!(surely(ErrorKind::Unknown, "OOM command not allowed when used memory > 'maxmemory'."));
        assert!(surely(ErrorKind::Unknown, "READONLY You can't write against a read only replica."));
        assert!(surely(ErrorKind::Auth, "NOAUTH Authentication required."));
        assert!(surely(ErrorKind::Backpressure, "Max in-flight commands reached."));
        assert!(!surely(ErrorKind::Timeout, "Request timed out."));
        assert!(!surely(ErrorKind::IO, "Connection reset by peer (os error 104)"));
        assert!(!surely(ErrorKind::Canceled, "Canceled."));
        assert!(!surely(ErrorKind::Unknown, ""));
    }
}
