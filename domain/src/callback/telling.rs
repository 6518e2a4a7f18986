//! When a customer is told something on the way: that the wait has become short, or that it is time to call in.
//! Everything else that customers are told follows from the states.

use chrono::{DateTime, Duration, Utc};

use super::{Callback, Cause, Effect, Originated, State};

impl Callback {
    /// Whether a short wait is still to be told of.
    pub fn waits_for_short_wait(&self) -> bool {
        let waits = matches!(self.state, State::Queued | State::Routing) && !self.dialled;
        waits
            && match self.originated {
                Some(originated) => originated.until.is_none(),
                None => self.devices.targets > 0 && !self.devices.told_upcoming,
            }
    }

    /// When its life ends: where the customer was told to call in, as soon as that time is over.
    pub(super) fn life_ends_at(&self) -> DateTime<Utc> {
        match self.turn_until() {
            Some(until) => until.min(self.expires_at),
            None => self.expires_at,
        }
    }

    /// Until when a customer who was told to call in, and has not yet, is waited for.
    pub(super) fn turn_until(&self) -> Option<DateTime<Utc>> {
        let waited_for = matches!(self.state, State::Queued | State::Routing);
        self.originated.filter(|_| waited_for)?.until
    }

    /// The expected wait has fallen under the threshold of the queue. It is told of once, however often it rises
    /// and falls.
    pub(super) fn on_wait_short(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        if !self.waits_for_short_wait() {
            return Vec::new();
        }
        if self.begin_turn(now) {
            let planned = self.wake_at.unwrap_or(now);
            let wake = self.wake(planned);
            return vec![self.save(Cause::TurnCame), wake];
        }
        self.devices.told_upcoming = true;
        vec![self.save(Cause::WaitShort)]
    }

    /// The customer calls us, and may now; false if we call, or if that was so before.
    pub(super) fn begin_turn(&mut self, now: DateTime<Utc>) -> bool {
        match &mut self.originated {
            Some(Originated { within_seconds, until: until @ None }) => {
                *until = Some(now + Duration::seconds((*within_seconds).into()));
                true
            }
            Some(_) | None => false,
        }
    }
}
