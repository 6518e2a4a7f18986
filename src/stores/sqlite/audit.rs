//! What readers are asked about the audit log.

use async_trait::async_trait;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::ports::StoreError;

use super::readers::Reader;
use super::statement::statements;
use crate::stores::database::{AuditReads, AuditRows};
use crate::stores::rows::sql_limit;

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

#[async_trait]
impl AuditReads for Reader {
    async fn audit_rows(&mut self, tenant: i64, after: i64, limit: usize) -> Result<Option<AuditRows>, StoreError> {
        let Some(ends) = self.first::<Ends, _>(&[tenant.into()])? else { return Ok(None) };
        let entries = self.rows::<Entries, _>(&[tenant.into(), after.into(), sql_limit(limit).into()])?;
        Ok(Some(AuditRows { ends, entries }))
    }

    async fn old_entries(
        &mut self,
        looked_at: i64,
        before: i64,
        kept: i64,
    ) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        self.rows::<OldEntries, _>(&[looked_at.into(), before.into(), kept.into()])
    }

    async fn old_receipts(&mut self, before: i64, limit: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        self.rows::<OldReceipts, _>(&[before.into(), limit.into()])
    }
}
