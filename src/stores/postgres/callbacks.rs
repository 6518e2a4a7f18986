//! The port for callbacks: packing on the caller's thread, writes to the combiner, reads to the pool.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::{Callback, Cause, Idempotency};
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::ports::{
    Booked, Booking, CallbackStore, Change, Claim, Details, Due, HistoryEntry, Parked, SaveError, StoreError, Take,
    WorkCounts,
};
use domain::slots::Grid;

use super::PostgresStore;
use super::queries::{Candidate, PastUse};
use crate::stores::command::{Command, Forget, Outcome, Own, Remove, unexpected};
use crate::stores::idempotency::KEY_LIFE;
use crate::stores::packing::{packed_book, unpacked_details};
use crate::stores::rows::check_storable;
use crate::stores::upkeep::{COUNT_LIFE, FORGET_ROWS, MAX_FORGET_STEPS, SLOT_LIFE};
use crate::testing::{self, Rule};

impl PostgresStore {
    async fn submit_save(&self, command: Command) -> Result<(), SaveError> {
        match self.combiner.submit(command).await? {
            Outcome::Saved(result) => result,
            other => Ok(unexpected(&other)?),
        }
    }

    /// Writes candidates in steps and keeps those that were still as they were read. Once some are written, a
    /// failing step ends the work without an error: the rest is found again.
    async fn own(
        &self,
        owner: Incarnation,
        cause: Cause,
        at: DateTime<Utc>,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Due>, StoreError> {
        let mut owned = Vec::with_capacity(candidates.len());
        let mut candidates = candidates.into_iter();
        loop {
            let step: Vec<Candidate> = candidates.by_ref().take(self.step_rows()).collect();
            if step.is_empty() {
                return Ok(owned);
            }
            let ids = step.iter().map(|candidate| candidate.due.id).collect();
            let (due, rows): (Vec<Due>, Vec<_>) = step.into_iter().map(|it| (it.due, it.row)).unzip();
            match self.combiner.submit(Command::Own(Own { owner, cause, at, ids, rows })).await {
                Ok(Outcome::Each(written)) => {
                    owned.extend(due.into_iter().zip(written).filter(|(_, written)| *written).map(|(due, _)| due));
                }
                Ok(other) => return unexpected(&other),
                Err(error) if owned.is_empty() => return Err(error),
                Err(_) => return Ok(owned),
            }
        }
    }

    async fn remove_settled(&self, desired_before: DateTime<Utc>, limit: usize) -> Result<u64, StoreError> {
        let settled = self.reader().await?.settled(desired_before, limit).await?;
        let mut removed = 0;
        for step in settled.chunks(self.step_rows()) {
            let (ids, versions) = step.iter().copied().unzip();
            match self.combiner.submit(Command::Remove(Remove { ids, versions })).await? {
                Outcome::Each(each) => removed += each.into_iter().map(u64::from).sum::<u64>(),
                other => return unexpected(&other),
            }
        }
        Ok(removed)
    }

    async fn forget_past(&self, at: DateTime<Utc>) -> Result<(), StoreError> {
        for _ in 0..MAX_FORGET_STEPS {
            let before = PastUse { keys: at - KEY_LIFE, slots: at - SLOT_LIFE, counts: at - COUNT_LIFE };
            let past: Forget = self.reader().await?.past_use(before, FORGET_ROWS).await?;
            if past.rows() == 0 {
                break;
            }
            self.combiner.submit(Command::Forget(past)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl CallbackStore for PostgresStore {
    async fn book(&self, booking: Booking) -> Result<Booked, StoreError> {
        let book = packed_book(booking)?;
        match self.combiner.submit(Command::Book(Box::new(book))).await? {
            Outcome::Booked(booked) => Ok(booked),
            other => unexpected(&other),
        }
    }

    async fn known(&self, tenant: TenantId, key: Idempotency, at: DateTime<Utc>) -> Result<Option<Booked>, StoreError> {
        self.reader().await?.known(tenant, &key, at).await
    }

    async fn save(&self, change: Change) -> Result<(), SaveError> {
        check_storable(&change.callback)?;
        self.submit_save(Command::Save(Box::new(change))).await
    }

    async fn load(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Callback>, StoreError> {
        self.reader().await?.load(tenant, id).await
    }

    async fn details(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Details>, StoreError> {
        let found = self.reader().await?.details(tenant, id).await?;
        found.map(|(options, user_data)| unpacked_details(options.as_deref(), user_data.as_deref())).transpose()
    }

    async fn history(&self, tenant: TenantId, id: CallbackId, limit: usize) -> Result<Vec<HistoryEntry>, StoreError> {
        self.reader().await?.history(tenant, id, limit).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Due>, StoreError> {
        let candidates = self.reader().await?.claimable(&claim).await?;
        self.own(claim.owner, Cause::Claimed, claim.at, candidates).await
    }

    async fn due(&self, owner: Incarnation, at: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.reader().await?.due(owner, at, limit).await
    }

    async fn take(&self, take: Take) -> Result<Vec<Due>, StoreError> {
        if testing::is_broken(Rule::Sweep) {
            return Ok(Vec::new());
        }
        let candidates = self.reader().await?.takeable(&take).await?;
        self.own(take.owner, Cause::Taken, take.at, candidates).await
    }

    async fn park(&self, tenant: TenantId, id: CallbackId, reason: &str, at: DateTime<Utc>) -> Result<(), SaveError> {
        self.submit_save(Command::Park { tenant, id, reason: reason.to_owned(), at }).await
    }

    async fn unpark(&self, tenant: TenantId, id: CallbackId, at: DateTime<Utc>) -> Result<(), SaveError> {
        self.submit_save(Command::Unpark { tenant, id, at }).await
    }

    async fn parked(&self, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.reader().await?.parked(limit).await
    }

    async fn places_taken(
        &self,
        tenant: TenantId,
        queue: &QueueName,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<BTreeMap<DateTime<Utc>, u32>, StoreError> {
        self.reader().await?.places_taken(tenant, queue, from, to).await
    }

    async fn recount(
        &self,
        tenant: TenantId,
        grids: &BTreeMap<QueueName, Grid>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        self.count_anew(tenant, grids, at).await
    }

    async fn purge(&self, desired_before: DateTime<Utc>, at: DateTime<Utc>, limit: usize) -> Result<u64, StoreError> {
        let removed = self.remove_settled(desired_before, limit).await?;
        self.forget_past(at).await?;
        self.tidy_call_ins(desired_before, at).await?;
        self.tidy_acts(at).await?;
        Ok(removed)
    }

    async fn work_counts(&self) -> Result<WorkCounts, StoreError> {
        self.reader().await?.work_counts().await
    }
}
