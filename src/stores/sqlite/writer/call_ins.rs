//! Call-ins: requests opened, matched and withdrawn, and what time does to them.
//!
//! The writer is alone in its transaction, so what it reads stays true until it has written: a choice of number and
//! code is free when it is written, and of calls that are this request's the first one ends it.

mod open;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{BigInt, Binary, Nullable};
use domain::call_in::{Criteria, Criterion};
use domain::ids::{CallInId, TenantId};
use domain::ports::Matching;

use super::super::call_ins::LoadCallIn;
use super::super::rows::millis;
use super::super::statement::{Bind, execute, first, statements};
use super::Writer;
use super::idempotency::{Keyed, Keys as _, Known, Operation};
use crate::stores::call_ins::Proof;
use crate::stores::command::call_ins::{CallInCommand, CallInOutcome, Tidy};
use crate::stores::rows::{CallInRow, RowKey, stored_number};

statements! {
    FindGroup -> (BigInt) = "SELECT key FROM call_in_groups WHERE tenant = ? AND name = ?";
    FindNumber -> (BigInt) = "SELECT key FROM call_in_numbers WHERE tenant = ? AND phone = ?";
    // Each takes the oldest. What is not asked for is compared with itself.
    ByCode -> (Binary) = "SELECT id FROM call_ins INDEXED BY call_ins_code
        WHERE state = 0 AND tenant = ? AND code = ? AND caller IS ifnull(?, caller) AND number = ifnull(?, number)
        AND grp = ifnull(?, grp) AND expires_at > ? ORDER BY id LIMIT 1";
    ByCaller -> (Binary) = "SELECT id FROM call_ins INDEXED BY call_ins_caller
        WHERE state = 0 AND tenant = ? AND caller = ? AND number = ifnull(?, number)
        AND grp = ifnull(?, grp) AND expires_at > ? ORDER BY id LIMIT 1";
    ByNumber -> (Binary) = "SELECT id FROM call_ins INDEXED BY call_ins_number
        WHERE state = 0 AND number = ? AND marks = ? AND tenant = ? AND grp = ifnull(?, grp) AND expires_at > ?
        ORDER BY id LIMIT 1";
    WaitsOnNumber -> (BigInt) = "SELECT 1 FROM call_ins INDEXED BY call_ins_number
        WHERE state = 0 AND number = ? AND grp = ifnull(?, grp) AND expires_at > ? LIMIT 1";
    Win -> (BigInt) = "UPDATE call_ins SET state = 1, ended_at = ?, criteria = ?
        WHERE tenant = ? AND id = ? AND state = 0 AND expires_at > ? RETURNING number";
    Withdraw -> (BigInt) = "UPDATE call_ins SET state = 3, ended_at = ?
        WHERE tenant = ? AND id = ? AND state = 0 AND expires_at > ? RETURNING number";
    Expire -> (BigInt) = "UPDATE call_ins SET state = 2
        WHERE tenant = ? AND id = ? AND state = 0 AND expires_at <= ? RETURNING number";
    RemoveEnded -> (Nullable<BigInt>) = "DELETE FROM call_ins WHERE tenant = ? AND id = ? AND state <> 0
        RETURNING details";
    FewerOpen = "UPDATE call_in_numbers SET open = max(open - ?, 0) WHERE key = ?";
    LoadUserData -> (Nullable<Binary>) =
        "SELECT d.user_data FROM call_ins c JOIN details d ON d.id = c.details WHERE c.tenant = ? AND c.id = ?";
}

/// A call with the keys of what it names.
struct Search<'a> {
    matching: &'a Matching,
    tenant: i64,
    group: Option<i64>,
    /// Number that was dialled, if requests were ever made on it.
    number: Option<i64>,
}

impl Writer {
    pub(super) fn call_in(&mut self, command: &CallInCommand) -> QueryResult<CallInOutcome> {
        match command {
            CallInCommand::Open(open) => self.open_call_in(open),
            CallInCommand::Match(matching) => self.match_call_in(matching),
            CallInCommand::Cancel { tenant, id, at } => self.cancel_call_in(*tenant, *id, *at),
            CallInCommand::Tidy(tidy) => self.tidy_call_ins(tidy),
        }
    }

    fn match_call_in(&mut self, matching: &Matching) -> QueryResult<CallInOutcome> {
        let nobody = Ok(CallInOutcome::Nobody { dnis_waits: false });
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, matching.tenant)? else { return nobody };
        let keyed =
            Keyed { tenant, operation: Operation::Match, idempotency: matching.idempotency.as_ref(), at: matching.at };
        match keyed.find(&mut self.connection)? {
            Known::Not => {}
            Known::Made(id) => return self.known_call_in(tenant, id.as_bytes()),
            Known::Gone => return Ok(CallInOutcome::Known(None)),
            Known::Reused => return Ok(CallInOutcome::KeyReused),
        }
        let mut search = Search { matching, tenant, group: None, number: None };
        if let Some(group) = &matching.group {
            let binds = [tenant.into(), group.as_str().into()];
            let Some((key,)) = first::<FindGroup, (i64,)>(&mut self.connection, &binds)? else { return nobody };
            search.group = Some(key);
        }
        if let Some(dialled) = matching.call.dnis.value() {
            let binds = [tenant.into(), stored_number(dialled).into()];
            search.number = first::<FindNumber, (i64,)>(&mut self.connection, &binds)?.map(|(key,)| key);
        }
        let Some((id, criteria)) = self.recognise(&search)? else {
            return Ok(CallInOutcome::Nobody { dnis_waits: self.dnis_waits(&search)? });
        };
        let at = millis(matching.at);
        let binds = [at.into(), i64::from(criteria.code()).into(), tenant.into(), id.as_slice().into(), at.into()];
        let won: Option<(i64,)> = first::<Win, _>(&mut self.connection, &binds)?;
        debug_assert!(won.is_some(), "it was found waiting in this transaction");
        let Some((number,)) = won else { return nobody };
        self.fewer_open(number, 1)?;
        keyed.remember(&mut self.connection, &id)?;
        self.known_call_in(tenant, &id)
    }

    /// The request that the call is recognised as, and by what: the order of [`domain::call_in::Call::best`].
    fn recognise(&mut self, search: &Search<'_>) -> QueryResult<Option<(Vec<u8>, Criteria)>> {
        for step in search.matching.call.steps() {
            let mut oldest: Option<(Vec<u8>, Criteria)> = None;
            for criteria in step {
                let Some(id) = self.find_by(search, criteria)? else { continue };
                if oldest.as_ref().is_none_or(|(older, _)| id < *older) {
                    oldest = Some((id, criteria));
                }
            }
            if oldest.is_some() {
                return Ok(oldest);
            }
        }
        Ok(None)
    }

    /// The oldest request that these criteria are proof of.
    fn find_by(&mut self, search: &Search<'_>, criteria: Criteria) -> QueryResult<Option<Vec<u8>>> {
        let by_number = criteria.has(Criterion::Dnis);
        if by_number && search.number.is_none() {
            return Ok(None);
        }
        let (tenant, group, at) = (search.tenant.into(), search.group.into(), millis(search.matching.at).into());
        let number: Bind<'_> = search.number.filter(|_| by_number).into();
        let Proof { code, caller } = Proof::of(&search.matching.call, criteria);
        let connection = &mut self.connection;
        let found: Option<(Vec<u8>,)> = match (code, caller) {
            (Some(code), caller) => {
                first::<ByCode, _>(connection, &[tenant, code.into(), caller.into(), number, group, at])?
            }
            (None, Some(caller)) => first::<ByCaller, _>(connection, &[tenant, caller.into(), number, group, at])?,
            (None, None) => return self.find_by_number_alone(search),
        };
        Ok(found.map(|(id,)| id))
    }

    fn find_by_number_alone(&mut self, search: &Search<'_>) -> QueryResult<Option<Vec<u8>>> {
        let mut oldest: Option<Vec<u8>> = None;
        for marks in search.matching.call.marks_by_dnis_alone() {
            let binds = [
                search.number.into(),
                i64::from(marks.code()).into(),
                search.tenant.into(),
                search.group.into(),
                millis(search.matching.at).into(),
            ];
            let found: Option<(Vec<u8>,)> = first::<ByNumber, _>(&mut self.connection, &binds)?;
            oldest = match (oldest, found) {
                (Some(oldest), Some((id,))) => Some(oldest.min(id)),
                (oldest, found) => oldest.or(found.map(|(id,)| id)),
            };
        }
        Ok(oldest)
    }

    fn dnis_waits(&mut self, search: &Search<'_>) -> QueryResult<bool> {
        let Some(number) = search.number else { return Ok(false) };
        let binds = [number.into(), search.group.into(), millis(search.matching.at).into()];
        Ok(first::<WaitsOnNumber, (i64,)>(&mut self.connection, &binds)?.is_some())
    }

    fn cancel_call_in(&mut self, tenant: TenantId, id: CallInId, at: DateTime<Utc>) -> QueryResult<CallInOutcome> {
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, tenant)? else {
            return Ok(CallInOutcome::Known(None));
        };
        let (uuid, at) = (id.as_uuid(), millis(at));
        let binds = [at.into(), tenant.into(), uuid.as_bytes().as_slice().into(), at.into()];
        match first::<Withdraw, (i64,)>(&mut self.connection, &binds)? {
            Some((number,)) => self.fewer_open(number, 1).map(|()| CallInOutcome::Withdrawn),
            None => self.known_call_in(tenant, uuid.as_bytes()),
        }
    }

    fn tidy_call_ins(&mut self, tidy: &Tidy) -> QueryResult<CallInOutcome> {
        let at = millis(tidy.at);
        tidy.expired.iter().try_for_each(|key| self.expire_call_in(key, at))?;
        for (tenant, id) in &tidy.ended {
            let binds = [(*tenant).into(), id.as_slice().into()];
            let gone: Option<(Option<i64>,)> = first::<RemoveEnded, _>(&mut self.connection, &binds)?;
            self.remove_details(gone.and_then(|(details,)| details))?;
        }
        Ok(CallInOutcome::Tidied)
    }

    /// Writes down that the time of a request is over, if it is and nothing else has ended it.
    fn expire_call_in(&mut self, (tenant, id): &RowKey, at: i64) -> QueryResult<()> {
        let binds = [(*tenant).into(), id.as_slice().into(), at.into()];
        let number = first::<Expire, (i64,)>(&mut self.connection, &binds)?;
        number.map_or(Ok(()), |(number,)| self.fewer_open(number, 1))
    }

    /// A request as it is now, with its packed user data.
    fn known_call_in(&mut self, tenant: i64, id: &[u8]) -> QueryResult<CallInOutcome> {
        let binds = [tenant.into(), id.into()];
        let Some(row) = first::<LoadCallIn, CallInRow>(&mut self.connection, &binds)? else {
            return Ok(CallInOutcome::Known(None));
        };
        let data: Option<(Option<Vec<u8>>,)> = first::<LoadUserData, _>(&mut self.connection, &binds)?;
        Ok(CallInOutcome::Known(Some((row, data.and_then(|(packed,)| packed)))))
    }

    pub(super) fn fewer_open(&mut self, number: i64, count: i64) -> QueryResult<()> {
        execute::<FewerOpen>(&mut self.connection, &[count.into(), number.into()]).map(|_| ())
    }
}
