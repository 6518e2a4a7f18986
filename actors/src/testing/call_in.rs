//! Call-in requests in memory, with the outcomes that the real stores promise.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::call_in::{CallIn, Criteria, Criterion, OpenRequests, State, choose};
use domain::callback::Idempotency;
use domain::ids::{CallInId, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{
    CallInOrder, CallInPage, CallInQuery, CallInStore, MatchOutcome, Matched, Matching, Opened, Opening, StoreError,
    Withdrawn, Won,
};

use super::{Fault, Faults, Op};

struct Row {
    tenant: TenantId,
    call_in: CallIn,
    user_data: Option<String>,
}

/// Tenant, what the key is for, key.
type Key = (TenantId, Op, [u8; 16]);

#[derive(Default)]
struct Tables {
    rows: BTreeMap<CallInId, Row>,
    keys: HashMap<Key, ([u8; 16], CallInId)>,
    draws: u64,
}

/// The store. Its codes are drawn by counting.
pub struct FakeCallIns {
    faults: Arc<Faults>,
    tables: Mutex<Tables>,
}

impl FakeCallIns {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self { faults, tables: Mutex::default() }
    }

    /// Every request as it was last written, by id.
    pub fn all(&self) -> Vec<CallIn> {
        self.tables().rows.values().map(|row| row.call_in.clone()).collect()
    }

    /// Removes every request, as an erasure does; keys stay.
    pub fn erase(&self) {
        self.tables().rows.clear();
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("never poisoned")
    }

    /// Runs a command unless told otherwise.
    async fn run<T>(&self, op: Op, command: impl FnOnce(&mut Tables) -> T + Send) -> Result<T, StoreError> {
        match self.faults.pass(op).await {
            None => Ok(command(&mut self.tables())),
            Some(Fault::PerhapsDone) => {
                command(&mut self.tables());
                Err(Fault::PerhapsDone.as_store_error())
            }
            Some(fault) => Err(fault.as_store_error()),
        }
    }
}

/// What waits of one tenant.
struct Waiting(Vec<CallIn>);

impl Waiting {
    fn on(&self, number: PhoneNumber) -> impl Iterator<Item = &CallIn> {
        self.0.iter().filter(move |it| it.number == number)
    }
}

impl OpenRequests for Waiting {
    type Error = Infallible;

    fn load(&mut self, number: PhoneNumber) -> Result<u64, Infallible> {
        Ok(self.on(number).count() as u64)
    }

    fn has_caller(&mut self, number: PhoneNumber, caller: PhoneNumber) -> Result<bool, Infallible> {
        Ok(self.on(number).any(|it| it.caller == Some(caller)))
    }

    fn has_unmarked(&mut self, number: PhoneNumber) -> Result<bool, Infallible> {
        Ok(self.on(number).any(|it| it.caller.is_none() && it.code.is_none()))
    }

    fn has_code(&mut self, number: PhoneNumber, code: u32) -> Result<bool, Infallible> {
        Ok(self.on(number).any(|it| it.code == Some(code)))
    }

    fn free_code_above(&mut self, number: PhoneNumber, taken: u32, last: u32) -> Result<Option<u32>, Infallible> {
        Ok((taken + 1..=last).find(|code| self.has_code(number, *code) == Ok(false)))
    }
}

impl Tables {
    fn waiting(&self, tenant: TenantId, at: DateTime<Utc>) -> Waiting {
        let of_tenant = self.rows.values().filter(|row| row.tenant == tenant).map(|row| &row.call_in);
        Waiting(of_tenant.filter(|it| it.state.at(it.expires_at, at) == State::Waiting).cloned().collect())
    }

    /// What the key made; an error if it came with another body.
    fn known(&self, tenant: TenantId, op: Op, key: Option<Idempotency>) -> Result<Option<CallInId>, ()> {
        let Some(key) = key else { return Ok(None) };
        match self.keys.get(&(tenant, op, key.key)) {
            None => Ok(None),
            Some((body, id)) if *body == key.body => Ok(Some(*id)),
            Some(_) => Err(()),
        }
    }

    fn remember(&mut self, tenant: TenantId, op: Op, key: Option<Idempotency>, id: CallInId) {
        if let Some(key) = key {
            self.keys.insert((tenant, op, key.key), (key.body, id));
        }
    }

    fn open(&mut self, opening: Opening) -> Opened {
        match self.known(opening.tenant, Op::OpenCallIn, opening.idempotency) {
            Err(()) => return Opened::KeyReused,
            Ok(Some(id)) => {
                return self.rows.get(&id).map_or(Opened::Gone, |row| Opened::Existing(row.call_in.clone()));
            }
            Ok(None) => {}
        }
        self.draws += 1;
        let mut waiting = self.waiting(opening.tenant, opening.at);
        let words = [self.draws << 40];
        let Ok(place) = choose(&opening.settings, opening.caller, &words, &mut waiting);
        let Some(place) = place else { return Opened::NothingFree };
        let call_in = CallIn {
            id: opening.id,
            group: opening.group,
            number: place.number,
            code: place.code,
            caller: opening.caller,
            callback: opening.callback,
            created_at: opening.at,
            expires_at: opening.at + opening.settings.expiry,
            ended_at: None,
            state: State::Waiting,
            criteria: Criteria::NONE,
        };
        self.remember(opening.tenant, Op::OpenCallIn, opening.idempotency, opening.id);
        let row = Row { tenant: opening.tenant, call_in: call_in.clone(), user_data: opening.user_data };
        self.rows.insert(opening.id, row);
        Opened::New(call_in)
    }

    fn won(&self, id: CallInId) -> MatchOutcome {
        let won = self.rows.get(&id).map(|row| Won { call_in: row.call_in.clone(), user_data: row.user_data.clone() });
        won.map_or(MatchOutcome::Gone, |won| MatchOutcome::Answer(Matched::Won(Box::new(won))))
    }

    fn match_call(&mut self, matching: &Matching) -> MatchOutcome {
        match self.known(matching.tenant, Op::MatchCallIn, matching.idempotency) {
            Err(()) => return MatchOutcome::KeyReused,
            Ok(Some(id)) => return self.won(id),
            Ok(None) => {}
        }
        let mut waiting = self.waiting(matching.tenant, matching.at).0;
        waiting.retain(|it| matching.group.as_ref().is_none_or(|group| it.group == *group));
        let best = matching.call.best(&waiting).map(|(it, criteria)| (it.id, criteria));
        let Some((id, criteria)) = best else {
            let dialled = waiting.iter().any(|it| matching.call.fitting(it).has(Criterion::Dnis));
            return MatchOutcome::Answer(Matched::Nobody(Criteria::NONE.with(Criterion::Dnis, dialled)));
        };
        if let Some(row) = self.rows.get_mut(&id) {
            row.call_in.state = State::Matched;
            row.call_in.ended_at = Some(matching.at);
            row.call_in.criteria = criteria;
        }
        self.remember(matching.tenant, Op::MatchCallIn, matching.idempotency, id);
        self.won(id)
    }

    fn cancel(&mut self, tenant: TenantId, id: CallInId, at: DateTime<Utc>) -> Withdrawn {
        let row = self.rows.get_mut(&id).filter(|row| row.tenant == tenant);
        let Some(CallIn { state, expires_at, ended_at, .. }) = row.map(|row| &mut row.call_in) else {
            return Withdrawn::NotFound;
        };
        match state.at(*expires_at, at) {
            State::Waiting => {
                *state = State::Cancelled;
                *ended_at = Some(at);
                Withdrawn::Done
            }
            State::Cancelled => Withdrawn::Done,
            other => Withdrawn::NotWaiting(other),
        }
    }

    fn list(&self, tenant: TenantId, query: &CallInQuery, at: DateTime<Utc>) -> CallInPage {
        let of_tenant = self.rows.values().filter(|row| row.tenant == tenant).map(|row| row.call_in.clone());
        let mut all: Vec<CallIn> = of_tenant
            .map(|it| CallIn { state: it.state.at(it.expires_at, at), ..it })
            .filter(|it| query.state.is_none_or(|state| it.state == state))
            .filter(|it| query.group.as_ref().is_none_or(|group| it.group == *group))
            .filter(|it| query.caller.is_none_or(|caller| it.caller == Some(caller)))
            .collect();
        let total = all.len() as u64;
        if query.order == CallInOrder::NewestFirst {
            all.reverse();
        }
        if let Some(after) = query.after {
            all.retain(|it| match query.order {
                CallInOrder::NewestFirst => it.id < after,
                CallInOrder::OldestFirst => it.id > after,
            });
        }
        let more = all.len() > query.limit;
        all.truncate(query.limit);
        let next = all.last().filter(|_| more).map(|it| it.id);
        CallInPage { call_ins: all, next, total, total_is_complete: true }
    }
}

#[async_trait]
impl CallInStore for FakeCallIns {
    async fn open_call_in(&self, opening: Opening) -> Result<Opened, StoreError> {
        self.run(Op::OpenCallIn, |tables| tables.open(opening)).await
    }

    async fn match_call_in(&self, matching: Matching) -> Result<MatchOutcome, StoreError> {
        self.run(Op::MatchCallIn, |tables| tables.match_call(&matching)).await
    }

    async fn cancel_call_in(&self, tenant: TenantId, id: CallInId, at: DateTime<Utc>) -> Result<Withdrawn, StoreError> {
        self.run(Op::CancelCallIn, |tables| tables.cancel(tenant, id, at)).await
    }

    async fn call_ins(
        &self,
        tenant: TenantId,
        query: CallInQuery,
        at: DateTime<Utc>,
    ) -> Result<CallInPage, StoreError> {
        self.run(Op::ListCallIns, |tables| tables.list(tenant, &query, at)).await
    }
}
