//! Users as the configuration wants them known.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Duration;
use domain::access::{Membership, PlatformGroups, SessionLimits};
use domain::ids::TenantId;
use domain::ports::{Clock, DirectoryError, Observer, UserDirectory, WhichUser};

use super::AppError;
use crate::clients::http::HttpClient;
use crate::clients::identity::{
    Client, ClientCredentials, GwsProvider, GwsProviderSettings, OidcProvider, OidcSettings,
};
use crate::config::{Auth, Config};
use crate::root_key::{KeyUse, RootKey};
use crate::stores::Store;
use crate::users::{Arrival, Directory, Provider, UserSettings, UserStores, Users};

/// What users are let in with.
pub(super) struct Parts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) http: Arc<HttpClient>,
    pub(super) observer: Arc<dyn Observer>,
    /// Knows groups of the users of GWS.
    pub(super) directory: Option<Arc<dyn UserDirectory>>,
    /// Who we are at their provider.
    pub(super) client: Option<ClientCredentials>,
}

/// Who we are at the provider of users; none where accounts are local.
pub(super) fn client(config: &Config) -> Option<ClientCredentials> {
    match config.choices.auth {
        Auth::Local => None,
        Auth::Gws => {
            let client = config.gws_client.as_ref()?;
            Some(ClientCredentials::new(client.id.reveal(), Some(client.secret.clone())))
        }
        Auth::Oidc => {
            let id = config.users.oidc_client_id.as_ref()?;
            Some(ClientCredentials::new(id, config.users.oidc_client_secret.clone()))
        }
    }
}

/// Lets users in by the way that was chosen.
pub(super) fn users(config: &Config, root: &RootKey, store: Arc<dyn Store>, parts: Parts) -> Result<Users, AppError> {
    let stores = UserStores { sessions: store.clone(), accounts: store, clock: parts.clock.clone() };
    let users = Users::new(stores, root.sub_key(KeyUse::Cookies), settings(config))?;
    // A directory is of the users of GWS alone.
    let directory = parts.directory.clone().filter(|_| config.choices.auth == Auth::Gws);
    let users = match directory {
        Some(directory) => users.grouped_by(Arc::new(Grouped(directory))),
        None => users,
    };
    Ok(match provider(config, parts) {
        Some(provider) => users.known_by(provider),
        None => users,
    })
}

/// Groups and the annex of users, as the configuration service knows them.
struct Grouped(Arc<dyn UserDirectory>);

#[async_trait]
impl Directory for Grouped {
    async fn membership(&self, tenant: TenantId, who: &Arrival) -> Result<Option<Membership>, String> {
        let which = who.dbid.map_or(WhichUser::Named(who.user.as_str()), WhichUser::Dbid);
        match self.0.user(tenant, which).await {
            Ok(found) => Ok(found.map(|user| Membership {
                groups: user.access_groups.clone(),
                annex_roles: user.annex_roles.clone(),
                ..Membership::default()
            })),
            // Nobody who could be asked about this contact centre: what the provider says has to do.
            Err(DirectoryError::NotConfigured) => Ok(None),
            Err(error @ DirectoryError::Unavailable(_)) => Err(error.to_string()),
        }
    }
}

fn settings(config: &Config) -> UserSettings {
    let users = &config.users;
    let span = |span: std::time::Duration| Duration::from_std(span).unwrap_or(Duration::MAX);
    let limits = SessionLimits {
        idle: span(users.session_idle),
        life: span(users.session_life),
        per_user: users.sessions_per_user,
    };
    UserSettings {
        limits,
        look_again: span(users.user_refresh),
        platform: PlatformGroups(users.devops_access_groups.iter().cloned().collect()),
        secure_cookies: users.cookies_are_secure(config.database.host.is_some() || config.certificate.is_some()),
    }
}

/// None where accounts are local. What is missing was refused when the configuration was read.
fn provider(config: &Config, parts: Parts) -> Option<Arc<dyn Provider>> {
    let users = &config.users;
    let Parts { clock, http, observer, client, .. } = parts;
    let client = Client { credentials: client?, public_url: users.public_url.as_ref()?.to_string() };
    match config.choices.auth {
        Auth::Local => None,
        Auth::Gws => {
            let auth = config.gws.auth.as_ref()?.to_string();
            let public_auth = config.gws.public_auth.as_ref().map_or_else(|| auth.clone(), ToString::to_string);
            Some(Arc::new(GwsProvider::new(http, observer, GwsProviderSettings { auth, public_auth, client })))
        }
        Auth::Oidc => {
            let settings = OidcSettings {
                issuer: users.oidc_issuer.as_ref()?.to_string(),
                client,
                scopes: users.oidc_scopes.clone(),
                groups_claim: users.oidc_groups_claim.clone(),
                tenant_claim: users.oidc_tenant_claim.clone(),
                tenant: users.oidc_tenant.clone(),
            };
            Some(Arc::new(OidcProvider::new(http, clock, settings)))
        }
    }
}
