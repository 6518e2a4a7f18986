//! The port for export and erasure by number: a look through everything in bounded reads, removal in bounded commands,
//! then the files.

mod queries;
mod receipts;
mod scrub;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::erasure::{Receipt, Search};
use domain::ids::{CallbackId, ErasureId, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{CallbackStore as _, EraseError, Erasing, HeldRecords, PersonalStore, Record, StoreError};
use tokio::time::Instant;

use super::SqliteStore;
use super::callbacks::unexpected;
use super::command::Outcome;
use super::rows::stored;
pub(super) use crate::stores::command::erasure::{Begun, PrivacyCommand, RemoveRows, TidyRows};
use crate::stores::erasure::{HeldRows, MAX_HISTORY, MAX_ROUNDS, too_much};
pub(super) use crate::stores::rows::{ReceiptRow, receipt};
pub(super) use receipts::LoadReceipt;
pub(super) use scrub::Files;

/// Traces that are looked for in the files; of more the database is written anew without looking.
const MAX_TRACES: usize = 500;

impl SqliteStore {
    /// What is kept of a number, as rows. At most so many callbacks as are remembered at once.
    async fn held_rows(
        &self,
        tenant: TenantId,
        phone: PhoneNumber,
        counted_as: [u8; 16],
    ) -> Result<HeldRows, StoreError> {
        let Some(key) = self.readers.read_for(tenant, move |reader| reader.tenant_key(tenant)).await? else {
            return Ok(HeldRows::default());
        };
        let digits = stored(phone.digits());
        let (mut found, mut after) = (HeldRows { tenant: key, ..HeldRows::default() }, Some(Vec::new()));
        while let Some(from) = after {
            let stretch = self.readers.read_for(tenant, move |reader| reader.callbacks_of(key, digits, &from)).await?;
            found.callbacks.extend(stretch.found);
            after = stretch.next.filter(|_| !found.is_full());
        }
        let ids: Vec<CallbackId> = found.callbacks.iter().map(|it| it.id).collect();
        let call_ins = self.readers.read_for(tenant, move |reader| reader.call_ins_of(key, digits, &ids));
        found.call_ins = call_ins.await?;
        found.values = self.readers.read_for(tenant, move |reader| reader.values_of(key, &counted_as)).await?;
        let made = std::sync::Arc::new(found.ids());
        let mut after = (!made.is_empty()).then_some(0);
        while let Some(from) = after {
            let made = made.clone();
            let stretch = self.readers.read_for(tenant, move |reader| reader.keys_of(key, &made, from)).await?;
            found.keys.extend(stretch.found);
            after = stretch.next;
        }
        Ok(found)
    }

    /// What is kept of a number, if all of it has ended.
    async fn erasable_rows(&self, erasing: &Erasing) -> Result<HeldRows, EraseError> {
        let found = self.held_rows(erasing.tenant, erasing.phone, erasing.counted_as).await?;
        found.erasable()
    }

    /// Removes what is there; parts of it that would be recognised in the files, none if there are too many to look for.
    async fn remove_all(
        &self,
        erasing: &Erasing,
        begun: &Begun,
        mut found: HeldRows,
    ) -> Result<Option<Vec<Vec<u8>>>, EraseError> {
        let mut traces = (!begun.resumed).then(|| vec![scrub::number(erasing.phone)]);
        for _ in 0..MAX_ROUNDS {
            let details = details_of(&found);
            traces = match traces {
                Some(mut known) if known.len() + details.len() <= MAX_TRACES => {
                    known
                        .extend(self.readers.read_for(erasing.tenant, move |reader| reader.traces_of(&details)).await?);
                    Some(known)
                }
                _ => None,
            };
            for step in found.steps(erasing, begun, self.step_rows()) {
                match self.privacy(PrivacyCommand::Remove(step)).await? {
                    Outcome::Done => {}
                    other => return Ok(unexpected(&other)?),
                }
            }
            if !found.is_full() {
                return Ok(traces);
            }
            found = self.erasable_rows(erasing).await?;
        }
        Err(too_much().into())
    }

    /// Sees that nothing of it is left in the files. Takes as long as reading them, and more if they have to be written
    /// anew.
    async fn scrub(&self, traces: Option<Vec<Vec<u8>>>) -> Result<Search, StoreError> {
        let files = self.folder.files();
        let work = tokio::task::spawn_blocking(move || files.scrub(traces.as_deref()));
        work.await.unwrap_or_else(|_| Err(StoreError::NotDone("the files could not be looked through".to_owned())))
    }
}

#[async_trait]
impl PersonalStore for SqliteStore {
    async fn held(
        &self,
        tenant: TenantId,
        phone: PhoneNumber,
        counted_as: [u8; 16],
        at: DateTime<Utc>,
    ) -> Result<HeldRecords, StoreError> {
        let found = self.held_rows(tenant, phone, counted_as).await?;
        let (key, ids) = (found.tenant, found.call_ins.iter().map(|it| it.id.clone()).collect::<Vec<_>>());
        let call_ins = self.readers.read_for(tenant, move |reader| reader.held_call_ins(key, &ids, at)).await?;
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
        let found = self.erasable_rows(&erasing).await?;
        let begun = match self.privacy(PrivacyCommand::Begin(erasing.clone())).await? {
            Outcome::Begun(begun) => begun,
            other => return Ok(unexpected(&other)?),
        };
        let traces = self.remove_all(&erasing, &begun, found).await?;
        let search = self.scrub(traces).await?;
        let at = erasing.at + TimeDelta::from_std(began.elapsed()).unwrap_or_default();
        let finish = PrivacyCommand::Finish { tenant: erasing.tenant, id: begun.id, at, search };
        match self.privacy(finish).await? {
            Outcome::Receipt(receipt) => {
                let missing = || StoreError::NotDone("the receipt was not found".to_owned());
                Ok(receipt?.ok_or_else(missing)?)
            }
            other => Ok(unexpected(&other)?),
        }
    }

    async fn receipt(&self, tenant: TenantId, id: ErasureId) -> Result<Option<Receipt>, StoreError> {
        self.readers.read_for(tenant, move |reader| reader.receipt(tenant, id)).await
    }

    async fn receipts(
        &self,
        tenant: TenantId,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.readers.read_for(tenant, move |reader| reader.receipts(tenant, before, limit)).await
    }
}

/// The rows of rare members and user data.
fn details_of(found: &HeldRows) -> Vec<i64> {
    let callbacks = found.callbacks.iter().filter_map(|it| it.details);
    callbacks.chain(found.call_ins.iter().filter_map(|it| it.details)).collect()
}
