//! The routing engine that was chosen, with everything that depends on the choice.

use std::path::Path;
use std::sync::Arc;

use domain::ports::{Clock, Connector, Inbox, NoReports, Observer, Probe, QueueReports, Routing, RoutingNodes};
use domain::region::{Node, NodeKind};

use super::AppError;
use crate::clients::http::{HttpClient, HttpSettings, Rests};
use crate::config::{Accept, Config, NodeAddress, Routing as Choice};
use crate::redis::{Endpoint, Layout, Password, RedisSettings, TlsSettings, Verify};
use crate::routing::implicit::ImplicitAccept;
use crate::routing::nodes::{NodeBoard, NodeProbe};
use crate::routing::ors_rest::{OrsRest, RestSettings};
use crate::routing::ors_stream::{OrsStream, QUIET, ReportBoard, StreamSettings};
use crate::routing::simulator::{Journal, OpenError, Simulator, SimulatorSettings};

/// See the module.
pub(super) struct Engine {
    adapter: Adapter,
    /// The nodes of routing that are known.
    nodes: Arc<NodeBoard>,
    /// What asks them.
    probes: Vec<Arc<dyn Probe>>,
}

/// What the service hands callbacks to.
enum Adapter {
    /// The built-in contact centre.
    Simulator(Arc<Simulator>),
    /// Orchestration, through a stream.
    Stream(Arc<OrsStream>, Arc<ReportBoard>),
    /// Orchestration, through its REST interface.
    Rest(Arc<OrsRest>, Arc<ReportBoard>),
}

impl Engine {
    /// Prepares it; nothing goes out before [`Self::begin`].
    pub(super) fn open(
        config: &Config,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, AppError> {
        let nodes = Arc::new(NodeBoard::new(nodes_of(config), config.voice.region_affinity.clone(), clock.clone()));
        let client = Arc::new(HttpClient::new(&http_settings(config), observer)?);
        let adapter = Adapter::open(config, data_dir, clock, (&nodes, &client))?;
        let probes = NodeProbe::all(&nodes, &client);
        Ok(Self { adapter, nodes, probes })
    }

    pub(super) fn routing(&self) -> Arc<dyn Routing> {
        match &self.adapter {
            Adapter::Simulator(simulator) => simulator.clone(),
            Adapter::Stream(stream, _) => stream.clone(),
            Adapter::Rest(rest, _) => rest.clone(),
        }
    }

    /// What is asked how it is: the engine, where that is one thing, and its nodes.
    pub(super) fn probes(&self) -> Vec<Arc<dyn Probe>> {
        let own: Option<Arc<dyn Probe>> = match &self.adapter {
            Adapter::Simulator(simulator) => Some(simulator.clone()),
            Adapter::Stream(stream, _) => Some(stream.clone()),
            Adapter::Rest(..) => None,
        };
        own.into_iter().chain(self.probes.iter().cloned()).collect()
    }

    /// What is known of the nodes.
    pub(super) fn nodes(&self) -> Arc<dyn RoutingNodes> {
        self.nodes.clone()
    }

    pub(super) fn connectors(&self) -> Vec<Arc<dyn Connector>> {
        match &self.adapter {
            Adapter::Simulator(_) | Adapter::Rest(..) => vec![],
            Adapter::Stream(stream, _) => vec![stream.clone()],
        }
    }

    /// The password of the voice Redis, which may be replaced.
    pub(super) fn password(&self) -> Option<Password> {
        match &self.adapter {
            Adapter::Simulator(_) | Adapter::Rest(..) => None,
            Adapter::Stream(stream, _) => Some(stream.password()),
        }
    }

    /// Where the door hands reports of queues to.
    pub(super) fn reports(&self) -> Arc<dyn QueueReports> {
        match &self.adapter {
            Adapter::Simulator(_) => Arc::new(NoReports),
            Adapter::Stream(_, reports) | Adapter::Rest(_, reports) => reports.clone(),
        }
    }

    /// The inbox as the door hands signals to it.
    pub(super) fn inbox(&self, config: &Config, inbox: Arc<dyn Inbox>) -> Arc<dyn Inbox> {
        match (&self.adapter, config.voice.accept) {
            (Adapter::Stream(..) | Adapter::Rest(..), Accept::Implicit) => Arc::new(ImplicitAccept::new(inbox)),
            _ => inbox,
        }
    }

    /// From now on signals can be taken: from within by `inbox`, from outside under `internal_url`.
    pub(super) fn begin(&self, inbox: Arc<dyn Inbox>, internal_url: String) {
        match &self.adapter {
            Adapter::Simulator(simulator) => simulator.attach(inbox),
            Adapter::Stream(stream, _) => stream.reply_to(internal_url),
            Adapter::Rest(rest, _) => rest.begin(inbox, internal_url),
        }
    }

    /// Ends what is within this process.
    pub(super) async fn shutdown(&self) {
        if let Adapter::Simulator(simulator) = &self.adapter {
            simulator.shutdown().await;
        }
    }
}

impl Adapter {
    fn open(
        config: &Config,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        (nodes, client): (&Arc<NodeBoard>, &Arc<HttpClient>),
    ) -> Result<Self, OpenError> {
        let reports = Arc::new(ReportBoard::default());
        match config.routing() {
            Choice::Simulator => {
                let settings =
                    SimulatorSettings { speed: config.sim.speed, seed: config.sim.seed, agents: config.sim.agents };
                Simulator::open(settings, &data_dir.join(Journal::FILE_NAME), clock).map(Self::Simulator)
            }
            Choice::Stream => {
                let stream = OrsStream::new(&stream_settings(config), reports.clone(), clock).among(nodes.clone());
                Ok(Self::Stream(Arc::new(stream), reports))
            }
            Choice::Rest => {
                let scxml_url = config.voice.ors_scxml_url.clone();
                let settings = RestSettings { scxml_url, quiet: RestSettings::QUIET };
                let rest = OrsRest::new(settings, nodes.clone(), client.clone(), reports.clone(), clock);
                Ok(Self::Rest(Arc::new(rest), reports))
            }
        }
    }
}

/// Every node of routing with its base URL.
fn nodes_of(config: &Config) -> Vec<(Node, String)> {
    let of_kind = |kind, nodes: &[NodeAddress]| {
        let node = |it: &NodeAddress| {
            let node = Node { name: it.name.clone(), kind, region: it.region.clone(), role: it.role };
            (node, it.url.to_string())
        };
        nodes.iter().map(node).collect::<Vec<_>>()
    };
    [of_kind(NodeKind::Ors, &config.voice.ors_nodes), of_kind(NodeKind::Urs, &config.voice.urs_nodes)].concat()
}

/// For calls to routing: never through the proxy, and whether a node is called is decided by the board.
fn http_settings(config: &Config) -> HttpSettings {
    HttpSettings { rests: Rests::Never, ca_files: config.outward.ca_files.clone(), ..HttpSettings::default() }
}

/// What the settings come to. The secret goes before the location, and that before host and port.
pub(crate) fn stream_settings(config: &Config) -> StreamSettings {
    let voice = &config.voice;
    let secret = voice.secret.clone().unwrap_or_default();
    let (host, port) = match (&voice.ors_redis_location, &voice.redis_host) {
        (Some(location), _) => (Some(location.host.clone()), location.port),
        (None, Some(host)) => (Some(host.clone()), voice.redis_port),
        (None, None) => (None, voice.redis_port),
    };
    let encrypted = secret.servername.is_some() || secret.reject_unauthorized.is_some();
    let verify = if secret.reject_unauthorized == Some(false) { Verify::No } else { Verify::Yes };
    let tls = TlsSettings { server_name: secret.servername, verify, ca_files: config.outward.ca_files.clone() };
    let redis = RedisSettings {
        servers: host.map(|host| Endpoint::new(host, secret.port.unwrap_or(port))).into_iter().collect(),
        layout: if voice.redis_cluster_mode { Layout::Cluster } else { Layout::Single },
        password: secret.password,
        tls: encrypted.then_some(tls),
    };
    StreamSettings { redis, stream: voice.redis_stream_name.clone(), quiet: QUIET }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn settings(values: &[(&str, &str)]) -> RedisSettings {
        let environment = values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let loaded = Config::load(Sources { environment, file: None }).unwrap();
        stream_settings(&loaded.config).redis
    }

    #[test]
    fn the_secret_goes_before_the_location_and_that_before_the_host() {
        let host = ("GES_VMCS_REDIS_HOST", "vmcs");
        let secret = ("GES_VOICE_REDIS_ORS_STREAM", r#"{"password":"p","port":7000,"servername":"redis.voice"}"#);
        let plain = settings(&[host, ("GES_VMCS_REDIS_PORT", "6400")]);
        assert_eq!((plain.servers, plain.tls), (vec![Endpoint::new("vmcs", 6400)], None));
        let located = settings(&[host, ("GES_ORS_REDIS_LOCATION", "ors")]);
        assert_eq!(located.servers, [Endpoint::new("ors", 10_000)]);
        let secured = settings(&[host, secret, ("GES_VMCS_REDIS_CLUSTER_MODE", "true")]);
        assert_eq!((secured.servers, secured.layout), (vec![Endpoint::new("vmcs", 7000)], Layout::Cluster));
        let tls = secured.tls.unwrap();
        assert_eq!((tls.server_name.as_deref(), tls.verify), (Some("redis.voice"), Verify::Yes));
        let trusting = settings(&[host, ("GES_VOICE_REDIS_ORS_STREAM", r#"{"rejectUnauthorized":false}"#)]);
        assert_eq!(trusting.tls.map(|tls| tls.verify), Some(Verify::No));
    }
}
