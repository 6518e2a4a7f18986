//! What steps mean to the outside, written with them: happenings, and the notices that are owed of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::callback::{Callback, Reason, State};
use domain::happening::Announcement;

use super::super::super::errors::{Sql, SqlError};
use super::super::super::names::QueueKey;
use super::super::super::statement::{execute, rows, statements};
use super::super::Batch;
use crate::stores::command::notices::{PUSH_LANE, WEBHOOK_LANE};
use crate::stores::rows::{implied_code, millis};

statements! {
    // Tenants in their order, as everybody takes their heads. Held until the commit, so places rise with commits.
    NextPlaces = "INSERT INTO happening_heads AS h (tenant, last)
        SELECT t, n FROM unnest(?::bigint[], ?::bigint[]) AS u(t, n) ORDER BY t
        ON CONFLICT (tenant) DO UPDATE SET last = h.last + excluded.last RETURNING tenant, last";
    AddHappenings = "INSERT INTO happenings (tenant, seq, kind, at, callback, queue, version, state, implied, note)
        SELECT * FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bytea[], ?::bigint[], ?::bigint[],
        ?::bigint[], ?::bigint[], ?::text[])";
    FindLanes = "SELECT u.n, l.key, l.disabled_at IS NOT NULL
        FROM unnest(?::bigint[], ?::bigint[], ?::text[]) WITH ORDINALITY AS u(tenant, kind, name, n)
        JOIN lanes l ON l.tenant = u.tenant AND l.kind = u.kind AND l.name = u.name";
    AddLanes = "INSERT INTO lanes (tenant, kind, name) SELECT * FROM unnest(?::bigint[], ?::bigint[], ?::text[])
        ON CONFLICT (tenant, kind, name) DO NOTHING";
    // An earlier one about the same callback comes first: this one then waits without an instant of its own.
    OweMessages = "INSERT INTO notices (lane, seq, target, callback, ending, attempts, wake_at)
        SELECT u.lane, u.seq, 0, u.callback, 0, 0, CASE WHEN EXISTS
            (SELECT 1 FROM notices n WHERE n.callback = u.callback AND n.lane = u.lane AND n.ending = 0)
            THEN NULL ELSE u.wake_at END
        FROM unnest(?::bigint[], ?::bigint[], ?::bytea[], ?::bigint[]) AS u(lane, seq, callback, wake_at)";
    // A newer notification says more than those that nobody has begun to send. Who has one locked begins with it.
    Supersede = "WITH older AS (
            SELECT n.lane, n.seq, n.target FROM unnest(?::bytea[], ?::bigint[]) AS u(callback, lane)
            JOIN notices n ON n.callback = u.callback AND n.lane = u.lane
            WHERE n.ending = 0 AND n.owner IS NULL FOR UPDATE OF n SKIP LOCKED
        ) UPDATE notices n SET ending = 4, wake_at = NULL FROM older o
        WHERE n.lane = o.lane AND n.seq = o.seq AND n.target = o.target";
    OwePushes = "INSERT INTO notices (lane, seq, target, callback, ending, attempts, wake_at, expires_at)
        SELECT u.lane, u.seq, t.target, u.callback, 0, 0, u.wake_at, u.expires_at
        FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bytea[], ?::bigint[], ?::bigint[])
            AS u(lane, seq, targets, callback, wake_at, expires_at)
        CROSS JOIN LATERAL generate_series(0, u.targets - 1) AS t(target)";
}

/// What a step means to the outside.
pub(in crate::stores::postgres::writer) struct Announced {
    pub(in crate::stores::postgres::writer) key: QueueKey,
    /// As the step leaves it.
    pub(in crate::stores::postgres::writer) callback: Callback,
    pub(in crate::stores::postgres::writer) implied: Vec<State>,
    pub(in crate::stores::postgres::writer) announcement: Announcement,
    pub(in crate::stores::postgres::writer) at: DateTime<Utc>,
}

/// The same with its place in the feed.
struct Placed<'a> {
    seq: i64,
    /// Of the callback.
    id: [u8; 16],
    of: &'a Announced,
}

/// Tenant, kind, name.
type LaneName<'a> = (i64, i64, &'a str);

#[derive(Clone, Copy)]
struct Lane {
    key: i64,
    is_disabled: bool,
}

/// One message to an endpoint.
struct Message<'a> {
    lane: i64,
    seq: i64,
    callback: Option<&'a [u8]>,
    at: i64,
}

impl Placed<'_> {
    fn messages<'a>(&'a self, lanes: &'a BTreeMap<LaneName<'a>, Lane>) -> impl Iterator<Item = Message<'a>> {
        let lane = |name: &'a String| lanes.get(&(self.of.key.tenant, WEBHOOK_LANE, name.as_str()));
        let told = self.of.announcement.endpoints.iter().filter_map(lane).filter(|lane| !lane.is_disabled);
        told.map(|lane| Message { lane: lane.key, seq: self.seq, callback: Some(&self.id), at: millis(self.of.at) })
    }
}

/// How many from the first on are about a callback each of its own.
fn length_of_part(placed: &[Placed<'_>]) -> usize {
    let mut seen = BTreeSet::new();
    placed.iter().take_while(|it| seen.insert(it.id)).count()
}

impl Batch<'_> {
    /// Writes what steps mean to the outside, in their own transaction and in their order: a bounded number of
    /// statements however many there are. It comes last in a run of steps, as it takes the heads of tenants.
    pub(in crate::stores::postgres::writer) async fn announce(&mut self, announced: &[Announced]) -> Sql<()> {
        if announced.is_empty() {
            return Ok(());
        }
        let placed = self.placed(announced).await?;
        self.add_happenings(&placed).await?;
        let mut wanted = BTreeSet::new();
        for it in announced {
            let endpoints = it.announcement.endpoints.iter();
            wanted.extend(endpoints.map(|name| (it.key.tenant, WEBHOOK_LANE, name.as_str())));
            wanted.extend(it.announcement.push.map(|_| (it.key.tenant, PUSH_LANE, "")));
        }
        let lanes = self.lanes(wanted).await?;
        // What one of them means to another about the same callback is seen by a statement of its own.
        let mut rest = placed.as_slice();
        while !rest.is_empty() {
            let (part, others) = rest.split_at(length_of_part(rest));
            let messages: Vec<Message<'_>> = part.iter().flat_map(|it| it.messages(&lanes)).collect();
            self.owe(&messages).await?;
            self.owe_pushes(part, &lanes).await?;
            rest = others;
        }
        Ok(())
    }

    async fn placed<'a>(&mut self, announced: &'a [Announced]) -> Sql<Vec<Placed<'a>>> {
        let mut counts = BTreeMap::new();
        for it in announced {
            *counts.entry(it.key.tenant).or_insert(0) += 1;
        }
        let mut next = self.next_places(&counts).await?;
        let mut placed = Vec::with_capacity(announced.len());
        for of in announced {
            let seq = next.get_mut(&of.key.tenant).ok_or_else(no_place)?;
            placed.push(Placed { seq: *seq, id: *of.callback.id.as_uuid().as_bytes(), of });
            *seq += 1;
        }
        Ok(placed)
    }

    /// The first of so many places for each tenant.
    async fn next_places(&mut self, counts: &BTreeMap<i64, i64>) -> Sql<BTreeMap<i64, i64>> {
        let (tenants, numbers): (Vec<i64>, Vec<i64>) = counts.iter().unzip();
        let binds = [tenants.as_slice().into(), numbers.as_slice().into()];
        let last: Vec<(i64, i64)> = rows::<NextPlaces, _>(self.connection, &binds).await?;
        let first = |(tenant, last)| Some((tenant, last - counts.get(&tenant)? + 1));
        Ok(last.into_iter().filter_map(first).collect())
    }

    /// The next place of one tenant, whose head is held.
    pub(super) async fn next_place(&mut self, tenant: i64) -> Sql<i64> {
        let next = self.next_places(&BTreeMap::from([(tenant, 1)])).await?;
        next.get(&tenant).copied().ok_or_else(no_place)
    }

    async fn add_happenings(&mut self, placed: &[Placed<'_>]) -> Sql<()> {
        let column = |of: &dyn Fn(&Placed<'_>) -> i64| -> Vec<i64> { placed.iter().map(of).collect() };
        let (tenants, seqs) = (column(&|it| it.of.key.tenant), column(&|it| it.seq));
        let (kinds, ats) = (column(&|it| it.of.announcement.kind.code().into()), column(&|it| millis(it.of.at)));
        let ids: Vec<&[u8]> = placed.iter().map(|it| it.id.as_slice()).collect();
        let (queues, versions) = (column(&|it| it.of.key.queue), column(&|it| it.of.callback.version.into()));
        let states = column(&|it| it.of.callback.state.code().into());
        let implied = column(&|it| implied_code(&it.of.implied));
        let notes: Vec<Option<&str>> =
            placed.iter().map(|it| it.of.callback.reason.as_ref().map(Reason::as_str)).collect();
        let binds = [
            tenants.as_slice().into(),
            seqs.as_slice().into(),
            kinds.as_slice().into(),
            ats.as_slice().into(),
            ids.as_slice().into(),
            queues.as_slice().into(),
            versions.as_slice().into(),
            states.as_slice().into(),
            implied.as_slice().into(),
            notes.as_slice().into(),
        ];
        execute::<AddHappenings>(self.connection, &binds).await.map(drop)
    }

    /// Lanes by their names; those that are not there are made. The heads of their tenants are held.
    async fn lanes<'a>(&mut self, wanted: BTreeSet<LaneName<'a>>) -> Sql<BTreeMap<LaneName<'a>, Lane>> {
        let wanted: Vec<LaneName<'a>> = wanted.into_iter().collect();
        let mut lanes = self.find_lanes(&wanted).await?;
        let missing: Vec<LaneName<'a>> = wanted.into_iter().filter(|name| !lanes.contains_key(name)).collect();
        if !missing.is_empty() {
            let (tenants, kinds, names) = columns(&missing);
            let binds = [tenants.as_slice().into(), kinds.as_slice().into(), names.as_slice().into()];
            execute::<AddLanes>(self.connection, &binds).await?;
            lanes.extend(self.find_lanes(&missing).await?);
        }
        Ok(lanes)
    }

    async fn find_lanes<'a>(&mut self, wanted: &[LaneName<'a>]) -> Sql<BTreeMap<LaneName<'a>, Lane>> {
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let (tenants, kinds, names) = columns(wanted);
        let binds = [tenants.as_slice().into(), kinds.as_slice().into(), names.as_slice().into()];
        let found: Vec<(i64, i64, bool)> = rows::<FindLanes, _>(self.connection, &binds).await?;
        let lane = |(number, key, is_disabled): (i64, i64, bool)| {
            let name = wanted.get(usize::try_from(number - 1).ok()?)?;
            Some((*name, Lane { key, is_disabled }))
        };
        Ok(found.into_iter().filter_map(lane).collect())
    }

    /// The number of one lane.
    pub(super) async fn lane(&mut self, tenant: i64, kind: i64, name: &str) -> Sql<i64> {
        let lanes = self.lanes(BTreeSet::from([(tenant, kind, name)])).await?;
        let lane = lanes.into_values().next();
        lane.map(|lane| lane.key).ok_or_else(|| SqlError::Unreadable("a lane has no number".to_owned()))
    }

    /// Endpoints of one tenant, whose head is held, are owed a message each.
    pub(super) async fn owe_messages(
        &mut self,
        tenant: i64,
        endpoints: &[String],
        seq: i64,
        callback: Option<&[u8]>,
        at: DateTime<Utc>,
    ) -> Sql<()> {
        let wanted = endpoints.iter().map(|name| (tenant, WEBHOOK_LANE, name.as_str())).collect();
        let lanes = self.lanes(wanted).await?;
        let told = lanes.into_values().filter(|lane| !lane.is_disabled);
        let messages: Vec<Message<'_>> =
            told.map(|lane| Message { lane: lane.key, seq, callback, at: millis(at) }).collect();
        self.owe(&messages).await
    }

    async fn owe(&mut self, messages: &[Message<'_>]) -> Sql<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let (lanes, seqs): (Vec<i64>, Vec<i64>) = messages.iter().map(|it| (it.lane, it.seq)).unzip();
        let callbacks: Vec<Option<&[u8]>> = messages.iter().map(|it| it.callback).collect();
        let wakes: Vec<i64> = messages.iter().map(|it| it.at).collect();
        let binds =
            [lanes.as_slice().into(), seqs.as_slice().into(), callbacks.as_slice().into(), wakes.as_slice().into()];
        execute::<OweMessages>(self.connection, &binds).await.map(drop)
    }

    async fn owe_pushes(&mut self, placed: &[Placed<'_>], lanes: &BTreeMap<LaneName<'_>, Lane>) -> Sql<()> {
        let (mut keys, mut seqs, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ids, mut wakes, mut expiries) = (Vec::new(), Vec::new(), Vec::new());
        for it in placed {
            let Some(push) = it.of.announcement.push else { continue };
            let Some(lane) = lanes.get(&(it.of.key.tenant, PUSH_LANE, "")) else { continue };
            keys.push(lane.key);
            seqs.push(it.seq);
            targets.push(i64::from(push.targets));
            ids.push(it.id.as_slice());
            wakes.push(millis(it.of.at));
            expiries.push(millis(push.expires_at));
        }
        if keys.is_empty() {
            return Ok(());
        }
        execute::<Supersede>(self.connection, &[ids.as_slice().into(), keys.as_slice().into()]).await?;
        let binds = [
            keys.as_slice().into(),
            seqs.as_slice().into(),
            targets.as_slice().into(),
            ids.as_slice().into(),
            wakes.as_slice().into(),
            expiries.as_slice().into(),
        ];
        execute::<OwePushes>(self.connection, &binds).await.map(drop)
    }
}

fn columns<'a>(names: &[LaneName<'a>]) -> (Vec<i64>, Vec<i64>, Vec<&'a str>) {
    let (tenants, kinds) = names.iter().map(|(tenant, kind, _)| (*tenant, *kind)).unzip();
    (tenants, kinds, names.iter().map(|(.., name)| *name).collect())
}

fn no_place() -> SqlError {
    SqlError::Unreadable("a tenant has no place in its feed".to_owned())
}
