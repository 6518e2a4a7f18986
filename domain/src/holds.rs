//! Holds: a place of a slot kept for a short time, while somebody fills in a form.
//!
//! A hold counts like a booking. It ends in one of three ways, whichever comes first: a booking brings its id and takes
//! its place over, it is given up, or its time is over. Then it is gone, and its id names nothing any more.

use chrono::{DateTime, Utc};

use crate::ids::HoldId;

/// One held place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// What a booking names it by.
    pub id: HoldId,
    /// When the callback is wanted, as it was asked for.
    pub desired_time: DateTime<Utc>,
    /// Start of the slot in which a place is held.
    pub slot: DateTime<Utc>,
    /// From this instant on it is gone.
    pub expires_at: DateTime<Utc>,
}

/// How many holds of a queue there may be at the same time, so that nobody keeps its places from everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldBounds {
    /// In all.
    pub of_queue: u32,
    /// For one number, where one is given.
    pub of_number: u32,
}

/// A bound that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldsReached {
    /// Which.
    pub bound: HoldBound,
    /// Its number.
    pub limit: u32,
    /// When the next of those holds is over, unless it is used or given up before.
    pub until: DateTime<Utc>,
}

/// Whose holds are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldBound {
    /// All of the queue.
    Queue,
    /// Those for one number.
    Number,
}

impl HoldBound {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Number => "number",
        }
    }
}
