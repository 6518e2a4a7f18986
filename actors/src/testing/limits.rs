//! Counted rules over rows in memory.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};
use domain::callback::{Callback, State};
use domain::explain::{Counted, Tally};
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{Blinds, Booking, Change};
use domain::throttle::{LimitReached, LimitRule, OnDuplicate, replacement};

use super::Row;

/// Blinds well enough for tests, without a key.
pub struct FakeBlinds;

impl Blinds for FakeBlinds {
    fn blind(&self, tenant: TenantId, parameter: &str, value: &[u8]) -> [u8; 16] {
        let hash = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, tenant, parameter, value).hash(&mut hasher);
            hasher.finish()
        };
        (u128::from(hash(0)) << 64 | u128::from(hash(1))).to_be_bytes()
    }
}

type QueueId = (TenantId, QueueName);

/// What was booked, by what is counted of it.
#[derive(Default)]
pub(super) struct Counts {
    values: HashMap<(QueueId, DateTime<Utc>, [u8; 16]), u32>,
    windows: HashMap<(QueueId, u32), BTreeMap<DateTime<Utc>, u32>>,
}

/// What the rules make of a booking.
pub(super) enum Verdict {
    Pass,
    Existing(CallbackId),
    Replace(Box<Change>),
    Refused(LimitReached),
}

fn tally(rule: LimitRule, counted: usize, limit: u32) -> Tally {
    Tally { of: Counted::Limit(rule), counted: counted as u64, limit }
}

fn queue_of(callback: &Callback) -> QueueId {
    (callback.tenant, callback.queue.clone())
}

impl Counts {
    /// `told` hears of everything that is counted.
    pub(super) fn judge(&self, rows: &BTreeMap<CallbackId, Row>, booking: &Booking, told: &mut Vec<Tally>) -> Verdict {
        let new = &booking.callback;
        let queue = queue_of(new);
        let of_queue = || rows.values().map(|row| &row.callback).filter(|it| queue_of(it) == queue);
        let mut verdict = Verdict::Pass;
        if let Some(rule) = booking.limits.duplicates {
            let waits = [State::Scheduled, State::Queued, State::Routing];
            let waiting: Vec<_> = of_queue().filter(|it| it.phone == new.phone && waits.contains(&it.state)).collect();
            told.push(tally(LimitRule::Duplicates, waiting.len().min(rule.limit as usize), rule.limit));
            let ends = waiting.first().zip(waiting.last()).filter(|_| waiting.len() >= rule.limit as usize);
            if let Some((oldest, newest)) = ends {
                let reached = LimitReached { rule: LimitRule::Duplicates, limit: rule.limit, until: None };
                match rule.then {
                    OnDuplicate::Refuse => return Verdict::Refused(reached),
                    OnDuplicate::ReturnExisting => return Verdict::Existing(newest.id),
                    OnDuplicate::Replace => {
                        let mut change = replacement(oldest, booking.booked_at).expect("it waits");
                        let audience = booking.on_replaced.as_ref();
                        change.announcement = audience.and_then(|told| told.announcement(&change.callback));
                        verdict = Verdict::Replace(Box::new(change));
                    }
                }
            }
        }
        let ends = matches!(&verdict, Verdict::Replace(change) if change.from.is_active());
        let active = of_queue().filter(|it| it.state.is_active()).count() - usize::from(ends);
        self.refusal(booking, active, told).map_or(verdict, Verdict::Refused)
    }

    fn refusal(&self, booking: &Booking, active: usize, told: &mut Vec<Tally>) -> Option<LimitReached> {
        let (queue, limits) = (queue_of(&booking.callback), &booking.limits);
        if let Some(day) = &limits.day {
            for value in &day.values {
                let key = (queue.clone(), day.ends_at, value.blinded);
                let booked = self.values.get(&key).copied().unwrap_or_default();
                let rule = LimitRule::Day { parameter: value.parameter.clone() };
                told.push(tally(rule.clone(), booked as usize, day.limit));
                if booked >= day.limit {
                    let until = (day.limit > 0).then_some(day.ends_at);
                    return Some(LimitReached { rule, limit: day.limit, until });
                }
            }
        }
        for window in &limits.windows {
            let counts: Vec<_> = self.windows.get(&(queue.clone(), window.seconds)).into_iter().flatten().collect();
            let counts: Vec<_> =
                counts.into_iter().map(|(at, n)| (*at, *n)).filter(|(at, _)| *at > booking.booked_at).collect();
            let booked = counts.iter().map(|(_, booked)| booked).sum::<u32>();
            let rule = LimitRule::Window { seconds: window.seconds };
            told.push(tally(rule.clone(), booked as usize, window.limit));
            if booked >= window.limit {
                return Some(LimitReached { rule, limit: window.limit, until: window.passes_at(&counts) });
            }
        }
        told.extend(limits.depth.map(|depth| tally(LimitRule::Depth, active, depth)));
        let depth = limits.depth.filter(|depth| active >= *depth as usize)?;
        Some(LimitReached { rule: LimitRule::Depth, limit: depth, until: None })
    }

    pub(super) fn count(&mut self, booking: &Booking) {
        let queue = queue_of(&booking.callback);
        if let Some(day) = &booking.limits.day {
            for value in &day.values {
                *self.values.entry((queue.clone(), day.ends_at, value.blinded)).or_default() += 1;
            }
        }
        for window in &booking.limits.windows {
            let counts = self.windows.entry((queue.clone(), window.seconds)).or_default();
            *counts.entry(window.counts_until(booking.booked_at)).or_default() += 1;
        }
    }
}
