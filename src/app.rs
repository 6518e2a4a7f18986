//! Wiring only: ports → tree → door. Every part is made once, in the order in which it is needed, and taken
//! down in the opposite order.

mod bus;
mod demo;
mod engine;
mod gws;
mod health;
mod keys;
mod memory;
mod program;
mod store;
mod turns;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use actors::{StartError as TreeError, Tree, TreeSettings};
use domain::event::Event;
use domain::ports::{Clock, Observer, Ports, Probe, Secrets, SettingsStore};
use thiserror::Error;
use tokio::task::AbortHandle;

pub(crate) use engine::stream_settings;
pub use program::Ges;

use crate::blinds::KeyedBlinds;
use crate::cli::Around;
use crate::cli::users::UserCabinet;
use crate::clients::captcha::CaptchaClient;
use crate::clients::courier::HttpCourier;
use crate::clients::gws::GwsClient;
use crate::clients::http::{HttpClient, HttpSettings, Private, Rests, SetupError as HttpSetupError};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::front_door::{
    self, BindError, Door, DoorLimits, DoorSettings, Doors, InternalToken, KeyRing, ListenerTls, StoreParking,
};
use crate::master_key::SecretFileError;
use crate::privacy::{DeskEnder, Ender, Privacy, StoreEnder};
use crate::provisioning::{KeyRingAndVault, Provisioning, Sealer, Vault};
use crate::root_key::{KeyUse, RootKey, RootKeyError};
use crate::rotation;
use crate::routing::simulator::OpenError as SimulatorError;
use crate::seal::SealError;
use crate::stores::sqlite::OpenError as StoreOpenError;
use crate::stores::{Store, postgres};
use crate::telemetry::alarms::{self, AlarmBook, MetricsAndAlarms};
use crate::telemetry::lag;
use crate::telemetry::metrics::{Metrics, MetricsError, MetricsSettings};
use crate::users::SetUpError;

use bus::{Nodes, ToldReports};
use engine::Engine;
use gws::Gws;
use health::Health;
use store::Opened;
use turns::Holders;

/// How long requests in flight may take to be answered once the listeners are closed.
const ANSWER_GRACE: Duration = Duration::from_secs(10);
/// How long sessions may take to finish what they are handling.
const TREE_GRACE: Duration = Duration::from_secs(10);

/// Why the program could not start, or did not go on. One clear line each.
#[derive(Debug, Error)]
pub enum AppError {
    /// The data folder.
    #[error("cannot use the data folder")]
    Store(#[from] StoreOpenError),
    /// The database of the cluster mode.
    #[error(transparent)]
    Database(#[from] postgres::OpenError),
    /// Whom to believe to be that.
    #[error("cannot set up encryption to the database")]
    DatabaseTls(#[from] postgres::TlsError),
    /// Keys beside it.
    #[error("cannot use a key file")]
    Secret(#[from] SecretFileError),
    /// The key behind all others.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// Keys made from it.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The demo.
    #[error("cannot make the sample tenant")]
    Demo(#[from] demo::DemoError),
    /// The simulator.
    #[error("cannot start the simulator")]
    Simulator(#[from] SimulatorError),
    /// The client of services outside.
    #[error("cannot set up calls to the outside")]
    Http(#[from] HttpSetupError),
    /// Log-ins.
    #[error(transparent)]
    Users(#[from] SetUpError),
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Encryption of the listeners.
    #[error("cannot set up TLS of the listeners")]
    Tls(#[from] rustls::Error),
    /// A listener.
    #[error("cannot open the door")]
    Bind(#[from] BindError),
    /// The tree.
    #[error("cannot start the tree")]
    Tree(#[from] TreeError),
    /// The tree gave up while it ran. It never does so because of a dependency.
    #[error("the supervision tree gave up: {0}")]
    GaveUp(String),
}

impl AppError {
    /// The exit code of the process: 70 if the tree gave up, else 2.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::GaveUp(_) => 70,
            _ => 2,
        }
    }
}

/// A running service.
pub struct Running {
    /// The public listener.
    pub external: SocketAddr,
    /// The internal listener.
    pub internal: SocketAddr,
    /// The demo's key in clear, if this is the demo's store.
    pub demo_key: Option<String>,
    doors: Doors,
    tree: Tree,
    engine: Engine,
    drain: Duration,
    /// Goes on beside requests for as long as the service runs.
    beside: [AbortHandle; 3],
}

/// Starts everything. `Ok` means that requests are served.
///
/// # Errors
/// [`AppError`]; what was started before it is ended.
pub async fn start(config: &Config, around: Around) -> Result<Running, AppError> {
    // Takes a tenth of a second: beside the rest of the start, not before it.
    drop(tokio::task::spawn_blocking(domain::numbers::PhoneNumber::prepare));
    let lost_lines = around.log_failures.clone();
    let metrics = Arc::new(Metrics::new(metrics_settings(config, around.log_failures))?);
    let alarms = Arc::new(AlarmBook::new(Arc::new(SystemClock::default())));
    let observer: Arc<dyn Observer> = Arc::new(MetricsAndAlarms { metrics: metrics.clone(), alarms: alarms.clone() });
    let http = Arc::new(HttpClient::new(&http_settings(config), observer.clone())?);
    let door_settings = door_settings(config)?;
    let Opened { store, clock, login, .. } = store::serve(config, observer.clone(), around.reread.as_ref()).await?;
    let data_dir = config.data.data_dir.as_path();
    let root = keys::serve(store.as_ref(), config).await?;
    let hashing_key = root.sub_key(KeyUse::KeyHashes);
    let demo_key = if config.database.host.is_none() {
        let wanted_key = config.data.demo_api_key.as_ref().map(|key| key.reveal());
        demo::ensure(store.as_ref(), clock.as_ref(), data_dir, &hashing_key, wanted_key).await?
    } else {
        None
    };
    // Whoever needs a secret of a tenant asks the vault.
    let vault = Arc::new(Vault::new(store.clone(), Sealer::new(&root)?));
    let engine = Engine::open(config, data_dir, clock.clone(), observer.clone())?;
    let secrets: Arc<dyn Secrets> = vault.clone();
    let courier = Arc::new(HttpCourier::new(http.clone(), vault.clone(), clock.clone()));
    let captcha = Arc::new(CaptchaClient::new(http.clone(), secrets.clone()));
    let nodes = Nodes::new(config, &root, clock.clone(), observer.clone());
    let statistics = Arc::new(GwsClient::sharing(http.clone(), secrets, gws::addresses(config), nodes.answers()));
    let (tenants, clients) = (store.clone(), statistics.clone());
    let parts = gws::Parts { http: http.clone(), observer: observer.clone(), tenants, clock: clock.clone(), clients };
    let gws = Gws::new(config, parts);
    let users_client = users::client(config);
    let (directory, client) = (gws.directory(), users_client.clone());
    let parts = users::Parts { clock: clock.clone(), http, observer: observer.clone(), directory, client };
    let users = users::users(config, &root, store.clone(), parts)?;
    let key_ring = Arc::new(KeyRing::new(hashing_key).among(gws.contact_centers()));
    let ports = Ports {
        callbacks: store.clone(),
        call_ins: store.clone(),
        holds: store.clone(),
        flow: store.clone(),
        explain: store.clone(),
        search: store.clone(),
        settings: store.clone(),
        notices: store.clone(),
        courier: courier.clone(),
        nodes: store.clone(),
        bus: nodes.bus(),
        key_ring: gws.beside(Arc::new(KeyRingAndVault { keys: key_ring.clone(), vault })),
        blinds: Arc::new(counted_values(&root)),
        routing: engine.routing(),
        reports: engine.reports(),
        captcha: captcha.clone(),
        statistics: statistics.clone(),
        clock: clock.clone(),
        observer: observer.clone(),
        connectors: engine.connectors().into_iter().chain(nodes.connector()).chain(gws.connector()).collect(),
        probes: std::iter::once::<Arc<dyn Probe>>(store.clone())
            .chain(engine.probes())
            .chain(nodes.probe())
            .chain(gws.probes())
            .collect(),
    };
    let tree = Tree::start(ports, tree_settings(config)).await?;
    let node_name: Arc<str> = config.data.node_name.as_str().into();
    let health = Health { snapshot: Box::new(tree.health()), node: node_name, started_at: clock.now() };
    let door = Door {
        desk: tree.desk(),
        waits: tree.waits(),
        availability: tree.availability(),
        moves: tree.moves_desk(),
        call_ins: tree.call_in_desk(),
        flow: tree.flow_desk(),
        explain: tree.explain_desk(),
        search: tree.search_desk(),
        hours: tree.hours(),
        numbers: tree.numbers(),
        inbox: engine.inbox(config, tree.inbox()),
        reports: Arc::new(ToldReports { reports: engine.reports(), bus: nodes.bus() }),
        nodes: engine.nodes(),
        captcha: tree.captcha_desk(),
        statistics: tree.statistics_desk(),
        news: tree.news(),
        keys: key_ring,
        observer,
        clock: clock.clone(),
        health: Arc::new(health),
        metrics: Arc::new({
            let metrics = metrics.clone();
            move || page(&metrics)
        }),
        parking: Arc::new(StoreParking { callbacks: store.clone(), clock: clock.clone() }),
        privacy: Arc::new(privacy(store.clone(), &root, clock.clone(), Arc::new(DeskEnder(tree.desk())))),
        provisioning: Arc::new(
            provisioning(store, clock, &root)?
                .checking(courier)
                .checking(captcha)
                .checking(statistics)
                .telling(nodes.bus()),
        ),
        settings: gws.refreshed_with(tree.settings()),
        users: Arc::new(users),
        failures: Arc::default(),
        alarms: alarms.clone(),
        log_level: around.log_level,
    };
    let (internal_token, tls) = (door_settings.internal_token.clone(), door_settings.tls.clone());
    let doors = match front_door::serve(door_settings, door).await {
        Ok(doors) => doors,
        Err(error) => {
            tree.stop(TREE_GRACE).await;
            return Err(error.into());
        }
    };
    let (external, internal) = (doors.external, doors.internal);
    engine.begin(tree.inbox(), config.listeners.internal_url(internal));
    let holders = Holders {
        login,
        redis: nodes.password(),
        voice_redis: engine.password(),
        internal_token,
        tls,
        gws: gws.connected(),
        users: users_client,
    };
    let rotation = rotation::watch(turns::rotation(config, holders), around.reread);
    let beside =
        [tokio::spawn(lag::watch(metrics)), tokio::spawn(rotation), tokio::spawn(alarms::watch(alarms, lost_lines))]
            .map(|task| task.abort_handle());
    // The one line that tools read to learn the real ports.
    tracing::info!(%external, %internal, "listening");
    Ok(Running { external, internal, demo_key, doors, tree, engine, drain: config.limits.drain, beside })
}

impl Running {
    /// Resolves when the tree has given up.
    pub async fn gave_up(&self) -> AppError {
        AppError::GaveUp(self.tree.gave_up().await)
    }

    /// Ends the service: not ready but serving for the drain time (if `wait`), then the door, routing, the tree.
    pub async fn shutdown(self, wait: bool) {
        self.tree.begin_drain();
        self.doors.begin_leaving();
        if wait {
            tokio::time::sleep(self.drain).await;
        }
        let cut = self.doors.shutdown(ANSWER_GRACE).await;
        if cut > 0 {
            tracing::warn!(connections = cut, "connections were cut that did not end in time");
        }
        self.engine.shutdown().await;
        self.tree.stop(TREE_GRACE).await;
        self.beside.iter().for_each(AbortHandle::abort);
        tracing::info!("ended");
    }
}

/// The store of settings and keys for a command that works beside a running service, and the key of its hashes.
///
/// # Errors
/// [`AppError`] if the data folder or its key cannot be used.
pub async fn open_settings(config: &Config) -> Result<(Arc<dyn SettingsStore>, [u8; 32]), AppError> {
    let Opened { store, .. } = store::command(config).await?;
    let root = keys::command(store.as_ref(), config).await?;
    Ok((store, root.sub_key(KeyUse::KeyHashes)))
}

/// The documents of tenants for a command that works beside a running service.
///
/// # Errors
/// [`AppError`] if the data folder or its key cannot be used.
pub async fn open_tenants(config: &Config) -> Result<Provisioning, AppError> {
    let Opened { store, clock, .. } = store::command(config).await?;
    let root = keys::command(store.as_ref(), config).await?;
    let vault: Arc<dyn Secrets> = Arc::new(Vault::new(store.clone(), Sealer::new(&root)?));
    let http = Arc::new(HttpClient::new(&http_settings(config), Arc::new(NoObserver))?);
    let courier = HttpCourier::new(http.clone(), vault.clone(), clock.clone());
    let captcha = CaptchaClient::new(http.clone(), vault.clone());
    let statistics = GwsClient::new(http, vault, gws::addresses(config));
    let provisioning = provisioning(store, clock, &root)?;
    Ok(provisioning.checking(Arc::new(courier)).checking(Arc::new(captcha)).checking(Arc::new(statistics)))
}

/// Export, erasure and the audit log for a command that works beside a running service.
///
/// # Errors
/// [`AppError`] if the data folder or its key cannot be used.
pub async fn open_privacy(config: &Config) -> Result<Privacy, AppError> {
    let Opened { store, clock, .. } = store::command(config).await?;
    let root = keys::command(store.as_ref(), config).await?;
    let ender = StoreEnder { callbacks: store.clone(), settings: store.clone() };
    Ok(privacy(store, &root, clock, Arc::new(ender)))
}

/// Local accounts for a command that works beside a running service.
///
/// # Errors
/// [`AppError`] if the data folder cannot be used.
pub async fn open_users(config: &Config) -> Result<UserCabinet, AppError> {
    let Opened { store, .. } = store::command(config).await?;
    Ok(UserCabinet { accounts: store.clone(), settings: store })
}

/// What tells and erases what is kept of numbers.
fn privacy(store: Arc<dyn Store>, root: &RootKey, clock: Arc<dyn Clock>, ender: Arc<dyn Ender>) -> Privacy {
    Privacy::new((store.clone(), store.clone(), store), Arc::new(counted_values(root)), clock, ender)
}

/// What values are kept as that are counted.
fn counted_values(root: &RootKey) -> KeyedBlinds {
    KeyedBlinds::new(root.sub_key(KeyUse::CountedValues))
}

/// A command counts nothing.
struct NoObserver;

impl Observer for NoObserver {
    fn note(&self, _: Event) {}
}

/// What reads and applies documents.
fn provisioning(store: Arc<dyn Store>, clock: Arc<dyn Clock>, root: &RootKey) -> Result<Provisioning, SealError> {
    Ok(Provisioning::new(store.clone(), store, clock, Sealer::new(root)?, root.sub_key(KeyUse::KeyHashes)))
}

/// Brings the database up to date and says where it is.
///
/// # Errors
/// [`AppError`] if the database cannot be used or is newer than this program.
pub async fn migrate(config: &Config) -> Result<String, AppError> {
    let Opened { place, .. } = store::command(config).await?;
    Ok(format!("{place} is up to date"))
}

fn http_settings(config: &Config) -> HttpSettings {
    let outward = &config.outward;
    HttpSettings {
        ca_files: outward.ca_files.clone(),
        proxy: outward.http_proxy.as_ref().map(ToString::to_string),
        private: if outward.allow_private { Private::Allowed } else { Private::Refused },
        rests: Rests::AfterFailures,
    }
}

fn metrics_settings(config: &Config, log_failures: Arc<AtomicU64>) -> MetricsSettings {
    MetricsSettings {
        node: config.data.node_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node_metrics: config.telemetry.node_metrics,
        log_failures,
    }
}

/// The metrics page; empty if it cannot be written, which is a mistake of this program and said in the log.
fn page(metrics: &Metrics) -> String {
    metrics.render().unwrap_or_else(|error| {
        tracing::error!(%error, "the metrics page could not be written");
        String::new()
    })
}

fn tree_settings(config: &Config) -> TreeSettings {
    TreeSettings {
        node_name: config.data.node_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        session_limit: config.limits.session_limit,
    }
}

fn door_settings(config: &Config) -> Result<DoorSettings, AppError> {
    let limits = DoorLimits {
        body_bytes: config.limits.body_bytes,
        external_connections: config.limits.external_connections,
        internal_connections: config.limits.internal_connections,
        requests_in_flight: config.limits.requests_in_flight,
        request: config.limits.request_timeout,
        ..DoorLimits::default()
    };
    let certificate = config.certificate.as_ref();
    Ok(DoorSettings {
        external: config.listeners.external(),
        internal: config.listeners.internal(),
        internal_token: config.listeners.internal_token.as_ref().map(|token| InternalToken::new(token.reveal())),
        trusted_proxies: config.users.trusted_proxies.clone(),
        tls: certificate.map(|certificate| ListenerTls::new(certificate.certified())).transpose()?,
        limits,
    })
}
