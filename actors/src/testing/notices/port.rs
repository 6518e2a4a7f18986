//! The port of the fake store for happenings and notices.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::happening::{Happening, HappeningId};
use domain::ids::{Incarnation, TenantId};
use domain::notices::{Channel, Claimed, Lane, NoticeKey};
use domain::ports::{
    ClaimNotices, EndpointRecord, NoticeQuery, NoticeStore, NoticeView, Owed, Renew, Settle, Settled, StoreError,
    Stretch,
};

use super::{News, NoticeRow};
use crate::testing::{FakeStore, Op};

impl FakeStore {
    /// Every notice, lane by lane.
    pub fn notice_rows(&self) -> Vec<NoticeRow> {
        self.tables().news.notices.values().cloned().collect()
    }

    /// Everything that happened to a tenant, in order.
    pub fn happening_rows(&self, tenant: TenantId) -> Vec<Happening> {
        self.tables().news.happenings.get(&tenant).cloned().unwrap_or_default()
    }

    /// Leaves a notice in the hands of somebody, as if they had just taken it on.
    pub fn put_in_hand(&self, key: NoticeKey, owner: Incarnation, until: DateTime<Utc>) {
        let mut tables = self.tables();
        let row = tables.news.notices.get_mut(&key).expect("a notice");
        row.attempts += 1;
        (row.owner, row.wake_at) = (Some(owner), Some(until));
    }
}

#[async_trait]
impl NoticeStore for FakeStore {
    async fn claim(&self, claim: ClaimNotices) -> Result<Vec<Claimed>, StoreError> {
        self.run(Op::ClaimNotices, None, |tables| tables.news.claim(&claim)).await
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError> {
        self.run(Op::Settle, None, |tables| tables.news.settle(&settle)).await
    }

    async fn owed(&self, at: DateTime<Utc>) -> Result<Vec<Owed>, StoreError> {
        let owed = |tables: &mut crate::testing::store::Tables, channel| {
            let rows = tables.news.notices.values().filter(|row| row.lane.channel() == channel);
            let due: Vec<_> = rows.filter_map(|row| row.wake_at).filter(|wake_at| *wake_at <= at).collect();
            let oldest = due.iter().min().map(|oldest| at - *oldest).unwrap_or_default();
            Owed { channel, due: due.len() as u64, oldest: oldest.to_std().unwrap_or_default() }
        };
        self.run(Op::Notices, None, |tables| Channel::ALL.map(|channel| owed(tables, channel)).to_vec()).await
    }

    async fn happenings(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Stretch, StoreError> {
        self.run(Op::Happenings, None, |tables| tables.news.stretch(tenant, after, limit)).await
    }

    async fn place_at(&self, tenant: TenantId, since: DateTime<Utc>) -> Result<u64, StoreError> {
        self.run(Op::Notices, None, |tables| {
            let stretch = tables.news.stretch(tenant, 0, usize::MAX);
            let first = stretch.happenings.iter().find(|it| it.at >= since);
            first.map_or(stretch.last, |first| first.seq - 1)
        })
        .await
    }

    async fn notices(&self, tenant: TenantId, query: NoticeQuery, limit: usize) -> Result<Vec<NoticeView>, StoreError> {
        self.run(Op::Notices, None, |tables| {
            let asked = |row: &&NoticeRow| {
                row.tenant == tenant
                    && match (&query, &row.lane) {
                        (NoticeQuery::Endpoint { endpoint, before }, Lane::Webhook { endpoint: name }) => {
                            endpoint == name && before.is_none_or(|before| row.key.seq < before)
                        }
                        (NoticeQuery::Push { before }, Lane::Push) => before.is_none_or(|before| row.key.seq < before),
                        (NoticeQuery::Happening(seq), _) => row.key.seq == *seq,
                        _ => false,
                    }
            };
            let rows = tables.news.notices.values().rev().filter(asked).take(limit);
            rows.map(|row| NoticeView {
                happening: HappeningId::new(tenant, row.key.seq),
                kind: row.kind,
                callback: row.callback,
                endpoint: match &row.lane {
                    Lane::Webhook { endpoint } => Some(endpoint.clone()),
                    Lane::Push => None,
                },
                target: row.key.target,
                ending: row.ending,
                attempts: row.attempts,
                next_at: row.wake_at,
                tries: row.tries.clone(),
            })
            .collect()
        })
        .await
    }

    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        self.run(Op::Notices, None, |tables| {
            let lanes = tables.news.lanes.iter().filter(|row| row.tenant == tenant);
            lanes
                .filter_map(|row| {
                    let Lane::Webhook { endpoint } = &row.lane else { return None };
                    let mine = |it: &&NoticeRow| it.tenant == tenant && it.lane == row.lane && it.wake_at.is_some();
                    let owed = tables.news.notices.values().filter(mine).count() as u64;
                    let (failing_since, disabled_at) = (row.failing_since, row.disabled_at);
                    Some(EndpointRecord { name: endpoint.clone(), failing_since, disabled_at, owed })
                })
                .collect()
        })
        .await
    }

    async fn renew(&self, renew: Renew) -> Result<u64, StoreError> {
        self.run(Op::Notices, None, |tables| tables.news.renew(&renew)).await
    }

    async fn enable_endpoint(&self, tenant: TenantId, endpoint: &str) -> Result<bool, StoreError> {
        self.run(Op::Notices, None, |tables| {
            let lane = Lane::Webhook { endpoint: endpoint.to_owned() };
            let row = tables.news.lanes.iter_mut().find(|row| row.tenant == tenant && row.lane == lane);
            row.is_some_and(|row| {
                row.failing_since = None;
                row.disabled_at.take().is_some()
            })
        })
        .await
    }

    async fn forget_happenings(
        &self,
        tenant: TenantId,
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<u64, StoreError> {
        self.run(Op::Notices, None, |tables| {
            let owed = |seq: u64, rows: &BTreeMap<NoticeKey, NoticeRow>| {
                rows.values().any(|row| row.tenant == tenant && row.key.seq == seq && row.ending.is_none())
            };
            let News { happenings, notices, .. } = &mut tables.news;
            let Some(all) = happenings.get_mut(&tenant) else { return 0 };
            let old = all.iter().take(limit).take_while(|it| it.at < before && !owed(it.seq, notices)).count();
            let gone: Vec<u64> = all.drain(..old).map(|it| it.seq).collect();
            notices.retain(|key, row| row.tenant != tenant || !gone.contains(&key.seq));
            gone.len() as u64
        })
        .await
    }
}
