//! The port for callbacks: packing on the caller's thread, writes to the combiner, reads from a connection.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::{Callback, Cause, Idempotency};
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::ports::{
    Booked, Booking, CallbackStore, Change, Claim, Details, Due, HandOver, HistoryEntry, Parked, SaveError, StoreError,
    Take, WorkCounts,
};
use domain::slots::Grid;

use super::callback_reads::Candidate;
use super::{CallbackReads as _, Database, DatabaseStore, Writers, purge, recount};
use crate::stores::command::{Command, Outcome, unexpected};
use crate::stores::packing::{packed_book, unpacked_details};
use crate::stores::rows::check_storable;
use crate::testing::{self, Rule};

#[async_trait]
impl<D: Database> CallbackStore for DatabaseStore<D> {
    async fn book(&self, booking: Booking) -> Result<Booked, StoreError> {
        let book = packed_book(booking)?;
        match self.writes.submit(Command::Book(Box::new(book))).await? {
            Outcome::Booked(booked) => Ok(booked),
            other => unexpected(&other),
        }
    }

    async fn known(&self, tenant: TenantId, key: Idempotency, at: DateTime<Utc>) -> Result<Option<Booked>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.known(tenant, key, at)).await
    }

    async fn save(&self, change: Change) -> Result<(), SaveError> {
        check_storable(&change.callback)?;
        self.writes.save(Command::Save(Box::new(change))).await
    }

    async fn load(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Callback>, StoreError> {
        self.database.read_row(tenant, move |reader| reader.load(tenant, id)).await
    }

    async fn details(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Details>, StoreError> {
        let found = self.database.read(Some(tenant), move |reader| reader.packed_details(tenant, id)).await?;
        found.map(|(options, user_data)| unpacked_details(options.as_deref(), user_data.as_deref())).transpose()
    }

    async fn history(&self, tenant: TenantId, id: CallbackId, limit: usize) -> Result<Vec<HistoryEntry>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.history(tenant, id, limit)).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Due>, StoreError> {
        let (owner, at) = (claim.owner, claim.at);
        let candidates = self.database.read(None, move |reader| reader.claimable(claim)).await?;
        self.writes.own(owner, Cause::Claimed, at, candidates).await
    }

    async fn due(&self, owner: Incarnation, at: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.database.read(None, move |reader| reader.due(owner, at, limit)).await
    }

    async fn take(&self, take: Take) -> Result<Vec<Due>, StoreError> {
        if testing::is_broken(Rule::Sweep) {
            return Ok(Vec::new());
        }
        let (owner, at) = (take.owner, take.at);
        let candidates = self.database.read(None, move |reader| reader.takeable(take)).await?;
        self.writes.own(owner, Cause::Taken, at, candidates).await
    }

    async fn hand_over(&self, hand_over: HandOver) -> Result<u64, StoreError> {
        let HandOver { owner, to, what, at, limit } = hand_over;
        if to.is_empty() {
            return Ok(0);
        }
        let candidates = self.database.read(None, move |reader| reader.owned(owner, what, limit)).await?;
        let mut given = 0;
        for (to, share) in shared_out(candidates, &to) {
            given += self.writes.own(to, Cause::Taken, at, share).await?.len() as u64;
        }
        Ok(given)
    }

    async fn park(&self, tenant: TenantId, id: CallbackId, reason: &str, at: DateTime<Utc>) -> Result<(), SaveError> {
        self.writes.save(Command::Park { tenant, id, reason: reason.to_owned(), at }).await
    }

    async fn unpark(&self, tenant: TenantId, id: CallbackId, at: DateTime<Utc>, actor: &str) -> Result<(), SaveError> {
        self.writes.save(Command::Unpark { tenant, id, at, actor: actor.to_owned() }).await
    }

    async fn parked(&self, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.database.read(None, move |reader| reader.parked(limit)).await
    }

    async fn places_taken(
        &self,
        tenant: TenantId,
        queue: &QueueName,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<BTreeMap<DateTime<Utc>, u32>, StoreError> {
        let queue = queue.clone();
        self.database.read(Some(tenant), move |reader| reader.places_taken(tenant, queue, (from, to))).await
    }

    /// Commands of other processes are not in it.
    fn writes_of(&self, tenant: TenantId) -> Option<u64> {
        (D::WRITERS == Writers::One).then(|| self.writes.combiner.writes_of(tenant))
    }

    async fn recount(
        &self,
        tenant: TenantId,
        grids: &BTreeMap<QueueName, Grid>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        recount::count_anew(self, tenant, grids, at).await
    }

    async fn purge(&self, desired_before: DateTime<Utc>, at: DateTime<Utc>, limit: usize) -> Result<u64, StoreError> {
        purge::purge(self, desired_before, at, limit).await
    }

    async fn work_counts(&self) -> Result<WorkCounts, StoreError> {
        self.database.read(None, |reader| reader.work_counts()).await
    }
}

/// Candidates in turn, so that what is due soon is spread like everything else.
fn shared_out(candidates: Vec<Candidate>, to: &[Incarnation]) -> Vec<(Incarnation, Vec<Candidate>)> {
    let mut shares: Vec<_> = to.iter().map(|owner| (*owner, Vec::new())).collect();
    let parties = shares.len().max(1);
    for (number, candidate) in candidates.into_iter().enumerate() {
        if let Some((_, share)) = shares.get_mut(number % parties) {
            share.push(candidate);
        }
    }
    shares
}
