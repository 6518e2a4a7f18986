//! What is read of happenings and notices: the statements that a database brings, and what is made of their rows.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::happening::Happening;
use domain::ids::{Incarnation, TenantId};
use domain::notices::{Claimed, LaneId, NoticeKey};
use domain::ports::{ClaimNotices, EndpointRecord, NoticeQuery, NoticeView, Owed, StoreError, Stretch};

use super::NameReads;
use crate::stores::command::notices::{ClaimRow, ForgetRows, WEBHOOK_LANE};
use crate::stores::rows::notices::{
    Due, DueNoticeRow, HappeningRow, LaneRow, NoticeRow, asks_for, byte, endpoint_record, happening, notice_view,
    owed_by_channel, place, places_asked_for,
};
use crate::stores::rows::{millis, stored};

/// Notices in the hands of others that one claim looks at.
const IN_HAND_AT_ONCE: usize = 1_000;

/// Lane, and then as a row that is due.
pub(in crate::stores) type InHandRow = (i64, i64, i64, i64, Option<i64>, i64, Option<i64>);

/// Which notices of a lane are asked for: those of places before one and from another one on.
pub(in crate::stores) struct NoticesAsked {
    pub(in crate::stores) tenant: i64,
    pub(in crate::stores) lane: i64,
    pub(in crate::stores) before: i64,
    pub(in crate::stores) from: i64,
}

/// Statements about happenings and notices, and questions that are made of them.
#[async_trait]
pub(in crate::stores) trait NoticeReads: NameReads {
    /// What can be taken on, lane by lane, beginning behind the lane that was served last.
    async fn due_notices(&mut self, claim: ClaimNotices) -> Result<Vec<(Claimed, ClaimRow)>, StoreError>;

    /// Notices of a lane that are due, oldest first.
    async fn due_notice_rows(&mut self, lane: i64, at: i64, limit: usize) -> Result<Vec<DueNoticeRow>, StoreError>;

    /// Notices that somebody has taken on.
    async fn in_hand_rows(&mut self, limit: usize) -> Result<Vec<InHandRow>, StoreError>;

    /// In order, behind a place.
    async fn happening_rows(&mut self, tenant: i64, after: i64, limit: usize) -> Result<Vec<HappeningRow>, StoreError>;

    /// The first place that is kept, and the last there ever was.
    async fn bounds_row(&mut self, tenant: i64) -> Result<Option<(Option<i64>, Option<i64>)>, StoreError>;

    /// Place and instant of the happening at a place or behind it.
    async fn happening_from(&mut self, tenant: i64, seq: i64) -> Result<Option<(i64, i64)>, StoreError>;

    /// Place and instant.
    async fn oldest_happenings(&mut self, tenant: i64, limit: usize) -> Result<Vec<(i64, i64)>, StoreError>;

    /// The first place up to one of which somebody is still to be told.
    async fn first_owed(&mut self, lane: i64, until: i64) -> Result<Option<i64>, StoreError>;

    async fn lanes_of(&mut self, tenant: i64) -> Result<Vec<LaneRow>, StoreError>;

    /// How many notices of a lane are still to be sent; counted up to `most`.
    async fn count_owed(&mut self, lane: i64, most: i64) -> Result<i64, StoreError>;

    /// Of each kind of lanes how many notices are due, and since when; counted up to `most`.
    async fn due_by_kind(&mut self, at: i64, most: i64) -> Result<Vec<(i64, i64, i64)>, StoreError>;

    /// Newest first.
    async fn notice_rows(&mut self, asked: NoticesAsked, limit: usize) -> Result<Vec<NoticeRow>, StoreError>;

    async fn due_in(&mut self, lane: i64, claim: &ClaimNotices, found: usize) -> Result<Vec<Due>, StoreError> {
        let in_hand = claim.in_hand.get(&LaneId(lane)).copied().unwrap_or_default();
        let share = claim.per_lane.saturating_sub(in_hand).min(claim.limit.saturating_sub(found));
        let found = self.due_notice_rows(lane, millis(claim.at), share).await?;
        found.into_iter().map(|row| due(lane, row)).collect()
    }

    /// Taken on by an incarnation that is not alive any more, though the lease has not ended yet.
    async fn left_by_the_dead(&mut self, claim: &ClaimNotices) -> Result<Vec<Due>, StoreError> {
        let found = self.in_hand_rows(IN_HAND_AT_ONCE).await?;
        let dead = |owner: i64| owner != claim.owner.0 && !claim.living.contains(&Incarnation(owner));
        let left = found.into_iter().filter(|row| row.4.is_some_and(dead) && row.5 > millis(claim.at));
        left.take(claim.limit)
            .map(|(lane, seq, target, attempts, owner, wake_at, expires_at)| {
                due(lane, (seq, target, attempts, owner, wake_at, expires_at))
            })
            .collect()
    }

    async fn happening(&mut self, tenant: TenantId, row: HappeningRow) -> Result<Happening, StoreError> {
        let queue = match row.4 {
            Some(queue) => Some(self.queue_name(queue).await?.1),
            None => None,
        };
        happening(tenant, queue, row)
    }

    async fn happenings(&mut self, tenant: TenantId, after: u64, limit: usize) -> Result<Stretch, StoreError> {
        let key = self.tenant_key(tenant).await?;
        let Some(key) = key else { return Ok(Stretch { first_kept: 1, ..Stretch::default() }) };
        let found = self.happening_rows(key, i64::try_from(after).unwrap_or(i64::MAX), limit).await?;
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
        let (first_kept, last) = self.bounds_row(tenant).await?.unwrap_or_default();
        let last = place(last.unwrap_or_default())?;
        Ok((first_kept.map(place).transpose()?.unwrap_or(last + 1), last))
    }

    /// Halves the feed until the place is found: twenty looks for a million happenings.
    async fn place_at(&mut self, tenant: TenantId, since: DateTime<Utc>) -> Result<u64, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(0) };
        let (first_kept, last) = self.bounds(key).await?;
        // Everything before `low` is older, everything from `high` on is not.
        let (mut low, mut high) = (first_kept, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.happening_from(key, stored(middle)).await? {
                Some((seq, at)) if at < millis(since) => low = place(seq)? + 1,
                _ => high = middle,
            }
        }
        Ok(low.saturating_sub(1))
    }

    async fn forgettable(
        &mut self,
        tenant: TenantId,
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<Option<ForgetRows>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(None) };
        let oldest = self.oldest_happenings(key, limit).await?;
        let old = oldest.iter().take_while(|(_, at)| *at < millis(before));
        let Some(mut until) = old.map(|(seq, _)| *seq).last() else { return Ok(None) };
        let mut lanes = Vec::new();
        for (lane, ..) in self.lanes_of(key).await? {
            // What is still owed is still told of.
            until = self.first_owed(lane, until).await?.map_or(until, |seq| until.min(seq - 1));
            lanes.push(lane);
        }
        let count = oldest.iter().filter(|(seq, _)| *seq <= until).count();
        Ok((count > 0).then_some(ForgetRows { tenant: key, lanes, until, count }))
    }

    async fn endpoints(&mut self, tenant: TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(Vec::new()) };
        let mut endpoints = Vec::new();
        for lane in self.lanes_of(key).await?.into_iter().filter(|lane| lane.1 == WEBHOOK_LANE) {
            let owed = self.count_owed(lane.0, stored(EndpointRecord::MAX_COUNTED)).await?;
            endpoints.push(endpoint_record(lane, owed)?);
        }
        Ok(endpoints)
    }

    async fn owed(&mut self, at: DateTime<Utc>) -> Result<Vec<Owed>, StoreError> {
        let found = self.due_by_kind(millis(at), stored(Owed::MAX_COUNTED)).await?;
        Ok(owed_by_channel(&found, at))
    }

    async fn notices(
        &mut self,
        tenant: TenantId,
        query: NoticeQuery,
        limit: usize,
    ) -> Result<Vec<NoticeView>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(Vec::new()) };
        let (before, from) = places_asked_for(&query);
        let mut views = Vec::new();
        for (lane, lane_kind, name, ..) in self.lanes_of(key).await? {
            if !asks_for(&query, lane_kind, &name) {
                continue;
            }
            let asked = NoticesAsked { tenant: key, lane, before, from };
            let found = self.notice_rows(asked, limit.saturating_sub(views.len())).await?;
            let endpoint = (lane_kind == WEBHOOK_LANE).then_some(name);
            for row in found {
                views.extend(notice_view(tenant, endpoint.clone(), row)?);
            }
        }
        Ok(views)
    }
}

fn due(lane: i64, (seq, target, attempts, owner, wake_at, expires_at): DueNoticeRow) -> Result<Due, StoreError> {
    let key = NoticeKey { lane: LaneId(lane), seq: place(seq)?, target: byte(target)? };
    Ok(Due { key, attempts, owner, wake_at, expires_at })
}
