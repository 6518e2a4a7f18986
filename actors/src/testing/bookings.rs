//! Bookings in memory, judged and kept as the real stores do it.

use domain::callback::{Cause, Idempotency};
use domain::ids::TenantId;
use domain::ports::{Booked, Booking, Details};

use super::Row;
use super::limits::Verdict;
use super::store::{Tables, entry};

impl Tables {
    pub(super) fn known(&self, tenant: TenantId, key: Idempotency) -> Option<Booked> {
        let (body, id) = self.keys.get(&(tenant, key.key))?;
        Some(if *body == key.body { Booked::Existing(*id) } else { Booked::KeyReused })
    }

    /// Whether the slot has a place, the one of a callback that ends for the booking included.
    fn places_left(&self, booking: &Booking, verdict: &Verdict) -> bool {
        let callback = &booking.callback;
        let Some(slot) = callback.slot.filter(|_| booking.hold.is_none()) else { return true };
        let taken = self.slots.get(&(callback.tenant, callback.queue.clone(), slot)).copied().unwrap_or_default();
        let freed = matches!(verdict, Verdict::Replace(change) if change.saving.give_back == Some(slot));
        taken - u32::from(freed) < booking.slot_capacity
    }

    pub(super) fn book(&mut self, booking: Booking) -> Booked {
        let callback = &booking.callback;
        if let Some(known) = booking.idempotency.and_then(|key| self.known(callback.tenant, key)) {
            return known;
        }
        if booking.captcha.is_some_and(|token| self.tokens.contains(&(callback.tenant, token))) {
            return Booked::TokenUsed;
        }
        let counted_by = *self.grids.entry((callback.tenant, callback.queue.clone())).or_insert(booking.grid);
        if callback.slot.is_some() && counted_by != booking.grid {
            return Booked::OtherGrid;
        }
        if let Some(refused) = self.refuses_hold(&booking) {
            return refused;
        }
        if let Some(slot) = callback.slot {
            self.expire(booking.booked_at, Some(slot));
        }
        let verdict = self.counts.judge(&self.rows, &booking);
        let replaced = match verdict {
            verdict if !self.places_left(&booking, &verdict) => return Booked::SlotFull,
            Verdict::Refused(reached) => return Booked::Limited(reached),
            Verdict::Existing(id) => {
                if let Some(key) = booking.idempotency {
                    self.keys.insert((callback.tenant, key.key), (key.body, id));
                }
                self.tokens.extend(booking.captcha.map(|token| (callback.tenant, token)));
                return Booked::Duplicate(id);
            }
            Verdict::Replace(change) => Some(change),
            Verdict::Pass => None,
        };
        self.counts.count(&booking);
        let replaced = replaced.map(|change| {
            let (id, from) = (change.callback.id, change.from);
            self.save(*change).expect("it was read just now");
            Booked::Replaced { id, from }
        });
        self.keep(booking);
        replaced.unwrap_or(Booked::New)
    }

    fn keep(&mut self, booking: Booking) {
        let callback = booking.callback;
        if booking.hold.and_then(|hold| self.holds.remove(&hold)).is_none()
            && let Some(slot) = callback.slot
        {
            *self.slots.entry((callback.tenant, callback.queue.clone(), slot)).or_default() += 1;
        }
        if let Some(key) = booking.idempotency {
            self.keys.insert((callback.tenant, key.key), (key.body, callback.id));
        }
        self.tokens.extend(booking.captcha.map(|token| (callback.tenant, token)));
        if let Some(announcement) = &booking.announcement {
            self.news.announce(&callback, Vec::new(), announcement, booking.booked_at);
        }
        let history = vec![entry(&callback, Cause::Booked, Vec::new(), booking.booked_at)];
        let details = Details { options: booking.options, user_data: booking.user_data };
        self.rows.insert(callback.id, Row { callback, details, history, parked: None });
    }
}
