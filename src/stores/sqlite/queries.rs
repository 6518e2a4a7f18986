//! What readers are asked.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::callback::{Callback, HandOff, Idempotency, State};
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::ports::{Booked, Claim, Due, HistoryEntry, Parked, StoreError, Take, WorkCounts};
use uuid::Uuid;

use super::command::{Forget, OwnRow};
use super::names::Names;
use super::readers::{Reader, not_read};
use super::rows::{
    CallbackRow, FORMAT, HistoryRow, LoadCallback, callback, check_format, hand_off, history_entry, instant, millis,
    state, unreadable,
};
use super::statement::{Bind, first, rows, statements};
use super::writer::{Keyed, Operation, known_booking};

/// Candidates that one claim looks at. Callbacks booked under a longer lead than today's are looked at in
/// vain; those beyond this number are found by the next tick, or by the sweep at the latest.
const CLAIM_MAX_EXAMINED: i64 = 100_000;

/// Owners that one sweep tells apart; there is one per node and one per dead incarnation with work left.
const MAX_OWNERS: usize = 1_000;

statements! {
    LoadDetails -> (BigInt, Nullable<Binary>, Nullable<Binary>) = "SELECT c.format, d.options, d.user_data
        FROM callbacks c LEFT JOIN details d ON d.id = c.details WHERE c.id = ? AND c.tenant = ?";
    LoadHistory -> (BigInt, BigInt, BigInt, BigInt, BigInt, BigInt) =
        "SELECT h.version, h.at, h.cause, h.state, h.implied, h.attempt
        FROM callbacks c JOIN history h ON h.callback = c.id
        WHERE c.id = ? AND c.tenant = ? ORDER BY h.version LIMIT ?";
    // The owner's own list, and what a dead owner left behind.
    OwnedDue -> (Binary, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt) =
        "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner = ? AND wake_at <= ? AND format = ? ORDER BY wake_at LIMIT ?";
    UnownedDue -> (Binary, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt) =
        "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner IS NULL AND wake_at <= ? AND format = ? ORDER BY wake_at LIMIT ?";
    Claimable -> (Binary, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt) =
        "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner IS NULL AND wake_at < ? AND state = 0 AND format = ? ORDER BY wake_at LIMIT ?";
    FirstOwner -> (Nullable<BigInt>) = "SELECT min(owner) FROM callbacks WHERE wake_at IS NOT NULL AND owner > ?";
    ListParked -> (Binary, BigInt, BigInt, Text) =
        "SELECT callback, tenant, at, reason FROM parked ORDER BY at, callback LIMIT ?";
    PlacesTaken -> (BigInt, BigInt) =
        "SELECT start, booked FROM slots WHERE queue = ? AND start >= ? AND start < ? AND booked > 0 ORDER BY start";
    Settled -> (Binary, BigInt) = "SELECT id, version FROM callbacks
        WHERE wake_at IS NULL AND desired_time < ? AND state = 4 AND format = ?
        AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.callback = callbacks.id)
        ORDER BY desired_time LIMIT ?";
    OldestTokens -> (BigInt, BigInt) = "SELECT id, at FROM captcha_tokens ORDER BY id LIMIT ?";
    OldestKeys -> (BigInt, BigInt) = "SELECT id, at FROM idempotency_keys ORDER BY id LIMIT ?";
    // One short range per queue instead of a walk through all slots.
    PastSlots -> (BigInt, BigInt) = "SELECT s.queue, s.start FROM queues q CROSS JOIN slots s
        WHERE s.queue = q.key AND s.start < ? LIMIT ?";
    PastValues -> (BigInt, BigInt, Binary) = "SELECT v.queue, v.ends_at, v.value FROM queues q CROSS JOIN counted_values v
        WHERE v.queue = q.key AND v.ends_at < ? LIMIT ?";
    // A few dozen rows per queue with such a throttle.
    PastParts -> (BigInt, BigInt, BigInt) = "SELECT queue, seconds, ends_at FROM counted_windows WHERE ends_at < ? LIMIT ?";
    CountWork -> (BigInt, BigInt) = "SELECT state = 0, count(*) FROM callbacks WHERE wake_at IS NOT NULL GROUP BY 1";
    CountParked -> (BigInt) = "SELECT count(*) FROM parked";
    FreePages -> (BigInt, BigInt) = "SELECT f.freelist_count, p.page_count FROM pragma_freelist_count f, pragma_page_count p";
}

/// Id, version, queue, state, hand-off, attempt, desired time, wake-up.
type DueRow = (Vec<u8>, i64, i64, i64, i64, i64, i64, i64);

/// A row that is due, with what is needed to write it.
pub(super) struct Candidate {
    pub(super) due: Due,
    pub(super) row: OwnRow,
}

/// Before when what is kept beside callbacks is past its use.
#[derive(Clone, Copy)]
pub(super) struct PastUse {
    /// Idempotency keys that were made before this.
    pub(super) keys: DateTime<Utc>,
    /// Slots that began before this.
    pub(super) slots: DateTime<Utc>,
    /// Counts that ended before this.
    pub(super) counts: DateTime<Utc>,
}

pub(super) fn callback_id(bytes: &[u8]) -> Result<CallbackId, StoreError> {
    Uuid::from_slice(bytes).map(CallbackId::from_uuid).map_err(|_| unreadable("an id is no UUID"))
}

pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Reader {
    pub(super) fn load(&mut self, tenant: TenantId, id: CallbackId) -> Result<Option<Callback>, StoreError> {
        let Some(key) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else { return Ok(None) };
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), key.into()];
        let Some(row) = first::<LoadCallback, CallbackRow>(&mut self.connection, &binds).map_err(not_read)? else {
            return Ok(None);
        };
        check_format(row.0)?;
        let (_, queue) = self.queue_name(row.2)?;
        callback(id, tenant, queue, row).map(Some)
    }

    fn queue_name(&mut self, key: i64) -> Result<(TenantId, QueueName), StoreError> {
        let name = self.names.name(&mut self.connection, key).map_err(not_read)?;
        name.ok_or_else(|| unreadable("a queue has no name"))
    }

    /// Packed options and packed user data.
    #[expect(clippy::type_complexity, reason = "two optional blobs of an optional row")]
    pub(super) fn details(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
    ) -> Result<Option<(Option<Vec<u8>>, Option<Vec<u8>>)>, StoreError> {
        let Some(key) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else { return Ok(None) };
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), key.into()];
        let row = first::<LoadDetails, (i64, Option<Vec<u8>>, Option<Vec<u8>>)>(&mut self.connection, &binds);
        let Some((format, options, user_data)) = row.map_err(not_read)? else { return Ok(None) };
        check_format(format)?;
        Ok(Some((options, user_data)))
    }

    pub(super) fn history(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let Some(key) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else {
            return Ok(Vec::new());
        };
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), key.into(), sql_limit(limit).into()];
        let found: Vec<HistoryRow> = rows::<LoadHistory, _>(&mut self.connection, &binds).map_err(not_read)?;
        found.into_iter().map(history_entry).collect()
    }

    fn candidate(&mut self, row: DueRow) -> Result<Candidate, StoreError> {
        let (id, version, queue, state_code, hand_off_code, attempt, desired, wake) = row;
        let (tenant, queue) = self.queue_name(queue)?;
        let state = state(state_code)?;
        let due = Due {
            id: callback_id(&id)?,
            tenant,
            queue,
            state,
            desired_time: instant(desired)?,
            wake_at: instant(wake)?,
            // As `Callback::needs_place`, without reading the rest of the row.
            needs_place: state != State::Completed && hand_off(hand_off_code)? != HandOff::Accepted,
        };
        Ok(Candidate { due, row: OwnRow { version, state, attempt, start_at: None } })
    }

    /// Rows that make no sense are left out, and logged: one of them must not hide all others.
    fn candidates(&mut self, found: Vec<DueRow>) -> Vec<Candidate> {
        let mut candidates = Vec::with_capacity(found.len());
        for row in found {
            match self.candidate(row) {
                Ok(candidate) => candidates.push(candidate),
                Err(error) => tracing::error!(%error, "a due callback is unreadable and was passed over"),
            }
        }
        candidates
    }

    fn owned(&mut self, owner: i64, until: i64, limit: usize) -> Result<Vec<Candidate>, StoreError> {
        let binds: [Bind<'_>; 4] = [owner.into(), until.into(), FORMAT.into(), sql_limit(limit).into()];
        let found = rows::<OwnedDue, DueRow>(&mut self.connection, &binds).map_err(not_read)?;
        Ok(self.candidates(found))
    }

    pub(super) fn due(&mut self, owner: Incarnation, at: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError> {
        Ok(self.owned(owner.0, millis(at), limit)?.into_iter().map(|candidate| candidate.due).collect())
    }

    /// Unowned scheduled callbacks whose start instant under today's lead lies before the horizon.
    pub(super) fn claimable(&mut self, claim: &Claim) -> Result<Vec<Candidate>, StoreError> {
        let longest = claim.leads.values().max().copied().unwrap_or_default().max(Duration::zero());
        // A callback was booked to start at most at its desired time, so none that starts before the horizon
        // today has a later `wake_at` than this.
        let until = millis(claim.horizon + longest);
        let binds: [Bind<'_>; 3] = [until.into(), FORMAT.into(), CLAIM_MAX_EXAMINED.into()];
        let found = rows::<Claimable, DueRow>(&mut self.connection, &binds).map_err(not_read)?;
        let mut leads: HashMap<i64, i64> = HashMap::new();
        let mut due = Vec::new();
        for row in found {
            if due.len() >= claim.limit {
                break;
            }
            let lead = match leads.get(&row.2) {
                Some(lead) => *lead,
                None => {
                    let name = self.queue_name(row.2)?;
                    let lead = claim.leads.get(&name).map_or(0, |lead| lead.num_milliseconds().max(0));
                    leads.insert(row.2, lead);
                    lead
                }
            };
            let start = row.6.saturating_sub(lead);
            if start < millis(claim.horizon) {
                due.push((row, start));
            }
        }
        let mut candidates = Vec::with_capacity(due.len());
        for (row, start) in due {
            for mut candidate in self.candidates(vec![row]) {
                let start = instant(start)?;
                candidate.due.wake_at = start;
                candidate.row.start_at = Some(start);
                candidates.push(candidate);
            }
        }
        Ok(candidates)
    }

    /// Owners that have work at all, ascending.
    fn owners(&mut self) -> Result<Vec<i64>, StoreError> {
        let mut owners = Vec::new();
        let mut after = i64::MIN;
        while owners.len() < MAX_OWNERS {
            let next: Option<(Option<i64>,)> =
                first::<FirstOwner, _>(&mut self.connection, &[after.into()]).map_err(not_read)?;
            let Some((Some(owner),)) = next else { break };
            owners.push(owner);
            after = owner;
        }
        Ok(owners)
    }

    /// Due callbacks that nobody looks after, oldest first.
    pub(super) fn takeable(&mut self, take: &Take) -> Result<Vec<Candidate>, StoreError> {
        let (at, overdue) = (millis(take.at), millis(take.overdue_before));
        let binds: [Bind<'_>; 3] = [at.into(), FORMAT.into(), sql_limit(take.limit).into()];
        let unowned = rows::<UnownedDue, DueRow>(&mut self.connection, &binds).map_err(not_read)?;
        let mut found = self.candidates(unowned);
        for owner in self.owners()? {
            if owner == take.owner.0 {
                continue;
            }
            let alive = take.living.contains(&Incarnation(owner));
            // `overdue_before` itself is not overdue yet.
            let until = if alive { overdue.saturating_sub(1).min(at) } else { at };
            found.extend(self.owned(owner, until, take.limit)?);
        }
        found.sort_by_key(|candidate| candidate.due.wake_at);
        found.truncate(take.limit);
        Ok(found)
    }

    pub(super) fn parked(&mut self, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let found: Vec<(Vec<u8>, i64, i64, String)> =
            rows::<ListParked, _>(&mut self.connection, &[sql_limit(limit).into()]).map_err(not_read)?;
        let parked = found.into_iter().map(|(id, tenant, at, reason)| {
            let tenant = Names::tenant_id(&mut self.connection, tenant).map_err(not_read)?;
            let tenant = tenant.ok_or_else(|| unreadable("a tenant has no id"))?;
            Ok(Parked { id: callback_id(&id)?, tenant, at: instant(at)?, reason })
        });
        parked.collect()
    }

    pub(super) fn places_taken(
        &mut self,
        tenant: TenantId,
        queue: &QueueName,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<BTreeMap<DateTime<Utc>, u32>, StoreError> {
        let key = self.names.queue(&mut self.connection, tenant, queue).map_err(not_read)?;
        let Some(key) = key else { return Ok(BTreeMap::new()) };
        let binds = [key.queue.into(), millis(from).into(), millis(to).into()];
        let found: Vec<(i64, i64)> = rows::<PlacesTaken, _>(&mut self.connection, &binds).map_err(not_read)?;
        found
            .into_iter()
            .map(|(start, booked)| Ok((instant(start)?, u32::try_from(booked).unwrap_or(u32::MAX))))
            .collect()
    }

    /// Settled callbacks wanted before an instant, oldest first: id, version.
    pub(super) fn settled(
        &mut self,
        desired_before: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<(CallbackId, i64)>, StoreError> {
        let binds: [Bind<'_>; 3] = [millis(desired_before).into(), FORMAT.into(), sql_limit(limit).into()];
        let found: Vec<(Vec<u8>, i64)> = rows::<Settled, _>(&mut self.connection, &binds).map_err(not_read)?;
        found.into_iter().map(|(id, version)| Ok((callback_id(&id)?, version))).collect()
    }

    /// What became of the booking under a key.
    pub(super) fn known(
        &mut self,
        tenant: TenantId,
        key: &Idempotency,
        at: DateTime<Utc>,
    ) -> Result<Option<Booked>, StoreError> {
        let Some(tenant) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else { return Ok(None) };
        let keyed = Keyed { tenant, operation: Operation::Create, idempotency: Some(key), at };
        known_booking(&keyed, &mut self.connection).map_err(not_read)
    }

    /// What is past its use, at most `limit` rows in all.
    pub(super) fn past_use(&mut self, before: PastUse, limit: usize) -> Result<Forget, StoreError> {
        let oldest: Vec<(i64, i64)> =
            rows::<OldestKeys, _>(&mut self.connection, &[sql_limit(limit).into()]).map_err(not_read)?;
        let limit_at = millis(before.keys);
        let keys: Vec<i64> = oldest.into_iter().filter(|(_, at)| *at < limit_at).map(|(id, _)| id).collect();
        let left = limit.saturating_sub(keys.len());
        let oldest: Vec<(i64, i64)> =
            rows::<OldestTokens, _>(&mut self.connection, &[sql_limit(left).into()]).map_err(not_read)?;
        let tokens: Vec<i64> = oldest.into_iter().filter(|(_, at)| *at < limit_at).map(|(id, _)| id).collect();
        let left = left.saturating_sub(tokens.len());
        let binds: [Bind<'_>; 2] = [millis(before.slots).into(), sql_limit(left).into()];
        let slots = rows::<PastSlots, (i64, i64)>(&mut self.connection, &binds).map_err(not_read)?;
        let left = left.saturating_sub(slots.len());
        let binds: [Bind<'_>; 2] = [millis(before.counts).into(), sql_limit(left).into()];
        let values = rows::<PastValues, (i64, i64, Vec<u8>)>(&mut self.connection, &binds).map_err(not_read)?;
        let left = left.saturating_sub(values.len());
        let binds: [Bind<'_>; 2] = [millis(before.counts).into(), sql_limit(left).into()];
        let windows = rows::<PastParts, (i64, i64, i64)>(&mut self.connection, &binds).map_err(not_read)?;
        Ok(Forget { keys, tokens, slots, values, windows })
    }

    pub(super) fn work_counts(&mut self) -> Result<WorkCounts, StoreError> {
        let count = |value: i64| u64::try_from(value).unwrap_or_default();
        let mut counts = WorkCounts::default();
        for (scheduled, number) in rows::<CountWork, (i64, i64)>(&mut self.connection, &[]).map_err(not_read)? {
            if scheduled != 0 {
                counts.scheduled = count(number);
            } else {
                counts.active = count(number);
            }
        }
        let parked: Option<(i64,)> = first::<CountParked, _>(&mut self.connection, &[]).map_err(not_read)?;
        counts.parked = parked.map_or(0, |(number,)| count(number));
        Ok(counts)
    }

    /// Pages of the file that hold nothing, and pages in all.
    pub(super) fn pages(&mut self) -> Result<(i64, i64), StoreError> {
        let pages = first::<FreePages, (i64, i64)>(&mut self.connection, &[]).map_err(not_read)?;
        Ok(pages.unwrap_or_default())
    }
}
