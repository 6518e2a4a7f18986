//! `ges keys`: makes, lists and revokes API keys, also beside a running service, which hears of it within 2 s.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::{Args, Subcommand};
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::{ApiKey, KeyHash, Scope};
use domain::ports::{Clock, SettingsStore, StoreError};
use domain::tenant::Tenant;

use super::Failure;
use crate::config::Secret;

/// Longest label, in characters.
const MAX_LABEL_CHARS: usize = 100;

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it, this one time
    Create(CreateKey),
    /// List all keys; the keys themselves are kept nowhere
    List,
    /// Refuse a key from now on
    Revoke {
        /// Id of the key, as `ges keys list` shows it
        id: ApiKeyId,
    },
}

/// Which key to make.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ges keys create --tenant demo --label website --scope callbacks-write")]
pub struct CreateKey {
    /// Name of the tenant whose key it is
    #[arg(long, default_value = "demo")]
    pub tenant: String,
    /// What a person calls it, up to 100 characters
    #[arg(long, default_value = "", value_parser = label)]
    pub label: String,
    /// What it allows; may be given more than once; everything if never given
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    pub scopes: Vec<Scope>,
}

fn label(text: &str) -> Result<String, String> {
    let good = text.chars().count() <= MAX_LABEL_CHARS && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(format!("up to {MAX_LABEL_CHARS} characters, no control characters")) }
}

fn scope(text: &str) -> Result<Scope, String> {
    let names = Scope::ALL.map(Scope::name).join(", ");
    Scope::from_name(text).ok_or_else(|| format!("one of {names}"))
}

/// Makes a fresh key and the hash under which it is kept.
pub type Mint = dyn Fn() -> Result<(Secret, KeyHash), Failure> + Send + Sync;

/// The keys of an installation.
pub struct KeyCabinet {
    /// Where tenants and keys are kept.
    pub settings: Arc<dyn SettingsStore>,
    /// Makes keys under the installation's hashing key.
    pub mint: Box<Mint>,
}

/// Does what was asked and returns what is to be printed.
///
/// # Errors
/// The store failed, or there is no such tenant or key.
pub async fn perform(command: KeysCommand, cabinet: &KeyCabinet, clock: &dyn Clock) -> Result<String, Failure> {
    match command {
        KeysCommand::Create(wanted) => create(wanted, cabinet, clock).await,
        KeysCommand::List => list(cabinet.settings.as_ref()).await,
        KeysCommand::Revoke { id } => revoke(id, cabinet.settings.as_ref(), clock).await,
    }
}

async fn create(wanted: CreateKey, cabinet: &KeyCabinet, clock: &dyn Clock) -> Result<String, Failure> {
    let tenants = cabinet.settings.tenants().await.map_err(store_failure)?;
    let Some(tenant) = tenants.iter().find(|tenant| *tenant.name == *wanted.tenant) else {
        return Err(Failure::Unusable(unknown_tenant(&wanted.tenant, &tenants)));
    };
    let mut scopes = if wanted.scopes.is_empty() { Scope::ALL.to_vec() } else { wanted.scopes };
    scopes.sort_unstable();
    scopes.dedup();
    let (key, hash) = (cabinet.mint)()?;
    let id = ApiKeyId::generate();
    let kept =
        ApiKey { id, tenant: tenant.id, hash, label: wanted.label, scopes, created_at: clock.now(), revoked_at: None };
    let allows = scope_names(&kept.scopes);
    cabinet.settings.add_key(kept).await.map_err(store_failure)?;
    let key = key.reveal();
    Ok(format!(
        "key    {key}\nid     {id}\nscopes {allows}\nThis is the only time that the key is shown; its id revokes it."
    ))
}

fn unknown_tenant(name: &str, tenants: &[Tenant]) -> String {
    let known: Vec<_> = tenants.iter().map(|tenant| tenant.name.as_ref()).collect();
    match known.as_slice() {
        [] => format!("there is no tenant {name:?}, nor any other: start the service once"),
        known => format!("there is no tenant {name:?}; there is {}", known.join(", ")),
    }
}

async fn list(settings: &dyn SettingsStore) -> Result<String, Failure> {
    let tenants = settings.tenants().await.map_err(store_failure)?;
    let mut keys = settings.keys().await.map_err(store_failure)?;
    keys.sort_by_key(|key| (key.created_at, key.id));
    let name = |id: TenantId| {
        tenants.iter().find(|tenant| tenant.id == id).map_or_else(|| id.to_string(), |tenant| tenant.name.to_string())
    };
    let mut text = format!("{:<36}  {:<20}  {:<20}  {:<8}  {}", "ID", "TENANT", "CREATED", "STATE", "SCOPES  LABEL");
    for key in keys {
        let state = if key.revoked_at.is_some() { "revoked" } else { "in use" };
        let created = key.created_at.format("%Y-%m-%d %H:%M:%SZ");
        let (tenant, scopes) = (name(key.tenant), scope_names(&key.scopes));
        let _ = write!(text, "\n{}  {tenant:<20}  {created}  {state:<8}  {scopes}  {}", key.id, key.label);
    }
    Ok(text)
}

async fn revoke(id: ApiKeyId, settings: &dyn SettingsStore, clock: &dyn Clock) -> Result<String, Failure> {
    match settings.revoke_key(id, clock.now()).await.map_err(store_failure)? {
        true => Ok(format!("{id} is revoked; a running service refuses it within 2 s")),
        false => Err(Failure::Unusable(format!("there is no key {id}, or it was revoked before"))),
    }
}

fn scope_names(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",")
}

fn store_failure(error: StoreError) -> Failure {
    Failure::unusable(&error)
}
