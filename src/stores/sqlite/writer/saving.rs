//! Steps: conditional writes of one callback, and setting it aside.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{BigInt, Nullable};
use domain::audit::Act;
use domain::callback::{Cause, Reason, State};
use domain::ids::{CallbackId, SessionId, TenantId};
use domain::ports::{Change, SaveError, SlotClaim};

use super::super::rows::{FORMAT, check_format, implied_code, millis, stored, turn_until};
use super::super::statement::{execute, first, statements};
use super::booking::{Taken, give_slot_back};
use super::{AddHistory, Writer};

statements! {
    // A parked callback stays set aside whatever is applied to it, until it ends or is taken up again.
    UpdateCallback = "UPDATE callbacks SET version = ?, state = ?, hand_off = ?, attempt = ?, refusals = ?,
        last_seq = ?, dialled = ?, owes_terminate = ?, desired_time = ?, expires_at = ?, start_at = ?,
        wake_at = CASE WHEN ? AND EXISTS (SELECT 1 FROM parked p WHERE p.callback = callbacks.id) THEN NULL ELSE ? END,
        owner = ?, ended_at = ?, slot = ?, session = ?, reason = ?, devices = ?, turn_until = ?
        WHERE id = ? AND tenant = ? AND version = ? AND format = ? AND owner IS ifnull(?, owner)";
    Look -> (BigInt, BigInt, BigInt, BigInt, Nullable<BigInt>, Nullable<BigInt>) =
        "SELECT format, version, state, attempt, owner, wake_at FROM callbacks WHERE id = ? AND tenant = ?";
    SetAside = "UPDATE callbacks SET version = version + 1, wake_at = NULL, owner = NULL
        WHERE id = ? AND tenant = ?";
    TakeUp = "UPDATE callbacks SET version = version + 1, wake_at = ?, owner = NULL WHERE id = ? AND tenant = ?";
    AddParked = "INSERT INTO parked (callback, tenant, at, reason) VALUES (?, ?, ?, ?)";
    IsParked -> (BigInt) = "SELECT 1 FROM parked WHERE callback = ?";
    RemoveParked = "DELETE FROM parked WHERE callback = ?";
}

/// Format, version, state, attempt, owner, wake-up.
type SeenRow = (i64, i64, i64, i64, Option<i64>, Option<i64>);

/// What a row looks like just now.
struct Seen {
    version: i64,
    state: i64,
    attempt: i64,
    owner: Option<i64>,
    wake_at: Option<i64>,
}

/// Who cancels and takes up as an operator, and who sets aside.
const BY_OPERATOR: &str = "api";
const BY_SERVICE: &str = "service";

impl Writer {
    /// A step. A taken slot can refuse, so it is judged, and the row looked at, before anything is written.
    pub(super) fn save(&mut self, change: &Change) -> QueryResult<Result<(), SaveError>> {
        let callback = &change.callback;
        let moves_slots = change.saving.take.is_some() || change.saving.give_back.is_some();
        let moves_depth = change.from.is_active() != callback.state.is_active();
        // Its slot was found to be the same by this grid: by another one it may not be.
        let stays = change.saving.cause == Cause::Rescheduled && !moves_slots && callback.slot.is_some();
        let key = if moves_slots || moves_depth || stays {
            Some(self.fresh.resolve(&self.names, &mut self.connection, callback.tenant, &callback.queue)?)
        } else {
            None
        };
        if let Some(key) = key.filter(|_| stays)
            && self.is_counted_by_another(key.queue, change.grid)?
        {
            return Ok(Err(SaveError::Conflict));
        }
        if let (Some(start), Some(key)) = (change.saving.take, key) {
            if let Err(refusal) = self.check_condition(change)? {
                return Ok(Err(refusal));
            }
            let claim = SlotClaim { start, capacity: change.slot_capacity, grid: change.grid };
            match self.take_slot(key, claim, change.at)? {
                Taken::Place => {}
                Taken::Full => return Ok(Err(SaveError::SlotFull)),
                Taken::OtherGrid => return Ok(Err(SaveError::Conflict)),
            }
        }
        if self.update(change)? == 0 {
            debug_assert!(change.saving.take.is_none(), "the condition was checked in this transaction");
            // Whatever the reason was, the row is not as the caller knew it.
            return Ok(Err(self.check_condition(change)?.err().unwrap_or(SaveError::Conflict)));
        }
        if let (Some(start), Some(key)) = (change.saving.give_back, key) {
            give_slot_back(&mut self.connection, key.queue, start)?;
        }
        if let Some(key) = key {
            self.count_depth(key.queue, Some(change.from), callback.state)?;
        }
        let uuid = callback.id.as_uuid();
        let id = uuid.as_bytes().as_slice();
        if callback.state == State::Completed {
            execute::<RemoveParked>(&mut self.connection, &[id.into()])?;
        }
        execute::<AddHistory>(
            &mut self.connection,
            &[
                id.into(),
                i64::from(callback.version).into(),
                millis(change.at).into(),
                i64::from(change.saving.cause.code()).into(),
                i64::from(callback.state.code()).into(),
                implied_code(&change.saving.implied).into(),
                i64::from(callback.attempt).into(),
            ],
        )?;
        if change.saving.cause == Cause::CancelledByAdmin
            && let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, callback.tenant)?
        {
            let whose = (callback.tenant, tenant);
            let actor = change.saving.actor.as_deref().unwrap_or(BY_OPERATOR);
            self.note_plain(whose, change.at, Act::CallbackCancelled, actor, callback.id.to_string())?;
        }
        if let Some(announcement) = &change.announcement {
            self.announce(callback, &change.saving.implied, announcement, change.at)?;
        }
        Ok(Ok(()))
    }

    fn update(&mut self, change: &Change) -> QueryResult<usize> {
        let callback = &change.callback;
        let id = callback.id.as_uuid();
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, callback.tenant)? else { return Ok(0) };
        execute::<UpdateCallback>(
            &mut self.connection,
            &[
                i64::from(callback.version).into(),
                i64::from(callback.state.code()).into(),
                i64::from(callback.hand_off.code()).into(),
                i64::from(callback.attempt).into(),
                i64::from(callback.refusals).into(),
                stored(callback.last_seq).into(),
                i64::from(callback.dialled).into(),
                i64::from(callback.owes_terminate).into(),
                millis(callback.desired_time).into(),
                millis(callback.expires_at).into(),
                millis(callback.start_at).into(),
                i64::from(callback.state != State::Completed).into(),
                callback.wake_at.map(millis).into(),
                callback.owner.map(|owner| owner.0).into(),
                callback.ended_at.map(millis).into(),
                callback.slot.map(millis).into(),
                callback.session.as_ref().map(SessionId::as_str).into(),
                callback.reason.as_ref().map(Reason::as_str).into(),
                i64::from(callback.devices.code()).into(),
                turn_until(callback).into(),
                id.as_bytes().as_slice().into(),
                tenant.into(),
                i64::from(change.expected_version).into(),
                FORMAT.into(),
                change.expected_owner.map(|owner| owner.0).into(),
            ],
        )
    }

    fn look(&mut self, tenant: TenantId, id: CallbackId) -> QueryResult<Result<Seen, SaveError>> {
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, tenant)? else {
            return Ok(Err(SaveError::NotFound));
        };
        let id = id.as_uuid();
        let row: Option<SeenRow> =
            first::<Look, _>(&mut self.connection, &[id.as_bytes().as_slice().into(), tenant.into()])?;
        let Some((format, version, state, attempt, owner, wake_at)) = row else {
            return Ok(Err(SaveError::NotFound));
        };
        if let Err(error) = check_format(format) {
            return Ok(Err(error.into()));
        }
        Ok(Ok(Seen { version, state, attempt, owner, wake_at }))
    }

    fn check_condition(&mut self, change: &Change) -> QueryResult<Result<(), SaveError>> {
        let row = match self.look(change.callback.tenant, change.callback.id)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let owned = change.expected_owner.is_none_or(|owner| row.owner == Some(owner.0));
        let same = row.version == i64::from(change.expected_version);
        Ok(if owned && same { Ok(()) } else { Err(SaveError::Conflict) })
    }

    /// Sets a callback aside: without owner and `wake_at` nobody finds it. Doing it again changes nothing.
    pub(super) fn park(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
        reason: &str,
        at: DateTime<Utc>,
    ) -> QueryResult<Result<(), SaveError>> {
        let row = match self.look(tenant, id)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.is_parked(id)? {
            return Ok(Ok(()));
        }
        if row.wake_at.is_none() {
            // It is settled: nobody works on it anyway.
            return Ok(Err(SaveError::Conflict));
        }
        let whose = tenant;
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, tenant)? else {
            return Ok(Err(SaveError::NotFound));
        };
        let uuid = id.as_uuid();
        let bytes = uuid.as_bytes().as_slice();
        execute::<SetAside>(&mut self.connection, &[bytes.into(), tenant.into()])?;
        let binds = [bytes.into(), tenant.into(), millis(at).into(), reason.into()];
        execute::<AddParked>(&mut self.connection, &binds)?;
        self.add_next_version(bytes, &row, Cause::Parked, at)?;
        self.note_plain((whose, tenant), at, Act::CallbackParked, BY_SERVICE, id.to_string())?;
        Ok(Ok(()))
    }

    /// Makes a parked callback due, for whichever node looks next.
    pub(super) fn unpark(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
        at: DateTime<Utc>,
        actor: &str,
    ) -> QueryResult<Result<(), SaveError>> {
        let row = match self.look(tenant, id)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let whose = tenant;
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, tenant)? else {
            return Ok(Err(SaveError::NotFound));
        };
        let uuid = id.as_uuid();
        let bytes = uuid.as_bytes().as_slice();
        if execute::<RemoveParked>(&mut self.connection, &[bytes.into()])? == 0 {
            return Ok(Err(SaveError::NotFound));
        }
        execute::<TakeUp>(&mut self.connection, &[millis(at).into(), bytes.into(), tenant.into()])?;
        self.add_next_version(bytes, &row, Cause::Unparked, at)?;
        self.note_plain((whose, tenant), at, Act::CallbackUnparked, actor, id.to_string())?;
        Ok(Ok(()))
    }

    fn is_parked(&mut self, id: CallbackId) -> QueryResult<bool> {
        let uuid = id.as_uuid();
        let row: Option<(i64,)> = first::<IsParked, _>(&mut self.connection, &[uuid.as_bytes().as_slice().into()])?;
        Ok(row.is_some())
    }

    fn add_next_version(&mut self, id: &[u8], row: &Seen, cause: Cause, at: DateTime<Utc>) -> QueryResult<()> {
        let version = row.version + 1;
        let binds = [
            id.into(),
            version.into(),
            millis(at).into(),
            i64::from(cause.code()).into(),
            row.state.into(),
            0.into(),
            row.attempt.into(),
        ];
        execute::<AddHistory>(&mut self.connection, &binds).map(|_| ())
    }
}
