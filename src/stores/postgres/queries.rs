//! What readers are asked about callbacks.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::Idempotency;
use domain::ids::{QueueName, TenantId};
use domain::ports::{Booked, StoreError};

use super::names::{Names, QueueKey};
use super::pool::Reader;
use super::statement::statements;
use crate::stores::database::{CallbackReads, DetailsRow, DueRow, NameReads, ParkedRow, Reads, Whose};
use crate::stores::idempotency::{KEY_LIFE, Operation, judge_key};
use crate::stores::rows::{CallbackRow, FORMAT, HistoryRow, millis, sql_limit, unreadable};

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
    // Accepted, or finished and owing something.
    OwnedDueWithoutPlace = "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner = ? AND wake_at <= ? AND (hand_off = 2 OR state = 4) AND format = ? ORDER BY wake_at LIMIT ?";
    OwnedUnbegun = "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner = ? AND wake_at IS NOT NULL AND hand_off = 0 AND state <> 4 AND format = ? ORDER BY wake_at LIMIT ?";
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

impl Reads for Reader {}

#[async_trait]
impl NameReads for Reader {
    async fn tenant_key(&mut self, tenant: TenantId) -> Result<Option<i64>, StoreError> {
        Ok(self.names.tenant(&mut self.connection, tenant).await?)
    }

    async fn tenant_of(&mut self, key: i64) -> Result<Option<TenantId>, StoreError> {
        Ok(Names::tenant_id(&mut self.connection, key).await?)
    }

    async fn queue_key(&mut self, tenant: TenantId, queue: &QueueName) -> Result<Option<QueueKey>, StoreError> {
        Ok(self.names.queue(&mut self.connection, tenant, queue).await?)
    }

    async fn queue_of(&mut self, key: i64) -> Result<Option<(TenantId, QueueName)>, StoreError> {
        Ok(self.names.name(&mut self.connection, key).await?)
    }
}

#[async_trait]
impl CallbackReads for Reader {
    async fn callback_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<CallbackRow>, StoreError> {
        self.first::<LoadCallback, _>(&[id.into(), tenant.into()]).await
    }

    async fn details_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<DetailsRow>, StoreError> {
        self.first::<LoadDetails, _>(&[id.into(), tenant.into()]).await
    }

    async fn history_rows(&mut self, tenant: i64, id: &[u8], limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        self.rows::<LoadHistory, _>(&[id.into(), tenant.into(), sql_limit(limit).into()]).await
    }

    async fn due_rows(&mut self, whose: Whose, until: i64, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        let (until, limit) = (until.into(), sql_limit(limit).into());
        match whose {
            Whose::Of(owner) => self.rows::<OwnedDue, _>(&[owner.into(), until, FORMAT.into(), limit]).await,
            Whose::OfWithoutPlace(owner) => {
                self.rows::<OwnedDueWithoutPlace, _>(&[owner.into(), until, FORMAT.into(), limit]).await
            }
            Whose::Nobodys => self.rows::<UnownedDue, _>(&[until, FORMAT.into(), limit]).await,
        }
    }

    async fn unbegun_rows(&mut self, owner: i64, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        self.rows::<OwnedUnbegun, _>(&[owner.into(), FORMAT.into(), sql_limit(limit).into()]).await
    }

    async fn claimable_rows(&mut self, before: i64, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        self.rows::<Claimable, _>(&[before.into(), FORMAT.into(), sql_limit(limit).into()]).await
    }

    async fn owners(&mut self, limit: usize) -> Result<Vec<i64>, StoreError> {
        let owners: Vec<(i64,)> = self.rows::<Owners, _>(&[sql_limit(limit).into()]).await?;
        Ok(owners.into_iter().map(|(owner,)| owner).collect())
    }

    async fn parked_rows(&mut self, limit: usize) -> Result<Vec<ParkedRow>, StoreError> {
        self.rows::<ListParked, _>(&[sql_limit(limit).into()]).await
    }

    async fn slot_rows(&mut self, queue: i64, from: i64, to: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<PlacesTaken, _>(&[queue.into(), from.into(), to.into()]).await
    }

    async fn settled_rows(&mut self, desired_before: i64, limit: usize) -> Result<Vec<(Vec<u8>, i64)>, StoreError> {
        self.rows::<Settled, _>(&[desired_before.into(), FORMAT.into(), sql_limit(limit).into()]).await
    }

    async fn booked_under(
        &mut self,
        tenant: i64,
        key: &Idempotency,
        at: DateTime<Utc>,
    ) -> Result<Option<Booked>, StoreError> {
        let since = millis(at - KEY_LIFE).into();
        let binds = [tenant.into(), (Operation::Create as i64).into(), key.key.as_slice().into(), since];
        let found: Option<(Vec<u8>, Vec<u8>)> = self.first::<FindKey, _>(&binds).await?;
        let Some((made, body)) = found else { return Ok(None) };
        judge_key(key, &made, &body).map(|known| known.booked()).map_err(|_| unreadable("an id is no UUID"))
    }

    async fn oldest_keys(&mut self, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<OldestKeys, _>(&[sql_limit(limit).into()]).await
    }

    async fn oldest_tokens(&mut self, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<OldestTokens, _>(&[sql_limit(limit).into()]).await
    }

    async fn past_slots(&mut self, before: i64, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<PastSlots, _>(&[before.into(), sql_limit(limit).into(), sql_limit(limit).into()]).await
    }

    async fn past_values(&mut self, before: i64, limit: usize) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError> {
        self.rows::<PastValues, _>(&[before.into(), sql_limit(limit).into(), sql_limit(limit).into()]).await
    }

    async fn past_windows(&mut self, before: i64, limit: usize) -> Result<Vec<(i64, i64, i64)>, StoreError> {
        self.rows::<PastParts, _>(&[before.into(), sql_limit(limit).into()]).await
    }

    async fn work_rows(&mut self) -> Result<(i64, i64), StoreError> {
        let found: Vec<(bool, i64)> = self.rows::<CountWork, _>(&[]).await?;
        let count = |scheduled| found.iter().find(|row| row.0 == scheduled).map_or(0, |row| row.1);
        Ok((count(true), count(false)))
    }

    async fn parked_count(&mut self) -> Result<i64, StoreError> {
        let parked: Option<(i64,)> = self.first::<CountParked, _>(&[]).await?;
        Ok(parked.map_or(0, |(number,)| number))
    }
}
