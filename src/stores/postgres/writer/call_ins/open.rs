//! Opening a request: number and code are chosen by the domain's rules over what waits in the table.
//!
//! The rules ask, and cannot wait for an answer: what they ask first is read before, and a question that is not answered
//! yet ends the choice. It is answered then, and the choice made anew.

use std::collections::{BTreeMap, HashMap};

use domain::call_in::{Marks, OpenRequests, Place, choose};
use domain::ids::CallInGroupName;
use domain::numbers::PhoneNumber;
use domain::ports::Opening;

use super::super::super::call_ins::FindGroup;
use super::super::super::errors::{Sql, SqlError};
use super::super::super::statement::{Bind, execute, first, rows, statements};
use super::super::Batch;
use crate::stores::command::call_ins::{CallInOutcome, Open};
use crate::stores::idempotency::{Keyed, Known, Operation};
use crate::stores::rows::{millis, stored_number};

/// So many new requests of a batch share the statement that writes down that others have expired,
const OPENED_TOGETHER: u32 = 32;

/// which are more than those, so that they never pile up.
const EXPIRED_AT_ONCE: i64 = 64;

statements! {
    LookByCaller = "SELECT n.phone, n.key, n.open, EXISTS (SELECT 1 FROM call_ins c WHERE c.state = 0
            AND c.tenant = n.tenant AND c.caller = ? AND c.number = n.key AND c.expires_at > ?)
        FROM call_in_numbers n WHERE n.tenant = ? AND n.phone = ANY (?::bigint[])";
    LookForUnmarked = "SELECT n.phone, n.key, n.open, EXISTS (SELECT 1 FROM call_ins c WHERE c.state = 0
            AND c.number = n.key AND c.marks = 0 AND c.expires_at > ?)
        FROM call_in_numbers n WHERE n.tenant = ? AND n.phone = ANY (?::bigint[])";
    // Those whose time is over still hold theirs.
    HeldCodes = "SELECT code, expires_at > ? FROM call_ins
        WHERE state = 0 AND tenant = ? AND code = ANY (?::bigint[]) AND number = ?";
    // In the order of the index that it is meant to walk through.
    TakenCodes = "SELECT code FROM call_ins
        WHERE state = 0 AND tenant = ? AND code >= ? AND code <= ? AND number = ? AND expires_at > ?
        ORDER BY tenant, code, number LIMIT 256";
    ExpireOldest = "UPDATE call_ins c SET state = 2 FROM
        (SELECT tenant, id FROM call_ins WHERE tenant = ? AND state = 0 AND expires_at <= ?
        ORDER BY expires_at LIMIT ?) o WHERE c.tenant = o.tenant AND c.id = o.id RETURNING c.number";
    AddGroup = "INSERT INTO call_in_groups (tenant, name) VALUES (?, ?) RETURNING key";
    AddNumber = "INSERT INTO call_in_numbers (tenant, phone, open) VALUES (?, ?, 0) RETURNING key";
    // Whoever still holds what was found free has expired.
    ClearCode = "UPDATE call_ins SET state = 2 WHERE state = 0 AND tenant = ? AND code = ? AND number = ?
        RETURNING number";
    ClearCaller = "UPDATE call_ins SET state = 2 WHERE state = 0 AND code IS NULL AND number = ?
        AND coalesce(caller, 0) = ? RETURNING number";
    AddUserData = "INSERT INTO details (user_data) VALUES (?) RETURNING id";
    InsertCallIn = "WITH more AS (UPDATE call_in_numbers SET open = open + 1 WHERE key = ?)
        INSERT INTO call_ins (tenant, id, state, grp, number, marks, code, caller, created_at, expires_at,
        ended_at, criteria, callback, details) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, NULL, 0, ?, ?)";
}

/// What one batch knows of call-ins already.
#[derive(Default)]
pub(in crate::stores::postgres::writer) struct Remembered {
    /// Keys of groups by tenant and name.
    groups: HashMap<(i64, CallInGroupName), i64>,
    /// Requests opened, by tenant.
    opened: HashMap<i64, u32>,
}

/// A number on which requests were made before.
struct Used {
    key: i64,
    open: i64,
    /// Another request waits there that is told from this one by nothing but a code.
    is_crowded: bool,
}

/// What waits on the numbers of a group, as far as it was asked.
struct Waiting {
    numbers: HashMap<u64, Used>,
    /// Codes that may be asked about.
    codes: Vec<i64>,
    /// Those of them that are held, by number, and whether they are taken: else the time of who holds them is over.
    held: HashMap<u64, BTreeMap<u32, bool>>,
    /// By number, taken code and last code.
    free: HashMap<(u64, u32, u32), Option<u32>>,
}

/// What the rules want to know next.
enum Question {
    /// Which codes are taken.
    Codes { number: PhoneNumber, key: i64 },
    /// The first free code above one that is taken.
    Free { number: PhoneNumber, key: i64, taken: u32, last: u32 },
}

impl OpenRequests for Waiting {
    type Error = Question;

    fn load(&mut self, number: PhoneNumber) -> Result<u64, Question> {
        let used = self.numbers.get(&number.digits());
        Ok(used.and_then(|used| u64::try_from(used.open).ok()).unwrap_or_default())
    }

    fn has_caller(&mut self, number: PhoneNumber, _: PhoneNumber) -> Result<bool, Question> {
        self.has_unmarked(number)
    }

    fn has_unmarked(&mut self, number: PhoneNumber) -> Result<bool, Question> {
        Ok(self.numbers.get(&number.digits()).is_some_and(|used| used.is_crowded))
    }

    fn has_code(&mut self, number: PhoneNumber, code: u32) -> Result<bool, Question> {
        let Some(Used { key, .. }) = self.numbers.get(&number.digits()) else { return Ok(false) };
        match self.held.get(&number.digits()) {
            Some(held) => Ok(held.get(&code).copied().unwrap_or_default()),
            None => Err(Question::Codes { number, key: *key }),
        }
    }

    fn free_code_above(&mut self, number: PhoneNumber, taken: u32, last: u32) -> Result<Option<u32>, Question> {
        let Some(Used { key, .. }) = self.numbers.get(&number.digits()) else { return Ok(None) };
        match self.free.get(&(number.digits(), taken, last)) {
            Some(code) => Ok(*code),
            None => Err(Question::Free { number, key: *key, taken, last }),
        }
    }
}

impl Waiting {
    /// Whether somebody whose time is over may hold what was found free.
    fn may_be_held(&self, place: Place) -> bool {
        let Some(code) = place.code.filter(|code| self.codes.contains(&i64::from(*code))) else { return true };
        self.held.get(&place.number.digits()).is_some_and(|held| held.contains_key(&code))
    }
}

impl Batch<'_> {
    /// Key and choice, which can refuse, come before the first write of the request itself.
    pub(super) async fn open_call_in(&mut self, open: &Open) -> Sql<CallInOutcome> {
        let opening = &open.opening;
        let tenant = self.names.known_tenant(opening.tenant);
        let tenant = tenant.ok_or_else(|| SqlError::Unreadable("a tenant has no number".to_owned()))?;
        let idempotency = opening.idempotency.as_ref();
        let keyed = Keyed { tenant, operation: Operation::CallIn, idempotency, at: opening.at };
        match self.known_key(&keyed).await? {
            Known::Not => {}
            Known::Made(id) => return self.known_call_in(tenant, id.as_bytes()).await,
            Known::Gone => return Ok(CallInOutcome::Known(None)),
            Known::Reused => return Ok(CallInOutcome::KeyReused),
        }
        let mut waiting = self.waiting(tenant, open).await?;
        let place = loop {
            // Every answer is kept, so there are at most three questions for each number of the group.
            match choose(&opening.settings, opening.caller, &open.draws, &mut waiting) {
                Ok(place) => break place,
                Err(question) => self.answer(tenant, millis(opening.at), question, &mut waiting).await?,
            }
        };
        let Some(place) = place else { return Ok(CallInOutcome::NothingFree) };
        self.expire_oldest(tenant, millis(opening.at)).await?;
        let number = match waiting.numbers.get(&place.number.digits()) {
            Some(used) => {
                if waiting.may_be_held(place) {
                    self.clear(tenant, used.key, opening, place).await?;
                }
                used.key
            }
            None => self.add_number(tenant, place).await?,
        };
        self.insert_call_in(tenant, number, open, place).await?;
        self.remember_key(&keyed, opening.id.as_uuid().as_bytes()).await?;
        Ok(CallInOutcome::Opened { number: place.number.digits(), code: place.code })
    }

    /// What the rules ask about every number, and what they may ask about codes.
    async fn waiting(&mut self, tenant: i64, open: &Open) -> Sql<Waiting> {
        let opening = &open.opening;
        let phones: Vec<i64> = opening.settings.numbers.iter().map(|number| stored_number(*number)).collect();
        let (at, tenant, phones): (Bind<'_>, _, _) =
            (millis(opening.at).into(), tenant.into(), phones.as_slice().into());
        let found: Vec<(i64, i64, i64, bool)> = match opening.caller.map(stored_number) {
            Some(caller) => rows::<LookByCaller, _>(self.connection, &[caller.into(), at, tenant, phones]).await?,
            None => rows::<LookForUnmarked, _>(self.connection, &[at, tenant, phones]).await?,
        };
        let used = |(phone, key, open, is_crowded)| Some((u64::try_from(phone).ok()?, Used { key, open, is_crowded }));
        let codes = opening.settings.codes.as_ref().map_or_else(Vec::new, |codes| {
            let drawn = open.draws.iter().map(|word| i64::from(codes.draw(*word)));
            drawn.chain([i64::from(*codes.range().start())]).collect()
        });
        let numbers = found.into_iter().filter_map(used).collect();
        Ok(Waiting { numbers, codes, held: HashMap::new(), free: HashMap::new() })
    }

    async fn answer(&mut self, tenant: i64, at: i64, question: Question, waiting: &mut Waiting) -> Sql<()> {
        match question {
            Question::Codes { number, key } => {
                let binds = [at.into(), tenant.into(), waiting.codes.as_slice().into(), key.into()];
                let held: Vec<(i64, bool)> = rows::<HeldCodes, _>(self.connection, &binds).await?;
                let held = held.into_iter().filter_map(|(code, taken)| Some((u32::try_from(code).ok()?, taken)));
                waiting.held.insert(number.digits(), held.collect());
            }
            Question::Free { number, key, taken, last } => {
                let free = self.first_free(tenant, key, at, (taken, last)).await?;
                waiting.free.insert((number.digits(), taken, last), free);
            }
        }
        Ok(())
    }

    /// The first end of a row of taken codes: behind the first of two, and not behind the last.
    async fn first_free(&mut self, tenant: i64, key: i64, at: i64, (taken, last): (u32, u32)) -> Sql<Option<u32>> {
        let (mut next, last) = (i64::from(taken) + 1, i64::from(last));
        loop {
            let binds = [tenant.into(), next.into(), last.into(), key.into(), at.into()];
            let found: Vec<(i64,)> = rows::<TakenCodes, _>(self.connection, &binds).await?;
            let row = (next..).zip(&found).take_while(|(code, (taken,))| code == taken).count();
            next = next.saturating_add(i64::try_from(row).unwrap_or(i64::MAX));
            if row < found.len() || found.is_empty() {
                return Ok(u32::try_from(next).ok().filter(|_| next <= last));
            }
        }
    }

    /// Writes down that the oldest have expired, now and then.
    async fn expire_oldest(&mut self, tenant: i64, at: i64) -> Sql<()> {
        let opened = self.call_ins.opened.entry(tenant).or_default();
        let is_turn = opened.is_multiple_of(OPENED_TOGETHER);
        *opened = opened.saturating_add(1);
        if !is_turn {
            return Ok(());
        }
        let binds = [tenant.into(), at.into(), EXPIRED_AT_ONCE.into()];
        let expired: Vec<(i64,)> = rows::<ExpireOldest, _>(self.connection, &binds).await?;
        self.fewer_open(&expired).await
    }

    async fn add_number(&mut self, tenant: i64, place: Place) -> Sql<i64> {
        let binds = [tenant.into(), stored_number(place.number).into()];
        let added: Option<(i64,)> = first::<AddNumber, _>(self.connection, &binds).await?;
        added.map(|(key,)| key).ok_or_else(|| SqlError::Unreadable("a number has no key".to_owned()))
    }

    /// Takes away what has expired in a place.
    async fn clear(&mut self, tenant: i64, number: i64, opening: &Opening, place: Place) -> Sql<()> {
        let cleared: Vec<(i64,)> = match place.code {
            Some(code) => {
                let binds = [tenant.into(), i64::from(code).into(), number.into()];
                rows::<ClearCode, _>(self.connection, &binds).await?
            }
            None => {
                let caller = opening.caller.map_or(0, stored_number);
                rows::<ClearCaller, _>(self.connection, &[number.into(), caller.into()]).await?
            }
        };
        self.fewer_open(&cleared).await
    }

    /// Keeps a request, and counts it on its number.
    async fn insert_call_in(&mut self, tenant: i64, number: i64, open: &Open, place: Place) -> Sql<()> {
        let opening = &open.opening;
        let group = self.resolve_group(tenant, opening).await?;
        let details: Option<(i64,)> = match open.user_data.as_deref() {
            Some(packed) => first::<AddUserData, _>(self.connection, &[packed.into()]).await?,
            None => None,
        };
        let (id, callback) = (opening.id.as_uuid(), opening.callback.map(|id| id.as_uuid()));
        let binds = [
            number.into(),
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
            details.map(|(id,)| id).into(),
        ];
        execute::<InsertCallIn>(self.connection, &binds).await.map(drop)
    }

    async fn resolve_group(&mut self, tenant: i64, opening: &Opening) -> Sql<i64> {
        let name = (tenant, opening.group.clone());
        if let Some(key) = self.call_ins.groups.get(&name) {
            return Ok(*key);
        }
        let binds = [tenant.into(), opening.group.as_str().into()];
        let mut found: Option<(i64,)> = first::<FindGroup, _>(self.connection, &binds).await?;
        if found.is_none() {
            found = first::<AddGroup, _>(self.connection, &binds).await?;
        }
        let (key,) = found.ok_or_else(|| SqlError::Unreadable("a group has no key".to_owned()))?;
        self.call_ins.groups.insert(name, key);
        Ok(key)
    }
}
