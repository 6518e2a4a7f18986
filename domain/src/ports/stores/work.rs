//! What is asked for when callbacks get an owner, or another one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::ids::{Incarnation, QueueName, TenantId};

/// What the scheduler claims: unowned scheduled callbacks that start soon.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Who claims.
    pub owner: Incarnation,
    /// Everything whose start instant lies before this is claimed.
    pub horizon: DateTime<Utc>,
    /// By how much each queue starts before the desired time just now; queues that are missing: none.
    pub leads: BTreeMap<(TenantId, QueueName), chrono::Duration>,
    /// At most so many.
    pub limit: usize,
    /// Database time, for the history.
    pub at: DateTime<Utc>,
}

/// What the sweep takes over.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// Who takes.
    pub owner: Incarnation,
    /// Incarnations that are alive; their rows are left alone unless overdue.
    pub living: Vec<Incarnation>,
    /// Rows due at this instant (database time) count.
    pub at: DateTime<Utc>,
    /// Rows due before this are taken whoever owns them.
    pub overdue_before: DateTime<Utc>,
    /// Whether those of the living that wait for a place in the hand-off budget are among these. They may have to wait for
    /// long wherever they are.
    pub waiting: bool,
    /// At most so many, oldest first.
    pub limit: usize,
}

/// Which callbacks of a node go to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// Unfinished ones of whose attempts none is with routing: nothing that the node has begun is lost by it.
    Unbegun,
    /// Everything on which there is work to do.
    All,
}

/// What a node that ends gives to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    /// Whose callbacks.
    pub owner: Incarnation,
    /// Who goes on with them. Without anybody nothing is handed over.
    pub to: Vec<Incarnation>,
    /// Which of them.
    pub what: Handed,
    /// Database time, for the history.
    pub at: DateTime<Utc>,
    /// At most so many, those first that are due first.
    pub limit: usize,
}
