//! Genesys Web Services as they were named, with everything that depends on whether they were.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::keys::ApiKey;
use domain::ports::{
    Clock, Connector, ContactCenters, KeyRing, NoContactCenters, Observer, Probe, SettingsDesk, TenantStore, Unserved,
    UserDirectory,
};
use domain::tenant::Tenant;

use crate::clients::gws::{GwsAddresses, GwsClient, GwsConnector, GwsConnectorSettings, GwsPorts};
use crate::clients::http::HttpClient;
use crate::config::{Config, Url};

/// See the module. Nothing in it where the service has no client there.
pub(super) struct Gws(Option<Arc<GwsConnector>>);

/// What it works with.
pub(super) struct Parts {
    pub(super) http: Arc<HttpClient>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) tenants: Arc<dyn TenantStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) clients: Arc<GwsClient>,
}

impl Gws {
    /// Prepares it; nothing is asked yet.
    pub(super) fn new(config: &Config, parts: Parts) -> Self {
        let Parts { http, observer, tenants, clock, clients } = parts;
        let ports = GwsPorts { http, observer, tenants, clock, clients };
        Self(settings(config).map(|settings| GwsConnector::new(settings, ports)))
    }

    /// The connector itself, for whoever hands it new credentials.
    pub(super) fn connected(&self) -> Option<Arc<GwsConnector>> {
        self.0.clone()
    }

    pub(super) fn connector(&self) -> Option<Arc<dyn Connector>> {
        self.0.clone().map(|gws| gws as Arc<dyn Connector>)
    }

    pub(super) fn probes(&self) -> Vec<Arc<dyn Probe>> {
        self.0.as_ref().map(GwsConnector::probes).unwrap_or_default()
    }

    /// Knows users, where the configuration service is known.
    pub(super) fn directory(&self) -> Option<Arc<dyn UserDirectory>> {
        self.0.as_ref()?.directory()
    }

    pub(super) fn contact_centers(&self) -> Arc<dyn ContactCenters> {
        self.0.as_ref().map_or_else(|| Arc::new(NoContactCenters) as _, |gws| gws.contact_centers())
    }

    /// Hears of tenants together with `keys`.
    pub(super) fn beside(&self, keys: Arc<dyn KeyRing>) -> Arc<dyn KeyRing> {
        match &self.0 {
            Some(gws) => Arc::new(TellsGws { keys, gws: gws.clone() }),
            None => keys,
        }
    }

    /// Is read anew together with the settings.
    pub(super) fn refreshed_with(&self, settings: Arc<dyn SettingsDesk>) -> Arc<dyn SettingsDesk> {
        match &self.0 {
            Some(gws) => Arc::new(RefreshesGws { settings, gws: gws.clone() }),
            None => settings,
        }
    }
}

struct TellsGws {
    keys: Arc<dyn KeyRing>,
    gws: Arc<GwsConnector>,
}

impl KeyRing for TellsGws {
    fn replace(&self, tenants: &[Tenant], keys: Vec<ApiKey>) {
        self.gws.know(tenants);
        self.keys.replace(tenants, keys);
    }

    fn share_among(&self, nodes: u32) {
        self.keys.share_among(nodes);
    }
}

struct RefreshesGws {
    settings: Arc<dyn SettingsDesk>,
    gws: Arc<GwsConnector>,
}

#[async_trait]
impl SettingsDesk for RefreshesGws {
    /// GWS first: tenants that are made for new contact centres are among the settings then.
    async fn refresh(&self) -> Result<DateTime<Utc>, Unserved> {
        self.gws.refresh().await;
        self.settings.refresh().await
    }
}

fn settings(config: &Config) -> Option<GwsConnectorSettings> {
    let (gws, client) = (&config.gws, config.gws_client.as_ref()?);
    Some(GwsConnectorSettings {
        auth: gws.auth.as_ref()?.to_string(),
        env: gws.env.as_ref().map(ToString::to_string),
        conf: gws.conf.as_ref().map(ToString::to_string),
        id: client.id.clone(),
        secret: client.secret.clone(),
        refresh: gws.refresh,
    })
}

/// Base addresses for tenants that name none.
pub(super) fn addresses(config: &Config) -> GwsAddresses {
    let text = |url: &Option<Url>| url.as_ref().map(ToString::to_string);
    GwsAddresses { auth: text(&config.gws.auth), stats: text(&config.gws.stats) }
}
