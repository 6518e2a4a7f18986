//! What readers are asked about happenings and notices.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::happening::Happening;
use domain::ids::{Incarnation, TenantId};
use domain::notices::{Claimed, LaneId, NoticeKey};
use domain::ports::{ClaimNotices, EndpointRecord, NoticeQuery, NoticeView, Owed, StoreError, Stretch};

use super::super::names::Names;
use super::super::readers::{Reader, not_read};
use super::super::rows::notices::{
    Due, HappeningRow, LaneRow, NoticeRow, asks_for, byte, claimed, endpoint_record, happening, notice_view,
    owed_by_channel, place, places_asked_for,
};
use super::super::rows::{millis, stored, unreadable};
use super::super::statement::{Bind, first, rows, statements};
use super::{ClaimRow, ForgetRows, WEBHOOK_LANE};

/// Lanes that one claim looks into; the next claim goes on behind them.
const LANES_AT_ONCE: usize = 1_000;

/// Notices in the hands of others that one claim looks at.
const IN_HAND_AT_ONCE: i64 = 1_000;

statements! {
    NextLane -> (Nullable<BigInt>) = "SELECT min(lane) FROM notices WHERE wake_at IS NOT NULL AND lane > ?";
    LaneOfNotice -> (BigInt, BigInt, Text, Nullable<BigInt>) =
        "SELECT tenant, kind, name, disabled_at FROM lanes WHERE key = ?";
    DueNotices -> (BigInt, BigInt, BigInt, Nullable<BigInt>, BigInt, Nullable<BigInt>) =
        "SELECT seq, target, attempts, owner, wake_at, expires_at FROM notices
        WHERE lane = ? AND wake_at <= ? ORDER BY wake_at LIMIT ?";
    InHand -> (BigInt, BigInt, BigInt, BigInt, Nullable<BigInt>, BigInt, Nullable<BigInt>) =
        "SELECT lane, seq, target, attempts, owner, wake_at, expires_at FROM notices
        WHERE owner IS NOT NULL ORDER BY owner LIMIT ?";
    // The phone is the callback's own, as long as that is kept.
    LoadHappenings -> (
        BigInt, BigInt, BigInt, Nullable<Binary>, Nullable<BigInt>, BigInt, BigInt, BigInt, Nullable<Text>,
        Nullable<BigInt>,
    ) = "SELECT h.seq, h.kind, h.at, h.callback, h.queue, h.version, h.state, h.implied, h.note, c.phone
        FROM happenings h LEFT JOIN callbacks c ON c.id = h.callback
        WHERE h.tenant = ? AND h.seq > ? ORDER BY h.seq LIMIT ?";
    Bounds -> (Nullable<BigInt>, Nullable<BigInt>) =
        "SELECT (SELECT min(seq) FROM happenings WHERE tenant = ?), (SELECT last FROM happening_heads WHERE tenant = ?)";
    // Places and times rise together, so the middle of what is left tells which half to go on in.
    PlaceAtOrBehind -> (BigInt, BigInt) =
        "SELECT seq, at FROM happenings WHERE tenant = ? AND seq >= ? ORDER BY seq LIMIT 1";
    OldestHappenings -> (BigInt, BigInt) = "SELECT seq, at FROM happenings WHERE tenant = ? ORDER BY seq LIMIT ?";
    FirstOwed -> (Nullable<BigInt>) = "SELECT min(seq) FROM notices WHERE lane = ? AND seq <= ? AND ending = 0";
    LanesOf -> (BigInt, BigInt, Text, Nullable<BigInt>, Nullable<BigInt>) =
        "SELECT key, kind, name, failing_since, disabled_at FROM lanes WHERE tenant = ? ORDER BY kind, name";
    CountOwed -> (BigInt) = "SELECT count(*) FROM
        (SELECT 1 FROM notices WHERE lane = ? AND wake_at IS NOT NULL LIMIT ?)";
    CountDue -> (BigInt, BigInt, BigInt) = "SELECT kind, count(*), min(wake_at) FROM
        (SELECT l.kind AS kind, n.wake_at AS wake_at FROM lanes l CROSS JOIN notices n
        WHERE n.lane = l.key AND n.wake_at <= ? LIMIT ?) GROUP BY kind";
    NoticesOfLane -> (
        BigInt, BigInt, Nullable<Binary>, BigInt, BigInt, Nullable<BigInt>, Nullable<Text>, Nullable<BigInt>,
    ) = "SELECT n.seq, n.target, n.callback, n.ending, n.attempts, n.wake_at, n.tries, h.kind
        FROM notices n LEFT JOIN happenings h ON h.tenant = ? AND h.seq = n.seq
        WHERE n.lane = ? AND n.seq < ? AND n.seq >= ? ORDER BY n.seq DESC, n.target LIMIT ?";
}

/// Seq, target, attempts, owner, wake-up, expiry.
type DueRow = (i64, i64, i64, Option<i64>, i64, Option<i64>);

/// Lane, and then as above.
type InHandRow = (i64, i64, i64, i64, Option<i64>, i64, Option<i64>);

impl Reader {
    /// What can be taken on, lane by lane, beginning behind the lane that was served last.
    pub(in crate::stores::sqlite) fn due_notices(
        &mut self,
        claim: &ClaimNotices,
    ) -> Result<Vec<(Claimed, ClaimRow)>, StoreError> {
        let mut found = self.left_by_the_dead(claim)?;
        let mut lane = claim.after.0;
        let mut turned = false;
        for _ in 0..LANES_AT_ONCE {
            if found.len() >= claim.limit {
                break;
            }
            let next: Option<(Option<i64>,)> =
                first::<NextLane, _>(&mut self.connection, &[lane.into()]).map_err(not_read)?;
            match next {
                Some((Some(next),)) if !turned || next <= claim.after.0 => lane = next,
                // Once round, from the lowest.
                _ if !turned && claim.after.0 > 0 => {
                    (turned, lane) = (true, 0);
                    continue;
                }
                _ => break,
            }
            let in_hand = claim.in_hand.get(&LaneId(lane)).copied().unwrap_or_default();
            let share = claim.per_lane.saturating_sub(in_hand).min(claim.limit - found.len());
            found.extend(self.due_in(lane, claim, share)?);
        }
        let mut claimed = Vec::with_capacity(found.len());
        for due in found {
            match self.claimed(&due) {
                Ok(Some(notice)) => {
                    claimed.push((notice, ClaimRow { key: due.key, attempts: due.attempts, wake_at: due.wake_at }));
                }
                Ok(None) => tracing::error!("a notice tells of nothing that is kept, and was passed over"),
                Err(error) => tracing::error!(%error, "a notice is unreadable and was passed over"),
            }
        }
        Ok(claimed)
    }

    fn due_in(&mut self, lane: i64, claim: &ClaimNotices, share: usize) -> Result<Vec<Due>, StoreError> {
        let limit = i64::try_from(share).unwrap_or(i64::MAX);
        let binds = [lane.into(), millis(claim.at).into(), limit.into()];
        let found: Vec<DueRow> = rows::<DueNotices, _>(&mut self.connection, &binds).map_err(not_read)?;
        found
            .into_iter()
            .map(|(seq, target, attempts, owner, wake_at, expires_at)| {
                let key = NoticeKey { lane: LaneId(lane), seq: place(seq)?, target: byte(target)? };
                Ok(Due { key, attempts, owner, wake_at, expires_at })
            })
            .collect()
    }

    /// Taken on by an incarnation that is not alive any more, though the lease has not ended yet.
    fn left_by_the_dead(&mut self, claim: &ClaimNotices) -> Result<Vec<Due>, StoreError> {
        let found: Vec<InHandRow> =
            rows::<InHand, _>(&mut self.connection, &[IN_HAND_AT_ONCE.into()]).map_err(not_read)?;
        let dead = |owner: i64| owner != claim.owner.0 && !claim.living.contains(&Incarnation(owner));
        let left = found.into_iter().filter(|row| row.4.is_some_and(dead) && row.5 > millis(claim.at));
        left.take(claim.limit)
            .map(|(lane, seq, target, attempts, owner, wake_at, expires_at)| {
                let key = NoticeKey { lane: LaneId(lane), seq: place(seq)?, target: byte(target)? };
                Ok(Due { key, attempts, owner, wake_at, expires_at })
            })
            .collect()
    }

    fn claimed(&mut self, due: &Due) -> Result<Option<Claimed>, StoreError> {
        let lane: Option<(i64, i64, String, Option<i64>)> =
            first::<LaneOfNotice, _>(&mut self.connection, &[due.key.lane.0.into()]).map_err(not_read)?;
        let Some((tenant, lane_kind, name, disabled_at)) = lane else { return Ok(None) };
        let binds = [tenant.into(), (stored(due.key.seq) - 1).into(), 1.into()];
        let row: Option<HappeningRow> = first::<LoadHappenings, _>(&mut self.connection, &binds).map_err(not_read)?;
        let Some(row) = row.filter(|row| row.0 == stored(due.key.seq)) else { return Ok(None) };
        let id = Names::tenant_id(&mut self.connection, tenant).map_err(not_read)?;
        let id = id.ok_or_else(|| unreadable("a tenant has no id"))?;
        let happening = self.happening(id, row)?;
        claimed(due, (lane_kind, name, disabled_at), happening).map(Some)
    }

    fn happening(&mut self, tenant: TenantId, row: HappeningRow) -> Result<Happening, StoreError> {
        let queue = match row.4 {
            Some(queue) => {
                let name = self.names.name(&mut self.connection, queue).map_err(not_read)?;
                Some(name.ok_or_else(|| unreadable("a queue has no name"))?.1)
            }
            None => None,
        };
        happening(tenant, queue, row)
    }

    pub(in crate::stores::sqlite) fn happenings(
        &mut self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> Result<Stretch, StoreError> {
        let key = self.names.tenant(&mut self.connection, tenant).map_err(not_read)?;
        let Some(key) = key else { return Ok(Stretch { first_kept: 1, ..Stretch::default() }) };
        let (first_kept, last) = self.bounds(key)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let binds = [key.into(), after.into(), limit.into()];
        let found: Vec<HappeningRow> = rows::<LoadHappenings, _>(&mut self.connection, &binds).map_err(not_read)?;
        let happenings: Result<Vec<_>, _> = found.into_iter().map(|row| self.happening(tenant, row)).collect();
        Ok(Stretch { happenings: happenings?, first_kept, last })
    }

    /// The first place that is kept, one behind the last if none is; and the last there ever was.
    fn bounds(&mut self, tenant: i64) -> Result<(u64, u64), StoreError> {
        let row: Option<(Option<i64>, Option<i64>)> =
            first::<Bounds, _>(&mut self.connection, &[tenant.into(), tenant.into()]).map_err(not_read)?;
        let (first_kept, last) = row.unwrap_or_default();
        let last = place(last.unwrap_or_default())?;
        Ok((first_kept.map(place).transpose()?.unwrap_or(last + 1), last))
    }

    /// Halves the feed until the place is found: twenty looks for a million happenings.
    pub(in crate::stores::sqlite) fn place_at(
        &mut self,
        tenant: TenantId,
        since: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let Some(key) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else { return Ok(0) };
        let (first_kept, last) = self.bounds(key)?;
        // Everything before `low` is older, everything from `high` on is not.
        let (mut low, mut high) = (first_kept, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let row: Option<(i64, i64)> =
                first::<PlaceAtOrBehind, _>(&mut self.connection, &[key.into(), stored(middle).into()])
                    .map_err(not_read)?;
            match row {
                Some((seq, at)) if at < millis(since) => low = place(seq)? + 1,
                _ => high = middle,
            }
        }
        Ok(low.saturating_sub(1))
    }

    pub(in crate::stores::sqlite) fn forgettable(
        &mut self,
        tenant: TenantId,
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<Option<ForgetRows>, StoreError> {
        let Some(key) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else { return Ok(None) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let oldest: Vec<(i64, i64)> =
            rows::<OldestHappenings, _>(&mut self.connection, &[key.into(), limit.into()]).map_err(not_read)?;
        let before = millis(before);
        let old = oldest.iter().take_while(|(_, at)| *at < before);
        let Some(mut until) = old.map(|(seq, _)| *seq).last() else { return Ok(None) };
        let mut lanes = Vec::new();
        for (lane, ..) in self.lanes_of(key)? {
            let owed: Option<(Option<i64>,)> =
                first::<FirstOwed, _>(&mut self.connection, &[lane.into(), until.into()]).map_err(not_read)?;
            // What is still owed is still told of.
            until = owed.and_then(|(seq,)| seq).map_or(until, |seq| until.min(seq - 1));
            lanes.push(lane);
        }
        let count = oldest.iter().filter(|(seq, _)| *seq <= until).count();
        Ok((count > 0).then_some(ForgetRows { tenant: key, lanes, until, count }))
    }

    fn lanes_of(&mut self, tenant: i64) -> Result<Vec<LaneRow>, StoreError> {
        rows::<LanesOf, _>(&mut self.connection, &[tenant.into()]).map_err(not_read)
    }

    pub(in crate::stores::sqlite) fn endpoints(&mut self, tenant: TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        let Some(key) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else {
            return Ok(Vec::new());
        };
        let lanes = self.lanes_of(key)?.into_iter().filter(|lane| lane.1 == WEBHOOK_LANE);
        lanes
            .map(|lane| {
                let most = stored(EndpointRecord::MAX_COUNTED);
                let owed: Option<(i64,)> =
                    first::<CountOwed, _>(&mut self.connection, &[lane.0.into(), most.into()]).map_err(not_read)?;
                endpoint_record(lane, owed.unwrap_or_default().0)
            })
            .collect()
    }

    pub(in crate::stores::sqlite) fn owed(&mut self, at: DateTime<Utc>) -> Result<Vec<Owed>, StoreError> {
        let binds = [millis(at).into(), stored(Owed::MAX_COUNTED).into()];
        let found: Vec<(i64, i64, i64)> = rows::<CountDue, _>(&mut self.connection, &binds).map_err(not_read)?;
        Ok(owed_by_channel(&found, at))
    }

    pub(in crate::stores::sqlite) fn notices(
        &mut self,
        tenant: TenantId,
        query: &NoticeQuery,
        limit: usize,
    ) -> Result<Vec<NoticeView>, StoreError> {
        let Some(key) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else {
            return Ok(Vec::new());
        };
        let (before, from) = places_asked_for(query);
        let mut views = Vec::new();
        for (lane, lane_kind, name, ..) in self.lanes_of(key)? {
            if !asks_for(query, lane_kind, &name) {
                continue;
            }
            let left = i64::try_from(limit.saturating_sub(views.len())).unwrap_or(i64::MAX);
            let binds: [Bind<'_>; 5] = [key.into(), lane.into(), before.into(), from.into(), left.into()];
            let found: Vec<NoticeRow> = rows::<NoticesOfLane, _>(&mut self.connection, &binds).map_err(not_read)?;
            let endpoint = (lane_kind == WEBHOOK_LANE).then_some(name);
            for row in found {
                views.extend(notice_view(tenant, endpoint.clone(), row)?);
            }
        }
        Ok(views)
    }
}
