//! What is read of callbacks: the statements that a database brings, and what is made of their rows.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use domain::callback::{Callback, HandOff, Idempotency, State};
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::ports::{Booked, Claim, Due, Handed, HistoryEntry, Parked, StoreError, Take, WorkCounts};

use super::{NameReads, id_bytes};
use crate::stores::command::{Forget, OwnRow};
use crate::stores::rows::{
    CallbackRow, HistoryRow, callback, callback_id, check_format, hand_off, history_entry, instant, millis, state,
    unreadable, whole,
};

/// Candidates that one claim looks at. Callbacks booked under a longer lead than today's are looked at in
/// vain; those beyond this number are found by the next tick, or by the sweep at the latest.
const CLAIM_MAX_EXAMINED: usize = 100_000;

/// Owners that one sweep tells apart; there is one per node and one per dead incarnation with work left.
const MAX_OWNERS: usize = 1_000;

/// Format, packed options, packed user data.
pub(in crate::stores) type DetailsRow = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// Id, version, queue, state, hand-off, attempt, desired time, wake-up.
pub(in crate::stores) type DueRow = (Vec<u8>, i64, i64, i64, i64, i64, i64, i64);

/// Callback, tenant, instant, reason.
pub(in crate::stores) type ParkedRow = (Vec<u8>, i64, i64, String);

/// A row that is due, with what is needed to write it.
pub(in crate::stores) struct Candidate {
    pub(super) due: Due,
    pub(super) row: OwnRow,
}

/// Before when what is kept beside callbacks is past its use.
#[derive(Clone, Copy)]
pub(in crate::stores) struct PastUse {
    /// Idempotency keys that were made before this.
    pub(super) keys: DateTime<Utc>,
    /// Slots that began before this.
    pub(super) slots: DateTime<Utc>,
    /// Counts that ended before this.
    pub(super) counts: DateTime<Utc>,
}

/// Which due rows are asked for.
#[derive(Clone, Copy)]
pub(in crate::stores) enum Whose {
    Nobodys,
    Of(i64),
    /// Those of an owner but for what waits for a place in the hand-off budget: as `Callback::needs_place`.
    OfWithoutPlace(i64),
}

/// Statements about callbacks, and questions that are made of them. Rows of another format than ours are left alone by
/// everything that looks for work. `limit` bounds rows.
#[async_trait]
pub(in crate::stores) trait CallbackReads: NameReads {
    async fn callback_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<CallbackRow>, StoreError>;

    async fn details_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<DetailsRow>, StoreError>;

    /// In the order of versions.
    async fn history_rows(&mut self, tenant: i64, id: &[u8], limit: usize) -> Result<Vec<HistoryRow>, StoreError>;

    /// Rows that are due at `until`, oldest first.
    async fn due_rows(&mut self, whose: Whose, until: i64, limit: usize) -> Result<Vec<DueRow>, StoreError>;

    /// Unfinished rows of an owner without an attempt with routing, in the order in which they are due.
    async fn unbegun_rows(&mut self, owner: i64, limit: usize) -> Result<Vec<DueRow>, StoreError>;

    /// Unowned scheduled rows that are due before an instant, oldest first.
    async fn claimable_rows(&mut self, before: i64, limit: usize) -> Result<Vec<DueRow>, StoreError>;

    /// Owners that have work at all, ascending.
    async fn owners(&mut self, limit: usize) -> Result<Vec<i64>, StoreError>;

    /// Oldest first.
    async fn parked_rows(&mut self, limit: usize) -> Result<Vec<ParkedRow>, StoreError>;

    /// Start and places taken of the slots of a queue that begin in a span, if any are.
    async fn slot_rows(&mut self, queue: i64, from: i64, to: i64) -> Result<Vec<(i64, i64)>, StoreError>;

    /// Id and version of settled callbacks wanted before an instant, oldest first.
    async fn settled_rows(&mut self, desired_before: i64, limit: usize) -> Result<Vec<(Vec<u8>, i64)>, StoreError>;

    /// What became of the booking under a key.
    async fn booked_under(
        &mut self,
        tenant: i64,
        key: &Idempotency,
        at: DateTime<Utc>,
    ) -> Result<Option<Booked>, StoreError>;

    /// Row number and instant of the oldest idempotency keys.
    async fn oldest_keys(&mut self, limit: usize) -> Result<Vec<(i64, i64)>, StoreError>;

    /// Row number and instant of the oldest captcha tokens.
    async fn oldest_tokens(&mut self, limit: usize) -> Result<Vec<(i64, i64)>, StoreError>;

    /// Queue and start.
    async fn past_slots(&mut self, before: i64, limit: usize) -> Result<Vec<(i64, i64)>, StoreError>;

    /// Queue, end of the day, counted value.
    async fn past_values(&mut self, before: i64, limit: usize) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError>;

    /// Queue, length of the window, end of a part.
    async fn past_windows(&mut self, before: i64, limit: usize) -> Result<Vec<(i64, i64, i64)>, StoreError>;

    /// How many are scheduled, and how many are not and have work left.
    async fn work_rows(&mut self) -> Result<(i64, i64), StoreError>;

    async fn parked_count(&mut self) -> Result<i64, StoreError>;

    /// Pages of the file that hold nothing, and pages in all; none where files are not ours to shorten.
    async fn pages(&mut self) -> Result<Option<(i64, i64)>, StoreError> {
        Ok(None)
    }

    async fn load(&mut self, tenant: TenantId, id: CallbackId) -> Result<Option<Callback>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(None) };
        let Some(row) = self.callback_row(key, id_bytes(&id.as_uuid())).await? else { return Ok(None) };
        check_format(row.0)?;
        let (_, queue) = self.queue_name(row.2).await?;
        callback(id, tenant, queue, row).map(Some)
    }

    /// Packed options and packed user data.
    async fn packed_details(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
    ) -> Result<Option<(Option<Vec<u8>>, Option<Vec<u8>>)>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(None) };
        let row = self.details_row(key, id_bytes(&id.as_uuid())).await?;
        let Some((format, options, user_data)) = row else { return Ok(None) };
        check_format(format)?;
        Ok(Some((options, user_data)))
    }

    async fn history(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(Vec::new()) };
        let found = self.history_rows(key, id_bytes(&id.as_uuid()), limit).await?;
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

    async fn due(&mut self, owner: Incarnation, at: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError> {
        let found = self.due_rows(Whose::Of(owner.0), millis(at), limit).await?;
        Ok(self.candidates(found).await.into_iter().map(|candidate| candidate.due).collect())
    }

    /// What an owner has to do, now or later, in the order in which it is due.
    async fn owned(&mut self, owner: Incarnation, what: Handed, limit: usize) -> Result<Vec<Candidate>, StoreError> {
        let found = match what {
            Handed::Unbegun => self.unbegun_rows(owner.0, limit).await?,
            Handed::All => self.due_rows(Whose::Of(owner.0), i64::MAX, limit).await?,
        };
        Ok(self.candidates(found).await)
    }

    /// Unowned scheduled callbacks whose start instant under today's lead lies before the horizon.
    async fn claimable(&mut self, claim: Claim) -> Result<Vec<Candidate>, StoreError> {
        let longest = claim.leads.values().max().copied().unwrap_or_default().max(Duration::zero());
        // A callback was booked to start at most at its desired time, so none that starts before the horizon
        // today has a later `wake_at` than this.
        let found = self.claimable_rows(millis(claim.horizon + longest), CLAIM_MAX_EXAMINED).await?;
        let mut leads: HashMap<i64, Option<i64>> = HashMap::new();
        let mut due = Vec::new();
        for row in found {
            if due.len() >= claim.limit {
                break;
            }
            let lead = match leads.get(&row.2) {
                Some(lead) => *lead,
                None => {
                    let lead = match self.queue_name(row.2).await {
                        Ok(name) => Some(claim.leads.get(&name).map_or(0, |lead| lead.num_milliseconds().max(0))),
                        // One of them must not hide all others.
                        Err(StoreError::Unreadable(why)) => {
                            tracing::error!(why, "scheduled callbacks of a queue are unreadable and were passed over");
                            None
                        }
                        Err(error) => return Err(error),
                    };
                    leads.insert(row.2, lead);
                    lead
                }
            };
            let Some(lead) = lead else { continue };
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
    async fn takeable(&mut self, take: Take) -> Result<Vec<Candidate>, StoreError> {
        let (at, overdue) = (millis(take.at), millis(take.overdue_before));
        let unowned = self.due_rows(Whose::Nobodys, at, take.limit).await?;
        let mut found = self.candidates(unowned).await;
        for owner in self.owners(MAX_OWNERS).await? {
            if owner == take.owner.0 {
                continue;
            }
            let alive = take.living.contains(&Incarnation(owner));
            // `overdue_before` itself is not overdue yet.
            let until = if alive { overdue.saturating_sub(1).min(at) } else { at };
            let whose = if alive && !take.waiting { Whose::OfWithoutPlace(owner) } else { Whose::Of(owner) };
            let owned = self.due_rows(whose, until, take.limit).await?;
            found.extend(self.candidates(owned).await);
        }
        found.sort_by_key(|candidate| candidate.due.wake_at);
        found.truncate(take.limit);
        Ok(found)
    }

    async fn parked(&mut self, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let found = self.parked_rows(limit).await?;
        let mut parked = Vec::with_capacity(found.len());
        for (id, tenant, at, reason) in found {
            let tenant = self.tenant_of(tenant).await?.ok_or_else(|| unreadable("a tenant has no id"))?;
            parked.push(Parked { id: callback_id(&id)?, tenant, at: instant(at)?, reason });
        }
        Ok(parked)
    }

    async fn places_taken(
        &mut self,
        tenant: TenantId,
        queue: QueueName,
        span: (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<BTreeMap<DateTime<Utc>, u32>, StoreError> {
        let Some(key) = self.queue_key(tenant, &queue).await? else { return Ok(BTreeMap::new()) };
        let found = self.slot_rows(key.queue, millis(span.0), millis(span.1)).await?;
        let places = |(start, booked)| Ok((instant(start)?, u32::try_from(booked).unwrap_or(u32::MAX)));
        found.into_iter().map(places).collect()
    }

    async fn settled(
        &mut self,
        desired_before: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<(CallbackId, i64)>, StoreError> {
        let found = self.settled_rows(millis(desired_before), limit).await?;
        found.into_iter().map(|(id, version)| Ok((callback_id(&id)?, version))).collect()
    }

    async fn known(
        &mut self,
        tenant: TenantId,
        key: Idempotency,
        at: DateTime<Utc>,
    ) -> Result<Option<Booked>, StoreError> {
        let Some(tenant) = self.tenant_key(tenant).await? else { return Ok(None) };
        self.booked_under(tenant, &key, at).await
    }

    /// What is past its use, at most `limit` rows in all.
    async fn past_use(&mut self, before: PastUse, limit: usize) -> Result<Forget, StoreError> {
        let limit_at = millis(before.keys);
        let past = |oldest: Vec<(i64, i64)>| -> Vec<i64> {
            oldest.into_iter().filter(|(_, at)| *at < limit_at).map(|(id, _)| id).collect()
        };
        let keys = past(self.oldest_keys(limit).await?);
        let left = limit.saturating_sub(keys.len());
        let tokens = past(self.oldest_tokens(left).await?);
        let left = left.saturating_sub(tokens.len());
        let slots = self.past_slots(millis(before.slots), left).await?;
        let left = left.saturating_sub(slots.len());
        let values = self.past_values(millis(before.counts), left).await?;
        let left = left.saturating_sub(values.len());
        let windows = self.past_windows(millis(before.counts), left).await?;
        Ok(Forget { keys, tokens, slots, values, windows })
    }

    async fn work_counts(&mut self) -> Result<WorkCounts, StoreError> {
        let (scheduled, active) = self.work_rows().await?;
        let parked = self.parked_count().await?;
        Ok(WorkCounts { scheduled: whole(scheduled), active: whole(active), parked: whole(parked) })
    }
}
