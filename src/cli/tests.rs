use std::path::Path;
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use clap::CommandFactory as _;
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::ports::{SettingsStore, StoreError};
use domain::tenant::{Tenant, TenantDocument};

use super::keys::{KeyCabinet, KeysCommand, perform};
use super::*;

/// Tenants and keys in memory.
#[derive(Default)]
struct Store {
    tenants: Vec<Tenant>,
    keys: Mutex<Vec<ApiKey>>,
}

#[async_trait]
impl SettingsStore for Store {
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        Ok(self.tenants.clone())
    }

    async fn put_tenant(&self, _: TenantId, _: TenantDocument) -> Result<(), StoreError> {
        Err(StoreError::NotDone("not wanted here".to_owned()))
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self.keys.lock().unwrap().clone())
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.keys.lock().unwrap().push(key);
        Ok(())
    }

    async fn revoke_key(&self, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut keys = self.keys.lock().unwrap();
        let key = keys.iter_mut().find(|key| key.id == id && key.revoked_at.is_none());
        Ok(key.map(|key| key.revoked_at = Some(at)).is_some())
    }
}

fn cabinet(tenants: &[&str]) -> (Arc<Store>, KeyCabinet) {
    let tenant = |name: &&str| TenantDocument::with_queues(name, []).resolve(TenantId::from_name(name)).unwrap();
    let store = Arc::new(Store { tenants: tenants.iter().map(tenant).collect(), ..Store::default() });
    let mint = Box::new(|| Ok((Secret::new("planted-key"), [7; 32])));
    (store.clone(), KeyCabinet { settings: store, mint })
}

fn parsed(arguments: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["ges"].iter().chain(arguments))
}

fn keys_command(arguments: &[&str]) -> KeysCommand {
    match parsed(&[&["keys"], arguments].concat()).unwrap().command {
        Some(Command::Keys(command)) => command,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn nothing_said_means_serve() {
    let cli = parsed(&[]).unwrap();
    assert!(cli.command.is_none() && cli.config.is_none());
    let cli = parsed(&["serve", "--config", "x.yaml"]).unwrap();
    assert!(matches!(cli.command, Some(Command::Serve)));
    assert_eq!(cli.config.as_deref(), Some(Path::new("x.yaml")));
    assert_eq!(parsed(&["nonsense"]).unwrap_err().exit_code(), 2);
    assert_eq!(parsed(&["--help"]).unwrap_err().exit_code(), 0);
}

#[test]
fn every_command_of_this_version_is_in_the_help() {
    let help = Cli::command().render_long_help().to_string();
    for name in ["serve", "keys", "check-config", "migrate", "openapi", "bench", "drill", "Exit codes", "Examples"] {
        assert!(help.contains(name), "{name} is missing in\n{help}");
    }
}

#[tokio::test]
async fn a_key_is_shown_once_kept_as_a_hash_listed_and_revoked() {
    let (store, cabinet) = cabinet(&["demo", "other"]);
    let clock = SystemClock::default();
    let command = keys_command(&["create", "--tenant", "other", "--label", "website", "--scope", "callbacks-read"]);
    let told = perform(command, &cabinet, &clock).await.unwrap();
    let kept = store.keys.lock().unwrap()[0].clone();
    assert!(told.contains("planted-key") && told.contains(&kept.id.to_string()), "{told}");
    assert_eq!((kept.tenant, kept.hash), (TenantId::from_name("other"), [7; 32]));
    assert_eq!((kept.label.as_str(), kept.scopes.as_slice()), ("website", [Scope::CallbacksRead].as_slice()));

    let listed = perform(KeysCommand::List, &cabinet, &clock).await.unwrap();
    assert!(listed.contains("website") && listed.contains("in use") && !listed.contains("planted"), "{listed}");

    let id = kept.id.to_string();
    perform(keys_command(&["revoke", &id]), &cabinet, &clock).await.unwrap();
    assert!(store.keys.lock().unwrap()[0].revoked_at.is_some());
    let again = perform(keys_command(&["revoke", &id]), &cabinet, &clock).await.unwrap_err();
    assert_eq!(again.exit_code(), 2);
    assert!(perform(KeysCommand::List, &cabinet, &clock).await.unwrap().contains("revoked"));
}

#[tokio::test]
async fn a_key_without_scopes_may_do_everything_and_one_without_a_tenant_is_refused() {
    let (store, cabinet) = cabinet(&["demo"]);
    let clock = SystemClock::default();
    perform(keys_command(&["create"]), &cabinet, &clock).await.unwrap();
    assert_eq!(store.keys.lock().unwrap()[0].scopes, Scope::ALL);
    let refused = perform(keys_command(&["create", "--tenant", "dmeo"]), &cabinet, &clock).await.unwrap_err();
    assert_eq!(refused.to_string(), r#"there is no tenant "dmeo"; there is demo"#);
    assert!(parsed(&["keys", "create", "--scope", "everything"]).is_err());
    assert!(parsed(&["keys", "revoke", "no-id"]).is_err());
}

#[test]
fn failures_have_the_promised_codes_and_name_their_causes() {
    assert_eq!(Failure::Unusable(String::new()).exit_code(), 2);
    assert_eq!(Failure::GaveUp(String::new()).exit_code(), 70);
    let error = crate::master_key::SecretFileError::Read { path: "k".into(), source: io::Error::other("no disk") };
    assert_eq!(Failure::unusable(&error).to_string(), "cannot read k: no disk");
}

#[test]
fn the_first_screen_has_two_commands_that_work_as_they_stand() {
    let key = Secret::new("it's-a-key");
    let mut about = Banner {
        version: "1.2.3",
        external: "0.0.0.0:2050".parse().unwrap(),
        internal: "127.0.0.1:3050".parse().unwrap(),
        certificate: None,
        demo_key: Some(&key),
        data: "ges-data",
        colour: false,
    };
    insta::assert_snapshot!(banner::banner(&about));
    about.certificate = Some(Path::new("my tls.crt"));
    let encrypted = banner::banner(&about);
    assert!(encrypted.contains("curl -s --cacert 'my tls.crt' https://127.0.0.1:2050/"), "{encrypted}");
    assert!(!encrypted.contains("http://"), "{encrypted}");
    about.colour = true;
    assert!(banner::banner(&about).contains("\x1b["));
    about.demo_key = None;
    assert!(!banner::banner(&about).contains("curl"));
}
