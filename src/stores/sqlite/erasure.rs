//! The port for export and erasure by number: a look through everything in bounded reads, removal in bounded commands,
//! then the files.

mod queries;
mod receipts;
mod scrub;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::State;
use domain::erasure::{Receipt, Search};
use domain::ids::{CallbackId, ErasureId, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{
    CallbackStore as _, EraseError, Erasing, HeldCallback, HeldRecords, NewEntry, PersonalStore, Record, StoreError,
};
use tokio::time::Instant;

use super::SqliteStore;
use super::callbacks::unexpected;
use super::command::Outcome;
use super::rows::stored;
use queries::{FoundCallback, HeldRows};
pub(super) use receipts::{LoadReceipt, ReceiptRow, receipt};
pub(super) use scrub::Files;

/// Traces that are looked for in the files; of more the database is written anew without looking.
const MAX_TRACES: usize = 500;

/// Entries of history that are told of one callback.
const MAX_HISTORY: usize = 1_000;

/// Rounds of looking and removing. One is enough unless a number has more callbacks than are remembered at once.
const MAX_ROUNDS: usize = 50;

/// A write of export, erasure or the audit log.
pub(super) enum PrivacyCommand {
    Note { tenant: TenantId, entry: NewEntry },
    Begin(Erasing),
    Remove(RemoveRows),
    Finish { tenant: TenantId, id: ErasureId, at: DateTime<Utc>, search: Search },
    Tidy(TidyRows),
}

/// What is removed of a number by one command, each only if it is still the number's.
#[derive(Debug, Clone)]
pub(super) struct RemoveRows {
    /// The erasure that counts it.
    pub(super) erasure: (TenantId, ErasureId),
    pub(super) phone: i64,
    pub(super) counted_as: [u8; 16],
    /// Queue and end of the day.
    pub(super) values: Vec<(i64, i64)>,
    /// Row numbers.
    pub(super) keys: Vec<i64>,
    /// Ids.
    pub(super) call_ins: Vec<Vec<u8>>,
    pub(super) callbacks: Vec<CallbackId>,
}

/// Removes entries of the audit log up to a number by tenant, and receipts.
pub(super) struct TidyRows {
    pub(super) entries: Vec<(i64, i64)>,
    pub(super) receipts: Vec<(i64, Vec<u8>)>,
}

impl TidyRows {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.receipts.is_empty()
    }
}

impl PrivacyCommand {
    pub(super) fn touches(&self) -> &[CallbackId] {
        if let Self::Remove(remove) = self { &remove.callbacks } else { &[] }
    }

    pub(super) const fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Note { tenant, .. } | Self::Finish { tenant, .. } => Some(*tenant),
            Self::Begin(erasing) => Some(erasing.tenant),
            Self::Remove(_) | Self::Tidy(_) => None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Note { entry, .. } => entry.subject.len() + entry.details.len(),
            Self::Begin(_) => size_of::<Erasing>(),
            Self::Remove(remove) => remove.rows() * 48,
            Self::Finish { .. } => 0,
            Self::Tidy(tidy) => (tidy.entries.len() + tidy.receipts.len()) * 48,
        }
    }

    pub(super) fn background_rows(&self) -> usize {
        match self {
            Self::Remove(remove) => remove.rows(),
            Self::Tidy(tidy) => tidy.entries.len() + tidy.receipts.len(),
            Self::Note { .. } | Self::Begin(_) | Self::Finish { .. } => 0,
        }
    }
}

impl RemoveRows {
    pub(super) fn rows(&self) -> usize {
        self.values.len() + self.keys.len() + self.call_ins.len() + self.callbacks.len()
    }

    /// What was found, in commands of at most so many rows. Answers under keys come before what they name, so that
    /// whoever goes on after a crash still finds them.
    fn steps(empty: &Self, found: &HeldRows, rows: usize) -> Vec<Self> {
        let mut steps = Vec::new();
        for values in found.values.chunks(rows) {
            steps.push(Self { values: values.to_vec(), ..empty.clone() });
        }
        for keys in found.keys.chunks(rows) {
            steps.push(Self { keys: keys.to_vec(), ..empty.clone() });
        }
        for call_ins in found.call_ins.chunks(rows) {
            steps.push(Self { call_ins: call_ins.iter().map(|it| it.id.clone()).collect(), ..empty.clone() });
        }
        for callbacks in found.callbacks.chunks(rows) {
            steps.push(Self { callbacks: callbacks.iter().map(|it| it.id).collect(), ..empty.clone() });
        }
        steps
    }
}

/// An erasure under way.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) id: ErasureId,
    /// It was broken off before: what was removed then is not known any more.
    pub(super) resumed: bool,
}

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
        match found.unfinished() {
            0 => Ok(found),
            count => Err(EraseError::Unfinished(count)),
        }
    }

    /// Removes what is there; parts of it that would be recognised in the files, none if there are too many to look for.
    async fn remove_all(
        &self,
        erasing: &Erasing,
        begun: &Begun,
        mut found: HeldRows,
    ) -> Result<Option<Vec<Vec<u8>>>, EraseError> {
        let mut traces = (!begun.resumed).then(|| vec![scrub::number(erasing.phone)]);
        let empty = RemoveRows {
            erasure: (erasing.tenant, begun.id),
            phone: stored(erasing.phone.digits()),
            counted_as: erasing.counted_as,
            values: Vec::new(),
            keys: Vec::new(),
            call_ins: Vec::new(),
            callbacks: Vec::new(),
        };
        for _ in 0..MAX_ROUNDS {
            let details = found.details();
            traces = match traces {
                Some(mut known) if known.len() + details.len() <= MAX_TRACES => {
                    known
                        .extend(self.readers.read_for(erasing.tenant, move |reader| reader.traces_of(&details)).await?);
                    Some(known)
                }
                _ => None,
            };
            for step in RemoveRows::steps(&empty, &found, self.step_rows()) {
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
        Err(StoreError::NotDone("there is more than one erasure can remove".to_owned()).into())
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
        Ok(HeldRecords {
            callbacks: found
                .callbacks
                .iter()
                .map(|it| HeldCallback { id: it.id, state: it.state, settled: it.settled })
                .collect(),
            call_ins,
            counted_values: found.values.len() as u64,
            idempotency_keys: found.keys.len() as u64,
        })
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

impl FoundCallback {
    fn is_unfinished(&self) -> bool {
        self.state != State::Completed
    }
}

impl HeldRows {
    fn unfinished(&self) -> u64 {
        self.callbacks.iter().filter(|it| it.is_unfinished()).count() as u64
    }
}
