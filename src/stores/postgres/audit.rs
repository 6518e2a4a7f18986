//! What readers are asked about the audit log.

use async_trait::async_trait;
use domain::ports::StoreError;

use super::pool::Reader;
use super::statement::statements;
use crate::stores::audit::EntryRow;
use crate::stores::database::{AuditReads, AuditRows};
use crate::stores::rows::sql_limit;

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

#[async_trait]
impl AuditReads for Reader {
    async fn audit_rows(&mut self, tenant: i64, after: i64, limit: usize) -> Result<Option<AuditRows>, StoreError> {
        let binds = [after.into(), sql_limit(limit).into(), tenant.into()];
        let found: Vec<PageRow> = self.rows::<Entries, _>(&binds).await?;
        let Some((seq, head, base_seq, base, ..)) = found.first().cloned() else { return Ok(None) };
        let entries = found.into_iter().filter_map(entry_of).collect();
        Ok(Some(AuditRows { ends: (seq, head, base_seq, base), entries }))
    }

    async fn old_entries(
        &mut self,
        looked_at: i64,
        before: i64,
        kept: i64,
    ) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        self.rows::<OldEntries, _>(&[looked_at.into(), before.into(), kept.into()]).await
    }

    async fn old_receipts(&mut self, before: i64, limit: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        self.rows::<OldReceipts, _>(&[before.into(), limit.into()]).await
    }
}
