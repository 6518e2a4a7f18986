//! The port for export and erasure by number: a look through everything in bounded reads, removal in bounded commands,
//! and then what the database has to do behind rows that are gone.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::State;
use domain::erasure::{Keeper, Receipt, Search};
use domain::ids::{CallbackId, ErasureId, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{
    CallbackStore as _, EraseError, Erasing, HeldCallIn, HeldRecords, PersonalStore, Record, StoreError,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Database, DatabaseStore, NameReads, id_bytes};
use crate::stores::command::erasure::{Begun, PrivacyCommand};
use crate::stores::command::{Outcome, unexpected};
use crate::stores::erasure::{
    CallbackOf, END_OF_IDS, FoundCallIn, FoundCallback, HeldRows, MAX_CALL_INS, MAX_HISTORY, MAX_ROUNDS, STRETCH,
    Stretch, too_much,
};
use crate::stores::rows::{ReceiptRow, callback_id, receipt, state, stored};

/// Texts by which what was erased is looked for in files; with more of them files are written anew without looking.
const MAX_TRACES: usize = 500;

/// Statements about what is kept of a number, and questions that are made of them. There is no index by number alone,
/// for only this would use it: callbacks and keys are read through, so many in one read.
#[async_trait]
pub(in crate::stores) trait PersonalReads: NameReads {
    /// Who keeps what is written.
    const KEEPER: Keeper;

    /// The callback so many behind one; none if there are fewer.
    async fn callback_behind(&mut self, after: &[u8], count: i64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Callbacks of a number behind one and up to another.
    async fn callbacks_of(&mut self, whose: (i64, i64), ids: (&[u8], &[u8])) -> Result<Vec<CallbackOf>, StoreError>;

    /// Id and details of requests to call in of a number.
    async fn own_call_ins(&mut self, whose: (i64, i64), limit: i64) -> Result<Vec<(Vec<u8>, Option<i64>)>, StoreError>;

    /// Id and details of requests to call in that are tied to callbacks.
    async fn tied_call_ins(
        &mut self,
        tenant: i64,
        callbacks: &[CallbackId],
        limit: i64,
    ) -> Result<Vec<(Vec<u8>, Option<i64>)>, StoreError>;

    /// Queue and end of the day.
    async fn values_of(&mut self, tenant: i64, value: [u8; 16]) -> Result<Vec<(i64, i64)>, StoreError>;

    /// The idempotency key so many behind one; none if there are fewer.
    async fn key_behind(&mut self, after: i64, count: i64) -> Result<Option<i64>, StoreError>;

    /// Row number of keys behind one and up to another, and the id of what they made.
    async fn keys_between(&mut self, tenant: i64, after: i64, until: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError>;

    /// Requests to call in, with their user data.
    async fn held_call_ins(
        &mut self,
        tenant: i64,
        ids: Vec<Vec<u8>>,
        at: DateTime<Utc>,
    ) -> Result<Vec<HeldCallIn>, StoreError>;

    async fn receipt_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<ReceiptRow>, StoreError>;

    /// Newest first, from before one.
    async fn receipt_rows(&mut self, tenant: i64, before: &[u8], limit: usize) -> Result<Vec<ReceiptRow>, StoreError>;

    /// What rows of rare members and user data are recognised by in files, if these are ours.
    async fn traces_of(&mut self, _details: Vec<i64>) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(Vec::new())
    }

    /// Bytes of the tables in which a number, or what is made of it, can stand, where files are not ours.
    async fn bytes_looked_through(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn callbacks_held(
        &mut self,
        whose: (i64, i64),
        after: Vec<u8>,
    ) -> Result<Stretch<FoundCallback, Vec<u8>>, StoreError> {
        let next = self.callback_behind(&after, STRETCH).await?;
        let found = self.callbacks_of(whose, (&after, next.as_deref().unwrap_or(END_OF_IDS))).await?;
        let callback = |(id, code, wake_at, details): CallbackOf| {
            let state = state(code)?;
            let settled = wake_at.is_none() && state == State::Completed;
            Ok(FoundCallback { id: callback_id(&id)?, state, settled, details })
        };
        Ok(Stretch { found: found.into_iter().map(callback).collect::<Result<_, StoreError>>()?, next })
    }

    /// Call-ins of the number, and those tied to its callbacks.
    async fn call_ins_of(
        &mut self,
        whose: (i64, i64),
        callbacks: Vec<CallbackId>,
    ) -> Result<Vec<FoundCallIn>, StoreError> {
        let mut found = self.own_call_ins(whose, MAX_CALL_INS).await?;
        if !callbacks.is_empty() {
            found.extend(self.tied_call_ins(whose.0, &callbacks, MAX_CALL_INS).await?);
        }
        found.sort();
        found.dedup();
        Ok(found.into_iter().map(|(id, details)| FoundCallIn { id, details }).collect())
    }

    /// Keys that made one of `ids`.
    async fn keys_of(
        &mut self,
        tenant: i64,
        ids: Arc<HashSet<Vec<u8>>>,
        after: i64,
    ) -> Result<Stretch<i64, i64>, StoreError> {
        let next = self.key_behind(after, STRETCH).await?;
        let keys = self.keys_between(tenant, after, next.unwrap_or(i64::MAX)).await?;
        Ok(Stretch { found: keys.into_iter().filter(|(_, made)| ids.contains(made)).map(|(id, _)| id).collect(), next })
    }

    async fn receipt(&mut self, tenant: TenantId, id: ErasureId) -> Result<Option<Receipt>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(None) };
        let found = self.receipt_row(key, id_bytes(&id.as_uuid())).await?;
        found.map(|row| receipt(Self::KEEPER, tenant, row)).transpose()
    }

    async fn receipts(
        &mut self,
        tenant: TenantId,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Receipt>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(Vec::new()) };
        let before = before.map_or(Uuid::max(), |id| id.as_uuid());
        let found = self.receipt_rows(key, id_bytes(&before), limit).await?;
        found.into_iter().map(|row| receipt(Self::KEEPER, tenant, row)).collect()
    }
}

/// A number, in one store.
struct Number<'a, D> {
    store: &'a DatabaseStore<D>,
    tenant: TenantId,
    phone: PhoneNumber,
    counted_as: [u8; 16],
}

impl<'a, D: Database> Number<'a, D> {
    fn of(store: &'a DatabaseStore<D>, erasing: &Erasing) -> Self {
        Self { store, tenant: erasing.tenant, phone: erasing.phone, counted_as: erasing.counted_as }
    }

    /// What is kept of it, as rows. At most so many callbacks as are remembered at once.
    async fn held_rows(&self) -> Result<HeldRows, StoreError> {
        let (database, tenant, counted_as) = (&self.store.database, self.tenant, self.counted_as);
        let key = database.read(Some(tenant), move |reader| reader.tenant_key(tenant)).await?;
        let Some(key) = key else { return Ok(HeldRows::default()) };
        let whose = (key, stored(self.phone.digits()));
        let (mut found, mut after) = (HeldRows { tenant: key, ..HeldRows::default() }, Some(Vec::new()));
        while let Some(from) = after {
            let stretch = database.read(Some(tenant), move |reader| reader.callbacks_held(whose, from)).await?;
            found.callbacks.extend(stretch.found);
            after = stretch.next.filter(|_| !found.is_full());
        }
        let ids: Vec<CallbackId> = found.callbacks.iter().map(|it| it.id).collect();
        found.call_ins = database.read(Some(tenant), move |reader| reader.call_ins_of(whose, ids)).await?;
        found.values = database.read(Some(tenant), move |reader| reader.values_of(key, counted_as)).await?;
        let made = Arc::new(found.ids());
        let mut after = (!made.is_empty()).then_some(0);
        while let Some(from) = after {
            let made = made.clone();
            let stretch = database.read(Some(tenant), move |reader| reader.keys_of(key, made, from)).await?;
            found.keys.extend(stretch.found);
            after = stretch.next;
        }
        Ok(found)
    }

    /// What is kept of it, if all of it has ended.
    async fn erasable_rows(&self) -> Result<HeldRows, EraseError> {
        self.held_rows().await?.erasable()
    }

    /// Removes what is there; parts of it that would be recognised in files, none if there are too many to look for.
    async fn remove_all(
        &self,
        erasing: &Erasing,
        begun: &Begun,
        mut found: HeldRows,
    ) -> Result<Option<Vec<Vec<u8>>>, EraseError> {
        let mut traces = (!begun.resumed).then(Vec::new);
        for _ in 0..MAX_ROUNDS {
            let details = found.details();
            traces = match traces {
                Some(mut known) if known.len() + details.len() < MAX_TRACES => {
                    let read = self.store.database.read(Some(self.tenant), move |reader| reader.traces_of(details));
                    known.extend(read.await?);
                    Some(known)
                }
                _ => None,
            };
            for step in found.steps(erasing, begun, self.store.writes.step_rows) {
                match self.store.writes.privacy(PrivacyCommand::Remove(step)).await? {
                    Outcome::Done => {}
                    other => return Ok(unexpected(&other)?),
                }
            }
            if !found.is_full() {
                return Ok(traces);
            }
            found = self.erasable_rows().await?;
        }
        Err(too_much().into())
    }

    /// Looks for it in every table that can hold one, once more.
    async fn look_again(&self) -> Result<Search, StoreError> {
        let found = self.held_rows().await?.count();
        let bytes = self.store.database.read(None, |reader| reader.bytes_looked_through()).await?;
        Ok(Search { bytes, rewritten: false, found })
    }
}

#[async_trait]
impl<D: Database> PersonalStore for DatabaseStore<D> {
    async fn held(
        &self,
        tenant: TenantId,
        phone: PhoneNumber,
        counted_as: [u8; 16],
        at: DateTime<Utc>,
    ) -> Result<HeldRecords, StoreError> {
        let found = Number { store: self, tenant, phone, counted_as }.held_rows().await?;
        let (key, ids) = (found.tenant, found.call_ins.iter().map(|it| it.id.clone()).collect::<Vec<_>>());
        let call_ins = self.database.read(Some(tenant), move |reader| reader.held_call_ins(key, ids, at)).await?;
        Ok(found.records(call_ins))
    }

    async fn record(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Record>, StoreError> {
        let Some(callback) = self.load(tenant, id).await? else { return Ok(None) };
        let details = self.details(tenant, id).await?.unwrap_or_default();
        let history = self.history(tenant, id, MAX_HISTORY).await?;
        Ok(Some(Record { callback, details, history }))
    }

    async fn erase(&self, erasing: Erasing) -> Result<Receipt, EraseError> {
        let began = Instant::now();
        let number = Number::of(self, &erasing);
        let found = number.erasable_rows().await?;
        let begun = match self.writes.privacy(PrivacyCommand::Begin(erasing.clone())).await? {
            Outcome::Begun(begun) => begun,
            other => return Ok(unexpected(&other)?),
        };
        let traces = number.remove_all(&erasing, &begun, found).await?;
        let search = match self.database.clear_up(erasing.phone, traces).await? {
            Some(search) => search,
            None => number.look_again().await?,
        };
        let at = erasing.at + TimeDelta::from_std(began.elapsed()).unwrap_or_default();
        let finish = PrivacyCommand::Finish { tenant: erasing.tenant, id: begun.id, at, search };
        match self.writes.privacy(finish).await? {
            Outcome::Receipt(receipt) => {
                let missing = || StoreError::NotDone("the receipt was not found".to_owned());
                Ok(receipt?.ok_or_else(missing)?)
            }
            other => Ok(unexpected(&other)?),
        }
    }

    async fn receipt(&self, tenant: TenantId, id: ErasureId) -> Result<Option<Receipt>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.receipt(tenant, id)).await
    }

    async fn receipts(
        &self,
        tenant: TenantId,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.receipts(tenant, before, limit)).await
    }
}
