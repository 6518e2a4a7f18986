//! Whether the promise of a callback was kept: that routing takes it on when the customer was told it would be.

use chrono::{DateTime, Duration, Utc};

use super::{Callback, HandOff, Reason, State};

/// What became of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Promise {
    /// Routing took the callback on in time.
    Kept,
    /// It did so later, or lost the first attempt before anybody had taken it on.
    Late,
    /// The callback ended without, and nobody had asked for that.
    Missed,
}

impl Promise {
    /// Everything that can become of one.
    pub const ALL: [Self; 3] = [Self::Kept, Self::Late, Self::Missed];

    /// How long after its desired time (after the opening, if it was put off until then) a callback is still on time.
    pub const WITHIN: Duration = Duration::seconds(60);

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Late => "late",
            Self::Missed => "missed",
        }
    }
}

impl Callback {
    /// What the step from `before` to this row, saved at `now`, made of the promise. Of all steps of a callback at most
    /// one decides, so that promises can be counted; none does if it was cancelled before it was taken on.
    pub fn promise(&self, before: &Self, now: DateTime<Utc>) -> Option<Promise> {
        if !before.is_promised() || self.is_promised() {
            return None;
        }
        if self.state == State::Completed {
            let asked_for = self.reason.as_ref().is_some_and(Reason::is_cancellation);
            return (!asked_for).then_some(Promise::Missed);
        }
        let due = self.start_at.max(self.desired_time);
        let in_time = self.hand_off == HandOff::Accepted && now - due <= Promise::WITHIN;
        Some(if in_time { Promise::Kept } else { Promise::Late })
    }

    /// No attempt was ever taken on or lost: as many were begun as routing has refused, and one more if it is there.
    fn is_promised(&self) -> bool {
        let under_way = match self.hand_off {
            HandOff::Idle => 0,
            HandOff::Started => 1,
            HandOff::Accepted => return false,
        };
        self.state != State::Completed && self.attempt == self.refusals + under_way
    }
}
