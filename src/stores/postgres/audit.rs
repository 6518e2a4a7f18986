//! The port for the audit log: reads from the pool, writes through the combiner.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::audit::Link;
use domain::erasure::RECEIPTS_KEPT;
use domain::ids::TenantId;
use domain::ports::{AuditPage, AuditStore, NewEntry, StoreError};

use super::PostgresStore;
use super::pool::Reader;
use super::queries::sql_limit;
use super::statement::{rows, statements};
use crate::stores::audit::{EntryRow, MAX_ENTRIES, TIDIED_AT_ONCE, entry, hash};
use crate::stores::command::erasure::{PrivacyCommand, TidyRows};
use crate::stores::command::{Command, Outcome, unexpected};
use crate::stores::rows::{millis, stored, whole};

statements! {
    // Both ends and the entries as they are at one moment: what comes between two looks would seem to be missing.
    Entries = "SELECT h.seq, h.hash, h.base_seq, h.base_hash, a.seq, a.at, a.act, a.actor, a.subject, a.details, a.hash
        FROM audit_heads h LEFT JOIN LATERAL
        (SELECT * FROM audit WHERE tenant = h.tenant AND seq > ? ORDER BY seq LIMIT ?) a ON true
        WHERE h.tenant = ? ORDER BY a.seq";
    // As many as there are tenants; of each a few of the oldest are looked at.
    OldEntries = "SELECT h.tenant, (SELECT max(o.seq) FROM
        (SELECT a.seq AS seq, a.at AS at FROM audit a WHERE a.tenant = h.tenant ORDER BY a.seq LIMIT ?) o
        WHERE o.at < ? OR o.seq <= h.seq - ?) FROM audit_heads h";
    OldReceipts = "SELECT tenant, id FROM erasures WHERE finished_at < ? LIMIT ?";
}

/// Last entry, its hash, base and its hash; then an entry if there is one.
type PageRow = (
    i64,
    Vec<u8>,
    i64,
    Vec<u8>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<Vec<u8>>,
);

/// The entry of a row, if it has one.
fn entry_of(row: PageRow) -> Option<EntryRow> {
    let (.., seq, at, act, actor, subject, details, hash) = row;
    Some((seq?, at?, act?, actor?, subject?, details?, hash?))
}

impl Reader {
    async fn audit(&mut self, tenant: TenantId, after: u64, limit: usize) -> Result<AuditPage, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(AuditPage::default()) };
        let binds = [stored(after).into(), sql_limit(limit).into(), key.into()];
        let found: Vec<PageRow> = rows::<Entries, _>(&mut self.connection, &binds).await?;
        let Some((seq, head, base_seq, base, ..)) = found.first().cloned() else { return Ok(AuditPage::default()) };
        Ok(AuditPage {
            entries: found.into_iter().filter_map(entry_of).map(entry).collect::<Result<_, _>>()?,
            base: Link { seq: whole(base_seq), hash: hash(base)? },
            head: Link { seq: whole(seq), hash: hash(head)? },
        })
    }

    async fn old_acts(&mut self, at: DateTime<Utc>) -> Result<TidyRows, StoreError> {
        let before = millis(at - RECEIPTS_KEPT);
        let binds = [TIDIED_AT_ONCE.into(), before.into(), MAX_ENTRIES.into()];
        let entries: Vec<(i64, Option<i64>)> = rows::<OldEntries, _>(&mut self.connection, &binds).await?;
        let entries = entries.into_iter().filter_map(|(tenant, until)| Some((tenant, until?))).collect();
        let binds = [before.into(), TIDIED_AT_ONCE.into()];
        let receipts = rows::<OldReceipts, _>(&mut self.connection, &binds).await?;
        Ok(TidyRows { entries, receipts })
    }
}

impl PostgresStore {
    pub(super) async fn privacy(&self, command: PrivacyCommand) -> Result<Outcome, StoreError> {
        self.combiner.submit(Command::Privacy(Box::new(command))).await
    }

    /// Removes entries and receipts that are past their time.
    pub(super) async fn tidy_acts(&self, at: DateTime<Utc>) -> Result<(), StoreError> {
        let TidyRows { entries, receipts } = self.reader().await?.old_acts(at).await?;
        for entries in entries.chunks(self.step_rows()) {
            let tidy = TidyRows { entries: entries.to_vec(), receipts: Vec::new() };
            self.privacy(PrivacyCommand::Tidy(tidy)).await?;
        }
        for receipts in receipts.chunks(self.step_rows()) {
            let tidy = TidyRows { entries: Vec::new(), receipts: receipts.to_vec() };
            self.privacy(PrivacyCommand::Tidy(tidy)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn note_act(&self, tenant: TenantId, entry: NewEntry) -> Result<(), StoreError> {
        match self.privacy(PrivacyCommand::Note { tenant, entry }).await? {
            Outcome::Done => Ok(()),
            other => unexpected(&other),
        }
    }

    async fn audit(&self, tenant: TenantId, after: u64, limit: usize) -> Result<AuditPage, StoreError> {
        let after = after.min(i64::MAX.unsigned_abs());
        self.reader().await?.audit(tenant, after, limit).await
    }
}
