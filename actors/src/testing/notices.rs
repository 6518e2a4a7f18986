//! Happenings and notices of the fake store, with the outcomes that the real stores promise.

mod port;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::callback::{Callback, State};
use domain::happening::{About, Announcement, CallbackNews, Happening, Kind};
use domain::ids::{CallbackId, Incarnation, TenantId};
use domain::notices::{Claimed, Detail, Ending, Lane, LaneId, NoticeKey, Verdict};
use domain::ports::{ClaimNotices, EndpointMood, Renew, Settle, Settled, Stretch};
use domain::webhooks::FAILING_MAX;

/// One notice as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticeRow {
    /// Which.
    pub key: NoticeKey,
    /// Where it is queued up.
    pub lane: Lane,
    /// Whose.
    pub tenant: TenantId,
    /// What it tells.
    pub kind: Kind,
    /// About which callback.
    pub callback: Option<CallbackId>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// Tries begun.
    pub attempts: u32,
    /// When somebody must work on it.
    pub wake_at: Option<DateTime<Utc>>,
    /// Who has it in hand.
    pub owner: Option<Incarnation>,
    /// After which it is not worth sending.
    pub expires_at: Option<DateTime<Utc>>,
    /// Tries that have ended.
    pub tries: Vec<(DateTime<Utc>, Detail)>,
}

#[derive(Debug, Clone)]
struct LaneRow {
    tenant: TenantId,
    lane: Lane,
    failing_since: Option<DateTime<Utc>>,
    disabled_at: Option<DateTime<Utc>>,
}

/// The tables.
#[derive(Default)]
pub(super) struct News {
    happenings: HashMap<TenantId, Vec<Happening>>,
    heads: HashMap<TenantId, u64>,
    lanes: Vec<LaneRow>,
    notices: BTreeMap<NoticeKey, NoticeRow>,
}

impl News {
    pub(super) fn announce(
        &mut self,
        callback: &Callback,
        passed: Vec<State>,
        announcement: &Announcement,
        at: DateTime<Utc>,
    ) {
        let about = About::Callback(CallbackNews {
            id: callback.id,
            queue: callback.queue.clone(),
            version: callback.version,
            state: callback.state,
            passed,
            reason: callback.reason.clone(),
            push: None,
            phone: Some(callback.phone),
        });
        let happening = self.add(callback.tenant, announcement.kind, at, about);
        for endpoint in &announcement.endpoints {
            self.owe_message(&happening, endpoint, at);
        }
        let Some(push) = announcement.push else { return };
        let lane = self.lane(callback.tenant, Lane::Push);
        for row in self.notices.values_mut().filter(|row| row.key.lane == lane && row.callback == Some(callback.id)) {
            if row.ending.is_none() && row.owner.is_none() {
                (row.ending, row.wake_at) = (Some(Ending::Dropped), None);
            }
        }
        for target in 0..push.targets {
            let key = NoticeKey { lane, seq: happening.seq, target };
            self.insert(key, Lane::Push, &happening, Some(at), Some(push.expires_at));
        }
    }

    fn add(&mut self, tenant: TenantId, kind: Kind, at: DateTime<Utc>, about: About) -> Happening {
        let head = self.heads.entry(tenant).or_default();
        *head += 1;
        let happening = Happening { tenant, seq: *head, kind, at, about };
        self.happenings.entry(tenant).or_default().push(happening.clone());
        happening
    }

    fn lane(&mut self, tenant: TenantId, lane: Lane) -> LaneId {
        let found = self.lanes.iter().position(|row| row.tenant == tenant && row.lane == lane);
        let index = found.unwrap_or_else(|| {
            self.lanes.push(LaneRow { tenant, lane, failing_since: None, disabled_at: None });
            self.lanes.len() - 1
        });
        LaneId(i64::try_from(index).expect("few lanes") + 1)
    }

    fn lane_row(&mut self, id: LaneId) -> Option<&mut LaneRow> {
        self.lanes.get_mut(usize::try_from(id.0 - 1).ok()?)
    }

    fn owe_message(&mut self, happening: &Happening, endpoint: &str, at: DateTime<Utc>) {
        let lane = Lane::Webhook { endpoint: endpoint.to_owned() };
        let id = self.lane(happening.tenant, lane.clone());
        if self.lane_row(id).is_some_and(|row| row.disabled_at.is_some()) {
            return;
        }
        let key = NoticeKey { lane: id, seq: happening.seq, target: 0 };
        let wake_at = (!self.waits(id, callback_of(happening))).then_some(at);
        self.insert(key, lane, happening, wake_at, None);
    }

    /// Whether an earlier one about the same callback is owed in the lane.
    fn waits(&self, lane: LaneId, callback: Option<CallbackId>) -> bool {
        let mut owed = self.notices.values().filter(|row| row.key.lane == lane && row.ending.is_none());
        callback.is_some() && owed.any(|row| row.callback == callback)
    }

    fn insert(
        &mut self,
        key: NoticeKey,
        lane: Lane,
        happening: &Happening,
        wake_at: Option<DateTime<Utc>>,
        expires_at: Option<DateTime<Utc>>,
    ) {
        let row = NoticeRow {
            key,
            lane,
            tenant: happening.tenant,
            kind: happening.kind,
            callback: callback_of(happening),
            ending: None,
            attempts: 0,
            wake_at,
            owner: None,
            expires_at,
            tries: Vec::new(),
        };
        self.notices.insert(key, row);
    }

    fn claim(&mut self, claim: &ClaimNotices) -> Vec<Claimed> {
        let dead =
            |row: &NoticeRow| row.owner.is_some_and(|owner| owner != claim.owner && !claim.living.contains(&owner));
        let mut due: Vec<&NoticeRow> =
            self.notices.values().filter(|row| row.wake_at.is_some_and(|at| at <= claim.at) || dead(row)).collect();
        due.sort_by_key(|row| (row.key.lane <= claim.after, row.key.lane, row.wake_at));
        let mut in_hand = claim.in_hand.clone();
        let mut keys = Vec::new();
        for row in due {
            let share = in_hand.entry(row.key.lane).or_default();
            if *share < claim.per_lane && keys.len() < claim.limit {
                *share += 1;
                keys.push(row.key);
            }
        }
        keys.into_iter().filter_map(|key| self.take_on(key, claim)).collect()
    }

    fn take_on(&mut self, key: NoticeKey, claim: &ClaimNotices) -> Option<Claimed> {
        let lane_disabled = self.lane_row(key.lane)?.disabled_at.is_some();
        let row = self.notices.get_mut(&key)?;
        let interrupted = row.owner.is_some();
        row.attempts += 1;
        row.owner = Some(claim.owner);
        row.wake_at = Some(claim.at + claim.lease);
        let happening = self.happenings.get(&row.tenant)?.iter().find(|it| it.seq == key.seq)?.clone();
        Some(Claimed {
            key,
            lane: row.lane.clone(),
            tenant: row.tenant,
            attempt: row.attempts,
            interrupted,
            lane_disabled,
            expires_at: row.expires_at,
            happening,
        })
    }

    fn settle(&mut self, settle: &Settle) -> Settled {
        let Some(row) = self.notices.get_mut(&settle.key) else { return Settled::default() };
        if row.owner != Some(settle.owner) || row.attempts != settle.attempt || row.ending.is_some() {
            return Settled::default();
        }
        let mut settled = Settled { written: true, ..Settled::default() };
        row.owner = None;
        match settle.verdict {
            Verdict::Later(at) => {
                (row.wake_at, row.attempts) = (Some(at), row.attempts - 1);
                return settled;
            }
            Verdict::Again(at) => row.wake_at = Some(at),
            Verdict::Settled(ending) => (row.ending, row.wake_at) = (Some(ending), None),
        }
        row.tries.push((settle.at, settle.detail));
        let (callback, lane, tenant) = (row.callback, row.key.lane, row.tenant);
        if callback.is_some() && matches!(settle.verdict, Verdict::Settled(_)) {
            let next = self
                .notices
                .values_mut()
                .filter(|row| row.key.lane == lane && row.callback == callback && row.ending.is_none())
                .min_by_key(|row| row.key.seq)
                .filter(|row| row.wake_at.is_none());
            if let Some(next) = next {
                next.wake_at = Some(settle.at);
                settled.released = true;
            }
        }
        settled.disabled = self.note_mood(settle);
        if settled.disabled {
            let name = match self.lane_row(lane).map(|row| row.lane.clone()) {
                Some(Lane::Webhook { endpoint }) => endpoint,
                _ => String::new(),
            };
            let happening = self.add(tenant, Kind::EndpointDisabled, settle.at, About::Endpoint { name });
            settle.told_of_disabling.iter().for_each(|endpoint| self.owe_message(&happening, endpoint, settle.at));
            settled.released |= !settle.told_of_disabling.is_empty();
        }
        self.tell(settle, tenant, &mut settled);
        settled
    }

    fn tell(&mut self, settle: &Settle, tenant: TenantId, settled: &mut Settled) {
        let Some(told) = &settle.told else { return };
        let cause = self.happenings.get(&tenant).and_then(|all| all.iter().find(|it| it.seq == settle.key.seq));
        let Some(About::Callback(news)) = cause.map(|cause| cause.about.clone()) else { return };
        let news = CallbackNews { push: Some((told.event, told.result)), passed: Vec::new(), reason: None, ..news };
        let happening = self.add(tenant, Kind::Push, settle.at, About::Callback(news));
        told.endpoints.iter().for_each(|endpoint| self.owe_message(&happening, endpoint, settle.at));
        settled.released |= !told.endpoints.is_empty();
    }

    fn note_mood(&mut self, settle: &Settle) -> bool {
        let Some(row) = self.lane_row(settle.key.lane) else { return false };
        match settle.endpoint {
            EndpointMood::Unknown => return false,
            EndpointMood::Well => row.failing_since = None,
            EndpointMood::Failing | EndpointMood::Gone => {
                let since = *row.failing_since.get_or_insert(settle.at);
                let over = settle.endpoint == EndpointMood::Gone || settle.at - since >= FAILING_MAX;
                if over && row.disabled_at.is_none() {
                    row.disabled_at = Some(settle.at);
                    return true;
                }
            }
        }
        false
    }

    fn renew(&mut self, renew: &Renew) -> u64 {
        let lane = Lane::Webhook { endpoint: renew.endpoint.clone() };
        let id = self.lane(renew.tenant, lane.clone());
        let mut renewed = 0;
        for seq in &renew.seqs {
            let all = self.happenings.get(&renew.tenant);
            let Some(happening) = all.and_then(|all| all.iter().find(|it| it.seq == *seq)).cloned() else { continue };
            let key = NoticeKey { lane: id, seq: *seq, target: 0 };
            let stays = self.notices.get(&key).is_some_and(|row| match row.ending {
                None => true,
                Some(Ending::Delivered) => !renew.delivered_too,
                Some(_) => false,
            });
            if !stays {
                let wake_at = (!self.waits(id, callback_of(&happening))).then_some(renew.at);
                let tries = self.notices.get(&key).map(|row| row.tries.clone()).unwrap_or_default();
                self.insert(key, lane.clone(), &happening, wake_at, None);
                if let Some(row) = self.notices.get_mut(&key) {
                    row.tries = tries;
                }
                renewed += 1;
            }
        }
        renewed
    }

    fn stretch(&self, tenant: TenantId, after: u64, limit: usize) -> Stretch {
        let all = self.happenings.get(&tenant).map(Vec::as_slice).unwrap_or_default();
        let last = self.heads.get(&tenant).copied().unwrap_or_default();
        Stretch {
            happenings: all.iter().filter(|it| it.seq > after).take(limit).cloned().collect(),
            first_kept: all.first().map_or(last + 1, |first| first.seq),
            last,
        }
    }
}

fn callback_of(happening: &Happening) -> Option<CallbackId> {
    match &happening.about {
        About::Callback(news) => Some(news.id),
        About::Endpoint { .. } => None,
    }
}
