//! Call-ins: requests opened, matched and withdrawn, and what time does to them.
//!
//! Whoever writes about the call-ins of a tenant has them alone, on whatever node, so what it reads stays true until it
//! has committed: a choice of number and code is free when it is written, and of calls that are this request's the first
//! one ends it.

mod open;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::call_in::{Criteria, Criterion};
use domain::ids::{CallInId, TenantId};
use domain::ports::Matching;

use super::super::call_ins::{FindGroup, LoadCallIn};
use super::super::errors::{Sql, SqlError};
use super::super::locks::{Locks, Topic};
use super::super::statement::{Bind, execute, first, rows, statements};
use super::Batch;
use super::upkeep::RemoveDetails;
use crate::stores::call_ins::Proof;
use crate::stores::command::call_ins::{CallInCommand, CallInOutcome, Tidy};
use crate::stores::idempotency::{Keyed, Known, Operation};
use crate::stores::rows::{CallInRow, RowKey, millis, stored_number};
pub(super) use open::Remembered;

statements! {
    FindNumber = "SELECT key FROM call_in_numbers WHERE tenant = ? AND phone = ?";
    // Each takes the oldest. What is not asked for is compared with itself. They are found first and put in order then:
    // nobody walks through all requests in that order.
    ByCode = "SELECT id FROM (SELECT id FROM call_ins
            WHERE state = 0 AND tenant = ? AND code = ? AND caller IS NOT DISTINCT FROM coalesce(?, caller)
            AND number = coalesce(?, number) AND grp = coalesce(?, grp) AND expires_at > ? OFFSET 0) c
        ORDER BY id LIMIT 1";
    ByCaller = "SELECT id FROM (SELECT id FROM call_ins
            WHERE state = 0 AND tenant = ? AND caller = ? AND number = coalesce(?, number)
            AND grp = coalesce(?, grp) AND expires_at > ? OFFSET 0) c
        ORDER BY id LIMIT 1";
    ByNumber = "SELECT id FROM (SELECT id FROM call_ins
            WHERE state = 0 AND number = ? AND marks = ? AND tenant = ? AND grp = coalesce(?, grp) AND expires_at > ?
            OFFSET 0) c
        ORDER BY id LIMIT 1";
    WaitsOnNumber = "SELECT 1 FROM call_ins
        WHERE state = 0 AND number = ? AND grp = coalesce(?, grp) AND expires_at > ? LIMIT 1";
    Win = "WITH won AS (UPDATE call_ins SET state = 1, ended_at = ?, criteria = ?
            WHERE tenant = ? AND id = ? AND state = 0 AND expires_at > ? RETURNING number)
        UPDATE call_in_numbers n SET open = greatest(n.open - 1, 0) FROM won w WHERE n.key = w.number";
    Withdraw = "WITH withdrawn AS (UPDATE call_ins SET state = 3, ended_at = ?
            WHERE tenant = ? AND id = ? AND state = 0 AND expires_at > ? RETURNING number)
        UPDATE call_in_numbers n SET open = greatest(n.open - 1, 0) FROM withdrawn w WHERE n.key = w.number";
    Expire = "UPDATE call_ins c SET state = 2 FROM unnest(?::bigint[], ?::bytea[]) AS u(t, i)
        WHERE c.tenant = u.t AND c.id = u.i AND c.state = 0 AND c.expires_at <= ? RETURNING c.number";
    RemoveEnded = "DELETE FROM call_ins c USING unnest(?::bigint[], ?::bytea[]) AS u(t, i)
        WHERE c.tenant = u.t AND c.id = u.i AND c.state <> 0 RETURNING c.details";
    FewerOpen = "UPDATE call_in_numbers n SET open = greatest(n.open - u.o, 0)
        FROM unnest(?::bigint[], ?::bigint[]) AS u(k, o) WHERE n.key = u.k";
    LoadUserData = "SELECT d.user_data FROM call_ins c JOIN details d ON d.id = c.details
        WHERE c.tenant = ? AND c.id = ?";
}

/// A call with the keys of what it names.
struct Search<'a> {
    matching: &'a Matching,
    tenant: i64,
    group: Option<i64>,
    /// Number that was dialled, if requests were ever made on it.
    number: Option<i64>,
}

fn columns(keys: &[RowKey]) -> (Vec<i64>, Vec<&[u8]>) {
    keys.iter().map(|(tenant, id)| (*tenant, id.as_slice())).unzip()
}

impl Batch<'_> {
    pub(super) fn declare_call_in(&self, command: &CallInCommand, locks: &mut Locks) {
        let mut alone = |tenant: TenantId| locks.alone(Topic::CallIns, &[tenant.as_uuid().as_bytes()]);
        match command {
            CallInCommand::Open(open) => {
                alone(open.opening.tenant);
                locks.key(open.opening.tenant, Operation::CallIn, open.opening.idempotency.as_ref());
            }
            CallInCommand::Match(matching) => {
                alone(matching.tenant);
                locks.key(matching.tenant, Operation::Match, matching.idempotency.as_ref());
            }
            CallInCommand::Cancel { tenant, .. } => alone(*tenant),
            CallInCommand::Tidy(tidy) => tidy.tenants.iter().copied().for_each(alone),
        }
    }

    pub(super) async fn call_in(&mut self, command: &CallInCommand) -> Sql<CallInOutcome> {
        match command {
            CallInCommand::Open(open) => self.open_call_in(open).await,
            CallInCommand::Match(matching) => self.match_call_in(matching).await,
            CallInCommand::Cancel { tenant, id, at } => self.cancel_call_in(*tenant, *id, *at).await,
            CallInCommand::Tidy(tidy) => self.tidy_call_ins(tidy).await,
        }
    }

    async fn match_call_in(&mut self, matching: &Matching) -> Sql<CallInOutcome> {
        let nobody = Ok(CallInOutcome::Nobody { dnis_waits: false });
        let Some(tenant) = self.names.known_tenant(matching.tenant) else { return nobody };
        let idempotency = matching.idempotency.as_ref();
        let keyed = Keyed { tenant, operation: Operation::Match, idempotency, at: matching.at };
        match self.known_key(&keyed).await? {
            Known::Not => {}
            Known::Made(id) => return self.known_call_in(tenant, id.as_bytes()).await,
            Known::Gone => return Ok(CallInOutcome::Known(None)),
            Known::Reused => return Ok(CallInOutcome::KeyReused),
        }
        let mut search = Search { matching, tenant, group: None, number: None };
        if let Some(group) = &matching.group {
            let binds = [tenant.into(), group.as_str().into()];
            let Some((key,)) = first::<FindGroup, (i64,)>(self.connection, &binds).await? else { return nobody };
            search.group = Some(key);
        }
        if let Some(dialled) = matching.call.dnis.value() {
            let binds = [tenant.into(), stored_number(dialled).into()];
            search.number = first::<FindNumber, (i64,)>(self.connection, &binds).await?.map(|(key,)| key);
        }
        let Some((id, criteria)) = self.recognise(&search).await? else {
            return Ok(CallInOutcome::Nobody { dnis_waits: self.dnis_waits(&search).await? });
        };
        let at = millis(matching.at);
        let binds = [at.into(), i64::from(criteria.code()).into(), tenant.into(), id.as_slice().into(), at.into()];
        if execute::<Win>(self.connection, &binds).await? == 0 {
            // It was found waiting in this transaction, and nobody else writes about call-ins of this tenant.
            return Err(SqlError::Again("a call-in has ended since it was found"));
        }
        self.remember_key(&keyed, &id).await?;
        self.known_call_in(tenant, &id).await
    }

    /// The request that the call is recognised as, and by what: the order of [`domain::call_in::Call::best`].
    async fn recognise(&mut self, search: &Search<'_>) -> Sql<Option<(Vec<u8>, Criteria)>> {
        for step in search.matching.call.steps() {
            let mut oldest: Option<(Vec<u8>, Criteria)> = None;
            for criteria in step {
                let Some(id) = self.find_by(search, criteria).await? else { continue };
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
    async fn find_by(&mut self, search: &Search<'_>, criteria: Criteria) -> Sql<Option<Vec<u8>>> {
        let by_number = criteria.has(Criterion::Dnis);
        if by_number && search.number.is_none() {
            return Ok(None);
        }
        let (tenant, group, at) = (search.tenant.into(), search.group.into(), millis(search.matching.at).into());
        let number: Bind<'_> = search.number.filter(|_| by_number).into();
        let Proof { code, caller } = Proof::of(&search.matching.call, criteria);
        let found: Option<(Vec<u8>,)> = match (code, caller) {
            (Some(code), caller) => {
                let binds = [tenant, code.into(), caller.into(), number, group, at];
                first::<ByCode, _>(self.connection, &binds).await?
            }
            (None, Some(caller)) => {
                first::<ByCaller, _>(self.connection, &[tenant, caller.into(), number, group, at]).await?
            }
            (None, None) => return self.find_by_number_alone(search).await,
        };
        Ok(found.map(|(id,)| id))
    }

    async fn find_by_number_alone(&mut self, search: &Search<'_>) -> Sql<Option<Vec<u8>>> {
        let mut oldest: Option<Vec<u8>> = None;
        for marks in search.matching.call.marks_by_dnis_alone() {
            let binds = [
                search.number.into(),
                i64::from(marks.code()).into(),
                search.tenant.into(),
                search.group.into(),
                millis(search.matching.at).into(),
            ];
            let found: Option<(Vec<u8>,)> = first::<ByNumber, _>(self.connection, &binds).await?;
            oldest = match (oldest, found) {
                (Some(oldest), Some((id,))) => Some(oldest.min(id)),
                (oldest, found) => oldest.or(found.map(|(id,)| id)),
            };
        }
        Ok(oldest)
    }

    async fn dnis_waits(&mut self, search: &Search<'_>) -> Sql<bool> {
        let Some(number) = search.number else { return Ok(false) };
        let binds = [number.into(), search.group.into(), millis(search.matching.at).into()];
        Ok(first::<WaitsOnNumber, (i64,)>(self.connection, &binds).await?.is_some())
    }

    async fn cancel_call_in(&mut self, tenant: TenantId, id: CallInId, at: DateTime<Utc>) -> Sql<CallInOutcome> {
        let Some(tenant) = self.names.known_tenant(tenant) else { return Ok(CallInOutcome::Known(None)) };
        let (uuid, at) = (id.as_uuid(), millis(at));
        let binds = [at.into(), tenant.into(), uuid.as_bytes().as_slice().into(), at.into()];
        match execute::<Withdraw>(self.connection, &binds).await? {
            0 => self.known_call_in(tenant, uuid.as_bytes()).await,
            _ => Ok(CallInOutcome::Withdrawn),
        }
    }

    async fn tidy_call_ins(&mut self, tidy: &Tidy) -> Sql<CallInOutcome> {
        if !tidy.expired.is_empty() {
            let (tenants, ids) = columns(&tidy.expired);
            let binds = [tenants.as_slice().into(), ids.as_slice().into(), millis(tidy.at).into()];
            let numbers: Vec<(i64,)> = rows::<Expire, _>(self.connection, &binds).await?;
            self.fewer_open(&numbers).await?;
        }
        if !tidy.ended.is_empty() {
            let (tenants, ids) = columns(&tidy.ended);
            let binds = [tenants.as_slice().into(), ids.as_slice().into()];
            let gone: Vec<(Option<i64>,)> = rows::<RemoveEnded, _>(self.connection, &binds).await?;
            let details: Vec<i64> = gone.into_iter().filter_map(|(details,)| details).collect();
            execute::<RemoveDetails>(self.connection, &[details.as_slice().into()]).await?;
        }
        Ok(CallInOutcome::Tidied)
    }

    /// A request as it is now, with its packed user data.
    async fn known_call_in(&mut self, tenant: i64, id: &[u8]) -> Sql<CallInOutcome> {
        let binds = [tenant.into(), id.into()];
        let Some(row) = first::<LoadCallIn, CallInRow>(self.connection, &binds).await? else {
            return Ok(CallInOutcome::Known(None));
        };
        let data: Option<(Option<Vec<u8>>,)> = first::<LoadUserData, _>(self.connection, &binds).await?;
        Ok(CallInOutcome::Known(Some((row, data.and_then(|(packed,)| packed)))))
    }

    /// One request less waits on each of the numbers, as often as each is named.
    pub(super) async fn fewer_open(&mut self, numbers: &[(i64,)]) -> Sql<()> {
        let mut fewer: BTreeMap<i64, i64> = BTreeMap::new();
        for (number,) in numbers {
            *fewer.entry(*number).or_default() += 1;
        }
        if fewer.is_empty() {
            return Ok(());
        }
        let (keys, counts): (Vec<i64>, Vec<i64>) = fewer.into_iter().unzip();
        execute::<FewerOpen>(self.connection, &[keys.as_slice().into(), counts.as_slice().into()]).await.map(drop)
    }
}
