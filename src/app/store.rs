//! The store that was chosen, with the clock that goes with it.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Clock, Observer};

use super::AppError;
use crate::clock::{DatabaseClock, SystemClock};
use crate::config::{Config, Database};
use crate::rotation::Reread;
use crate::stores::Store;
use crate::stores::postgres::{self, Address, Login, PostgresOptions, PostgresStore};
use crate::stores::sqlite::{DATABASE_FILE, SqliteOptions, SqliteStore};
use crate::testing::{self, Rule};

/// Pause before a database that does not answer is tried again at the start.
pub(super) const AGAIN: Duration = Duration::from_secs(2);

/// An open store.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    /// In whose name it is asked, where that can be replaced.
    pub(super) login: Option<Login>,
    /// What it is, for people.
    pub(super) place: String,
}

/// Opens it for the service. A database that does not answer is waited for: it ends no process.
///
/// # Errors
/// What will be the same at the next try.
pub(super) async fn serve(config: &Config, observer: Arc<dyn Observer>, reread: &Reread) -> Result<Opened, AppError> {
    let Some(mut address) = address(config)? else {
        let store = SqliteStore::open(&config.data.data_dir, SqliteOptions::serve(observer))?;
        return Ok(embedded(store, config));
    };
    loop {
        match shared(PostgresOptions::new(address.clone(), observer.clone())).await {
            Err(AppError::Database(error)) if !error.is_final() => {
                tracing::warn!(%error, "the database cannot be used yet: trying again");
                tokio::time::sleep(AGAIN).await;
                // It may have been the password.
                if let Ok(found) = reread() {
                    (address.user, address.password) = login(&found.database);
                }
            }
            opened => return opened,
        }
    }
}

/// Opens it for a command that works beside the service.
///
/// # Errors
/// If it cannot be used now.
pub(super) async fn command(config: &Config) -> Result<Opened, AppError> {
    match address(config)? {
        None => Ok(embedded(SqliteStore::open(&config.data.data_dir, SqliteOptions::command())?, config)),
        Some(address) => shared(PostgresOptions::command(address)).await,
    }
}

fn embedded(store: SqliteStore, config: &Config) -> Opened {
    let place = config.data.data_dir.join(DATABASE_FILE).display().to_string();
    Opened { store: Arc::new(store), clock: Arc::new(SystemClock::default()), login: None, place }
}

async fn shared(options: PostgresOptions) -> Result<Opened, AppError> {
    let place = format!("{}:{}/{}", options.address.host, options.address.port, options.address.database);
    let store = PostgresStore::open(options).await?;
    let now = store.now().await.map_err(|error| postgres::OpenError::Connect(error.to_string()))?;
    let clock: Arc<dyn Clock> = if testing::is_broken(Rule::Clock) {
        Arc::new(SystemClock::default())
    } else {
        Arc::new(DatabaseClock::new(now))
    };
    let login = Some(store.login());
    Ok(Opened { store: Arc::new(store), clock, login, place })
}

/// Where the shared database is; none in the embedded mode.
fn address(config: &Config) -> Result<Option<Address>, AppError> {
    let database = &config.database;
    let Some(host) = &database.host else { return Ok(None) };
    let tls = database.secure.then(|| postgres::tls(&config.outward.ca_files)).transpose()?;
    let (user, password) = login(database);
    Ok(Some(Address { host: host.clone(), port: database.port, database: database.name.clone(), user, password, tls }))
}

/// Role and password.
fn login(database: &Database) -> (String, Option<String>) {
    (database.user.clone(), database.password.as_ref().map(|password| password.reveal().to_owned()))
}
