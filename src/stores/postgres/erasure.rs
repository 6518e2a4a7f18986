//! The port for export and erasure by number: a look through everything in bounded reads, removal in bounded commands,
//! then one more look, and the server is told to clear up behind it.
//!
//! What is removed is gone for every query with the commit. Its bytes are not: they stay in pages and in the write-ahead
//! log of the server until something else is written there, and in archives and backups until those are deleted. Only
//! who runs the server can change that; the receipt names it.

mod queries;
mod receipts;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::erasure::{Receipt, Search};
use domain::ids::{CallbackId, ErasureId, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{CallbackStore as _, EraseError, Erasing, HeldRecords, PersonalStore, Record, StoreError};
use tokio::time::{Instant, timeout};

use super::PostgresStore;
use super::errors::SqlError;
use crate::stores::command::erasure::{Begun, PrivacyCommand};
use crate::stores::command::{Outcome, unexpected};
use crate::stores::erasure::{HeldRows, MAX_HISTORY, MAX_ROUNDS, too_much};
use crate::stores::rows::stored;
pub(super) use receipts::LoadReceipt;

/// Clears up behind the rows that were removed, and their entries in indexes.
const CLEAR_UP: &str = "VACUUM callbacks, history, details, call_ins, notices, counted_values, idempotency_keys";

/// The longest that this may take. A server that has not done it by then does it by itself in its own time.
const CLEAR_UP_WITHIN: Duration = Duration::from_secs(120);

impl PostgresStore {
    /// What is kept of a number, as rows. At most so many callbacks as are remembered at once.
    async fn held_rows(
        &self,
        tenant: TenantId,
        phone: PhoneNumber,
        counted_as: [u8; 16],
    ) -> Result<HeldRows, StoreError> {
        let mut reader = self.reader().await?;
        let Some(key) = reader.tenant_key(tenant).await? else { return Ok(HeldRows::default()) };
        let digits = stored(phone.digits());
        let (mut found, mut after) = (HeldRows { tenant: key, ..HeldRows::default() }, Some(Vec::new()));
        while let Some(from) = after {
            let stretch = reader.callbacks_of(key, digits, &from).await?;
            found.callbacks.extend(stretch.found);
            after = stretch.next.filter(|_| !found.is_full());
        }
        let ids: Vec<CallbackId> = found.callbacks.iter().map(|it| it.id).collect();
        found.call_ins = reader.call_ins_of(key, digits, &ids).await?;
        found.values = reader.values_of(key, &counted_as).await?;
        let made = found.ids();
        let mut after = (!made.is_empty()).then_some(0);
        while let Some(from) = after {
            let stretch = reader.keys_of(key, &made, from).await?;
            found.keys.extend(stretch.found);
            after = stretch.next;
        }
        Ok(found)
    }

    /// What is kept of a number, if all of it has ended.
    async fn erasable_rows(&self, erasing: &Erasing) -> Result<HeldRows, EraseError> {
        self.held_rows(erasing.tenant, erasing.phone, erasing.counted_as).await?.erasable()
    }

    /// Removes what is there.
    async fn remove_all(&self, erasing: &Erasing, begun: &Begun, mut found: HeldRows) -> Result<(), EraseError> {
        for _ in 0..MAX_ROUNDS {
            for step in found.steps(erasing, begun, self.step_rows()) {
                match self.privacy(PrivacyCommand::Remove(step)).await? {
                    Outcome::Done => {}
                    other => return Ok(unexpected(&other)?),
                }
            }
            if !found.is_full() {
                return Ok(());
            }
            found = self.erasable_rows(erasing).await?;
        }
        Err(too_much().into())
    }

    /// Looks for the number in every table that can hold one, once more.
    async fn look_again(&self, erasing: &Erasing) -> Result<Search, StoreError> {
        let left = self.held_rows(erasing.tenant, erasing.phone, erasing.counted_as).await?;
        let rows = left.callbacks.len() + left.call_ins.len() + left.values.len() + left.keys.len();
        let bytes = self.reader().await?.bytes_looked_through().await?;
        Ok(Search { bytes, rewritten: false, found: rows as u64 })
    }

    /// Has the server clear up at once, instead of some day. Nothing depends on it.
    async fn clear_up(&self) {
        let clear_up = async {
            let client = self.dialer.bare().await?;
            client.batch_execute(CLEAR_UP).await.map_err(SqlError::from)
        };
        match timeout(CLEAR_UP_WITHIN, clear_up).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the tables were not vacuumed after an erasure"),
            Err(_) => tracing::warn!("vacuuming the tables after an erasure takes longer than it is waited for"),
        }
    }
}

#[async_trait]
impl PersonalStore for PostgresStore {
    async fn held(
        &self,
        tenant: TenantId,
        phone: PhoneNumber,
        counted_as: [u8; 16],
        at: DateTime<Utc>,
    ) -> Result<HeldRecords, StoreError> {
        let found = self.held_rows(tenant, phone, counted_as).await?;
        let ids: Vec<&[u8]> = found.call_ins.iter().map(|it| it.id.as_slice()).collect();
        let call_ins = self.reader().await?.held_call_ins(found.tenant, &ids, at).await?;
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
        self.remove_all(&erasing, &begun, found).await?;
        self.clear_up().await;
        let search = self.look_again(&erasing).await?;
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
        self.reader().await?.receipt(tenant, id).await
    }

    async fn receipts(
        &self,
        tenant: TenantId,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.reader().await?.receipts(tenant, before, limit).await
    }
}
