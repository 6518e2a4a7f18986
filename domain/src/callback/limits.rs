//! The numbers that a callback's life is judged by.

use chrono::Duration;

/// The constants of a callback's life.
pub struct Limits;

impl Limits {
    /// Attempts that routing may refuse before the callback ends as `SUBMIT_FAILED`.
    pub const REFUSALS: u32 = 3;
    /// An attempt that nobody was granted for so long is asked after.
    pub const ACCEPT_WITHIN: Duration = Duration::seconds(30);
    /// An attempt that may have begun, and must not be asked for twice, has so long to ask for itself.
    pub const PERHAPS: Duration = Duration::seconds(60);
    /// A session that was silent for so long is asked after.
    pub const SILENCE: Duration = Duration::seconds(60);
    /// The farthest that a start may lie before the desired time.
    pub const LEAD: Duration = Duration::hours(2);
    /// How long routing is told of an end before that is given up.
    pub const OWED_FOR: Duration = Duration::hours(24);
    /// Pause after the first try to tell it; later ones grow with the time that has passed.
    pub const OWED_RETRY: Duration = Duration::seconds(30);
    /// Longest pause between two tries.
    pub const OWED_RETRY_MAX: Duration = Duration::hours(1);
    /// Signals that come too late are kept in the history up to this version, then only answered.
    pub const NOTED_VERSIONS: u32 = 200;
    /// How far ahead of the row an attempt may be that is taken over. More than a few were never begun.
    pub const ATTEMPTS_AHEAD: u32 = 16;

    /// Pause after the first, second … refusal.
    pub const fn pause_after_refusal(refusals: u32) -> Duration {
        if refusals <= 1 { Duration::seconds(1) } else { Duration::seconds(5) }
    }
}
