//! Held places in memory, with the outcomes that the real stores promise.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::holds::{Hold, HoldBound, HoldsReached};
use domain::ids::{HoldId, QueueName, TenantId};
use domain::ports::{Booked, Booking, Held, HoldStore, Holding, StoreError};

use super::store::Tables;
use super::{FakeStore, Op};

/// One held place.
#[derive(Debug, Clone)]
pub(super) struct HoldRow {
    pub(super) tenant: TenantId,
    pub(super) queue: QueueName,
    pub(super) number: Option<[u8; 16]>,
    pub(super) hold: Hold,
}

impl FakeStore {
    /// Every hold that is there, the expired ones too.
    pub fn holds(&self) -> Vec<Hold> {
        self.tables().holds.values().map(|row| row.hold).collect()
    }
}

impl Tables {
    fn places_of(&mut self, tenant: TenantId, queue: &QueueName, slot: DateTime<Utc>) -> &mut u32 {
        self.slots.entry((tenant, queue.clone(), slot)).or_default()
    }

    /// Gives back the places that expired, in one slot or everywhere; how many.
    pub(super) fn expire(&mut self, at: DateTime<Utc>, slot: Option<DateTime<Utc>>) -> u64 {
        let over = |row: &HoldRow| row.hold.expires_at <= at && slot.is_none_or(|slot| row.hold.slot == slot);
        let ids: Vec<HoldId> = self.holds.iter().filter(|(_, row)| over(row)).map(|(id, _)| *id).collect();
        ids.iter().for_each(|id| self.give_up(*id));
        ids.len() as u64
    }

    fn give_up(&mut self, id: HoldId) {
        let row = self.holds.remove(&id).expect("it was found just now");
        let taken = self.places_of(row.tenant, &row.queue, row.hold.slot);
        assert!(*taken > 0, "a place is given back that nobody took");
        *taken -= 1;
    }

    fn reached(&self, holding: &Holding) -> Option<HoldsReached> {
        let of_queue = |row: &&HoldRow| {
            row.tenant == holding.tenant && row.queue == holding.queue && row.hold.expires_at > holding.at
        };
        let judge = |bound, limit: u32, ends: Vec<DateTime<Utc>>| {
            let until = ends.iter().min().copied()?;
            (ends.len() >= limit as usize).then_some(HoldsReached { bound, limit, until })
        };
        let all = self.holds.values().filter(of_queue);
        let ends = all.clone().map(|row| row.hold.expires_at).collect();
        judge(HoldBound::Queue, holding.bounds.of_queue, ends).or_else(|| {
            let number = holding.number?;
            let ends = all.filter(|row| row.number == Some(number)).map(|row| row.hold.expires_at).collect();
            judge(HoldBound::Number, holding.bounds.of_number, ends)
        })
    }

    fn hold(&mut self, holding: Holding) -> Held {
        let key = holding.idempotency.map(|key| (holding.tenant, key.key));
        if let (Some(key), Some(sent)) = (key, holding.idempotency)
            && let Some((body, id)) = self.hold_keys.get(&key)
        {
            return match self.holds.get(id) {
                _ if *body != sent.body => Held::KeyReused,
                Some(row) if row.hold.expires_at > holding.at => Held::Existing(row.hold),
                Some(_) | None => Held::Gone,
            };
        }
        let counted_by = *self.grids.entry((holding.tenant, holding.queue.clone())).or_insert(holding.slot.grid);
        if counted_by != holding.slot.grid {
            return Held::OtherGrid;
        }
        self.expire(holding.at, Some(holding.slot.start));
        if *self.places_of(holding.tenant, &holding.queue, holding.slot.start) >= holding.slot.capacity {
            return Held::SlotFull;
        }
        if let Some(reached) = self.reached(&holding) {
            return Held::TooMany(reached);
        }
        *self.places_of(holding.tenant, &holding.queue, holding.slot.start) += 1;
        let Holding { id, tenant, queue, desired_time, number, expires_at, .. } = holding;
        let hold = Hold { id, desired_time, slot: holding.slot.start, expires_at };
        self.holds.insert(id, HoldRow { tenant, queue, number, hold });
        if let (Some(key), Some(sent)) = (key, holding.idempotency) {
            self.hold_keys.insert(key, (sent.body, id));
        }
        Held::New
    }

    /// Why a booking may not take its hold over, if it brings one.
    pub(super) fn refuses_hold(&self, booking: &Booking) -> Option<Booked> {
        let callback = &booking.callback;
        let row = self.holds.get(&booking.hold?).filter(|row| row.tenant == callback.tenant);
        match row {
            Some(row) if row.hold.expires_at <= booking.booked_at => Some(Booked::HoldGone),
            None => Some(Booked::HoldGone),
            Some(row) if row.queue != callback.queue || Some(row.hold.slot) != callback.slot => {
                Some(Booked::HoldElsewhere)
            }
            Some(_) => None,
        }
    }
}

#[async_trait]
impl HoldStore for FakeStore {
    async fn hold(&self, holding: Holding) -> Result<Held, StoreError> {
        self.run(Op::Hold, None, |tables| tables.hold(holding)).await
    }

    async fn release(&self, tenant: TenantId, id: HoldId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        self.run(Op::Release, None, |tables| {
            let found = tables.holds.get(&id).is_some_and(|row| row.tenant == tenant && row.hold.expires_at > at);
            if found {
                tables.give_up(id);
            }
            found
        })
        .await
    }

    async fn expire_holds(&self, at: DateTime<Utc>, _limit: usize) -> Result<u64, StoreError> {
        self.run(Op::ExpireHolds, None, |tables| tables.expire(at, None)).await
    }
}
