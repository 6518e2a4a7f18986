//! The port, command by command.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::{Callback, Cause, Idempotency, State};
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::ports::{
    Booked, Booking, CallbackStore, Change, Claim, Details, Due, HandOver, HistoryEntry, Parked, SaveError, StoreError,
    Take, WorkCounts,
};
use domain::slots::Grid;

use super::FakeStore;
use crate::testing::{Fault, Op};

#[async_trait]
impl CallbackStore for FakeStore {
    async fn book(&self, booking: Booking) -> Result<Booked, StoreError> {
        self.run(Op::Book, None, |tables| tables.book(booking)).await
    }

    async fn known(
        &self,
        tenant: TenantId,
        key: Idempotency,
        _at: DateTime<Utc>,
    ) -> Result<Option<Booked>, StoreError> {
        self.run(Op::Known, None, |tables| tables.known(tenant, key)).await
    }

    async fn save(&self, change: Change) -> Result<(), SaveError> {
        let id = change.callback.id;
        match self.faults.pass_about(Op::Save, Some(id)).await {
            None => self.tables().save(change),
            Some(Fault::Conflict) => Err(SaveError::Conflict),
            Some(Fault::PerhapsDone) => {
                drop(self.tables().save(change));
                Err(Fault::PerhapsDone.as_store_error().into())
            }
            Some(fault) => Err(fault.as_store_error().into()),
        }
    }

    async fn load(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Callback>, StoreError> {
        self.run(Op::Load, Some(id), |tables| {
            tables.rows.get(&id).map(|row| row.callback.clone()).filter(|callback| callback.tenant == tenant)
        })
        .await
    }

    async fn details(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Details>, StoreError> {
        self.run(Op::Details, Some(id), |tables| {
            tables.rows.get(&id).filter(|row| row.callback.tenant == tenant).map(|row| row.details.clone())
        })
        .await
    }

    async fn history(&self, tenant: TenantId, id: CallbackId, limit: usize) -> Result<Vec<HistoryEntry>, StoreError> {
        self.run(Op::History, Some(id), |tables| {
            let row = tables.rows.get(&id).filter(|row| row.callback.tenant == tenant);
            row.map(|row| row.history.iter().take(limit).cloned().collect()).unwrap_or_default()
        })
        .await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Due>, StoreError> {
        self.run(Op::Claim, None, |tables| tables.claim(&claim)).await
    }

    async fn due(&self, owner: Incarnation, at: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.run(Op::Due, None, |tables| tables.due(owner, at, limit)).await
    }

    async fn take(&self, take: Take) -> Result<Vec<Due>, StoreError> {
        self.run(Op::Take, None, |tables| tables.take(&take)).await
    }

    async fn hand_over(&self, hand_over: HandOver) -> Result<u64, StoreError> {
        self.run(Op::HandOver, None, |tables| tables.hand_over(&hand_over)).await
    }

    async fn park(&self, tenant: TenantId, id: CallbackId, reason: &str, at: DateTime<Utc>) -> Result<(), SaveError> {
        let parked = Parked { id, tenant, at, reason: reason.into() };
        self.run(Op::Park, Some(id), |tables| tables.set_aside(tenant, id, Cause::Parked, None, Some(parked), at))
            .await?
    }

    async fn unpark(&self, tenant: TenantId, id: CallbackId, at: DateTime<Utc>, _: &str) -> Result<(), SaveError> {
        self.run(Op::Unpark, Some(id), |tables| tables.set_aside(tenant, id, Cause::Unparked, Some(at), None, at))
            .await?
    }

    async fn parked(&self, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.run(Op::Parked, None, |tables| {
            let mut parked: Vec<Parked> = tables.rows.values().filter_map(|row| row.parked.clone()).collect();
            parked.sort_by_key(|parked| (parked.at, parked.id));
            parked.truncate(limit);
            parked
        })
        .await
    }

    async fn places_taken(
        &self,
        tenant: TenantId,
        queue: &QueueName,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<BTreeMap<DateTime<Utc>, u32>, StoreError> {
        self.run(Op::PlacesTaken, None, |tables| {
            let of_queue = tables
                .slots
                .iter()
                .filter(|((t, q, at), taken)| *t == tenant && q == queue && (from..to).contains(at) && **taken > 0);
            of_queue.map(|((.., at), taken)| (*at, *taken)).collect()
        })
        .await
    }

    async fn recount(
        &self,
        tenant: TenantId,
        grids: &BTreeMap<QueueName, Grid>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        self.run(Op::Recount, None, |tables| tables.recount(tenant, grids, at)).await
    }

    async fn purge(&self, desired_before: DateTime<Utc>, _at: DateTime<Utc>, limit: usize) -> Result<u64, StoreError> {
        self.run(Op::Purge, None, |tables| tables.purge(desired_before, limit)).await
    }

    async fn work_counts(&self) -> Result<WorkCounts, StoreError> {
        self.run(Op::WorkCounts, None, |tables| {
            let mut counts = WorkCounts::default();
            for row in tables.rows.values() {
                let callback = &row.callback;
                counts.parked += u64::from(row.parked.is_some());
                counts.scheduled += u64::from(callback.state == State::Scheduled);
                counts.active += u64::from(callback.state.is_active() || callback.owes_terminate);
            }
            counts
        })
        .await
    }
}
