//! Where callbacks stand in their queues just now, as routing last said: last value wins, nothing is stored.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use domain::callback::{Live, Signal, SignalEvent};
use domain::ids::{CallbackId, SessionId, TenantId};

/// Locks taken in turn, so that reports about different callbacks seldom meet.
const SHARDS: usize = 16;
/// Callbacks followed by one shard, 400,000 in all. Beyond it whatever was silent longest is forgotten; its
/// next report finds the way through its session instead.
const FOLLOWED: usize = 25_000;

/// Parts in which [`LiveBoard::part`] tells everything.
pub(crate) const PARTS: u64 = SHARDS as u64;

/// What a report was to the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The board does not follow this callback under this attempt and session.
    NotFollowed,
    /// It was heard, and says nothing new of where the callback stands.
    Nothing,
    /// The callback stands somewhere else now.
    News,
}

/// To whom an attempt was granted: whose reports count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) tenant: TenantId,
    pub(crate) attempt: u32,
    pub(crate) session: Option<SessionId>,
}

#[derive(Debug, Clone)]
struct Entry {
    grant: Grant,
    live: Option<Live>,
    /// `seq` of these values. Positions have an order of their own, beside that of other signals.
    live_seq: u64,
    heard_at: Option<DateTime<Utc>>,
}

/// The board. An entry lives while an attempt is granted, also while a full node has put its session aside.
#[derive(Debug, Default)]
pub(crate) struct LiveBoard {
    shards: [Mutex<HashMap<CallbackId, Entry>>; SHARDS],
}

impl LiveBoard {
    fn shard(&self, id: CallbackId) -> Option<MutexGuard<'_, HashMap<CallbackId, Entry>>> {
        let index = usize::try_from(id.as_uuid().as_u128() % SHARDS as u128).unwrap_or_default();
        self.shards.get(index).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on reports under this grant count, and those under an older one do not. Repeating it changes
    /// nothing. `heard_at` is when routing was heard about it; none after a restart.
    pub(crate) fn follow(&self, id: CallbackId, grant: Grant, heard_at: Option<DateTime<Utc>>) {
        let Some(mut shard) = self.shard(id) else { return };
        if shard.get(&id).is_some_and(|entry| entry.grant == grant) {
            return;
        }
        if shard.len() >= FOLLOWED && !shard.contains_key(&id) {
            forget_silent_half(&mut shard);
        }
        shard.insert(id, Entry { grant, live: None, live_seq: 0, heard_at });
    }

    /// Takes in a report of a session: that it was heard and, in a `position`, its values, unless later ones are known; a
    /// `seq` of 0 says nothing of the order.
    pub(crate) fn hear(&self, id: CallbackId, tenant: TenantId, signal: &Signal, now: DateTime<Utc>) -> Heard {
        let Some(mut shard) = self.shard(id) else { return Heard::NotFollowed };
        let Some(entry) = shard.get_mut(&id) else { return Heard::NotFollowed };
        let granted = entry.grant.tenant == tenant
            && entry.grant.attempt == signal.attempt
            && (signal.session.is_none() || signal.session == entry.grant.session);
        if !granted {
            return Heard::NotFollowed;
        }
        entry.heard_at = Some(now);
        match signal.event {
            SignalEvent::Position(live) if signal.seq == 0 || signal.seq >= entry.live_seq => {
                entry.live_seq = signal.seq.max(entry.live_seq);
                if entry.live.replace(live) == Some(live) { Heard::Nothing } else { Heard::News }
            }
            _ => Heard::Nothing,
        }
    }

    /// Takes in what another node was told of an attempt that is followed here; whose callback it is. None if the board
    /// does not follow it.
    pub(crate) fn hear_from_node(
        &self,
        id: CallbackId,
        attempt: u32,
        live: Option<Live>,
        now: DateTime<Utc>,
    ) -> Option<TenantId> {
        let mut shard = self.shard(id)?;
        let entry = shard.get_mut(&id).filter(|entry| entry.grant.attempt == attempt)?;
        entry.heard_at = Some(now);
        entry.live = live.or(entry.live);
        Some(entry.grant.tenant)
    }

    /// What is known of one part of the callbacks; `part` counts on for ever, and each of [`PARTS`] comes in its turn.
    pub(crate) fn part(&self, part: u64) -> Vec<(CallbackId, u32, Live)> {
        let index = usize::try_from(part % PARTS).unwrap_or_default();
        let Some(shard) = self.shards.get(index) else { return Vec::new() };
        let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.iter().filter_map(|(id, entry)| Some((*id, entry.grant.attempt, entry.live?))).collect()
    }

    /// The last values.
    pub(crate) fn live(&self, id: CallbackId) -> Option<Live> {
        self.shard(id)?.get(&id)?.live
    }

    /// When routing was last heard about it.
    pub(crate) fn heard_at(&self, id: CallbackId) -> Option<DateTime<Utc>> {
        self.shard(id)?.get(&id)?.heard_at
    }

    /// The attempt is no longer granted, or the callback is no longer ours.
    pub(crate) fn forget(&self, id: CallbackId) {
        if let Some(mut shard) = self.shard(id) {
            shard.remove(&id);
        }
    }
}

fn forget_silent_half(shard: &mut HashMap<CallbackId, Entry>) {
    let mut heard: Vec<_> = shard.values().map(|entry| entry.heard_at).collect();
    let middle = heard.len() / 2;
    let (_, median, _) = heard.select_nth_unstable(middle);
    let median = *median;
    shard.retain(|_, entry| entry.heard_at > median);
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Duration;
    use uuid::Uuid;

    const EARLY: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn id(number: u128) -> CallbackId {
        CallbackId::from_uuid(Uuid::from_u128(number))
    }

    fn grant(attempt: u32) -> Grant {
        Grant { tenant: TenantId::from_name("a"), attempt, session: SessionId::new("s").ok() }
    }

    fn signal(attempt: u32, session: Option<&str>, event: SignalEvent) -> Signal {
        Signal { attempt, seq: 0, session: session.map(|it| SessionId::new(it).unwrap()), event }
    }

    #[test]
    fn only_the_granted_session_is_heard() {
        let board = LiveBoard::default();
        let late = EARLY + Duration::seconds(5);
        let tenant = TenantId::from_name("a");
        let live = Live { position: 3, estimated_wait_seconds: 60 };
        let position = |attempt, session| signal(attempt, session, SignalEvent::Position(live));
        assert_eq!(board.hear(id(7), tenant, &position(1, None), EARLY), Heard::NotFollowed, "nobody was granted it");
        board.follow(id(7), grant(2), Some(EARLY));
        for (whose, signal) in [
            (tenant, position(1, Some("s"))),
            (tenant, position(2, Some("t"))),
            (TenantId::from_name("b"), position(2, Some("s"))),
        ] {
            assert_eq!(board.hear(id(7), whose, &signal, late), Heard::NotFollowed, "{signal:?}");
        }
        assert_eq!((board.live(id(7)), board.heard_at(id(7))), (None, Some(EARLY)));
        assert_eq!(board.hear(id(7), tenant, &position(2, Some("s")), late), Heard::News);
        assert_eq!(board.hear(id(7), tenant, &position(2, Some("s")), late), Heard::Nothing, "the same again");
        let alive = signal(2, None, SignalEvent::Alive);
        assert_eq!(board.hear(id(7), tenant, &alive, late), Heard::Nothing, "says nothing about the place");
        board.follow(id(7), grant(2), None);
        assert_eq!((board.live(id(7)), board.heard_at(id(7))), (Some(live), Some(late)), "repeating changes nothing");
        board.forget(id(7));
        assert_eq!(board.live(id(7)), None);
    }

    #[test]
    fn positions_have_an_order_of_their_own() {
        let board = LiveBoard::default();
        let tenant = TenantId::from_name("a");
        board.follow(id(7), grant(1), None);
        let told = |seq, position| {
            let live = Live { position, estimated_wait_seconds: 0 };
            let signal = Signal { seq, ..signal(1, Some("s"), SignalEvent::Position(live)) };
            let heard = board.hear(id(7), tenant, &signal, EARLY);
            assert_ne!(heard, Heard::NotFollowed, "it was heard, whatever its values are worth");
            board.live(id(7)).map(|live| live.position)
        };
        assert_eq!(told(5, 3), Some(3));
        assert_eq!(told(4, 9), Some(3), "overtaken on its way");
        assert_eq!(told(5, 2), Some(2), "the same number again: the last one counts");
        assert_eq!(told(0, 7), Some(7), "without an order the last one counts");
        assert_eq!(told(6, 1), Some(1));
    }

    #[test]
    fn what_another_node_was_told_counts_for_the_attempt_that_is_followed() {
        let board = LiveBoard::default();
        let live = Live { position: 3, estimated_wait_seconds: 60 };
        assert_eq!(board.hear_from_node(id(7), 2, Some(live), EARLY), None);
        board.follow(id(7), grant(2), None);
        assert_eq!(board.hear_from_node(id(7), 1, Some(live), EARLY), None, "an older attempt");
        assert_eq!(board.hear_from_node(id(7), 2, Some(live), EARLY), Some(TenantId::from_name("a")));
        let late = EARLY + Duration::seconds(5);
        assert!(board.hear_from_node(id(7), 2, None, late).is_some());
        assert_eq!((board.live(id(7)), board.heard_at(id(7))), (Some(live), Some(late)), "alive, and where it was");
        let told: Vec<_> = (100..100 + PARTS).flat_map(|part| board.part(part)).collect();
        assert_eq!(told, [(id(7), 2, live)]);
    }

    #[test]
    fn a_full_shard_forgets_the_silent() {
        let board = LiveBoard::default();
        let of_shard = |number: usize| id((number * SHARDS) as u128);
        for number in 0..=FOLLOWED {
            let heard_at = EARLY + Duration::seconds(i64::try_from(number).unwrap());
            board.follow(of_shard(number), grant(1), Some(heard_at));
        }
        assert_eq!(board.heard_at(of_shard(0)), None);
        assert!(board.heard_at(of_shard(FOLLOWED)).is_some());
        assert!(board.shard(of_shard(0)).unwrap().len() <= FOLLOWED);
    }
}
