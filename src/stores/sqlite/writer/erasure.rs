//! Removal of what is kept of a number, in bounded commands that count what they remove.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Binary, Nullable};
use domain::erasure::{Counts, ERASED, Keeper, Receipt, Search};
use domain::ids::{CallbackId, ErasureId, TenantId};
use domain::ports::{Erasing, StoreError};
use uuid::Uuid;

use super::super::command::Outcome;
use super::super::erasure::LoadReceipt;
use super::super::names::FreshNames;
use super::super::rows::{millis, stored};
use super::super::statement::{Bind, execute, first, statements};
use super::Writer;
use super::upkeep::{RemoveHistory, RemoveValue};
use crate::stores::binds;
use crate::stores::command::erasure::{Begun, PrivacyCommand, RemoveRows};
use crate::stores::erasure::act;
use crate::stores::rows::{ReceiptRow, receipt};

statements! {
    FindOpen -> (Binary) = "SELECT id FROM erasures WHERE tenant = ? AND fingerprint = ? AND finished_at IS NULL";
    Open = "INSERT INTO erasures (tenant, id, fingerprint, actor, begun_at, cancelled) VALUES (?, ?, ?, ?, ?, ?)";
    Reopen = "UPDATE erasures SET cancelled = cancelled + ? WHERE tenant = ? AND id = ?";
    CountRemoved = "UPDATE erasures SET callbacks = callbacks + ?, blinded = blinded + ?, history = history + ?,
        details = details + ?, call_ins = call_ins + ?, notices = notices + ?, counted_values = counted_values + ?,
        idempotency_keys = idempotency_keys + ? WHERE tenant = ? AND id = ?";
    Close -> (Binary) = "UPDATE erasures SET finished_at = ?, searched_bytes = ?, rewritten = ?, found = ?
        WHERE tenant = ? AND id = ? AND finished_at IS NULL RETURNING id";
    // The hash of the key stays, so that a repetition hears that it is gone instead of booking anew.
    BlankKey = "UPDATE idempotency_keys SET callback = x'', body = x'' WHERE id = ? AND tenant = ?";
    TakeCallIn -> (BigInt, BigInt, Nullable<BigInt>) = "DELETE FROM call_ins WHERE tenant = ? AND id = ?
        RETURNING state, number, details";
    Erasable -> (Nullable<BigInt>, Nullable<BigInt>) = "SELECT wake_at, details FROM callbacks
        WHERE id = ? AND tenant = ? AND phone = ? AND state = 4";
    TakeCallback = "DELETE FROM callbacks WHERE id = ? AND tenant = ?";
    BlindCallback = "UPDATE callbacks SET phone = ?, details = NULL WHERE id = ? AND tenant = ?";
    DropPushes = "DELETE FROM notices INDEXED BY notices_owed WHERE callback = ? AND ending = 0
        AND lane IN (SELECT l.key FROM lanes l WHERE l.tenant = ? AND l.kind = 0)";
}

impl Writer {
    pub(super) fn privacy(&mut self, command: &PrivacyCommand) -> QueryResult<Outcome> {
        Ok(match command {
            PrivacyCommand::Note { tenant, entry } => {
                self.note_alone(*tenant, entry)?;
                Outcome::Done
            }
            PrivacyCommand::Begin(erasing) => Outcome::Begun(self.begin_erasure(erasing)?),
            PrivacyCommand::Remove(remove) => {
                self.erase_rows(remove)?;
                Outcome::Done
            }
            PrivacyCommand::Finish { tenant, id, at, search } => {
                Outcome::Receipt(self.finish_erasure(*tenant, *id, millis(*at), *search)?)
            }
            PrivacyCommand::Tidy(tidy) => {
                self.tidy_acts(tidy)?;
                Outcome::Done
            }
        })
    }

    /// A new erasure, or the one of the same number that was broken off.
    fn begin_erasure(&mut self, erasing: &Erasing) -> QueryResult<Begun> {
        let tenant = FreshNames::resolve_tenant(&mut self.connection, erasing.tenant)?;
        let binds = [tenant.into(), erasing.fingerprint.as_slice().into()];
        if let Some((id,)) = first::<FindOpen, (Vec<u8>,)>(&mut self.connection, &binds)? {
            execute::<Reopen>(
                &mut self.connection,
                &[stored(erasing.cancelled).into(), tenant.into(), id.as_slice().into()],
            )?;
            let id = Uuid::from_slice(&id).map_err(unreadable)?;
            return Ok(Begun { id: ErasureId::from_uuid(id), resumed: true });
        }
        let id = erasing.id.as_uuid();
        let binds = binds::begun(tenant, id.as_bytes(), erasing);
        execute::<Open>(&mut self.connection, &binds)?;
        Ok(Begun { id: erasing.id, resumed: false })
    }

    fn erase_rows(&mut self, remove: &RemoveRows) -> QueryResult<()> {
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, remove.erasure.0)? else { return Ok(()) };
        let mut counts = Counts::default();
        for (queue, ends_at) in &remove.values {
            let binds = [(*queue).into(), (*ends_at).into(), remove.counted_as.as_slice().into()];
            counts.counted_values += changed(execute::<RemoveValue>(&mut self.connection, &binds)?);
        }
        for key in &remove.keys {
            let blanked = execute::<BlankKey>(&mut self.connection, &[(*key).into(), tenant.into()])?;
            counts.idempotency_keys += changed(blanked);
        }
        for id in &remove.call_ins {
            self.erase_call_in(tenant, id, &mut counts)?;
        }
        for id in &remove.callbacks {
            self.erase_callback(tenant, *id, remove.phone, &mut counts)?;
        }
        self.count_removed(tenant, remove.erasure.1, counts)
    }

    fn erase_call_in(&mut self, tenant: i64, id: &[u8], counts: &mut Counts) -> QueryResult<()> {
        let binds = [tenant.into(), id.into()];
        let gone = first::<TakeCallIn, (i64, i64, Option<i64>)>(&mut self.connection, &binds)?;
        let Some((state, number, details)) = gone else { return Ok(()) };
        if state == 0 {
            self.fewer_open(number, 1)?;
        }
        counts.call_ins += 1;
        counts.details += u64::from(details.is_some());
        self.remove_details(details)
    }

    fn erase_callback(&mut self, tenant: i64, id: CallbackId, phone: i64, counts: &mut Counts) -> QueryResult<()> {
        let uuid = id.as_uuid();
        let id = Bind::Bytes(uuid.as_bytes());
        let found: Option<(Option<i64>, Option<i64>)> =
            first::<Erasable, _>(&mut self.connection, &[id, tenant.into(), phone.into()])?;
        let Some((wake_at, details)) = found else { return Ok(()) };
        if wake_at.is_none() {
            execute::<TakeCallback>(&mut self.connection, &[id, tenant.into()])?;
            counts.callbacks += 1;
            counts.history += changed(execute::<RemoveHistory>(&mut self.connection, &[id])?);
        } else {
            // Whoever tells routing of the end needs the row, and nothing of what goes.
            execute::<BlindCallback>(&mut self.connection, &[stored(ERASED.digits()).into(), id, tenant.into()])?;
            counts.blinded += 1;
        }
        counts.details += u64::from(details.is_some());
        self.remove_details(details)?;
        counts.notices += changed(execute::<DropPushes>(&mut self.connection, &[id, tenant.into()])?);
        Ok(())
    }

    fn count_removed(&mut self, tenant: i64, erasure: ErasureId, counts: Counts) -> QueryResult<()> {
        let id = erasure.as_uuid();
        let binds = binds::removed(&counts, tenant, id.as_bytes());
        execute::<CountRemoved>(&mut self.connection, &binds).map(|_| ())
    }

    /// The receipt; the act stands in the audit log with it.
    fn finish_erasure(
        &mut self,
        tenant: TenantId,
        id: ErasureId,
        at: i64,
        search: Search,
    ) -> QueryResult<Result<Option<Receipt>, StoreError>> {
        let Some(key) = self.names.tenant_unlearned(&mut self.connection, tenant)? else { return Ok(Ok(None)) };
        let uuid = id.as_uuid();
        let bytes = Bind::Bytes(uuid.as_bytes());
        let binds = binds::finished(at, search, key, uuid.as_bytes());
        let closed: Option<(Vec<u8>,)> = first::<Close, _>(&mut self.connection, &binds)?;
        let row: Option<ReceiptRow> = first::<LoadReceipt, _>(&mut self.connection, &[key.into(), bytes])?;
        let receipt = match row.map(|row| receipt(Keeper::Folder, tenant, row)).transpose() {
            Ok(receipt) => receipt,
            Err(error) => return Ok(Err(error)),
        };
        if let (Some(_), Some(receipt)) = (closed, &receipt) {
            self.note_act(tenant, key, act(receipt))?;
        }
        Ok(Ok(receipt))
    }
}

fn changed(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

fn unreadable(error: uuid::Error) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(error.into())
}
