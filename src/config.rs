//! Configuration: what an operator may set, where it is read from, and what is said when it is wrong.
//!
//! Every setting has one name, `GES_…`. Its value is looked for in this order, and the first that is not empty
//! counts: the **environment**, the **folders of secret files** (`GES_CONFIG_FOLDERS`, first folder first), the
//! **file** (`--config`, YAML), the default. Values are text until their own type reads them, so `0123` stays
//! `0123` wherever it comes from. All mistakes are found in one go; none of them shows a value, because a secret
//! may stand in the wrong place.
//!
//! The parts are declared with the macro `part!`: their doc comments are the text of `docs/configuration.md`,
//! so a setting and its description cannot drift apart.
//!
//! The crate `conf` lists every mistake and reads from maps as well, but it knows nothing of ranges, of the shape
//! of a value or of where a value came from (folders and file would have to be disguised as environment), and its
//! descriptions cannot be read back for the documentation.

mod catalogue;
mod certificate;
mod encoded;
mod file;
mod gws;
mod kinds;
mod nodes;
mod parts;
mod reader;
mod redis;
mod secret;
mod sources;
mod users;
mod voice;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use thiserror::Error;

pub use catalogue::{Setting, file_key, markdown, settings};
pub use certificate::ServerCertificate;
pub use gws::GwsClientCredentials;
pub use kinds::{Level, LogFormat, Url};
pub use nodes::NodeAddress;
pub use parts::{
    Accept, Auth, Choices, Data, Database, Gws, Limits, Listeners, Log, MasterKeySetting, Outward, Redis, Routing, Sim,
    Telemetry, UserAccess, Voice,
};
pub use reader::{Mistake, shape};
pub use redis::RedisServer;
pub use secret::{Key32, Secret};
pub use sources::{Origin, Sources};
pub use voice::{Location, VoiceRedisSecret};

/// Everything that can be set. `Debug` never shows a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the service listens.
    pub listeners: Listeners,
    /// What the listeners show, if they speak TLS.
    pub certificate: Option<ServerCertificate>,
    /// Where the embedded service keeps its data, and who this node is.
    pub data: Data,
    /// The database of the cluster mode.
    pub database: Database,
    /// The service's own Redis.
    pub redis: Redis,
    /// What stands behind the service.
    pub choices: Choices,
    /// The voice services.
    pub voice: Voice,
    /// The built-in contact centre.
    pub sim: Sim,
    /// How much is let in.
    pub limits: Limits,
    /// How services outside are called.
    pub outward: Outward,
    /// Where Genesys Web Services are.
    pub gws: Gws,
    /// Users of the interface.
    pub users: UserAccess,
    /// Who the service is there, if it is anybody.
    pub gws_client: Option<GwsClientCredentials>,
    /// Log lines.
    pub log: Log,
    /// Traces and metrics.
    pub telemetry: Telemetry,
    /// The installation's master key.
    pub keys: MasterKeySetting,
}

/// A configuration that can be used, and what its author should know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// One readable line each: names that are not known, or not used by this version. Never values.
    pub warnings: Vec<String>,
}

/// Everything that is wrong, at once.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} mistake{}:", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl Config {
    /// Reads the configuration of this process: its environment, and the file if one was named.
    ///
    /// # Errors
    /// Every mistake there is, in the order of the documentation.
    pub fn from_process(file: Option<PathBuf>) -> Result<Loaded, Mistakes> {
        Self::load(Sources { environment: std::env::vars_os().collect(), file })
    }

    /// Reads the configuration from the given environment and file, and from the folders that they name.
    ///
    /// # Errors
    /// Every mistake there is, in the order of the documentation.
    pub fn load(sources: Sources) -> Result<Loaded, Mistakes> {
        let mut gathered = sources::gather(sources);
        let mut reader = reader::Reader::new(&gathered.values, &mut gathered.mistakes);
        let config = Self::read(&mut reader);
        match config {
            Some(config) if gathered.mistakes.is_empty() => {
                if config.database.host.is_none() && config.redis.host.is_some() {
                    gathered
                        .warnings
                        .push("GES_REDIS_HOST has no effect: there is one node without GES_DB_HOST".to_owned());
                }
                if config.routing() != Routing::Stream && config.voice.redis_host.is_some() {
                    gathered.warnings.push("GES_VMCS_REDIS_HOST has no effect: GES_ROUTING is not stream".to_owned());
                }
                if config.routing() != Routing::Rest && config.voice.ors_scxml_url.is_some() {
                    gathered.warnings.push("GES_ORS_SCXML_URL has no effect: GES_ROUTING is not rest".to_owned());
                }
                gathered.warnings.extend(certificate::warning(&config.listeners));
                gathered.warnings.extend(gws::warnings(&config.gws));
                Ok(Loaded { config, warnings: gathered.warnings })
            }
            _ => Err(Mistakes(gathered.mistakes)),
        }
    }

    fn read(reader: &mut reader::Reader<'_>) -> Option<Self> {
        // Every part is read before any is missed, so that each tells its mistakes.
        let listeners = Listeners::read(reader);
        let data = Data::read(reader);
        let database = Database::read(reader);
        let redis = Redis::read(reader);
        let choices = Choices::read(reader);
        let voice = Voice::read(reader);
        let sim = Sim::read(reader);
        let limits = Limits::read(reader);
        let outward = Outward::read(reader);
        let gws = Gws::read(reader);
        let users = UserAccess::read(reader);
        let log = Log::read(reader);
        let telemetry = Telemetry::read(reader);
        let keys = MasterKeySetting::read(reader);
        let gws_client = gws.as_ref().and_then(|gws| gws::client(gws, reader));
        let certificate = listeners.as_ref().and_then(|listeners| certificate::read(listeners, reader));
        let (listeners, database, choices, voice, keys) = (listeners?, database?, choices?, voice?, keys?);
        let users = users?;
        users.check(choices.auth, gws_client.is_some(), reader);
        if listeners.external_port != 0 && listeners.external_port == listeners.internal_port {
            reader.refuse(
                "GES_INTERNAL_PORT",
                "two listeners cannot share one port: it must differ from GES_EXTERNAL_PORT",
            );
        }
        if redis.as_ref().is_some_and(|redis| redis.cluster && redis.sentinel.is_some()) {
            reader.refuse(
                "GES_REDIS_SENTINEL",
                "a Redis Cluster (GES_REDIS_CLUSTER) has no sentinels: set one of the two",
            );
        }
        let named = voice.redis_host.is_some() || voice.ors_redis_location.is_some();
        if database.host.is_some() {
            if reader.text("GES_NODE_NAME").is_none() {
                reader.refuse("GES_NODE_NAME", "in cluster mode (GES_DB_HOST) each node needs a name of its own");
            }
            if keys.master_key.is_none() {
                reader.refuse("GES_MASTER_KEY", "in cluster mode (GES_DB_HOST) the nodes need one key that they share");
            }
        }
        if routing(&choices, &database) == Routing::Rest && voice.ors_nodes.is_empty() {
            reader.refuse("GES_ROUTING", "rest needs the nodes of Orchestration: set GES_ORS_NODES");
        }
        if routing(&choices, &database) == Routing::Stream && !named {
            reader.refuse(
                "GES_ROUTING",
                "stream (the default in cluster mode) needs the Redis of the voice services: set GES_VMCS_REDIS_HOST \
                 or GES_ORS_REDIS_LOCATION",
            );
        }
        Some(Self {
            listeners,
            certificate,
            data: data?,
            database,
            redis: redis?,
            choices,
            voice,
            sim: sim?,
            limits: limits?,
            outward: outward?,
            gws: gws?,
            users,
            gws_client,
            log: log?,
            telemetry: telemetry?,
            keys,
        })
    }

    /// The routing engine that was chosen, or that goes with the mode.
    pub fn routing(&self) -> Routing {
        routing(&self.choices, &self.database)
    }

    /// Names of the settings that differ; never values.
    pub(crate) fn differing(&self, other: &Self) -> Vec<&'static str> {
        [
            self.listeners.differing(&other.listeners),
            self.data.differing(&other.data),
            self.database.differing(&other.database),
            self.redis.differing(&other.redis),
            self.choices.differing(&other.choices),
            self.voice.differing(&other.voice),
            self.sim.differing(&other.sim),
            self.limits.differing(&other.limits),
            self.outward.differing(&other.outward),
            self.gws.differing(&other.gws),
            self.users.differing(&other.users),
            self.log.differing(&other.log),
            self.telemetry.differing(&other.telemetry),
            self.keys.differing(&other.keys),
        ]
        .concat()
    }

    /// The settings as text for operators and logs, one per line; secrets are shown as `(set)`.
    pub fn redacted(&self) -> String {
        format!("{self:#?}")
    }
}

fn routing(choices: &Choices, database: &Database) -> Routing {
    let of_mode = if database.host.is_some() { Routing::Stream } else { Routing::Simulator };
    choices.routing.unwrap_or(of_mode)
}

impl Listeners {
    /// Address of the public listener.
    pub fn external(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.external_port)
    }

    /// Address of the listener for operators, routing and metrics.
    pub fn internal(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.internal_port)
    }

    /// Where others reach the internal listener that was bound to `bound`, as a URL without a trailing slash.
    pub fn internal_url(&self, bound: SocketAddr) -> String {
        let (scheme, port) = (if self.tls_cert.is_some() { "https" } else { "http" }, bound.port());
        match &self.internal_url {
            Some(url) => url.completed(scheme, port),
            None => format!("{scheme}://{}", SocketAddr::new(reachable(bound.ip()), port)),
        }
    }
}

/// An address that a client on this machine can connect to: the wildcard address cannot be dialled everywhere.
pub fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}
