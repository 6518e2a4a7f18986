//! Tenants as code: reads the documents of tenants, says everything that is wrong with them and what they would
//! change, takes their secrets in, and applies them in one transaction. The command line and the admin API are
//! two ways in; a running service hears of what either has done by the epoch of the settings.

mod conversion;
mod credentials;
mod csv;
mod diff;
mod export;
pub mod handbook;
mod keys;
mod sealing;
mod secrets;
pub mod sources;
mod vault;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::document::Node;
use domain::ids::TenantId;
use domain::keys::ApiKey;
use domain::ports::{
    Application, Applied, ApplyError, Bus, Clock, CredentialCheck, Expected, Hint, Kept, NoBus, Revision,
    SettingsStore, StoreError, TenantStore,
};
use domain::setting::SettingError;
use domain::tenant::{self, TenantDocument};
use thiserror::Error;

use crate::seal::SealError;

pub use conversion::PlannedConversion;
pub use credentials::{CredentialError, secret_of_body};
pub use csv::CsvError;
pub use diff::Difference;
pub use export::{to_node, yaml};
pub use sealing::Sealer;
pub use secrets::{FromProcess, NoSource, SecretSource};
pub use vault::{KeyRingAndVault, Vault};

/// Longest document that is kept, in bytes of its text.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// Sections of a document whose entries have names.
pub const SECTIONS: [&str; 7] =
    ["queues", "businessHours", "capacityRules", "numberRules", "regionRules", "callInGroups", "webhooks"];

/// Why a document was not taken.
#[derive(Debug, Error)]
pub enum ProvisioningError {
    /// It is wrong. Everything that is wrong is in the list.
    #[error("{} in the document", count(.0.len()))]
    Mistakes(Vec<SettingError>),
    /// There is no such tenant.
    #[error("there is no such tenant")]
    UnknownTenant,
    /// There is no such thing in the document.
    #[error("there is no such entry")]
    UnknownEntry,
    /// Something has changed meanwhile.
    #[error(transparent)]
    NotApplied(#[from] ApplyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// `1 mistake`, `2 mistakes`.
pub fn count(mistakes: usize) -> String {
    if mistakes == 1 { "1 mistake".to_owned() } else { format!("{mistakes} mistakes") }
}

/// What documents are compared with and kept in.
pub struct Provisioning {
    settings: Arc<dyn SettingsStore>,
    tenants: Arc<dyn TenantStore>,
    clock: Arc<dyn Clock>,
    sealer: Sealer,
    hashing_key: [u8; 32],
    checks: Vec<Arc<dyn CredentialCheck>>,
    bus: Arc<dyn Bus>,
}

/// A document that may be applied.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the tenant.
    pub name: String,
    /// The revision that it was compared with; none for a new tenant.
    pub revision: Option<u64>,
    /// What it would change, in the order of the document.
    pub differences: Vec<Difference>,
    /// What a person should know and what hinders nothing.
    pub remarks: Vec<String>,
    application: Application,
}

impl Plan {
    /// The same, but only if this is what it finds.
    #[must_use]
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.application.expected = expected;
        self
    }
}

/// A tenant in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// Revision of its document.
    pub revision: u64,
    /// How many queues it has.
    pub queues: usize,
}

/// Who wants a document and how far it goes.
pub struct Order<'a> {
    /// Who, for the history.
    pub actor: &'a str,
    /// Where secrets that are not sealed come from.
    pub source: &'a dyn SecretSource,
    /// Whether providers are asked about new credentials.
    pub ask_providers: bool,
}

impl Provisioning {
    /// Over a store of settings and tenants, which are the same store. `hashing_key` is that of API keys.
    pub fn new(
        settings: Arc<dyn SettingsStore>,
        tenants: Arc<dyn TenantStore>,
        clock: Arc<dyn Clock>,
        sealer: Sealer,
        hashing_key: [u8; 32],
    ) -> Self {
        Self { settings, tenants, clock, sealer, hashing_key, checks: Vec::new(), bus: Arc::new(NoBus) }
    }

    /// Also asks this about credentials before they are kept.
    #[must_use]
    pub fn checking(mut self, check: Arc<dyn CredentialCheck>) -> Self {
        self.checks.push(check);
        self
    }

    /// Also tells other nodes at once, who would hear of a change by the epoch of the settings.
    #[must_use]
    pub fn telling(mut self, bus: Arc<dyn Bus>) -> Self {
        self.bus = bus;
        self
    }

    /// Every tenant by name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut list = Vec::new();
        for tenant in self.settings.tenants().await? {
            let revision = self.tenants.document(tenant.id).await?.map_or(0, |kept| kept.revision);
            list.push(Listed { id: tenant.id, name: tenant.name.to_string(), revision, queues: tenant.queues.len() });
        }
        Ok(list)
    }

    /// The tenant of that name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find(&self, name: &str) -> Result<Option<TenantId>, StoreError> {
        Ok(self.settings.tenants().await?.iter().find(|tenant| *tenant.name == *name).map(|tenant| tenant.id))
    }

    /// The document of a tenant with its revision, as short as it can be said and with its keys as they are.
    ///
    /// # Errors
    /// [`ProvisioningError::UnknownTenant`], or the store failed.
    pub async fn export(&self, tenant: TenantId) -> Result<(u64, Node), ProvisioningError> {
        let kept = self.current(tenant).await?;
        Ok((kept.revision, export::shortened(&kept.document)))
    }

    /// One entry of a section of [`SECTIONS`] with everything that it says, and the revision of its document.
    ///
    /// # Errors
    /// [`ProvisioningError::UnknownEntry`] if it is not there, or the store failed.
    pub async fn entry(&self, tenant: TenantId, section: &str, name: &str) -> Result<(u64, Node), ProvisioningError> {
        let kept = self.current(tenant).await?;
        let mut document = export::to_node(&kept.document);
        let entry = document.get_mut(section).and_then(|section| section.take(name));
        Ok((kept.revision, entry.ok_or(ProvisioningError::UnknownEntry)?))
    }

    /// What becomes of a document with another entry, or without one. Nothing is changed, and nothing can be once the
    /// document has another revision.
    ///
    /// # Errors
    /// As [`Self::plan`], and [`ProvisioningError::UnknownEntry`] if there is nothing to take out.
    pub async fn plan_entry(
        &self,
        tenant: TenantId,
        section: &str,
        name: &str,
        entry: Option<Node>,
        order: &Order<'_>,
    ) -> Result<Plan, ProvisioningError> {
        let kept = self.current(tenant).await?;
        self.plan_entry_of(&kept, tenant, (section, name), entry, order).await
    }

    /// As [`Self::plan_entry`], from what was read before and only if it is still kept then.
    async fn plan_entry_of(
        &self,
        kept: &Kept,
        tenant: TenantId,
        (section, name): (&str, &str),
        entry: Option<Node>,
        order: &Order<'_>,
    ) -> Result<Plan, ProvisioningError> {
        let mut document = export::to_node(&kept.document);
        if document.get(section).is_none() {
            document.put(section, Node::empty());
        }
        let entries = document.get_mut(section).ok_or(ProvisioningError::UnknownEntry)?;
        match entry {
            Some(entry) => entries.put(name, entry),
            None => drop(entries.take(name).ok_or(ProvisioningError::UnknownEntry)?),
        }
        let plan = self.plan_of(tenant, &kept.document.tenant, document, order).await?;
        Ok(plan.expecting(Expected::Revision(kept.revision)))
    }

    /// What a document said in an older revision.
    ///
    /// # Errors
    /// [`ProvisioningError::UnknownEntry`] if it is not kept, or the store failed.
    pub async fn export_revision(&self, tenant: TenantId, revision: u64) -> Result<Node, ProvisioningError> {
        let document = self.tenants.revision(tenant, revision).await?.ok_or(ProvisioningError::UnknownEntry)?;
        Ok(export::shortened(&document))
    }

    /// The history of a document, newest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn revisions(&self, tenant: TenantId, limit: usize) -> Result<Vec<Revision>, StoreError> {
        self.tenants.revisions(tenant, limit).await
    }

    /// What becomes of a document, whoever's it is. Nothing is changed.
    ///
    /// # Errors
    /// [`ProvisioningError::Mistakes`] with everything that is wrong, or the store failed.
    pub async fn plan(&self, root: Node, order: &Order<'_>) -> Result<Plan, ProvisioningError> {
        let document = tenant::read(root).map_err(ProvisioningError::Mistakes)?;
        let known = self.find(&document.tenant).await?;
        self.plan_for(known.unwrap_or_else(|| TenantId::from_name(&document.tenant)), document, order).await
    }

    /// As [`Self::plan`], for the document of this tenant and no other; `name` is what it has to say it is.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub async fn plan_of(
        &self,
        tenant: TenantId,
        name: &str,
        root: Node,
        order: &Order<'_>,
    ) -> Result<Plan, ProvisioningError> {
        let document = tenant::read(root).map_err(ProvisioningError::Mistakes)?;
        if document.tenant != name {
            let rule = "has to be the name of the tenant".to_owned();
            let value = Some(format!("{:?}", document.tenant));
            return Err(ProvisioningError::Mistakes(vec![SettingError { path: "tenant".to_owned(), value, rule }]));
        }
        self.plan_for(tenant, document, order).await
    }

    async fn plan_for(
        &self,
        tenant: TenantId,
        document: TenantDocument,
        order: &Order<'_>,
    ) -> Result<Plan, ProvisioningError> {
        let kept = self.tenants.document(tenant).await?;
        let mut intake = secrets::Intake::new(self, tenant, &document, order).await?;
        let before = kept.as_ref().map(|kept| export::to_node(&kept.document));
        let node = intake.secrets(export::to_node(&document), before.as_ref()).await?;
        let keys = keys::Intake { known: &self.settings.keys().await?, tenant, now: self.clock.now() };
        let (document, keys) = keys.keys(node, &mut intake)?;
        let secrets::Taken { mistakes, credentials, remarks } = intake.finish();
        if !mistakes.is_empty() {
            return Err(ProvisioningError::Mistakes(mistakes));
        }
        let too_long = export::text(&document).len() > MAX_DOCUMENT_BYTES;
        if too_long {
            let rule = format!("the document has to have at most {MAX_DOCUMENT_BYTES} bytes");
            return Err(ProvisioningError::Mistakes(vec![SettingError { path: String::new(), value: None, rule }]));
        }
        // What was put in its place can be read, for only references have changed.
        let document = tenant::read(document).map_err(ProvisioningError::Mistakes)?;
        let mut differences = diff::differences(before.as_ref(), &export::to_node(&document));
        differences.extend(keys.told);
        let revision = kept.map(|kept| kept.revision);
        Ok(Plan {
            name: document.tenant.clone(),
            revision,
            differences,
            remarks,
            application: Application {
                tenant,
                expected: revision.map_or(Expected::Absent, Expected::Revision),
                document,
                actor: order.actor.to_owned(),
                at: self.clock.now(),
                keys: keys.changes,
                credentials,
            },
        })
    }

    /// Applies plans: all of them, or none.
    ///
    /// # Errors
    /// Something has changed since they were made, or the store failed.
    pub async fn apply(&self, plans: Vec<Plan>) -> Result<Vec<Applied>, ApplyError> {
        let applied = self.tenants.apply(plans.into_iter().map(|plan| plan.application).collect()).await?;
        self.bus.tell(Hint::SettingsChanged);
        Ok(applied)
    }

    /// What is kept, with the keys as they are now: some may have been made or revoked on their own.
    async fn current(&self, tenant: TenantId) -> Result<Kept, ProvisioningError> {
        let mut kept = self.kept(tenant).await?;
        if kept.document.keys.is_some() {
            kept.document.keys = Some(keys::declared(&self.keys_of(tenant).await?));
        }
        Ok(kept)
    }

    async fn kept(&self, tenant: TenantId) -> Result<Kept, ProvisioningError> {
        self.tenants.document(tenant).await?.ok_or(ProvisioningError::UnknownTenant)
    }

    /// Keys of a tenant that are in use.
    async fn keys_of(&self, tenant: TenantId) -> Result<Vec<ApiKey>, StoreError> {
        let keys = self.settings.keys().await?;
        Ok(keys.into_iter().filter(|key| key.tenant == tenant && key.revoked_at.is_none()).collect())
    }
}
