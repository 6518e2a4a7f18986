//! Removal of what is kept of a number, in bounded commands that count what they remove.

use domain::erasure::{Counts, ERASED, Keeper, Receipt, Search};
use domain::ids::{CallbackId, ErasureId, TenantId};
use domain::ports::{Erasing, StoreError};
use uuid::Uuid;

use super::super::erasure::LoadReceipt;
use super::super::errors::{Sql, SqlError};
use super::super::locks::{Locks, Topic};
use super::super::statement::{Bind, execute, first, rows, statements};
use super::Batch;
use super::audit::declare_chain;
use super::upkeep::{RemoveDetails, RemoveHistories};
use crate::stores::binds;
use crate::stores::command::Outcome;
use crate::stores::command::erasure::{Begun, PrivacyCommand, RemoveRows};
use crate::stores::erasure::act;
use crate::stores::rows::{ReceiptRow, millis, receipt, stored, unreadable};
use crate::testing::{self, Rule};

statements! {
    FindOpen = "SELECT id FROM erasures WHERE tenant = ? AND fingerprint = ? AND finished_at IS NULL";
    Open = "INSERT INTO erasures (tenant, id, fingerprint, actor, begun_at, cancelled) VALUES (?, ?, ?, ?, ?, ?)";
    Reopen = "UPDATE erasures SET cancelled = cancelled + ? WHERE tenant = ? AND id = ?";
    CountRemoved = "UPDATE erasures SET callbacks = callbacks + ?, blinded = blinded + ?, history = history + ?,
        details = details + ?, call_ins = call_ins + ?, notices = notices + ?, counted_values = counted_values + ?,
        idempotency_keys = idempotency_keys + ? WHERE tenant = ? AND id = ?";
    Close = "UPDATE erasures SET finished_at = ?, searched_bytes = ?, rewritten = ?, found = ?
        WHERE tenant = ? AND id = ? AND finished_at IS NULL";
    RemoveValues = "DELETE FROM counted_values v USING unnest(?::bigint[], ?::bigint[]) AS u(q, e)
        WHERE v.queue = u.q AND v.ends_at = u.e AND v.value = ?";
    // One that a booking takes over or a purge removes just now is waited for by nobody.
    LockKeys = "SELECT id FROM idempotency_keys WHERE id = ANY (?) AND tenant = ? ORDER BY id FOR UPDATE SKIP LOCKED";
    CountKeys = "SELECT count(*) FROM idempotency_keys WHERE id = ANY (?) AND tenant = ?";
    // The hash of the key stays, so that a repetition hears that it is gone instead of booking anew.
    // A row whose time was over may have become the key of somebody else's booking since it was found.
    BlankKeys = "UPDATE idempotency_keys k SET callback = '', body = '' WHERE k.id = ANY (?) AND k.tenant = ?
        AND k.callback <> '' AND NOT EXISTS (SELECT 1 FROM callbacks c WHERE c.id = k.callback AND c.phone <> ?)";
    TakeCallIns = "DELETE FROM call_ins WHERE tenant = ? AND id = ANY (?) RETURNING state, number, details";
    Erasable = "SELECT id, wake_at, details FROM callbacks
        WHERE id = ANY (?) AND tenant = ? AND phone = ? AND state = 4";
    TakeCallbacks = "DELETE FROM callbacks WHERE id = ANY (?) AND tenant = ?";
    BlindCallbacks = "UPDATE callbacks SET phone = ?, details = NULL WHERE id = ANY (?) AND tenant = ?";
    CountPushes = "SELECT count(*) FROM notices WHERE callback = ANY (?) AND ending = 0
        AND lane IN (SELECT l.key FROM lanes l WHERE l.tenant = ? AND l.kind = 0)";
    DropPushes = "DELETE FROM notices d USING (SELECT n.lane, n.seq, n.target FROM notices n
        WHERE n.callback = ANY (?) AND n.ending = 0
        AND n.lane IN (SELECT l.key FROM lanes l WHERE l.tenant = ? AND l.kind = 0) FOR UPDATE OF n SKIP LOCKED) p
        WHERE d.lane = p.lane AND d.seq = p.seq AND d.target = p.target";
}

/// Somebody works on a part of it: the batch is run again.
fn in_use() -> SqlError {
    SqlError::Again("what is to be erased is in use")
}

impl Batch<'_> {
    pub(super) fn declare_privacy(&self, command: &PrivacyCommand, locks: &mut Locks) {
        match command {
            PrivacyCommand::Note { tenant, .. } | PrivacyCommand::Finish { tenant, .. } => {
                self.declare_audit(*tenant, locks);
            }
            // Of one number there is one erasure at a time.
            PrivacyCommand::Begin(erasing) => self.declare_audit(erasing.tenant, locks),
            PrivacyCommand::Remove(remove) => {
                locks.callbacks.extend(&remove.callbacks);
                locks.depths.extend(remove.values.iter().map(|(queue, _)| *queue));
                if !remove.call_ins.is_empty() {
                    locks.alone(Topic::CallIns, &[remove.erasure.0.as_uuid().as_bytes()]);
                }
            }
            PrivacyCommand::Tidy(tidy) => tidy.entries.iter().for_each(|(tenant, _)| declare_chain(*tenant, locks)),
        }
    }

    pub(super) async fn privacy(&mut self, command: &PrivacyCommand) -> Sql<Outcome> {
        Ok(match command {
            PrivacyCommand::Note { tenant, entry } => {
                let key = self.number_of(*tenant)?;
                self.note_act(*tenant, key, entry.clone()).await?;
                Outcome::Done
            }
            PrivacyCommand::Begin(erasing) => Outcome::Begun(self.begin_erasure(erasing).await?),
            PrivacyCommand::Remove(_) if testing::is_broken(Rule::Erasure) => Outcome::Done,
            PrivacyCommand::Remove(remove) => {
                self.erase_rows(remove).await?;
                Outcome::Done
            }
            PrivacyCommand::Finish { tenant, id, at, search } => {
                Outcome::Receipt(self.finish_erasure(*tenant, *id, millis(*at), *search).await?)
            }
            PrivacyCommand::Tidy(tidy) => {
                self.tidy_acts(tidy).await?;
                Outcome::Done
            }
        })
    }

    /// A new erasure, or the one of the same number that was broken off.
    async fn begin_erasure(&mut self, erasing: &Erasing) -> Sql<Begun> {
        let tenant = self.number_of(erasing.tenant)?;
        let binds = [tenant.into(), erasing.fingerprint.as_slice().into()];
        if let Some((id,)) = first::<FindOpen, (Vec<u8>,)>(self.connection, &binds).await? {
            execute::<Reopen>(
                self.connection,
                &[stored(erasing.cancelled).into(), tenant.into(), id.as_slice().into()],
            )
            .await?;
            let id = Uuid::from_slice(&id).map_err(|_| unreadable("the id of an erasure is no UUID"))?;
            return Ok(Begun { id: ErasureId::from_uuid(id), resumed: true });
        }
        let id = erasing.id.as_uuid();
        let binds = binds::begun(tenant, id.as_bytes(), erasing);
        execute::<Open>(self.connection, &binds).await?;
        Ok(Begun { id: erasing.id, resumed: false })
    }

    async fn erase_rows(&mut self, remove: &RemoveRows) -> Sql<()> {
        let Some(tenant) = self.names.known_tenant(remove.erasure.0) else { return Ok(()) };
        let mut counts = Counts::default();
        if !remove.values.is_empty() {
            let (queues, ends): (Vec<i64>, Vec<i64>) = remove.values.iter().copied().unzip();
            let value = remove.counted_as.as_slice().into();
            let binds = [queues.as_slice().into(), ends.as_slice().into(), value];
            counts.counted_values = execute::<RemoveValues>(self.connection, &binds).await?;
        }
        if !remove.keys.is_empty() {
            counts.idempotency_keys = self.blank_keys(tenant, &remove.keys, remove.phone).await?;
        }
        if !remove.call_ins.is_empty() {
            self.erase_call_ins(tenant, &remove.call_ins, &mut counts).await?;
        }
        if !remove.callbacks.is_empty() {
            self.erase_callbacks(tenant, &remove.callbacks, remove.phone, &mut counts).await?;
        }
        self.count_removed(tenant, remove.erasure.1, counts).await
    }

    async fn blank_keys(&mut self, tenant: i64, keys: &[i64], phone: i64) -> Sql<u64> {
        let binds = [keys.into(), tenant.into()];
        let locked: Vec<(i64,)> = rows::<LockKeys, _>(self.connection, &binds).await?;
        let there: Option<(i64,)> = first::<CountKeys, _>(self.connection, &binds).await?;
        if there.is_some_and(|(count,)| usize::try_from(count) != Ok(locked.len())) {
            return Err(in_use());
        }
        execute::<BlankKeys>(self.connection, &[keys.into(), tenant.into(), phone.into()]).await
    }

    async fn erase_call_ins(&mut self, tenant: i64, ids: &[Vec<u8>], counts: &mut Counts) -> Sql<()> {
        let ids: Vec<&[u8]> = ids.iter().map(Vec::as_slice).collect();
        let binds = [tenant.into(), ids.as_slice().into()];
        let gone: Vec<(i64, i64, Option<i64>)> = rows::<TakeCallIns, _>(self.connection, &binds).await?;
        let open: Vec<(i64,)> =
            gone.iter().filter(|(state, ..)| *state == 0).map(|(_, number, _)| (*number,)).collect();
        self.fewer_open(&open).await?;
        counts.call_ins += gone.len() as u64;
        self.erase_details(gone.into_iter().filter_map(|(.., details)| details).collect(), counts).await
    }

    async fn erase_details(&mut self, details: Vec<i64>, counts: &mut Counts) -> Sql<()> {
        if !details.is_empty() {
            counts.details += execute::<RemoveDetails>(self.connection, &[details.as_slice().into()]).await?;
        }
        Ok(())
    }

    async fn erase_callbacks(&mut self, tenant: i64, ids: &[CallbackId], phone: i64, counts: &mut Counts) -> Sql<()> {
        let uuids: Vec<Uuid> = ids.iter().map(CallbackId::as_uuid).collect();
        let ids: Vec<&[u8]> = uuids.iter().map(|uuid| uuid.as_bytes().as_slice()).collect();
        let binds = [ids.as_slice().into(), tenant.into(), phone.into()];
        let found: Vec<(Vec<u8>, Option<i64>, Option<i64>)> = rows::<Erasable, _>(self.connection, &binds).await?;
        let of = |settled: bool| -> Vec<&[u8]> {
            let of = found.iter().filter(|(_, wake_at, _)| wake_at.is_none() == settled);
            of.map(|(id, ..)| id.as_slice()).collect()
        };
        let (gone, blinded) = (of(true), of(false));
        if !gone.is_empty() {
            let gone: Bind<'_> = gone.as_slice().into();
            counts.callbacks += execute::<TakeCallbacks>(self.connection, &[gone, tenant.into()]).await?;
            counts.history += execute::<RemoveHistories>(self.connection, &[gone]).await?;
        }
        if !blinded.is_empty() {
            // Whoever tells routing of the end needs the row, and nothing of what goes.
            let binds = [stored(ERASED.digits()).into(), blinded.as_slice().into(), tenant.into()];
            counts.blinded += execute::<BlindCallbacks>(self.connection, &binds).await?;
        }
        self.erase_details(found.iter().filter_map(|(.., details)| *details).collect(), counts).await?;
        let erased: Vec<&[u8]> = found.iter().map(|(id, ..)| id.as_slice()).collect();
        let binds = [erased.as_slice().into(), tenant.into()];
        counts.notices += execute::<DropPushes>(self.connection, &binds).await?;
        // One that is being sent just now is found again.
        let left: Option<(i64,)> = first::<CountPushes, _>(self.connection, &binds).await?;
        if left.is_some_and(|(count,)| count > 0) { Err(in_use()) } else { Ok(()) }
    }

    async fn count_removed(&mut self, tenant: i64, erasure: ErasureId, counts: Counts) -> Sql<()> {
        let id = erasure.as_uuid();
        let binds = binds::removed(&counts, tenant, id.as_bytes());
        execute::<CountRemoved>(self.connection, &binds).await.map(drop)
    }

    /// The receipt; the act stands in the audit log with it.
    async fn finish_erasure(
        &mut self,
        tenant: TenantId,
        id: ErasureId,
        at: i64,
        search: Search,
    ) -> Sql<Result<Option<Receipt>, StoreError>> {
        let Some(key) = self.names.known_tenant(tenant) else { return Ok(Ok(None)) };
        let uuid = id.as_uuid();
        let bytes = Bind::Bytes(uuid.as_bytes());
        let binds = binds::finished(at, search, key, uuid.as_bytes());
        let closed = execute::<Close>(self.connection, &binds).await?;
        let row: Option<ReceiptRow> = first::<LoadReceipt, _>(self.connection, &[key.into(), bytes]).await?;
        let receipt = match row.map(|row| receipt(Keeper::Server, tenant, row)).transpose() {
            Ok(receipt) => receipt,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(receipt) = receipt.as_ref().filter(|_| closed > 0) {
            self.note_act(tenant, key, act(receipt)).await?;
        }
        Ok(Ok(receipt))
    }
}
