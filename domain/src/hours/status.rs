//! Whether a calendar is open, in the words in which people are told.

use chrono::{DateTime, Utc};

/// Whether it is open, and until when, as far as [`super::Calendar::LOOK_AHEAD`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Open; no closing is in sight ("open, 24 hours").
    OpenAlways,
    /// Open; it closes at that instant.
    OpenUntil(DateTime<Utc>),
    /// Closed; it opens at that instant.
    ClosedUntil(DateTime<Utc>),
    /// Closed; no opening is in sight.
    ClosedUnknown,
}

impl Status {
    /// Whether it is open.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::OpenAlways | Self::OpenUntil(_))
    }
}
