//! Opening a request: number and code are chosen by the domain's rules over what waits in the table.

use std::collections::HashMap;

use diesel::sql_types::BigInt;
use diesel::{QueryResult, SqliteConnection};
use domain::call_in::{Marks, OpenRequests, Place, choose};
use domain::numbers::PhoneNumber;
use domain::ports::Opening;

use super::super::super::call_ins::Expired;
use super::super::super::names::FreshNames;
use super::super::super::rows::millis;
use super::super::super::statement::{execute, first, rows, statements};
use super::super::Writer;
use super::super::idempotency::{Keyed, Keys as _, Known, Operation};
use super::FindGroup;
use crate::stores::command::call_ins::{CallInOutcome, Open};
use crate::stores::rows::{RowKey, stored_number};

/// Requests whose time is over that each new one writes down: more than it adds, so that they never pile up.
const EXPIRED_AT_ONCE: i64 = 2;

statements! {
    LookAtNumber -> (BigInt, BigInt) = "SELECT key, open FROM call_in_numbers WHERE tenant = ? AND phone = ?";
    HasCaller -> (BigInt) = "SELECT 1 FROM call_ins INDEXED BY call_ins_caller
        WHERE state = 0 AND tenant = ? AND caller = ? AND number = ? AND expires_at > ? LIMIT 1";
    HasUnmarked -> (BigInt) = "SELECT 1 FROM call_ins INDEXED BY call_ins_number
        WHERE state = 0 AND number = ? AND marks = 0 AND expires_at > ? LIMIT 1";
    HasCode -> (BigInt) = "SELECT 1 FROM call_ins INDEXED BY call_ins_code
        WHERE state = 0 AND tenant = ? AND code = ? AND number = ? AND expires_at > ?";
    // The first end of a row of taken codes.
    FreeCode -> (BigInt) = "SELECT c.code + 1 FROM call_ins c INDEXED BY call_ins_code
        WHERE c.state = 0 AND c.tenant = ? AND c.code >= ? AND c.code < ? AND c.number = ? AND c.expires_at > ?
        AND NOT EXISTS (SELECT 1 FROM call_ins n INDEXED BY call_ins_code WHERE n.state = 0 AND n.tenant = c.tenant
            AND n.code = c.code + 1 AND n.number = c.number AND n.expires_at > ?)
        ORDER BY c.code LIMIT 1";
    AddGroup -> (BigInt) = "INSERT INTO call_in_groups (tenant, name) VALUES (?, ?) RETURNING key";
    OneMoreOpen -> (BigInt) = "INSERT INTO call_in_numbers (tenant, phone, open) VALUES (?, ?, 1)
        ON CONFLICT (tenant, phone) DO UPDATE SET open = open + 1 RETURNING key";
    // Whoever still holds what was found free has expired.
    ClearCode = "UPDATE call_ins INDEXED BY call_ins_code SET state = 2
        WHERE state = 0 AND tenant = ? AND code = ? AND number = ?";
    ClearCaller = "UPDATE call_ins INDEXED BY call_ins_caller_alone SET state = 2
        WHERE state = 0 AND code IS NULL AND number = ? AND ifnull(caller, 0) = ?";
    InsertCallIn = "INSERT INTO call_ins (tenant, id, state, grp, number, marks, code, caller, created_at, expires_at,
        ended_at, criteria, callback, details) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, NULL, 0, ?, ?)";
}

/// What waits on the numbers of a tenant.
struct Waiting<'a> {
    connection: &'a mut SqliteConnection,
    tenant: i64,
    at: i64,
    /// Key and load of the numbers that were asked about; none if no request was ever made on it.
    numbers: HashMap<u64, Option<(i64, i64)>>,
}

impl Waiting<'_> {
    fn number(&mut self, number: PhoneNumber) -> QueryResult<Option<(i64, i64)>> {
        if let Some(known) = self.numbers.get(&number.digits()) {
            return Ok(*known);
        }
        let binds = [self.tenant.into(), stored_number(number).into()];
        let found = first::<LookAtNumber, (i64, i64)>(self.connection, &binds)?;
        self.numbers.insert(number.digits(), found);
        Ok(found)
    }
}

impl OpenRequests for Waiting<'_> {
    type Error = diesel::result::Error;

    fn load(&mut self, number: PhoneNumber) -> QueryResult<u64> {
        Ok(self.number(number)?.and_then(|(_, open)| u64::try_from(open).ok()).unwrap_or_default())
    }

    fn has_caller(&mut self, number: PhoneNumber, caller: PhoneNumber) -> QueryResult<bool> {
        let Some((key, _)) = self.number(number)? else { return Ok(false) };
        let binds = [self.tenant.into(), stored_number(caller).into(), key.into(), self.at.into()];
        Ok(first::<HasCaller, (i64,)>(self.connection, &binds)?.is_some())
    }

    fn has_unmarked(&mut self, number: PhoneNumber) -> QueryResult<bool> {
        let Some((key, _)) = self.number(number)? else { return Ok(false) };
        Ok(first::<HasUnmarked, (i64,)>(self.connection, &[key.into(), self.at.into()])?.is_some())
    }

    fn has_code(&mut self, number: PhoneNumber, code: u32) -> QueryResult<bool> {
        let Some((key, _)) = self.number(number)? else { return Ok(false) };
        let binds = [self.tenant.into(), i64::from(code).into(), key.into(), self.at.into()];
        Ok(first::<HasCode, (i64,)>(self.connection, &binds)?.is_some())
    }

    fn free_code_above(&mut self, number: PhoneNumber, taken: u32, last: u32) -> QueryResult<Option<u32>> {
        let Some((key, _)) = self.number(number)? else { return Ok(None) };
        let (taken, last) = (i64::from(taken).into(), i64::from(last).into());
        let binds = [self.tenant.into(), taken, last, key.into(), self.at.into(), self.at.into()];
        let found = first::<FreeCode, (i64,)>(self.connection, &binds)?;
        Ok(found.and_then(|(code,)| u32::try_from(code).ok()))
    }
}

impl Writer {
    /// Key and choice, which can refuse, come before the first write of the request itself.
    pub(super) fn open_call_in(&mut self, open: &Open) -> QueryResult<CallInOutcome> {
        let opening = &open.opening;
        let tenant = FreshNames::resolve_tenant(&mut self.connection, opening.tenant)?;
        let keyed =
            Keyed { tenant, operation: Operation::CallIn, idempotency: opening.idempotency.as_ref(), at: opening.at };
        match keyed.find(&mut self.connection)? {
            Known::Not => {}
            Known::Made(id) => return self.known_call_in(tenant, id.as_bytes()),
            Known::Gone => return Ok(CallInOutcome::Known(None)),
            Known::Reused => return Ok(CallInOutcome::KeyReused),
        }
        let at = millis(opening.at);
        let mut waiting = Waiting { connection: &mut self.connection, tenant, at, numbers: HashMap::new() };
        let place = choose(&opening.settings, opening.caller, &open.draws, &mut waiting)?;
        let Some(place) = place else { return Ok(CallInOutcome::NothingFree) };
        let id = opening.id.as_uuid();
        self.expire_oldest(at)?;
        let number = self.take_place(tenant, opening, place)?;
        self.insert(tenant, number, open, place)?;
        keyed.remember(&mut self.connection, id.as_bytes())?;
        Ok(CallInOutcome::Opened { number: place.number.digits(), code: place.code })
    }

    fn expire_oldest(&mut self, at: i64) -> QueryResult<()> {
        let found: Vec<RowKey> = rows::<Expired, _>(&mut self.connection, &[at.into(), EXPIRED_AT_ONCE.into()])?;
        found.iter().try_for_each(|key| self.expire_call_in(key, at))
    }

    /// Counts the request on its number and takes away what has expired in its place; the key of the number.
    fn take_place(&mut self, tenant: i64, opening: &Opening, place: Place) -> QueryResult<i64> {
        let binds = [tenant.into(), stored_number(place.number).into()];
        let number = first::<OneMoreOpen, (i64,)>(&mut self.connection, &binds)?;
        let (number,) = number.ok_or(diesel::result::Error::NotFound)?;
        let cleared = match place.code {
            Some(code) => {
                let binds = [tenant.into(), i64::from(code).into(), number.into()];
                execute::<ClearCode>(&mut self.connection, &binds)?
            }
            None => {
                let caller = opening.caller.map_or(0, stored_number);
                execute::<ClearCaller>(&mut self.connection, &[number.into(), caller.into()])?
            }
        };
        if let Ok(cleared @ 1..) = i64::try_from(cleared) {
            self.fewer_open(number, cleared)?;
        }
        Ok(number)
    }

    fn insert(&mut self, tenant: i64, number: i64, open: &Open, place: Place) -> QueryResult<()> {
        let opening = &open.opening;
        let group = self.resolve_group(tenant, opening)?;
        let details = self.add_details(None, open.user_data.as_deref())?;
        let (id, callback) = (opening.id.as_uuid(), opening.callback.map(|id| id.as_uuid()));
        let binds = [
            tenant.into(),
            id.as_bytes().as_slice().into(),
            group.into(),
            number.into(),
            i64::from(Marks::of(place.code, opening.caller).code()).into(),
            place.code.map(i64::from).into(),
            opening.caller.map(stored_number).into(),
            millis(opening.at).into(),
            millis(opening.at + opening.settings.expiry).into(),
            callback.as_ref().map(|id| id.as_bytes().as_slice()).into(),
            details.into(),
        ];
        execute::<InsertCallIn>(&mut self.connection, &binds).map(|_| ())
    }

    fn resolve_group(&mut self, tenant: i64, opening: &Opening) -> QueryResult<i64> {
        let binds = [tenant.into(), opening.group.as_str().into()];
        if let Some((key,)) = first::<FindGroup, (i64,)>(&mut self.connection, &binds)? {
            return Ok(key);
        }
        let added = first::<AddGroup, (i64,)>(&mut self.connection, &binds)?;
        added.map(|(key,)| key).ok_or(diesel::result::Error::NotFound)
    }
}
