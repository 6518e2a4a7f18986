//! What readers are asked about happenings and notices.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::happening::Happening;
use domain::ids::{Incarnation, TenantId};
use domain::notices::{Claimed, LaneId, NoticeKey};
use domain::ports::{ClaimNotices, EndpointRecord, NoticeQuery, NoticeView, Owed, StoreError, Stretch};
use uuid::Uuid;

use super::super::pool::Reader;
use super::super::queries::sql_limit;
use super::super::statement::{first, rows, statements};
use crate::stores::command::notices::{ClaimRow, ForgetRows, WEBHOOK_LANE};
use crate::stores::rows::notices::{
    Due, HappeningRow, LaneRow, NoticeRow, asks_for, byte, claimed, endpoint_record, happening, notice_view,
    owed_by_channel, place, places_asked_for,
};
use crate::stores::rows::{millis, stored, unreadable};

/// Lanes that one claim looks into; the next claim goes on behind them.
const LANES_AT_ONCE: i64 = 1_000;

/// Notices in the hands of others that one claim looks at.
const IN_HAND_AT_ONCE: i64 = 1_000;

statements! {
    // Walks from one lane to the next in the index.
    DueLanes = "WITH RECURSIVE walk (lane, n) AS (
            (SELECT lane, 1 FROM notices WHERE wake_at IS NOT NULL AND lane > ? ORDER BY lane LIMIT 1)
            UNION ALL
            SELECT (SELECT x.lane FROM notices x WHERE x.wake_at IS NOT NULL AND x.lane > w.lane
                ORDER BY x.lane LIMIT 1), w.n + 1 FROM walk w WHERE w.lane IS NOT NULL AND w.n < ?
        ) SELECT w.lane FROM walk w WHERE w.lane IS NOT NULL
        AND EXISTS (SELECT 1 FROM notices d WHERE d.lane = w.lane AND d.wake_at <= ?) ORDER BY w.n";
    DueNotices = "SELECT seq, target, attempts, owner, wake_at, expires_at FROM notices
        WHERE lane = ? AND wake_at <= ? ORDER BY wake_at LIMIT ?";
    InHand = "SELECT lane, seq, target, attempts, owner, wake_at, expires_at FROM notices
        WHERE owner IS NOT NULL ORDER BY owner LIMIT ?";
    // The phone is the callback's own, as long as that is kept.
    LoadDue = "SELECT u.n, l.kind, l.name, l.disabled_at, t.id,
        h.seq, h.kind, h.at, h.callback, h.queue, h.version, h.state, h.implied, h.note, c.phone
        FROM unnest(?::bigint[], ?::bigint[]) WITH ORDINALITY AS u(lane, seq, n)
        JOIN lanes l ON l.key = u.lane JOIN tenants t ON t.key = l.tenant
        JOIN happenings h ON h.tenant = l.tenant AND h.seq = u.seq LEFT JOIN callbacks c ON c.id = h.callback";
    LoadHappenings = "SELECT h.seq, h.kind, h.at, h.callback, h.queue, h.version, h.state, h.implied, h.note, c.phone
        FROM happenings h LEFT JOIN callbacks c ON c.id = h.callback
        WHERE h.tenant = ? AND h.seq > ? ORDER BY h.seq LIMIT ?";
    Bounds =
        "SELECT (SELECT min(seq) FROM happenings WHERE tenant = ?), (SELECT last FROM happening_heads WHERE tenant = ?)";
    // Places and times rise together, so the middle of what is left tells which half to go on in.
    PlaceAtOrBehind = "SELECT seq, at FROM happenings WHERE tenant = ? AND seq >= ? ORDER BY seq LIMIT 1";
    OldestHappenings = "SELECT seq, at FROM happenings WHERE tenant = ? ORDER BY seq LIMIT ?";
    FirstOwed = "SELECT min(seq) FROM notices WHERE lane = ? AND seq <= ? AND ending = 0";
    LanesOf =
        "SELECT key, kind, name, failing_since, disabled_at FROM lanes WHERE tenant = ? ORDER BY kind, name COLLATE \"C\"";
    CountOwed = "SELECT count(*) FROM (SELECT 1 FROM notices WHERE lane = ? AND wake_at IS NOT NULL LIMIT ?) n";
    // One short range per lane instead of a walk through all notices.
    CountDue = "SELECT kind, count(*), min(wake_at) FROM
        (SELECT l.kind, n.wake_at FROM lanes l CROSS JOIN LATERAL
            (SELECT wake_at FROM notices WHERE lane = l.key AND wake_at <= ? LIMIT ?) n LIMIT ?) d GROUP BY kind";
    NoticesOfLane = "SELECT n.seq, n.target, n.callback, n.ending, n.attempts, n.wake_at, n.tries, h.kind
        FROM notices n LEFT JOIN happenings h ON h.tenant = ? AND h.seq = n.seq
        WHERE n.lane = ? AND n.seq < ? AND n.seq >= ? ORDER BY n.seq DESC, n.target LIMIT ?";
}

/// Seq, target, attempts, owner, wake-up, expiry.
type DueRow = (i64, i64, i64, Option<i64>, i64, Option<i64>);

/// Lane, and then as above.
type InHandRow = (i64, i64, i64, i64, Option<i64>, i64, Option<i64>);

/// Which of those that were asked for; kind, name and end of the lane; the tenant; and then a [`HappeningRow`].
type LoadedRow = (
    i64,
    i64,
    String,
    Option<i64>,
    Vec<u8>,
    i64,
    i64,
    i64,
    Option<Vec<u8>>,
    Option<i64>,
    i64,
    i64,
    i64,
    Option<String>,
    Option<i64>,
);

impl Reader {
    /// What can be taken on, lane by lane, beginning behind the lane that was served last.
    pub(super) async fn due_notices(&mut self, claim: &ClaimNotices) -> Result<Vec<(Claimed, ClaimRow)>, StoreError> {
        let mut found = self.left_by_the_dead(claim).await?;
        for (behind, until) in [(claim.after.0, i64::MAX), (0, claim.after.0)] {
            if found.len() >= claim.limit || until <= 0 {
                break;
            }
            // Once round, and then from the lowest.
            let binds = [behind.into(), LANES_AT_ONCE.into(), millis(claim.at).into()];
            let lanes: Vec<(i64,)> = rows::<DueLanes, _>(&mut self.connection, &binds).await?;
            for (lane,) in lanes.into_iter().take_while(|(lane,)| *lane <= until) {
                if found.len() >= claim.limit {
                    break;
                }
                let in_hand = claim.in_hand.get(&LaneId(lane)).copied().unwrap_or_default();
                let share = claim.per_lane.saturating_sub(in_hand).min(claim.limit - found.len());
                found.extend(self.due_in(lane, claim, share).await?);
            }
        }
        self.claimable_of(&found).await
    }

    async fn due_in(&mut self, lane: i64, claim: &ClaimNotices, share: usize) -> Result<Vec<Due>, StoreError> {
        let binds = [lane.into(), millis(claim.at).into(), sql_limit(share).into()];
        let found: Vec<DueRow> = rows::<DueNotices, _>(&mut self.connection, &binds).await?;
        found
            .into_iter()
            .map(|(seq, target, attempts, owner, wake_at, expires_at)| {
                let key = NoticeKey { lane: LaneId(lane), seq: place(seq)?, target: byte(target)? };
                Ok(Due { key, attempts, owner, wake_at, expires_at })
            })
            .collect()
    }

    /// Taken on by an incarnation that is not alive any more, though the lease has not ended yet.
    async fn left_by_the_dead(&mut self, claim: &ClaimNotices) -> Result<Vec<Due>, StoreError> {
        let found: Vec<InHandRow> = rows::<InHand, _>(&mut self.connection, &[IN_HAND_AT_ONCE.into()]).await?;
        let dead = |owner: i64| owner != claim.owner.0 && !claim.living.contains(&Incarnation(owner));
        let left = found.into_iter().filter(|row| row.4.is_some_and(dead) && row.5 > millis(claim.at));
        left.take(claim.limit)
            .map(|(lane, seq, target, attempts, owner, wake_at, expires_at)| {
                let key = NoticeKey { lane: LaneId(lane), seq: place(seq)?, target: byte(target)? };
                Ok(Due { key, attempts, owner, wake_at, expires_at })
            })
            .collect()
    }

    /// What whoever takes them on has to know. Those that make no sense are left out, and logged.
    async fn claimable_of(&mut self, found: &[Due]) -> Result<Vec<(Claimed, ClaimRow)>, StoreError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let (lanes, seqs): (Vec<i64>, Vec<i64>) = found.iter().map(|due| (due.key.lane.0, stored(due.key.seq))).unzip();
        let binds = [lanes.as_slice().into(), seqs.as_slice().into()];
        let loaded: Vec<LoadedRow> = rows::<LoadDue, _>(&mut self.connection, &binds).await?;
        let mut loaded: HashMap<i64, LoadedRow> = loaded.into_iter().map(|row| (row.0, row)).collect();
        let mut claimable = Vec::with_capacity(found.len());
        for (number, due) in (1..).zip(found) {
            let Some(row) = loaded.remove(&number) else {
                tracing::error!("a notice tells of nothing that is kept, and was passed over");
                continue;
            };
            match self.claimed(due, row).await {
                Ok(notice) => {
                    let row = ClaimRow { key: due.key, attempts: due.attempts, wake_at: due.wake_at };
                    claimable.push((notice, row));
                }
                Err(error) => tracing::error!(%error, "a notice is unreadable and was passed over"),
            }
        }
        Ok(claimable)
    }

    async fn claimed(&mut self, due: &Due, row: LoadedRow) -> Result<Claimed, StoreError> {
        let (_, lane_kind, name, disabled_at, tenant, seq, kind, at, callback, queue, ..) = row;
        let (.., version, state, implied, note, phone) = row;
        let tenant = Uuid::from_slice(&tenant).map_err(|_| unreadable("a tenant has no id"))?;
        let row = (seq, kind, at, callback, queue, version, state, implied, note, phone);
        let happening = self.happening(TenantId::from_uuid(tenant), row).await?;
        claimed(due, (lane_kind, name, disabled_at), happening)
    }

    async fn happening(&mut self, tenant: TenantId, row: HappeningRow) -> Result<Happening, StoreError> {
        let queue = match row.4 {
            Some(queue) => Some(self.queue_name(queue).await?.1),
            None => None,
        };
        happening(tenant, queue, row)
    }

    pub(super) async fn happenings(
        &mut self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> Result<Stretch, StoreError> {
        let key = self.tenant_key(tenant).await?;
        let Some(key) = key else { return Ok(Stretch { first_kept: 1, ..Stretch::default() }) };
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let binds = [key.into(), after.into(), sql_limit(limit).into()];
        let found: Vec<HappeningRow> = rows::<LoadHappenings, _>(&mut self.connection, &binds).await?;
        // Asked for afterwards: what is removed in between is then known to be missing.
        let (first_kept, last) = self.bounds(key).await?;
        let mut happenings = Vec::with_capacity(found.len());
        for row in found {
            happenings.push(self.happening(tenant, row).await?);
        }
        Ok(Stretch { happenings, first_kept, last })
    }

    /// The first place that is kept, one behind the last if none is; and the last there ever was.
    async fn bounds(&mut self, tenant: i64) -> Result<(u64, u64), StoreError> {
        let row: Option<(Option<i64>, Option<i64>)> =
            first::<Bounds, _>(&mut self.connection, &[tenant.into(), tenant.into()]).await?;
        let (first_kept, last) = row.unwrap_or_default();
        let last = place(last.unwrap_or_default())?;
        Ok((first_kept.map(place).transpose()?.unwrap_or(last + 1), last))
    }

    /// Halves the feed until the place is found: twenty looks for a million happenings.
    pub(super) async fn place_at(&mut self, tenant: TenantId, since: DateTime<Utc>) -> Result<u64, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(0) };
        let (first_kept, last) = self.bounds(key).await?;
        // Everything before `low` is older, everything from `high` on is not.
        let (mut low, mut high) = (first_kept, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let binds = [key.into(), stored(middle).into()];
            let row: Option<(i64, i64)> = first::<PlaceAtOrBehind, _>(&mut self.connection, &binds).await?;
            match row {
                Some((seq, at)) if at < millis(since) => low = place(seq)? + 1,
                _ => high = middle,
            }
        }
        Ok(low.saturating_sub(1))
    }

    pub(super) async fn forgettable(
        &mut self,
        tenant: TenantId,
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<Option<ForgetRows>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(None) };
        let binds = [key.into(), sql_limit(limit).into()];
        let oldest: Vec<(i64, i64)> = rows::<OldestHappenings, _>(&mut self.connection, &binds).await?;
        let before = millis(before);
        let old = oldest.iter().take_while(|(_, at)| *at < before);
        let Some(mut until) = old.map(|(seq, _)| *seq).last() else { return Ok(None) };
        let mut lanes = Vec::new();
        for (lane, ..) in self.lanes_of(key).await? {
            let owed: Option<(Option<i64>,)> =
                first::<FirstOwed, _>(&mut self.connection, &[lane.into(), until.into()]).await?;
            // What is still owed is still told of.
            until = owed.and_then(|(seq,)| seq).map_or(until, |seq| until.min(seq - 1));
            lanes.push(lane);
        }
        let count = oldest.iter().filter(|(seq, _)| *seq <= until).count();
        Ok((count > 0).then_some(ForgetRows { tenant: key, lanes, until, count }))
    }

    async fn lanes_of(&mut self, tenant: i64) -> Result<Vec<LaneRow>, StoreError> {
        Ok(rows::<LanesOf, _>(&mut self.connection, &[tenant.into()]).await?)
    }

    pub(super) async fn endpoints(&mut self, tenant: TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(Vec::new()) };
        let mut endpoints = Vec::new();
        for lane in self.lanes_of(key).await?.into_iter().filter(|lane| lane.1 == WEBHOOK_LANE) {
            let binds = [lane.0.into(), stored(EndpointRecord::MAX_COUNTED).into()];
            let owed: Option<(i64,)> = first::<CountOwed, _>(&mut self.connection, &binds).await?;
            endpoints.push(endpoint_record(lane, owed.unwrap_or_default().0)?);
        }
        Ok(endpoints)
    }

    pub(super) async fn owed(&mut self, at: DateTime<Utc>) -> Result<Vec<Owed>, StoreError> {
        let most = stored(Owed::MAX_COUNTED);
        let binds = [millis(at).into(), most.into(), most.into()];
        let found: Vec<(i64, i64, i64)> = rows::<CountDue, _>(&mut self.connection, &binds).await?;
        Ok(owed_by_channel(&found, at))
    }

    pub(super) async fn notices(
        &mut self,
        tenant: TenantId,
        query: &NoticeQuery,
        limit: usize,
    ) -> Result<Vec<NoticeView>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(Vec::new()) };
        let (before, from) = places_asked_for(query);
        let mut views = Vec::new();
        for (lane, lane_kind, name, ..) in self.lanes_of(key).await? {
            if !asks_for(query, lane_kind, &name) {
                continue;
            }
            let left = sql_limit(limit.saturating_sub(views.len()));
            let binds = [key.into(), lane.into(), before.into(), from.into(), left.into()];
            let found: Vec<NoticeRow> = rows::<NoticesOfLane, _>(&mut self.connection, &binds).await?;
            let endpoint = (lane_kind == WEBHOOK_LANE).then_some(name);
            for row in found {
                views.extend(notice_view(tenant, endpoint.clone(), row)?);
            }
        }
        Ok(views)
    }
}
