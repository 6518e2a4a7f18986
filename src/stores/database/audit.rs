//! The port for the audit log.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::audit::Link;
use domain::erasure::RECEIPTS_KEPT;
use domain::ids::TenantId;
use domain::ports::{AuditPage, AuditStore, NewEntry, StoreError};

use super::{Database, DatabaseStore, NameReads};
use crate::stores::audit::{EntryRow, MAX_ENTRIES, TIDIED_AT_ONCE, entry, hash};
use crate::stores::command::erasure::{PrivacyCommand, TidyRows};
use crate::stores::command::{Outcome, unexpected};
use crate::stores::rows::{millis, stored, whole};

/// Some entries of a log with both of its ends, as they are at one moment: what comes between two looks would seem to be
/// missing.
pub(in crate::stores) struct AuditRows {
    /// Last entry and its hash, base and its hash.
    pub(in crate::stores) ends: (i64, Vec<u8>, i64, Vec<u8>),
    pub(in crate::stores) entries: Vec<EntryRow>,
}

/// Statements about the audit log, and questions that are made of them.
#[async_trait]
pub(in crate::stores) trait AuditReads: NameReads {
    /// Entries behind one, in order; none if the tenant has no log.
    async fn audit_rows(&mut self, tenant: i64, after: i64, limit: usize) -> Result<Option<AuditRows>, StoreError>;

    /// Of each tenant up to which entry, of so many of its oldest, they are from before an instant or too many. As many
    /// rows as there are tenants.
    async fn old_entries(
        &mut self,
        looked_at: i64,
        before: i64,
        kept: i64,
    ) -> Result<Vec<(i64, Option<i64>)>, StoreError>;

    /// Tenant and id.
    async fn old_receipts(&mut self, before: i64, limit: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError>;

    async fn audit(&mut self, tenant: TenantId, after: u64, limit: usize) -> Result<AuditPage, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(AuditPage::default()) };
        let found = self.audit_rows(key, stored(after), limit).await?;
        let Some(AuditRows { ends: (seq, head, base_seq, base), entries }) = found else {
            return Ok(AuditPage::default());
        };
        Ok(AuditPage {
            entries: entries.into_iter().map(entry).collect::<Result<_, _>>()?,
            base: Link { seq: whole(base_seq), hash: hash(base)? },
            head: Link { seq: whole(seq), hash: hash(head)? },
        })
    }

    async fn old_acts(&mut self, at: DateTime<Utc>) -> Result<TidyRows, StoreError> {
        let before = millis(at - RECEIPTS_KEPT);
        let entries = self.old_entries(TIDIED_AT_ONCE, before, MAX_ENTRIES).await?;
        let entries = entries.into_iter().filter_map(|(tenant, until)| Some((tenant, until?))).collect();
        Ok(TidyRows { entries, receipts: self.old_receipts(before, TIDIED_AT_ONCE).await? })
    }
}

#[async_trait]
impl<D: Database> AuditStore for DatabaseStore<D> {
    async fn note_act(&self, tenant: TenantId, entry: NewEntry) -> Result<(), StoreError> {
        match self.writes.privacy(PrivacyCommand::Note { tenant, entry }).await? {
            Outcome::Done => Ok(()),
            other => unexpected(&other),
        }
    }

    async fn audit(&self, tenant: TenantId, after: u64, limit: usize) -> Result<AuditPage, StoreError> {
        let after = after.min(i64::MAX.unsigned_abs());
        self.database.read(Some(tenant), move |reader| reader.audit(tenant, after, limit)).await
    }
}
