//! What readers are asked about callbacks.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};
use domain::callback::{Callback, HandOff, Idempotency, State};
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::ports::{Booked, Claim, Due, HistoryEntry, Parked, StoreError, Take, WorkCounts};
use uuid::Uuid;

use super::names::Names;
use super::pool::Reader;
use super::statement::{Bind, first, rows, statements};
use crate::stores::command::{Forget, OwnRow};
use crate::stores::idempotency::{KEY_LIFE, Operation, judge_key};
use crate::stores::rows::{
    CallbackRow, FORMAT, HistoryRow, callback, check_format, hand_off, history_entry, instant, millis, state,
    unreadable,
};

/// Candidates that one claim looks at. Callbacks booked under a longer lead than today's are looked at in
/// vain; those beyond this number are found by the next tick, or by the sweep at the latest.
const CLAIM_MAX_EXAMINED: i64 = 100_000;

/// Owners that one sweep tells apart; there is one per node and one per dead incarnation with work left.
const MAX_OWNERS: i64 = 1_000;

statements! {
    LoadCallback = "SELECT format, version, queue, phone, state, hand_off, attempt, refusals, last_seq, dialled,
        owes_terminate, desired_time, expires_at, start_at, wake_at, owner, ended_at, slot, session, reason, devices,
        turn_seconds, turn_until FROM callbacks WHERE id = ? AND tenant = ?";
    LoadDetails = "SELECT c.format, d.options, d.user_data
        FROM callbacks c LEFT JOIN details d ON d.id = c.details WHERE c.id = ? AND c.tenant = ?";
    LoadHistory = "SELECT h.version, h.at, h.cause, h.state, h.implied, h.attempt
        FROM callbacks c JOIN history h ON h.callback = c.id
        WHERE c.id = ? AND c.tenant = ? ORDER BY h.version LIMIT ?";
    // The owner's own list, and what a dead owner left behind.
    OwnedDue = "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner = ? AND wake_at <= ? AND format = ? ORDER BY wake_at LIMIT ?";
    UnownedDue = "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner IS NULL AND wake_at <= ? AND format = ? ORDER BY wake_at LIMIT ?";
    Claimable = "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner IS NULL AND wake_at < ? AND state = 0 AND format = ? ORDER BY wake_at LIMIT ?";
    // Walks from one owner to the next in the index.
    Owners = "WITH RECURSIVE o (owner, n) AS (
            (SELECT owner, 1 FROM callbacks WHERE wake_at IS NOT NULL AND owner IS NOT NULL ORDER BY owner LIMIT 1)
            UNION ALL
            SELECT (SELECT c.owner FROM callbacks c WHERE c.wake_at IS NOT NULL AND c.owner > o.owner
                ORDER BY c.owner LIMIT 1), o.n + 1 FROM o WHERE o.owner IS NOT NULL AND o.n < ?
        ) SELECT owner FROM o WHERE owner IS NOT NULL";
    ListParked = "SELECT callback, tenant, at, reason FROM parked ORDER BY at, callback LIMIT ?";
    PlacesTaken = "SELECT start, booked FROM slots WHERE queue = ? AND start >= ? AND start < ? AND booked > 0 ORDER BY start";
    Settled = "SELECT id, version FROM callbacks
        WHERE wake_at IS NULL AND desired_time < ? AND state = 4 AND format = ?
        AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.callback = callbacks.id)
        ORDER BY desired_time LIMIT ?";
    FindKey = "SELECT callback, body FROM idempotency_keys WHERE tenant = ? AND operation = ? AND key = ? AND at > ?";
    OldestTokens = "SELECT id, at FROM captcha_tokens ORDER BY id LIMIT ?";
    OldestKeys = "SELECT id, at FROM idempotency_keys ORDER BY id LIMIT ?";
    // One short range per queue instead of a walk through all slots.
    PastSlots = "SELECT s.queue, s.start FROM queues q CROSS JOIN LATERAL
        (SELECT queue, start FROM slots WHERE queue = q.key AND start < ? LIMIT ?) s LIMIT ?";
    PastValues = "SELECT v.queue, v.ends_at, v.value FROM queues q CROSS JOIN LATERAL
        (SELECT queue, ends_at, value FROM counted_values WHERE queue = q.key AND ends_at < ? LIMIT ?) v LIMIT ?";
    // A few dozen rows per queue with such a throttle.
    PastParts = "SELECT queue, seconds, ends_at FROM counted_windows WHERE ends_at < ? LIMIT ?";
    CountWork = "SELECT state = 0, count(*) FROM callbacks WHERE wake_at IS NOT NULL GROUP BY 1";
    CountParked = "SELECT count(*) FROM parked";
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

/// Packed options and packed user data.
pub(super) type PackedDetails = (Option<Vec<u8>>, Option<Vec<u8>>);

pub(super) fn callback_id(bytes: &[u8]) -> Result<CallbackId, StoreError> {
    Uuid::from_slice(bytes).map(CallbackId::from_uuid).map_err(|_| unreadable("an id is no UUID"))
}

pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Reader {
    /// The number of a tenant; none if nothing of it was ever kept.
    pub(super) async fn tenant_key(&mut self, tenant: TenantId) -> Result<Option<i64>, StoreError> {
        Ok(self.names.tenant(&mut self.connection, tenant).await?)
    }

    pub(super) async fn load(&mut self, tenant: TenantId, id: CallbackId) -> Result<Option<Callback>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(None) };
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), key.into()];
        let found = first::<LoadCallback, CallbackRow>(&mut self.connection, &binds).await?;
        let Some(row) = found else { return Ok(None) };
        check_format(row.0)?;
        let (_, queue) = self.queue_name(row.2).await?;
        callback(id, tenant, queue, row).map(Some)
    }

    /// Whose queue that is, and its name.
    pub(super) async fn queue_name(&mut self, key: i64) -> Result<(TenantId, QueueName), StoreError> {
        let name = self.names.name(&mut self.connection, key).await?;
        name.ok_or_else(|| unreadable("a queue has no name"))
    }

    pub(super) async fn details(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
    ) -> Result<Option<PackedDetails>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(None) };
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), key.into()];
        let row = first::<LoadDetails, (i64, Option<Vec<u8>>, Option<Vec<u8>>)>(&mut self.connection, &binds).await?;
        let Some((format, options, user_data)) = row else { return Ok(None) };
        check_format(format)?;
        Ok(Some((options, user_data)))
    }

    pub(super) async fn history(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(Vec::new()) };
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), key.into(), sql_limit(limit).into()];
        let found: Vec<HistoryRow> = rows::<LoadHistory, _>(&mut self.connection, &binds).await?;
        found.into_iter().map(history_entry).collect()
    }

    async fn candidate(&mut self, row: DueRow) -> Result<Candidate, StoreError> {
        let (id, version, queue, state_code, hand_off_code, attempt, desired, wake) = row;
        let (tenant, queue) = self.queue_name(queue).await?;
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
    async fn candidates(&mut self, found: Vec<DueRow>) -> Vec<Candidate> {
        let mut candidates = Vec::with_capacity(found.len());
        for row in found {
            match self.candidate(row).await {
                Ok(candidate) => candidates.push(candidate),
                Err(error) => tracing::error!(%error, "a due callback is unreadable and was passed over"),
            }
        }
        candidates
    }

    async fn owned(&mut self, owner: i64, until: i64, limit: usize) -> Result<Vec<Candidate>, StoreError> {
        let binds = [owner.into(), until.into(), FORMAT.into(), sql_limit(limit).into()];
        let found: Vec<DueRow> = rows::<OwnedDue, _>(&mut self.connection, &binds).await?;
        Ok(self.candidates(found).await)
    }

    pub(super) async fn due(
        &mut self,
        owner: Incarnation,
        at: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        Ok(self.owned(owner.0, millis(at), limit).await?.into_iter().map(|candidate| candidate.due).collect())
    }

    /// Unowned scheduled callbacks whose start instant under today's lead lies before the horizon.
    pub(super) async fn claimable(&mut self, claim: &Claim) -> Result<Vec<Candidate>, StoreError> {
        let longest = claim.leads.values().max().copied().unwrap_or_default().max(Duration::zero());
        // A callback was booked to start at most at its desired time, so none that starts before the horizon
        // today has a later `wake_at` than this.
        let until = millis(claim.horizon + longest);
        let binds = [until.into(), FORMAT.into(), CLAIM_MAX_EXAMINED.into()];
        let found: Vec<DueRow> = rows::<Claimable, _>(&mut self.connection, &binds).await?;
        let mut leads: HashMap<i64, i64> = HashMap::new();
        let mut due = Vec::new();
        for row in found {
            if due.len() >= claim.limit {
                break;
            }
            let lead = match leads.get(&row.2) {
                Some(lead) => *lead,
                None => {
                    let name = self.queue_name(row.2).await?;
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
            for mut candidate in self.candidates(vec![row]).await {
                let start = instant(start)?;
                candidate.due.wake_at = start;
                candidate.row.start_at = Some(start);
                candidates.push(candidate);
            }
        }
        Ok(candidates)
    }

    /// Due callbacks that nobody looks after, oldest first.
    pub(super) async fn takeable(&mut self, take: &Take) -> Result<Vec<Candidate>, StoreError> {
        let (at, overdue) = (millis(take.at), millis(take.overdue_before));
        let binds: [Bind<'_>; 3] = [at.into(), FORMAT.into(), sql_limit(take.limit).into()];
        let unowned: Vec<DueRow> = rows::<UnownedDue, _>(&mut self.connection, &binds).await?;
        let mut found = self.candidates(unowned).await;
        let owners: Vec<(i64,)> = rows::<Owners, _>(&mut self.connection, &[MAX_OWNERS.into()]).await?;
        for (owner,) in owners {
            if owner == take.owner.0 {
                continue;
            }
            let alive = take.living.contains(&Incarnation(owner));
            // `overdue_before` itself is not overdue yet.
            let until = if alive { overdue.saturating_sub(1).min(at) } else { at };
            found.extend(self.owned(owner, until, take.limit).await?);
        }
        found.sort_by_key(|candidate| candidate.due.wake_at);
        found.truncate(take.limit);
        Ok(found)
    }

    pub(super) async fn parked(&mut self, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let found: Vec<(Vec<u8>, i64, i64, String)> =
            rows::<ListParked, _>(&mut self.connection, &[sql_limit(limit).into()]).await?;
        let mut parked = Vec::with_capacity(found.len());
        for (id, tenant, at, reason) in found {
            let tenant = Names::tenant_id(&mut self.connection, tenant).await?;
            let tenant = tenant.ok_or_else(|| unreadable("a tenant has no id"))?;
            parked.push(Parked { id: callback_id(&id)?, tenant, at: instant(at)?, reason });
        }
        Ok(parked)
    }

    pub(super) async fn places_taken(
        &mut self,
        tenant: TenantId,
        queue: &QueueName,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<BTreeMap<DateTime<Utc>, u32>, StoreError> {
        let Some(key) = self.names.queue(&mut self.connection, tenant, queue).await? else {
            return Ok(BTreeMap::new());
        };
        let binds = [key.queue.into(), millis(from).into(), millis(to).into()];
        let found: Vec<(i64, i64)> = rows::<PlacesTaken, _>(&mut self.connection, &binds).await?;
        found
            .into_iter()
            .map(|(start, booked)| Ok((instant(start)?, u32::try_from(booked).unwrap_or(u32::MAX))))
            .collect()
    }

    /// Settled callbacks wanted before an instant, oldest first: id, version.
    pub(super) async fn settled(
        &mut self,
        desired_before: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<(CallbackId, i64)>, StoreError> {
        let binds = [millis(desired_before).into(), FORMAT.into(), sql_limit(limit).into()];
        let found: Vec<(Vec<u8>, i64)> = rows::<Settled, _>(&mut self.connection, &binds).await?;
        found.into_iter().map(|(id, version)| Ok((callback_id(&id)?, version))).collect()
    }

    /// What became of the booking under a key.
    pub(super) async fn known(
        &mut self,
        tenant: TenantId,
        key: &Idempotency,
        at: DateTime<Utc>,
    ) -> Result<Option<Booked>, StoreError> {
        let Some(tenant) = self.tenant_key(tenant).await? else { return Ok(None) };
        let since = millis(at - KEY_LIFE).into();
        let binds = [tenant.into(), (Operation::Create as i64).into(), key.key.as_slice().into(), since];
        let found: Option<(Vec<u8>, Vec<u8>)> = first::<FindKey, _>(&mut self.connection, &binds).await?;
        let Some((made, body)) = found else { return Ok(None) };
        judge_key(key, &made, &body).map(|known| known.booked()).map_err(|_| unreadable("an id is no UUID"))
    }

    /// What is past its use, at most `limit` rows in all.
    pub(super) async fn past_use(&mut self, before: PastUse, limit: usize) -> Result<Forget, StoreError> {
        let connection = &mut self.connection;
        let limit_at = millis(before.keys);
        let past = |oldest: Vec<(i64, i64)>| -> Vec<i64> {
            oldest.into_iter().filter(|(_, at)| *at < limit_at).map(|(id, _)| id).collect()
        };
        let keys = past(rows::<OldestKeys, _>(connection, &[sql_limit(limit).into()]).await?);
        let left = limit.saturating_sub(keys.len());
        let tokens = past(rows::<OldestTokens, _>(connection, &[sql_limit(left).into()]).await?);
        let left = left.saturating_sub(tokens.len());
        let until: Bind<'_> = millis(before.slots).into();
        let slots: Vec<(i64, i64)> =
            rows::<PastSlots, _>(connection, &[until, sql_limit(left).into(), sql_limit(left).into()]).await?;
        let left = left.saturating_sub(slots.len());
        let until: Bind<'_> = millis(before.counts).into();
        let values: Vec<(i64, i64, Vec<u8>)> =
            rows::<PastValues, _>(connection, &[until, sql_limit(left).into(), sql_limit(left).into()]).await?;
        let left = left.saturating_sub(values.len());
        let windows: Vec<(i64, i64, i64)> = rows::<PastParts, _>(connection, &[until, sql_limit(left).into()]).await?;
        Ok(Forget { keys, tokens, slots, values, windows })
    }

    pub(super) async fn work_counts(&mut self) -> Result<WorkCounts, StoreError> {
        let count = |value: i64| u64::try_from(value).unwrap_or_default();
        let mut counts = WorkCounts::default();
        let found: Vec<(bool, i64)> = rows::<CountWork, _>(&mut self.connection, &[]).await?;
        for (scheduled, number) in found {
            if scheduled {
                counts.scheduled = count(number);
            } else {
                counts.active = count(number);
            }
        }
        let parked: Option<(i64,)> = first::<CountParked, _>(&mut self.connection, &[]).await?;
        counts.parked = parked.map_or(0, |(number,)| count(number));
        Ok(counts)
    }
}
