//! Bookings judged, and callbacks looked for, among the rows of the fake store.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Booked, Booking, ExplainStore, Found, Preview, SearchStore, StoreError};
use domain::search::{Order, Search};

use super::{FakeStore, Op, Row};

#[async_trait]
impl ExplainStore for FakeStore {
    async fn preview(&self, booking: Booking) -> Result<Preview, StoreError> {
        self.run(Op::Preview, None, |tables| {
            let mut tallies = Vec::new();
            let booked = match tables.judge(&booking, &mut tallies) {
                Ok(None) => Booked::New,
                Ok(Some(change)) => Booked::Replaced { id: change.callback.id, from: change.from },
                Err(answer) => answer,
            };
            Preview { booked, tallies }
        })
        .await
    }

    async fn why_parked(
        &self,
        tenant: TenantId,
        id: CallbackId,
    ) -> Result<Option<(DateTime<Utc>, String)>, StoreError> {
        let found = self.with_row(Op::WhyParked, tenant, id, |row| {
            row.parked.as_ref().map(|parked| (parked.at, parked.reason.clone()))
        });
        Ok(found.await?.flatten())
    }
}

#[async_trait]
impl SearchStore for FakeStore {
    async fn search(&self, tenant: TenantId, search: Search) -> Result<Found, StoreError> {
        self.run(Op::Search, None, |tables| {
            let wanted = |row: &&Row| {
                let callback = &row.callback;
                callback.tenant == tenant
                    && (search.queues.is_empty() || search.queues.contains(&callback.queue))
                    && search.admits(callback.state, callback.desired_time, callback.phone)
                    && search.properties.admit(row.details.user_data.as_deref())
            };
            let mut rows: Vec<&Row> = tables.rows.values().filter(wanted).collect();
            match (search.order, search.after) {
                (Order::OldestFirst, after) => rows.retain(|row| after.is_none_or(|after| row.callback.id > after)),
                (Order::NewestFirst, after) => {
                    rows.retain(|row| after.is_none_or(|after| row.callback.id < after));
                    rows.reverse();
                }
            }
            let more = rows.len() > search.limit;
            rows.truncate(search.limit);
            let callbacks: Vec<_> = rows.into_iter().map(|row| row.callback.clone()).collect();
            Found { next: callbacks.last().filter(|_| more).map(|last| last.id), callbacks }
        })
        .await
    }
}
