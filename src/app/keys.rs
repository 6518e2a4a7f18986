//! The keys of the installation: the master key as it is set or made, and the root key that it opens.

use domain::ports::StoreError;

use super::AppError;
use super::store::AGAIN;
use crate::config::Config;
use crate::master_key::{MasterKey, MasterKeys};
use crate::root_key::{self, RootKey, RootKeyError};
use crate::stores::Store;

/// The root key for the service. A shared database that does not answer is waited for: it ends no process. A file that cannot
/// be read or written ends the start, as it does everywhere else.
///
/// # Errors
/// What will be the same at the next try.
pub(super) async fn serve(store: &dyn Store, config: &Config) -> Result<RootKey, AppError> {
    loop {
        match command(store, config).await {
            Err(AppError::RootKey(RootKeyError::Store(error))) if may_come_back(&error, config) => {
                tracing::warn!(%error, "the root key cannot be read yet: trying again");
                tokio::time::sleep(AGAIN).await;
            }
            opened => return opened,
        }
    }
}

fn may_come_back(error: &StoreError, config: &Config) -> bool {
    config.database.host.is_some() && !matches!(error, StoreError::Unreadable(_))
}

/// As [`serve`], for a command that works beside the service.
///
/// # Errors
/// If it cannot be had now.
pub(super) async fn command(store: &dyn Store, config: &Config) -> Result<RootKey, AppError> {
    Ok(root_key::open(store, &masters(store, config).await?).await?)
}

/// A master key is made only where nothing depends on an older one.
async fn masters(store: &dyn Store, config: &Config) -> Result<MasterKeys, AppError> {
    let current = match &config.keys.master_key {
        Some(key) => MasterKey::new(*key.reveal()),
        None => {
            let fresh = root_key::is_fresh(store).await.map_err(RootKeyError::from)?;
            MasterKey::read_or_create(&config.data.data_dir, fresh)?
        }
    };
    let old = config.keys.old_master_keys.iter().map(|key| MasterKey::new(*key.reveal())).collect();
    Ok(MasterKeys { current, old })
}
