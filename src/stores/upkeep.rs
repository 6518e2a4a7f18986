//! What stores keep beside callbacks, and for how long.

use chrono::Duration;

/// Idempotency keys and slots that one command removes.
pub(super) const FORGET_ROWS: usize = 250;

/// Steps of expired keys and past slots in one purge: twice what a thousand bookings a second leave in 5 s.
pub(super) const MAX_FORGET_STEPS: usize = 40;

/// How long after its start a slot is kept: no slot is longer than two hours, and operators like to look back.
pub(super) const SLOT_LIFE: Duration = Duration::hours(24);

/// How long a count is kept after its end, for bookings that were judged by a clock a little behind.
pub(super) const COUNT_LIFE: Duration = Duration::hours(1);
