//! The way to other nodes that was chosen, with everything that depends on the choice.

use std::sync::Arc;

use domain::ids::{QueueName, TenantId};
use domain::ports::{
    AnswerCache, Bus, Clock, Connector, Hint, NoAnswerCache, NoBus, NotReported, Observer, Probe, QueueReports,
};
use domain::wait::QueueReport;

use crate::config::Config;
use crate::redis::{BusSettings, Endpoint, Layout, Password, RedisBus, RedisSettings, TlsSettings, Verify};
use crate::root_key::{KeyUse, RootKey};

/// Usual port of a server.
const PORT: u16 = 6_379;
/// Usual port of a sentinel.
const SENTINEL_PORT: u16 = 26_379;

/// See the module.
pub(super) enum Nodes {
    /// There is one, or they find out everything through the database.
    Apart,
    /// They tell each other through Redis.
    Together(Arc<RedisBus>),
}

impl Nodes {
    /// Prepares it; nothing is opened yet.
    pub(super) fn new(config: &Config, root: &RootKey, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        let redis = redis_settings(config).filter(|_| config.database.host.is_some());
        redis.map_or(Self::Apart, |redis| {
            let installation = root.sub_key(KeyUse::SharedNames);
            Self::Together(Arc::new(RedisBus::new(BusSettings { redis, installation }, clock, observer)))
        })
    }

    pub(super) fn bus(&self) -> Arc<dyn Bus> {
        match self {
            Self::Apart => Arc::new(NoBus),
            Self::Together(bus) => bus.clone(),
        }
    }

    pub(super) fn answers(&self) -> Arc<dyn AnswerCache> {
        match self {
            Self::Apart => Arc::new(NoAnswerCache),
            Self::Together(bus) => bus.clone(),
        }
    }

    /// The password of that Redis, which may be replaced.
    pub(super) fn password(&self) -> Option<Password> {
        match self {
            Self::Apart => None,
            Self::Together(bus) => Some(bus.password()),
        }
    }

    pub(super) fn connector(&self) -> Option<Arc<dyn Connector>> {
        match self {
            Self::Apart => None,
            Self::Together(bus) => Some(bus.clone()),
        }
    }

    pub(super) fn probe(&self) -> Option<Arc<dyn Probe>> {
        match self {
            Self::Apart => None,
            Self::Together(bus) => Some(bus.clone()),
        }
    }
}

/// What the settings come to; none without a host.
fn redis_settings(config: &Config) -> Option<RedisSettings> {
    let redis = &config.redis;
    let usual = if redis.sentinel.is_some() { SENTINEL_PORT } else { PORT };
    let port = redis.port.unwrap_or(usual);
    let servers = redis.host.as_ref()?.iter();
    let layout = match &redis.sentinel {
        Some(name) => Layout::Sentinel(name.clone()),
        None if redis.cluster => Layout::Cluster,
        None => Layout::Single,
    };
    let ca_files = config.outward.ca_files.clone();
    Some(RedisSettings {
        servers: servers.map(|it| Endpoint::new(it.host.as_str(), it.port.unwrap_or(port))).collect(),
        layout,
        password: redis.cachekey.clone(),
        tls: redis.secure.then_some(TlsSettings { server_name: None, verify: Verify::Yes, ca_files }),
    })
}

/// Takes reports of queues, and tells other nodes of them.
pub(super) struct ToldReports {
    pub(super) reports: Arc<dyn QueueReports>,
    pub(super) bus: Arc<dyn Bus>,
}

impl QueueReports for ToldReports {
    fn take(&self, tenant: TenantId, queue: QueueName, report: QueueReport) -> Result<(), NotReported> {
        self.reports.take(tenant, queue.clone(), report)?;
        self.bus.tell(Hint::Reported { tenant, queue, report });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn settings(values: &[(&str, &str)]) -> Option<RedisSettings> {
        let environment = values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let loaded = Config::load(Sources { environment, file: None }).unwrap();
        redis_settings(&loaded.config)
    }

    #[test]
    fn ports_are_those_that_are_usual_for_what_is_asked() {
        assert_eq!(settings(&[]), None);
        let one = settings(&[("GES_REDIS_HOST", "redis.ges"), ("GES_REDIS_CACHEKEY", "key")]).unwrap();
        assert_eq!((one.servers, one.layout, one.tls), (vec![Endpoint::new("redis.ges", 6379)], Layout::Single, None));
        assert_eq!(one.password.as_ref().map(|key| key.reveal()), Some("key"));
        let sentinels = settings(&[("GES_REDIS_HOST", "a,b:7"), ("GES_REDIS_SENTINEL", "mymaster")]).unwrap();
        assert_eq!(sentinels.servers, [Endpoint::new("a", 26_379), Endpoint::new("b", 7)]);
        assert_eq!(sentinels.layout, Layout::Sentinel("mymaster".into()));
        let cluster = [("GES_REDIS_HOST", "a"), ("GES_REDIS_PORT", "7000"), ("GES_REDIS_CLUSTER", "true")];
        let cluster = settings(&[cluster.as_slice(), &[("GES_REDIS_SECURE", "true")]].concat()).unwrap();
        assert_eq!((cluster.servers, cluster.layout), (vec![Endpoint::new("a", 7000)], Layout::Cluster));
        assert_eq!(cluster.tls.map(|tls| tls.verify), Some(Verify::Yes));
    }
}
