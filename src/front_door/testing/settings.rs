//! Settings behind the door: nobody's for most tests, a real store for those that are about them.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::erasure::Receipt;
use domain::ids::{ApiKeyId, CallbackId, ErasureId, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::numbers::PhoneNumber;
use domain::ports::{
    Application, Applied, ApplyError, AuditPage, AuditStore, Clock, Credential, EraseError, Erasing, HeldRecords, Kept,
    KeyRing as _, NewEntry, PersonalStore, Record, Revision, SettingsDesk, SettingsStore, StoreError, TenantStore,
    Unserved,
};
use domain::tenant::{Tenant, TenantDocument};
use tempfile::TempDir;

use super::{Fake, House, KEY, api_key, at, door, settings};
use crate::blinds::KeyedBlinds;
use crate::front_door::router::Side;
use crate::front_door::{DoorLimits, DoorSettings};
use crate::privacy::{DeskEnder, Privacy};
use crate::provisioning::{Provisioning, Sealer};
use crate::root_key::RootKey;
use crate::stores::sqlite::{SqliteOptions, SqliteStore};

/// A store that cannot be reached.
struct Nowhere;

fn nowhere<T>() -> Result<T, StoreError> {
    Err(StoreError::NotDone("there is no store".to_owned()))
}

#[async_trait]
impl SettingsStore for Nowhere {
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        nowhere()
    }

    async fn put_tenant(&self, _: TenantId, _: TenantDocument) -> Result<(), StoreError> {
        nowhere()
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        nowhere()
    }

    async fn add_key(&self, _: ApiKey) -> Result<(), StoreError> {
        nowhere()
    }

    async fn revoke_key(&self, _: ApiKeyId, _: DateTime<Utc>) -> Result<bool, StoreError> {
        nowhere()
    }
}

#[async_trait]
impl TenantStore for Nowhere {
    async fn document(&self, _: TenantId) -> Result<Option<Kept>, StoreError> {
        nowhere()
    }

    async fn apply(&self, _: Vec<Application>) -> Result<Vec<Applied>, ApplyError> {
        Ok(nowhere()?)
    }

    async fn revisions(&self, _: TenantId, _: usize) -> Result<Vec<Revision>, StoreError> {
        nowhere()
    }

    async fn revision(&self, _: TenantId, _: u64) -> Result<Option<TenantDocument>, StoreError> {
        nowhere()
    }

    async fn credentials(&self, _: TenantId) -> Result<Vec<Credential>, StoreError> {
        nowhere()
    }

    async fn sealed(&self, _: TenantId, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        nowhere()
    }

    async fn holds_secrets(&self) -> Result<bool, StoreError> {
        nowhere()
    }
}

#[async_trait]
impl PersonalStore for Nowhere {
    async fn held(
        &self,
        _: TenantId,
        _: PhoneNumber,
        _: [u8; 16],
        _: DateTime<Utc>,
    ) -> Result<HeldRecords, StoreError> {
        nowhere()
    }

    async fn record(&self, _: TenantId, _: CallbackId) -> Result<Option<Record>, StoreError> {
        nowhere()
    }

    async fn erase(&self, _: Erasing) -> Result<Receipt, EraseError> {
        Ok(nowhere()?)
    }

    async fn receipt(&self, _: TenantId, _: ErasureId) -> Result<Option<Receipt>, StoreError> {
        nowhere()
    }

    async fn receipts(&self, _: TenantId, _: Option<ErasureId>, _: usize) -> Result<Vec<Receipt>, StoreError> {
        nowhere()
    }
}

#[async_trait]
impl AuditStore for Nowhere {
    async fn note_act(&self, _: TenantId, _: NewEntry) -> Result<(), StoreError> {
        nowhere()
    }

    async fn audit(&self, _: TenantId, _: u64, _: usize) -> Result<AuditPage, StoreError> {
        nowhere()
    }
}

/// Nobody's data.
pub(super) fn private(fake: Arc<Fake>) -> Arc<Privacy> {
    privacy_over(Arc::new(Nowhere), fake)
}

fn privacy_over<S>(store: Arc<S>, fake: Arc<Fake>) -> Arc<Privacy>
where
    S: PersonalStore + AuditStore + SettingsStore + 'static,
{
    let blinds = Arc::new(KeyedBlinds::new([5; 32]));
    let store = (
        store.clone() as Arc<dyn PersonalStore>,
        store.clone() as Arc<dyn AuditStore>,
        store as Arc<dyn SettingsStore>,
    );
    Arc::new(Privacy::new(store, blinds, fake.clone(), Arc::new(DeskEnder(fake))))
}

fn over<S: SettingsStore + TenantStore + 'static>(store: Arc<S>, clock: Arc<dyn Clock>) -> Arc<Provisioning> {
    let sealer = Sealer::new(&RootKey::new([1; 32])).unwrap();
    Arc::new(Provisioning::new(store.clone(), store, clock, sealer, super::SUB_KEY))
}

/// Documents that nobody keeps.
pub(super) fn unkept(clock: Arc<dyn Clock>) -> Arc<Provisioning> {
    over(Arc::new(Nowhere), clock)
}

#[async_trait]
impl SettingsDesk for Fake {
    async fn refresh(&self) -> Result<DateTime<Utc>, Unserved> {
        self.mood().await;
        Ok(at("2030-01-01T01:00Z"))
    }
}

/// A house over a real store with the tenants `demo` and `other`, known to the door from the start.
pub(crate) struct Office {
    pub(crate) house: House,
    pub(crate) store: Arc<SqliteStore>,
    _folder: TempDir,
}

impl Office {
    pub(crate) async fn new() -> Self {
        Self::with(settings(DoorLimits::default())).await
    }

    pub(crate) async fn with(settings: DoorSettings) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path(), SqliteOptions::command()).unwrap());
        for name in ["demo", "other"] {
            let document = TenantDocument::with_queues(name, []);
            store.put_tenant(TenantId::from_name(name), document).await.unwrap();
        }
        let (mut door, fake) = door();
        let tenants = store.tenants().await.unwrap();
        let keys = [("demo", KEY), ("other", "other-key")];
        door.keys.replace(&tenants, keys.map(|(tenant, text)| api_key(tenant, text, &Scope::ALL)).to_vec());
        door.provisioning = over(store.clone(), fake.clone());
        door.privacy = privacy_over(store.clone(), fake.clone());
        Self { house: House::behind(Side::Internal, settings, (door, fake)), store, _folder: folder }
    }
}
