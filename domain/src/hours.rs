//! Business hours: when a queue is open.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Weekly hours in a zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BusinessHours {}

impl BusinessHours {
    /// Open at every instant.
    pub fn always() -> Self {
        Self {}
    }

    /// Whether the queue is open at `at`.
    pub fn is_open(&self, _at: DateTime<Utc>) -> bool {
        true
    }

    /// The first instant from `at` on (itself included) at which it is open; none if it never opens within 15 days.
    pub fn next_opening(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(at)
    }
}
