//! The other nodes: what they are told so that they need not find it out, and what is made of what they tell.
//!
//! No promise depends on any of this. Lost, doubled or late, it changes how soon something is known here, and nothing
//! else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use domain::callback::{Callback, HandOff, Input, Live, Signal, SignalEvent, State};
use domain::ids::{CallbackId, TenantId};
use domain::ports::Hint;
use tokio::time::Instant;

use crate::live::{Heard, PARTS};
use crate::node::Node;
use crate::tenant::TenantMsg;
use crate::tenants::TenantsMsg;

/// Callbacks of other nodes whose places are remembered; more are not.
const REMEMBERED: usize = 100_000;
/// Rounds of a second from one part of our own places to the next: each is told again within about a minute.
const ROUNDS_PER_PART: u64 = 4;
/// How long the place of a callback of another node counts: it is told again in that time, twice, if it still does.
const KNOWN_FOR: Duration = Duration::from_secs(2 * PARTS * ROUNDS_PER_PART + 30);

/// Where callbacks of other nodes stand, as was last heard of them.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere(Mutex<HashMap<CallbackId, Place>>);

#[derive(Debug)]
struct Place {
    attempt: u32,
    live: Live,
    heard: Instant,
}

impl Elsewhere {
    fn lock(&self) -> MutexGuard<'_, HashMap<CallbackId, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, id: CallbackId, attempt: u32, live: Live) {
        let mut places = self.lock();
        // Room is made by tidying, once in a while: to look for it with every hint would cost more than a place is worth.
        if places.len() >= REMEMBERED && !places.contains_key(&id) {
            return;
        }
        places.insert(id, Place { attempt, live, heard: Instant::now() });
    }

    /// Where a callback stands in this very attempt.
    pub(crate) fn live(&self, id: CallbackId, attempt: u32) -> Option<Live> {
        let places = self.lock();
        let place = places.get(&id).filter(|place| place.attempt == attempt)?;
        (place.heard.elapsed() < KNOWN_FOR).then_some(place.live)
    }

    /// Forgets what counts no more.
    fn tidy(&self) {
        self.lock().retain(|_, place| place.heard.elapsed() < KNOWN_FOR);
    }
}

/// From now on what others tell is heard here.
pub(crate) fn listen(node: &Arc<Node>) {
    let node_or_gone: Weak<Node> = Arc::downgrade(node);
    node.ports.bus.listen(Box::new(move |hint| {
        if let Some(node) = node_or_gone.upgrade() {
            node.on_hint(hint);
        }
    }));
}

impl Node {
    fn on_hint(&self, hint: Hint) {
        match hint {
            Hint::Changed { tenant, id } => {
                // Without a session of ours whatever is left to do is due, or another node's.
                if let Some(entry) = self.directory.find(tenant) {
                    entry.address.hint(TenantMsg::Changed { id });
                }
            }
            Hint::SettingsChanged => self.tenants.hint(TenantsMsg::SettingsChanged),
            Hint::Heard { id, attempt, live } => self.on_heard_elsewhere(id, attempt, live),
            Hint::Reported { tenant, queue, report } => {
                // A full board has said so where it was reported first.
                let _ = self.ports.reports.take(tenant, queue, report);
            }
        }
    }

    fn on_heard_elsewhere(&self, id: CallbackId, attempt: u32, live: Option<Live>) {
        match (self.live.hear_from_node(id, attempt, live, self.now()), live) {
            (Some(tenant), Some(live)) => self.watch_for_short_wait(tenant, id, live),
            (None, Some(live)) => self.elsewhere.put(id, attempt, live),
            (_, None) => {}
        }
    }

    /// Routing has reported of a callback. False if it is not followed here under this attempt and session.
    pub(crate) fn hear(&self, tenant: TenantId, id: CallbackId, signal: &Signal) -> bool {
        let heard = self.live.hear(id, tenant, signal, self.now());
        if heard == Heard::NotFollowed {
            return false;
        }
        if let SignalEvent::Position(live) = signal.event {
            if heard == Heard::News {
                self.ports.bus.tell(Hint::Heard { id, attempt: signal.attempt, live: Some(live) });
            }
            self.watch_for_short_wait(tenant, id, live);
        }
        true
    }

    /// A report that changes nothing in the row was judged beside the owner, who has not heard it.
    pub(crate) fn hear_for_owner(&self, callback: &Callback, input: &Input) {
        let Input::Signal(signal) = input else { return };
        let live = match signal.event {
            SignalEvent::Position(live) => Some(live),
            SignalEvent::Alive => None,
            _ => return,
        };
        if callback.hand_off != HandOff::Accepted {
            return;
        }
        if let Some(live) = live {
            self.elsewhere.put(callback.id, callback.attempt, live);
        }
        self.ports.bus.tell(Hint::Heard { id: callback.id, attempt: callback.attempt, live });
    }

    /// A step was saved beside the owner. What it does about it, or holds for it, has to change.
    pub(crate) fn tell_owner(&self, before: &Callback, after: &Callback, work_is_left: bool) {
        let handed_over = (before.attempt, before.hand_off) != (after.attempt, after.hand_off);
        let ended = before.state != State::Completed && after.state == State::Completed;
        if after.owner.is_some() && (work_is_left || handed_over || ended) {
            self.ports.bus.tell(Hint::Changed { tenant: after.tenant, id: after.id });
        }
    }

    /// Tells again, a part in each round of a second, where our callbacks stand: others may have missed it, and what they
    /// are not told again they forget.
    pub(crate) fn tell_places(&self, round: u64) {
        if !round.is_multiple_of(ROUNDS_PER_PART) {
            return;
        }
        let part = round / ROUNDS_PER_PART;
        if part.is_multiple_of(PARTS) {
            self.elsewhere.tidy();
        }
        if self.ports.bus.reaches_others() {
            for (id, attempt, live) in self.live.part(part) {
                self.ports.bus.tell(Hint::Heard { id, attempt, live: Some(live) });
            }
        }
    }

    fn watch_for_short_wait(&self, tenant: TenantId, id: CallbackId, live: Live) {
        if self.short_waits.heard(id, live, self.now()) {
            self.tell_short_wait(tenant, id);
        }
    }
}

#[cfg(test)]
mod tests;
