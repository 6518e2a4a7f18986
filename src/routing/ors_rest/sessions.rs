//! Which session an attempt began as, and on which node, as the answers to its start said. It only saves questions: once
//! `accepted` was granted the callback knows its session, and what is forgotten here is asked of every node.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::ids::{CallbackId, SessionId};

/// Attempts remembered; the oldest are forgotten first.
const MAX: usize = 50_000;

/// Where an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The node that took it.
    pub(super) node: usize,
    /// Its session, if the answer named it.
    pub(super) session: Option<SessionId>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    places: HashMap<CallbackId, (u32, Place)>,
    /// In the order in which they came; those that were forgotten or replaced since are left out when their turn comes.
    line: VecDeque<(CallbackId, u32)>,
}

impl Sessions {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the highest attempt of a callback.
    pub(super) fn began(&self, id: CallbackId, attempt: u32, place: Place) {
        let mut known = self.known();
        if known.places.get(&id).is_some_and(|(higher, _)| *higher > attempt) {
            return;
        }
        known.places.insert(id, (attempt, place));
        known.line.push_back((id, attempt));
        while known.line.len() > MAX {
            let Some((oldest, attempt)) = known.line.pop_front() else { break };
            if known.places.get(&oldest).is_some_and(|(current, _)| *current == attempt) {
                known.places.remove(&oldest);
            }
        }
    }

    /// Where an attempt is, if that is known.
    pub(super) fn of(&self, id: CallbackId, attempt: u32) -> Option<Place> {
        let known = self.known();
        known.places.get(&id).filter(|(current, _)| *current == attempt).map(|(_, place)| place.clone())
    }

    /// Nobody will ask after a callback any more.
    pub(super) fn forget(&self, id: CallbackId) {
        self.known().places.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> CallbackId {
        CallbackId::from_uuid(uuid::Uuid::from_u128(u128::try_from(number).unwrap()))
    }

    fn place(node: usize) -> Place {
        Place { node, session: SessionId::new(&format!("s{node}")).ok() }
    }

    #[test]
    fn the_highest_attempt_counts() {
        let sessions = Sessions::default();
        sessions.began(id(1), 2, place(7));
        sessions.began(id(1), 1, place(8));
        assert_eq!((sessions.of(id(1), 2), sessions.of(id(1), 1)), (Some(place(7)), None));
        sessions.began(id(1), 3, place(9));
        assert_eq!((sessions.of(id(1), 3), sessions.of(id(1), 2)), (Some(place(9)), None));
        sessions.forget(id(1));
        assert_eq!(sessions.of(id(1), 3), None);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let sessions = Sessions::default();
        (0..MAX + 10).for_each(|number| sessions.began(id(number), 1, place(0)));
        assert_eq!((sessions.of(id(9), 1), sessions.of(id(10), 1)), (None, Some(place(0))));
        let known = sessions.known();
        assert!(known.places.len() <= MAX && known.line.len() <= MAX);
    }
}
