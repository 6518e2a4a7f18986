//! How long the slots of a queue are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A slot length that divides the day evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(extend("enum" = Self::ALLOWED))]
pub struct SlotMinutes(u32);

impl SlotMinutes {
    /// The lengths there are, in minutes.
    pub const ALLOWED: [u32; 7] = [5, 10, 15, 20, 30, 60, 120];

    /// Checks that the length is one of [`Self::ALLOWED`].
    pub fn new(minutes: u32) -> Result<Self, BadSlotMinutes> {
        if Self::ALLOWED.contains(&minutes) { Ok(Self(minutes)) } else { Err(BadSlotMinutes(minutes)) }
    }

    /// Minutes.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for SlotMinutes {
    fn default() -> Self {
        Self(5)
    }
}

/// Not a slot length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a slot has 5, 10, 15, 20, 30, 60 or 120 minutes, not {0}")]
pub struct BadSlotMinutes(u32);

impl TryFrom<u32> for SlotMinutes {
    type Error = BadSlotMinutes;

    fn try_from(minutes: u32) -> Result<Self, BadSlotMinutes> {
        Self::new(minutes)
    }
}

impl From<SlotMinutes> for u32 {
    fn from(slot: SlotMinutes) -> Self {
        slot.0
    }
}
