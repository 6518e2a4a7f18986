//! The port for the audit log: reads on the readers, writes through the combiner.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::audit::Link;
use domain::erasure::RECEIPTS_KEPT;
use domain::ids::TenantId;
use domain::ports::{AuditPage, AuditStore, NewEntry, StoreError};

use super::SqliteStore;
use super::callbacks::unexpected;
use super::command::{Command, Outcome};
use super::erasure::{PrivacyCommand, TidyRows};
use super::queries::sql_limit;
use super::readers::{Reader, not_read};
use super::rows::{millis, stored};
use super::statement::{first, rows, statements};
use super::tenants::whole;
use crate::stores::audit::{EntryRow, MAX_ENTRIES, TIDIED_AT_ONCE, entry, hash};

statements! {
    Ends -> (BigInt, Binary, BigInt, Binary) =
        "SELECT seq, hash, base_seq, base_hash FROM audit_heads WHERE tenant = ?";
    Entries -> (BigInt, BigInt, Text, Text, Text, Text, Binary) =
        "SELECT seq, at, act, actor, subject, details, hash FROM audit WHERE tenant = ? AND seq > ? ORDER BY seq LIMIT ?";
    // As many as there are tenants; of each a few of the oldest are looked at.
    OldEntries -> (BigInt, Nullable<BigInt>) = "SELECT h.tenant, (SELECT max(o.seq) FROM
        (SELECT a.seq AS seq, a.at AS at FROM audit a WHERE a.tenant = h.tenant ORDER BY a.seq LIMIT ?) o
        WHERE o.at < ? OR o.seq <= h.seq - ?) FROM audit_heads h";
    OldReceipts -> (BigInt, Binary) = "SELECT tenant, id FROM erasures WHERE finished_at < ? LIMIT ?";
}

impl Reader {
    fn audit(&mut self, tenant: TenantId, after: u64, limit: usize) -> Result<AuditPage, StoreError> {
        let Some(key) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else {
            return Ok(AuditPage::default());
        };
        let ends: Option<(i64, Vec<u8>, i64, Vec<u8>)> =
            first::<Ends, _>(&mut self.connection, &[key.into()]).map_err(not_read)?;
        let Some((seq, head, base_seq, base)) = ends else { return Ok(AuditPage::default()) };
        let binds = [key.into(), stored(after).into(), sql_limit(limit).into()];
        let found: Vec<EntryRow> = rows::<Entries, _>(&mut self.connection, &binds).map_err(not_read)?;
        Ok(AuditPage {
            entries: found.into_iter().map(entry).collect::<Result<_, _>>()?,
            base: Link { seq: whole(base_seq), hash: hash(base)? },
            head: Link { seq: whole(seq), hash: hash(head)? },
        })
    }

    fn old_acts(&mut self, at: DateTime<Utc>) -> Result<TidyRows, StoreError> {
        let before = millis(at - RECEIPTS_KEPT);
        let binds = [TIDIED_AT_ONCE.into(), before.into(), MAX_ENTRIES.into()];
        let entries: Vec<(i64, Option<i64>)> = rows::<OldEntries, _>(&mut self.connection, &binds).map_err(not_read)?;
        let entries = entries.into_iter().filter_map(|(tenant, until)| Some((tenant, until?))).collect();
        let receipts = rows::<OldReceipts, _>(&mut self.connection, &[before.into(), TIDIED_AT_ONCE.into()]);
        Ok(TidyRows { entries, receipts: receipts.map_err(not_read)? })
    }
}

impl SqliteStore {
    pub(super) async fn privacy(&self, command: PrivacyCommand) -> Result<Outcome, StoreError> {
        self.combiner.submit(Command::Privacy(Box::new(command))).await
    }

    /// Removes entries and receipts that are past their time.
    pub(super) async fn tidy_acts(&self, at: DateTime<Utc>) -> Result<(), StoreError> {
        let old = self.readers.read(move |reader| reader.old_acts(at)).await?;
        if old.is_empty() {
            return Ok(());
        }
        self.privacy(PrivacyCommand::Tidy(old)).await.map(|_| ())
    }
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn note_act(&self, tenant: TenantId, entry: NewEntry) -> Result<(), StoreError> {
        match self.privacy(PrivacyCommand::Note { tenant, entry }).await? {
            Outcome::Done => Ok(()),
            other => unexpected(&other),
        }
    }

    async fn audit(&self, tenant: TenantId, after: u64, limit: usize) -> Result<AuditPage, StoreError> {
        let after = after.min(i64::MAX.unsigned_abs());
        self.readers.read_for(tenant, move |reader| reader.audit(tenant, after, limit)).await
    }
}
