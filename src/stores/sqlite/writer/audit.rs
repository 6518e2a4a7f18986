//! The audit log: an entry is written with the act that it tells of.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{BigInt, Binary};
use domain::audit::Act;
use domain::ids::TenantId;
use domain::ports::NewEntry;

use super::super::names::FreshNames;
use super::super::rows::stored;
use super::super::statement::{execute, first, statements};
use super::Writer;
pub(super) use crate::stores::audit::Noted;
use crate::stores::binds;
use crate::stores::command::erasure::TidyRows;

statements! {
    HeadOf -> (BigInt, Binary) = "SELECT seq, hash FROM audit_heads WHERE tenant = ?";
    AddEntry = "INSERT INTO audit (tenant, seq, at, act, actor, subject, details, hash)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    MoveHead = "INSERT INTO audit_heads (tenant, seq, hash, base_seq, base_hash) VALUES (?, ?, ?, 0, zeroblob(32))
        ON CONFLICT (tenant) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
    MoveBase = "UPDATE audit_heads SET base_seq = ?, base_hash = (SELECT a.hash FROM audit a
        WHERE a.tenant = audit_heads.tenant AND a.seq = ?) WHERE tenant = ?
        AND EXISTS (SELECT 1 FROM audit a WHERE a.tenant = audit_heads.tenant AND a.seq = ?)";
    DropEntries = "DELETE FROM audit WHERE tenant = ? AND seq <= ?";
    DropReceipt = "DELETE FROM erasures WHERE tenant = ? AND id = ?";
    DatabaseTime -> (BigInt) = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
}

impl Writer {
    /// Adds an entry to the chain of a tenant, whose number is `key`.
    pub(super) fn note_act(&mut self, tenant: TenantId, key: i64, new: NewEntry) -> QueryResult<()> {
        let head: Option<(i64, Vec<u8>)> = first::<HeadOf, _>(&mut self.connection, &[key.into()])?;
        let (last, before) = head.unwrap_or((0, vec![0; 32]));
        let before: [u8; 32] = before.try_into().map_err(|_| unreadable())?;
        let noted = Noted::behind(tenant, last, &before, new);
        let entry = &noted.entry;
        let seq = stored(entry.seq).into();
        execute::<AddEntry>(&mut self.connection, &binds::audit_entry(key, entry))?;
        execute::<MoveHead>(&mut self.connection, &[key.into(), seq, entry.hash.as_slice().into()])?;
        self.noted.push(noted);
        Ok(())
    }

    /// An act that changes nothing else of the tenant.
    pub(super) fn note_alone(&mut self, tenant: TenantId, entry: &NewEntry) -> QueryResult<()> {
        let key = FreshNames::resolve_tenant(&mut self.connection, tenant)?;
        self.note_act(tenant, key, entry.clone())
    }

    /// An act on something that is named by one word.
    pub(super) fn note_plain(
        &mut self,
        (tenant, key): (TenantId, i64),
        at: DateTime<Utc>,
        act: Act,
        actor: &str,
        subject: String,
    ) -> QueryResult<()> {
        let new = NewEntry { at, act, actor: actor.to_owned(), subject, details: String::new() };
        self.note_act(tenant, key, new)
    }

    /// The database's own time.
    pub(super) fn database_time(&mut self) -> QueryResult<DateTime<Utc>> {
        let now = self.count::<DatabaseTime>(&[])?;
        Ok(DateTime::from_timestamp_millis(now).unwrap_or_default())
    }

    pub(super) fn tidy_acts(&mut self, tidy: &TidyRows) -> QueryResult<()> {
        for (tenant, until) in &tidy.entries {
            let (tenant, until) = ((*tenant).into(), (*until).into());
            // The chain goes on behind the last one that goes.
            if execute::<MoveBase>(&mut self.connection, &[until, until, tenant, until])? > 0 {
                execute::<DropEntries>(&mut self.connection, &[tenant, until])?;
            }
        }
        for (tenant, id) in &tidy.receipts {
            execute::<DropReceipt>(&mut self.connection, &[(*tenant).into(), id.as_slice().into()])?;
        }
        Ok(())
    }
}

fn unreadable() -> diesel::result::Error {
    diesel::result::Error::DeserializationError("a hash of the audit log has not 32 bytes".into())
}
