//! Where callbacks stand in their queues just now, as routing last said: last value wins, nothing is stored.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use domain::callback::Live;
use domain::ids::CallbackId;

/// Locks taken in turn, so that reports about different callbacks seldom meet.
const SHARDS: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Entry {
    attempt: u32,
    live: Option<Live>,
    heard_at: DateTime<Utc>,
}

/// The board. Entries go with their sessions.
#[derive(Debug, Default)]
pub(crate) struct LiveBoard {
    shards: [Mutex<HashMap<CallbackId, Entry>>; SHARDS],
}

impl LiveBoard {
    fn shard(&self, id: CallbackId) -> Option<MutexGuard<'_, HashMap<CallbackId, Entry>>> {
        let index = usize::try_from(id.as_uuid().as_u128() % SHARDS as u128).unwrap_or_default();
        self.shards.get(index).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A session was granted `attempt`: from now on reports about it count, and about older ones do not.
    pub(crate) fn open(&self, id: CallbackId, attempt: u32, now: DateTime<Utc>) {
        if let Some(mut shard) = self.shard(id) {
            shard.insert(id, Entry { attempt, live: None, heard_at: now });
        }
    }

    /// Routing was heard about `attempt`, with or without values. False if the board does not follow it.
    pub(crate) fn hear(&self, id: CallbackId, attempt: u32, live: Option<Live>, now: DateTime<Utc>) -> bool {
        let Some(mut shard) = self.shard(id) else { return false };
        match shard.get_mut(&id) {
            Some(entry) if entry.attempt == attempt => {
                entry.heard_at = now;
                entry.live = live.or(entry.live);
                true
            }
            _ => false,
        }
    }

    /// The last values.
    pub(crate) fn live(&self, id: CallbackId) -> Option<Live> {
        self.shard(id)?.get(&id)?.live
    }

    /// When routing was last heard about it.
    pub(crate) fn heard_at(&self, id: CallbackId) -> Option<DateTime<Utc>> {
        Some(self.shard(id)?.get(&id)?.heard_at)
    }

    /// The session has ended.
    pub(crate) fn forget(&self, id: CallbackId) {
        if let Some(mut shard) = self.shard(id) {
            shard.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_the_granted_attempt_is_heard() {
        let board = LiveBoard::default();
        let id = CallbackId::from_uuid(Uuid::from_u128(7));
        let (early, late) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + chrono::Duration::seconds(5));
        let live = Live { position: 3, estimated_wait_seconds: 60 };
        assert!(!board.hear(id, 1, Some(live), early), "nobody was granted it");
        board.open(id, 2, early);
        assert!(!board.hear(id, 1, Some(live), late), "an older attempt");
        assert_eq!((board.live(id), board.heard_at(id)), (None, Some(early)));
        assert!(board.hear(id, 2, Some(live), late));
        assert!(board.hear(id, 2, None, late), "alive says nothing about the place");
        assert_eq!((board.live(id), board.heard_at(id)), (Some(live), Some(late)));
        board.forget(id);
        assert_eq!(board.live(id), None);
    }
}
