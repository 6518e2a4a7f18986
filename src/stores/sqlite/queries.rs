//! What readers are asked about callbacks.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::callback::Idempotency;
use domain::ids::{QueueName, TenantId};
use domain::ports::{Booked, StoreError};

use super::names::{Names, QueueKey};
use super::readers::{Reader, not_read};
use super::rows::LoadCallback;
use super::statement::statements;
use super::writer::{Keyed, Operation, known_booking};
use crate::stores::database::{CallbackReads, DetailsRow, DueRow, NameReads, ParkedRow, Reads, Whose};
use crate::stores::rows::{CallbackRow, FORMAT, HistoryRow, sql_limit};

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
    // Accepted, or finished and owing something.
    OwnedDueWithoutPlace -> (Binary, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt) =
        "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner = ? AND wake_at <= ? AND (hand_off = 2 OR state = 4) AND format = ? ORDER BY wake_at LIMIT ?";
    OwnedUnbegun -> (Binary, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt) =
        "SELECT id, version, queue, state, hand_off, attempt, desired_time, wake_at FROM callbacks
        WHERE owner = ? AND wake_at IS NOT NULL AND hand_off = 0 AND state <> 4 AND format = ? ORDER BY wake_at LIMIT ?";
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

impl Reads for Reader {}

#[async_trait]
impl NameReads for Reader {
    async fn tenant_key(&mut self, tenant: TenantId) -> Result<Option<i64>, StoreError> {
        self.names.tenant(&mut self.connection, tenant).map_err(not_read)
    }

    async fn tenant_of(&mut self, key: i64) -> Result<Option<TenantId>, StoreError> {
        Names::tenant_id(&mut self.connection, key).map_err(not_read)
    }

    async fn queue_key(&mut self, tenant: TenantId, queue: &QueueName) -> Result<Option<QueueKey>, StoreError> {
        self.names.queue(&mut self.connection, tenant, queue).map_err(not_read)
    }

    async fn queue_of(&mut self, key: i64) -> Result<Option<(TenantId, QueueName)>, StoreError> {
        self.names.name(&mut self.connection, key).map_err(not_read)
    }
}

#[async_trait]
impl CallbackReads for Reader {
    async fn callback_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<CallbackRow>, StoreError> {
        self.first::<LoadCallback, _>(&[id.into(), tenant.into()])
    }

    async fn details_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<DetailsRow>, StoreError> {
        self.first::<LoadDetails, _>(&[id.into(), tenant.into()])
    }

    async fn history_rows(&mut self, tenant: i64, id: &[u8], limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        self.rows::<LoadHistory, _>(&[id.into(), tenant.into(), sql_limit(limit).into()])
    }

    async fn due_rows(&mut self, whose: Whose, until: i64, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        let (until, limit) = (until.into(), sql_limit(limit).into());
        match whose {
            Whose::Of(owner) => self.rows::<OwnedDue, _>(&[owner.into(), until, FORMAT.into(), limit]),
            Whose::OfWithoutPlace(owner) => {
                self.rows::<OwnedDueWithoutPlace, _>(&[owner.into(), until, FORMAT.into(), limit])
            }
            Whose::Nobodys => self.rows::<UnownedDue, _>(&[until, FORMAT.into(), limit]),
        }
    }

    async fn unbegun_rows(&mut self, owner: i64, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        self.rows::<OwnedUnbegun, _>(&[owner.into(), FORMAT.into(), sql_limit(limit).into()])
    }

    async fn claimable_rows(&mut self, before: i64, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        self.rows::<Claimable, _>(&[before.into(), FORMAT.into(), sql_limit(limit).into()])
    }

    async fn owners(&mut self, limit: usize) -> Result<Vec<i64>, StoreError> {
        let mut owners = Vec::new();
        let mut after = i64::MIN;
        while owners.len() < limit {
            let next: Option<(Option<i64>,)> = self.first::<FirstOwner, _>(&[after.into()])?;
            let Some((Some(owner),)) = next else { break };
            owners.push(owner);
            after = owner;
        }
        Ok(owners)
    }

    async fn parked_rows(&mut self, limit: usize) -> Result<Vec<ParkedRow>, StoreError> {
        self.rows::<ListParked, _>(&[sql_limit(limit).into()])
    }

    async fn slot_rows(&mut self, queue: i64, from: i64, to: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<PlacesTaken, _>(&[queue.into(), from.into(), to.into()])
    }

    async fn settled_rows(&mut self, desired_before: i64, limit: usize) -> Result<Vec<(Vec<u8>, i64)>, StoreError> {
        self.rows::<Settled, _>(&[desired_before.into(), FORMAT.into(), sql_limit(limit).into()])
    }

    async fn booked_under(
        &mut self,
        tenant: i64,
        key: &Idempotency,
        at: DateTime<Utc>,
    ) -> Result<Option<Booked>, StoreError> {
        let keyed = Keyed { tenant, operation: Operation::Create, idempotency: Some(key), at };
        known_booking(&keyed, &mut self.connection).map_err(not_read)
    }

    async fn oldest_keys(&mut self, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<OldestKeys, _>(&[sql_limit(limit).into()])
    }

    async fn oldest_tokens(&mut self, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<OldestTokens, _>(&[sql_limit(limit).into()])
    }

    async fn past_slots(&mut self, before: i64, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<PastSlots, _>(&[before.into(), sql_limit(limit).into()])
    }

    async fn past_values(&mut self, before: i64, limit: usize) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError> {
        self.rows::<PastValues, _>(&[before.into(), sql_limit(limit).into()])
    }

    async fn past_windows(&mut self, before: i64, limit: usize) -> Result<Vec<(i64, i64, i64)>, StoreError> {
        self.rows::<PastParts, _>(&[before.into(), sql_limit(limit).into()])
    }

    async fn work_rows(&mut self) -> Result<(i64, i64), StoreError> {
        let found: Vec<(i64, i64)> = self.rows::<CountWork, _>(&[])?;
        let count = |scheduled| found.iter().find(|row| row.0 == scheduled).map_or(0, |row| row.1);
        Ok((count(1), count(0)))
    }

    async fn parked_count(&mut self) -> Result<i64, StoreError> {
        let parked: Option<(i64,)> = self.first::<CountParked, _>(&[])?;
        Ok(parked.map_or(0, |(number,)| number))
    }

    async fn pages(&mut self) -> Result<Option<(i64, i64)>, StoreError> {
        self.first::<FreePages, _>(&[])
    }
}
