//! What readers are asked about happenings and notices.

use async_trait::async_trait;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::notices::Claimed;
use domain::ports::{ClaimNotices, StoreError};

use super::readers::Reader;
use super::statement::statements;
use crate::stores::command::notices::ClaimRow;
use crate::stores::database::{InHandRow, NameReads as _, NoticeReads, NoticesAsked};
use crate::stores::rows::notices::{Due, DueNoticeRow, HappeningRow, LaneRow, NoticeRow, claimed};
use crate::stores::rows::{sql_limit, stored, unreadable};

/// Lanes that one claim looks into; the next claim goes on behind them.
const LANES_AT_ONCE: usize = 1_000;

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

impl Reader {
    async fn claimed(&mut self, due: &Due) -> Result<Option<Claimed>, StoreError> {
        let lane: Option<(i64, i64, String, Option<i64>)> = self.first::<LaneOfNotice, _>(&[due.key.lane.0.into()])?;
        let Some((tenant, lane_kind, name, disabled_at)) = lane else { return Ok(None) };
        let row = self.happening_rows(tenant, stored(due.key.seq) - 1, 1).await?.pop();
        let Some(row) = row.filter(|row| row.0 == stored(due.key.seq)) else { return Ok(None) };
        let id = self.tenant_of(tenant).await?.ok_or_else(|| unreadable("a tenant has no id"))?;
        let happening = self.happening(id, row).await?;
        claimed(due, (lane_kind, name, disabled_at), happening).map(Some)
    }
}

#[async_trait]
impl NoticeReads for Reader {
    async fn due_notices(&mut self, claim: ClaimNotices) -> Result<Vec<(Claimed, ClaimRow)>, StoreError> {
        let mut found = self.left_by_the_dead(&claim).await?;
        let mut lane = claim.after.0;
        let mut turned = false;
        for _ in 0..LANES_AT_ONCE {
            if found.len() >= claim.limit {
                break;
            }
            let next: Option<(Option<i64>,)> = self.first::<NextLane, _>(&[lane.into()])?;
            match next {
                Some((Some(next),)) if !turned || next <= claim.after.0 => lane = next,
                // Once round, from the lowest.
                _ if !turned && claim.after.0 > 0 => {
                    (turned, lane) = (true, 0);
                    continue;
                }
                _ => break,
            }
            found.extend(self.due_in(lane, &claim, found.len()).await?);
        }
        let mut claimed = Vec::with_capacity(found.len());
        for due in found {
            match self.claimed(&due).await {
                Ok(Some(notice)) => {
                    claimed.push((notice, ClaimRow { key: due.key, attempts: due.attempts, wake_at: due.wake_at }));
                }
                Ok(None) => tracing::error!("a notice tells of nothing that is kept, and was passed over"),
                Err(error) => tracing::error!(%error, "a notice is unreadable and was passed over"),
            }
        }
        Ok(claimed)
    }

    async fn due_notice_rows(&mut self, lane: i64, at: i64, limit: usize) -> Result<Vec<DueNoticeRow>, StoreError> {
        self.rows::<DueNotices, _>(&[lane.into(), at.into(), sql_limit(limit).into()])
    }

    async fn in_hand_rows(&mut self, limit: usize) -> Result<Vec<InHandRow>, StoreError> {
        self.rows::<InHand, _>(&[sql_limit(limit).into()])
    }

    async fn happening_rows(&mut self, tenant: i64, after: i64, limit: usize) -> Result<Vec<HappeningRow>, StoreError> {
        self.rows::<LoadHappenings, _>(&[tenant.into(), after.into(), sql_limit(limit).into()])
    }

    async fn bounds_row(&mut self, tenant: i64) -> Result<Option<(Option<i64>, Option<i64>)>, StoreError> {
        self.first::<Bounds, _>(&[tenant.into(), tenant.into()])
    }

    async fn happening_from(&mut self, tenant: i64, seq: i64) -> Result<Option<(i64, i64)>, StoreError> {
        self.first::<PlaceAtOrBehind, _>(&[tenant.into(), seq.into()])
    }

    async fn oldest_happenings(&mut self, tenant: i64, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<OldestHappenings, _>(&[tenant.into(), sql_limit(limit).into()])
    }

    async fn first_owed(&mut self, lane: i64, until: i64) -> Result<Option<i64>, StoreError> {
        let owed: Option<(Option<i64>,)> = self.first::<FirstOwed, _>(&[lane.into(), until.into()])?;
        Ok(owed.and_then(|(seq,)| seq))
    }

    async fn lanes_of(&mut self, tenant: i64) -> Result<Vec<LaneRow>, StoreError> {
        self.rows::<LanesOf, _>(&[tenant.into()])
    }

    async fn count_owed(&mut self, lane: i64, most: i64) -> Result<i64, StoreError> {
        let owed: Option<(i64,)> = self.first::<CountOwed, _>(&[lane.into(), most.into()])?;
        Ok(owed.unwrap_or_default().0)
    }

    async fn due_by_kind(&mut self, at: i64, most: i64) -> Result<Vec<(i64, i64, i64)>, StoreError> {
        self.rows::<CountDue, _>(&[at.into(), most.into()])
    }

    async fn notice_rows(&mut self, asked: NoticesAsked, limit: usize) -> Result<Vec<NoticeRow>, StoreError> {
        let NoticesAsked { tenant, lane, before, from } = asked;
        let binds = [tenant.into(), lane.into(), before.into(), from.into(), sql_limit(limit).into()];
        self.rows::<NoticesOfLane, _>(&binds)
    }
}
