//! Removing what is past its use, in bounded steps: settled callbacks, what is kept beside them, requests to call in, and
//! entries of the audit log.

use chrono::{DateTime, Utc};
use domain::ports::StoreError;

use super::callback_reads::PastUse;
use super::users::tidy_sessions;
use super::{AuditReads as _, CallInReads as _, CallbackReads as _, Database, DatabaseStore};
use crate::stores::call_ins::MAX_TIDY_STEPS;
use crate::stores::command::call_ins::CallInCommand;
use crate::stores::command::erasure::{PrivacyCommand, TidyRows};
use crate::stores::command::{Command, Forget, Remove};
use crate::stores::idempotency::KEY_LIFE;
use crate::stores::upkeep::{COUNT_LIFE, FORGET_ROWS, MAX_FORGET_STEPS, SLOT_LIFE};

/// Below so many free pages (8 MB) the file is not shortened: they will be used again.
const MIN_FREE_PAGES: i64 = 1_000;

/// Steps of shortening in one purge.
const MAX_SHRINK_STEPS: usize = 4;

/// See [`domain::ports::CallbackStore::purge`].
pub(super) async fn purge<D: Database>(
    store: &DatabaseStore<D>,
    desired_before: DateTime<Utc>,
    at: DateTime<Utc>,
    limit: usize,
) -> Result<u64, StoreError> {
    let removed = remove_settled(store, desired_before, limit).await?;
    forget_past(store, at).await?;
    tidy_call_ins(store, desired_before, at).await?;
    tidy_acts(store, at).await?;
    tidy_sessions(store, at).await?;
    shrink(store).await?;
    Ok(removed)
}

async fn remove_settled<D: Database>(
    store: &DatabaseStore<D>,
    desired_before: DateTime<Utc>,
    limit: usize,
) -> Result<u64, StoreError> {
    let settled = store.database.read(None, move |reader| reader.settled(desired_before, limit)).await?;
    let mut removed = 0;
    for step in settled.chunks(store.writes.step_rows) {
        let (ids, versions) = step.iter().copied().unzip();
        removed += store.writes.count_each(Command::Remove(Remove { ids, versions })).await?;
    }
    Ok(removed)
}

async fn forget_past<D: Database>(store: &DatabaseStore<D>, at: DateTime<Utc>) -> Result<(), StoreError> {
    for _ in 0..MAX_FORGET_STEPS {
        let before = PastUse { keys: at - KEY_LIFE, slots: at - SLOT_LIFE, counts: at - COUNT_LIFE };
        let past: Forget = store.database.read(None, move |reader| reader.past_use(before, FORGET_ROWS)).await?;
        if past.rows() == 0 {
            break;
        }
        store.writes.submit(Command::Forget(past)).await?;
    }
    Ok(())
}

/// Writes down that requests have expired, and removes ended ones that expired before `ended_before`.
async fn tidy_call_ins<D: Database>(
    store: &DatabaseStore<D>,
    ended_before: DateTime<Utc>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let limit = store.writes.step_rows;
    for _ in 0..MAX_TIDY_STEPS {
        let tidy = store.database.read(None, move |reader| reader.untidy_call_ins(ended_before, at, limit)).await?;
        if tidy.rows() == 0 {
            break;
        }
        store.writes.call_in(CallInCommand::Tidy(tidy)).await?;
    }
    Ok(())
}

/// Removes entries and receipts that are past their time.
async fn tidy_acts<D: Database>(store: &DatabaseStore<D>, at: DateTime<Utc>) -> Result<(), StoreError> {
    let TidyRows { entries, receipts } = store.database.read(None, move |reader| reader.old_acts(at)).await?;
    for entries in entries.chunks(store.writes.step_rows) {
        let tidy = TidyRows { entries: entries.to_vec(), receipts: Vec::new() };
        store.writes.privacy(PrivacyCommand::Tidy(tidy)).await?;
    }
    for receipts in receipts.chunks(store.writes.step_rows) {
        let tidy = TidyRows { entries: Vec::new(), receipts: receipts.to_vec() };
        store.writes.privacy(PrivacyCommand::Tidy(tidy)).await?;
    }
    Ok(())
}

/// Gives space back once more than a quarter of a large file is empty.
async fn shrink<D: Database>(store: &DatabaseStore<D>) -> Result<(), StoreError> {
    for _ in 0..MAX_SHRINK_STEPS {
        let Some((free, all)) = store.database.read(None, |reader| reader.pages()).await? else { break };
        if free < MIN_FREE_PAGES || free < all / 4 {
            break;
        }
        store.writes.submit(Command::Shrink).await?;
    }
    Ok(())
}
