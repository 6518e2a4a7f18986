//! How a client of Redis is set up, and its limits. Our own Redis and that of the voice services are reached alike.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::secret::Secret;
use fred::clients::{Client, SubscriberClient};
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::rustls::pki_types::CertificateDer;
use fred::rustls::pki_types::pem::PemObject as _;
use fred::rustls::{ClientConfig, RootCertStore};
use fred::types::config::{
    ClusterDiscoveryPolicy, Config, HostMapping, ReconnectPolicy, Server, ServerConfig, TlsConfig, TlsConnector,
    TlsHostMapping, UnresponsiveConfig,
};
use fred::types::{Builder, RespVersion};
use futures::FutureExt as _;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::password::{Password, Shown};
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

/// Messages of channels that may wait to be taken in; those beyond are lost.
const MAX_MESSAGES: usize = 256;
/// Who every server knows, also one that asks for no password: sentinels often do not, where servers do.
const DEFAULT_USER: &str = "default";

/// Where a Redis is.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisSettings {
    /// Who is asked first: the server, members of the cluster, or sentinels. At least one.
    pub servers: Vec<Endpoint>,
    /// How many servers there are.
    pub layout: Layout,
    /// Password, if one is asked for; another may take its place while clients are open.
    pub password: Option<Secret>,
    /// Encryption, if the server wants it.
    pub tls: Option<TlsSettings>,
}

/// Where one server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// A server at that place.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

/// How many servers there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One.
    Single,
    /// Redis Cluster; the members that are not named are found through those that are.
    Cluster,
    /// A primary with replicas, known to sentinels under this name.
    Sentinel(String),
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
    /// Commands, and messages of channels over the same connection.
    Messages,
}

/// An open client. Dropped, it is gone, whatever its server does: else its task would connect again and again for ever,
/// with nobody to use it.
pub(crate) struct Link<C = Client> {
    client: C,
    _connection: AbortOnDropHandle<Result<(), Error>>,
}

impl<C: ClientLike> Link<C> {
    /// Connects, within the limits that the client was made with.
    async fn connect(client: C) -> Result<Self, String> {
        let waiting = client.clone();
        let mut connected = Box::pin(async move { waiting.wait_for_connect().await });
        // Waits from before it begins: whoever comes later than an error that came at once waits for ever.
        if connected.as_mut().now_or_never().is_some() {
            return Err("the client was in use before".to_owned());
        }
        let mut connection = AbortOnDropHandle::new(client.connect());
        let result = tokio::select! {
            biased;
            result = connected => result,
            ended = &mut connection => match ended {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) | Err(_) => Err(Error::new_canceled()),
            },
        };
        match result {
            Ok(()) => Ok(Self { client, _connection: connection }),
            Err(error) => Err(told(&error)),
        }
    }

    /// Commands go here.
    pub(crate) const fn client(&self) -> &C {
        &self.client
    }

    /// Says goodbye to the server, if it still listens.
    pub(crate) async fn quit(&self) {
        let _ = timeout(GOODBYE, self.client.quit()).await;
    }
}

/// Opens a client that shows `password`, whatever it is whenever a connection is made.
///
/// # Errors
/// A text without secrets: a certificate file cannot be used, or the server cannot be reached or lets nobody in.
pub(crate) async fn open(settings: &RedisSettings, password: &Password, what_for: Use) -> Result<Link, String> {
    let client = builder(settings, password, what_for)?.build().map_err(|error| told(&error))?;
    Link::connect(client).await
}

/// Opens a client that also hears channels.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_listening(
    settings: &RedisSettings,
    password: &Password,
) -> Result<Link<SubscriberClient>, String> {
    let client = builder(settings, password, Use::Messages)?.build_subscriber_client().map_err(|error| told(&error))?;
    Link::connect(client).await
}

fn builder(settings: &RedisSettings, password: &Password, what_for: Use) -> Result<Builder, String> {
    let config = Config { server: server(settings)?, tls: tls(settings)?, ..Config::default() };
    let config = Config {
        credential_provider: Some(Arc::new(Shown {
            user: matches!(settings.layout, Layout::Sentinel(_)).then(|| DEFAULT_USER.to_owned()),
            password: password.clone(),
        })),
        // Since Redis 6 one connection can carry both answers and messages.
        version: if what_for == Use::Messages { RespVersion::RESP3 } else { RespVersion::RESP2 },
        ..config
    };
    let mut builder = Builder::from_config(config);
    builder
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT;
            connection.internal_command_timeout = COMMAND;
            connection.max_command_buffer_len = MAX_COMMANDS;
            // A command in flight when the connection breaks is not sent again behind our back.
            connection.max_command_attempts = 1;
            connection.tcp.nodelay = Some(true);
            if what_for != Use::BlockingReads {
                connection.unresponsive =
                    UnresponsiveConfig { max_timeout: Some(UNRESPONSIVE), interval: Duration::from_secs(1) };
            }
        })
        .with_performance_config(|performance| {
            performance.broadcast_channel_capacity = MAX_MESSAGES;
            if what_for != Use::BlockingReads {
                performance.default_command_timeout = COMMAND;
            }
        })
        // Without a policy a lost connection would never come back, and commands would wait for ever.
        .set_policy(ReconnectPolicy::new_exponential(0, RECONNECT_MS.0, RECONNECT_MS.1, 2));
    Ok(builder)
}

/// The place that is asked first.
fn first(settings: &RedisSettings) -> Result<&Endpoint, String> {
    settings.servers.first().ok_or_else(|| "no server is named".to_owned())
}

fn server(settings: &RedisSettings) -> Result<ServerConfig, String> {
    let name = settings.tls.as_ref().and_then(|tls| tls.server_name.clone());
    let server = |at: &Endpoint| Server::new_with_tls(at.host.as_str(), at.port, name.clone());
    let hosts = || settings.servers.iter().map(server).collect();
    Ok(match &settings.layout {
        Layout::Single => ServerConfig::Centralized { server: server(first(settings)?) },
        Layout::Cluster => ServerConfig::Clustered { hosts: hosts(), policy: ClusterDiscoveryPolicy::default() },
        Layout::Sentinel(name) => ServerConfig::Sentinel { hosts: hosts(), service_name: name.clone() },
    })
}

/// Members of a cluster and sentinels tell addresses of each other: their certificates are for a name.
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
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => first(settings)?.host.clone(),
    };
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
