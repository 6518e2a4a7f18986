//! The audit log: an entry is written with the act that it tells of.

use chrono::{DateTime, Utc};
use domain::audit::Act;
use domain::ids::TenantId;
use domain::ports::NewEntry;

use super::super::errors::Sql;
use super::super::locks::{Locks, Topic};
use super::super::statement::{execute, first, statements};
use super::Batch;
pub(super) use crate::stores::audit::Noted;
use crate::stores::audit::hash;
use crate::stores::binds;
use crate::stores::command::erasure::TidyRows;
use crate::stores::rows::stored;

statements! {
    HeadOf = "SELECT seq, hash FROM audit_heads WHERE tenant = ?";
    AddEntry = "INSERT INTO audit (tenant, seq, at, act, actor, subject, details, hash)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    MoveHead = "INSERT INTO audit_heads (tenant, seq, hash, base_seq, base_hash) VALUES (?, ?, ?, 0, ?)
        ON CONFLICT (tenant) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
    MoveBase = "UPDATE audit_heads h SET base_seq = a.seq, base_hash = a.hash FROM audit a
        WHERE a.tenant = ? AND a.seq = ? AND h.tenant = a.tenant";
    DropEntries = "DELETE FROM audit WHERE tenant = ? AND seq <= ?";
    // Purges of several nodes find the same ones.
    DropReceipts = "DELETE FROM erasures d USING (SELECT e.tenant, e.id FROM unnest(?::bigint[], ?::bytea[]) AS u(t, i)
        JOIN erasures e ON e.tenant = u.t AND e.id = u.i FOR UPDATE OF e SKIP LOCKED) p
        WHERE d.tenant = p.tenant AND d.id = p.id";
    DatabaseTime = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
}

/// Before the first entry.
const NO_HASH: [u8; 32] = [0; 32];

impl Batch<'_> {
    /// Whoever adds to the chain of a tenant has it alone.
    pub(super) fn declare_audit(&self, tenant: TenantId, locks: &mut Locks) {
        if let Some(key) = self.names.known_tenant(tenant) {
            declare_chain(key, locks);
        }
    }

    /// Adds an entry to the chain of a tenant, whose number is `key`. The lock of [`Self::declare_audit`] is held.
    pub(super) async fn note_act(&mut self, tenant: TenantId, key: i64, new: NewEntry) -> Sql<()> {
        let head: Option<(i64, Vec<u8>)> = first::<HeadOf, _>(self.connection, &[key.into()]).await?;
        let (last, before) = match head {
            Some((last, bytes)) => (last, hash(bytes)?),
            None => (0, NO_HASH),
        };
        let noted = Noted::behind(tenant, last, &before, new);
        let entry = &noted.entry;
        let seq = stored(entry.seq).into();
        execute::<AddEntry>(self.connection, &binds::audit_entry(key, entry)).await?;
        let binds = [key.into(), seq, entry.hash.as_slice().into(), NO_HASH.as_slice().into()];
        execute::<MoveHead>(self.connection, &binds).await?;
        self.noted.push(noted);
        Ok(())
    }

    /// An act on something that is named by one word.
    pub(super) async fn note_plain(
        &mut self,
        (tenant, key): (TenantId, i64),
        at: DateTime<Utc>,
        act: Act,
        actor: &str,
        subject: String,
    ) -> Sql<()> {
        let new = NewEntry { at, act, actor: actor.to_owned(), subject, details: String::new() };
        self.note_act(tenant, key, new).await
    }

    /// The database's own time.
    pub(super) async fn database_time(&mut self) -> Sql<DateTime<Utc>> {
        let now: Option<(i64,)> = first::<DatabaseTime, _>(self.connection, &[]).await?;
        Ok(now.and_then(|(now,)| DateTime::from_timestamp_millis(now)).unwrap_or_default())
    }

    pub(super) async fn tidy_acts(&mut self, tidy: &TidyRows) -> Sql<()> {
        for (tenant, until) in &tidy.entries {
            let binds = [(*tenant).into(), (*until).into()];
            // The chain goes on behind the last one that goes.
            if execute::<MoveBase>(self.connection, &binds).await? > 0 {
                execute::<DropEntries>(self.connection, &binds).await?;
            }
        }
        if tidy.receipts.is_empty() {
            return Ok(());
        }
        let tenants: Vec<i64> = tidy.receipts.iter().map(|(tenant, _)| *tenant).collect();
        let ids: Vec<&[u8]> = tidy.receipts.iter().map(|(_, id)| id.as_slice()).collect();
        let binds = [tenants.as_slice().into(), ids.as_slice().into()];
        execute::<DropReceipts>(self.connection, &binds).await.map(drop)
    }
}

/// The chain of the tenant with a number.
pub(super) fn declare_chain(tenant: i64, locks: &mut Locks) {
    locks.alone(Topic::Audit, &[&tenant.to_be_bytes()]);
}
