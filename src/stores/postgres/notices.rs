//! What readers are asked about happenings and notices.

use std::collections::HashMap;

use async_trait::async_trait;
use domain::ids::TenantId;
use domain::notices::Claimed;
use domain::ports::{ClaimNotices, StoreError};
use uuid::Uuid;

use super::pool::Reader;
use super::statement::statements;
use crate::stores::command::notices::ClaimRow;
use crate::stores::database::{InHandRow, NoticeReads, NoticesAsked};
use crate::stores::rows::notices::{Due, DueNoticeRow, HappeningRow, LaneRow, NoticeRow, claimed};
use crate::stores::rows::{millis, sql_limit, stored, unreadable};

/// Lanes that one claim looks into; the next claim goes on behind them.
const LANES_AT_ONCE: i64 = 1_000;

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
    /// What whoever takes them on has to know. Those that make no sense are left out, and logged.
    async fn claimable_of(&mut self, found: &[Due]) -> Result<Vec<(Claimed, ClaimRow)>, StoreError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let (lanes, seqs): (Vec<i64>, Vec<i64>) = found.iter().map(|due| (due.key.lane.0, stored(due.key.seq))).unzip();
        let binds = [lanes.as_slice().into(), seqs.as_slice().into()];
        let loaded: Vec<LoadedRow> = self.rows::<LoadDue, _>(&binds).await?;
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
}

#[async_trait]
impl NoticeReads for Reader {
    async fn due_notices(&mut self, claim: ClaimNotices) -> Result<Vec<(Claimed, ClaimRow)>, StoreError> {
        let mut found = self.left_by_the_dead(&claim).await?;
        for (behind, until) in [(claim.after.0, i64::MAX), (0, claim.after.0)] {
            if found.len() >= claim.limit || until <= 0 {
                break;
            }
            // Once round, and then from the lowest.
            let binds = [behind.into(), LANES_AT_ONCE.into(), millis(claim.at).into()];
            let lanes: Vec<(i64,)> = self.rows::<DueLanes, _>(&binds).await?;
            for (lane,) in lanes.into_iter().take_while(|(lane,)| *lane <= until) {
                if found.len() >= claim.limit {
                    break;
                }
                found.extend(self.due_in(lane, &claim, found.len()).await?);
            }
        }
        self.claimable_of(&found).await
    }

    async fn due_notice_rows(&mut self, lane: i64, at: i64, limit: usize) -> Result<Vec<DueNoticeRow>, StoreError> {
        self.rows::<DueNotices, _>(&[lane.into(), at.into(), sql_limit(limit).into()]).await
    }

    async fn in_hand_rows(&mut self, limit: usize) -> Result<Vec<InHandRow>, StoreError> {
        self.rows::<InHand, _>(&[sql_limit(limit).into()]).await
    }

    async fn happening_rows(&mut self, tenant: i64, after: i64, limit: usize) -> Result<Vec<HappeningRow>, StoreError> {
        self.rows::<LoadHappenings, _>(&[tenant.into(), after.into(), sql_limit(limit).into()]).await
    }

    async fn bounds_row(&mut self, tenant: i64) -> Result<Option<(Option<i64>, Option<i64>)>, StoreError> {
        self.first::<Bounds, _>(&[tenant.into(), tenant.into()]).await
    }

    async fn happening_from(&mut self, tenant: i64, seq: i64) -> Result<Option<(i64, i64)>, StoreError> {
        self.first::<PlaceAtOrBehind, _>(&[tenant.into(), seq.into()]).await
    }

    async fn oldest_happenings(&mut self, tenant: i64, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<OldestHappenings, _>(&[tenant.into(), sql_limit(limit).into()]).await
    }

    async fn first_owed(&mut self, lane: i64, until: i64) -> Result<Option<i64>, StoreError> {
        let owed: Option<(Option<i64>,)> = self.first::<FirstOwed, _>(&[lane.into(), until.into()]).await?;
        Ok(owed.and_then(|(seq,)| seq))
    }

    async fn lanes_of(&mut self, tenant: i64) -> Result<Vec<LaneRow>, StoreError> {
        self.rows::<LanesOf, _>(&[tenant.into()]).await
    }

    async fn count_owed(&mut self, lane: i64, most: i64) -> Result<i64, StoreError> {
        let owed: Option<(i64,)> = self.first::<CountOwed, _>(&[lane.into(), most.into()]).await?;
        Ok(owed.unwrap_or_default().0)
    }

    async fn due_by_kind(&mut self, at: i64, most: i64) -> Result<Vec<(i64, i64, i64)>, StoreError> {
        self.rows::<CountDue, _>(&[at.into(), most.into(), most.into()]).await
    }

    async fn notice_rows(&mut self, asked: NoticesAsked, limit: usize) -> Result<Vec<NoticeRow>, StoreError> {
        let NoticesAsked { tenant, lane, before, from } = asked;
        let binds = [tenant.into(), lane.into(), before.into(), from.into(), sql_limit(limit).into()];
        self.rows::<NoticesOfLane, _>(&binds).await
    }
}
