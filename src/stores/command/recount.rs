//! What the writer is asked while places are counted by other grids.

use chrono::{DateTime, Utc};
use domain::ids::CallbackId;
use domain::slots::Grid;

/// How a grid is written.
#[derive(Debug, Clone)]
pub(in crate::stores) struct GridNames {
    /// Places are counted by it.
    pub(in crate::stores) grid: String,
    /// They are being counted by it.
    pub(in crate::stores) mark: String,
}

impl GridNames {
    pub(in crate::stores) fn of(grid: Grid) -> Self {
        Self { grid: grid.to_string(), mark: format!("~{grid}") }
    }
}

/// Marks and names of queues.
pub(in crate::stores) enum Naming {
    /// From now on nobody takes a place in them.
    Begin(Vec<(i64, GridNames)>),
    /// Their places are counted, if nobody else began to count them meanwhile.
    End(Vec<(i64, GridNames)>),
}

impl Naming {
    pub(in crate::stores) fn queues(&self) -> impl Iterator<Item = (i64, &GridNames)> {
        let (Self::Begin(queues) | Self::End(queues)) = self;
        queues.iter().map(|(queue, names)| (*queue, names))
    }

    pub(in crate::stores) fn len(&self) -> usize {
        let (Self::Begin(queues) | Self::End(queues)) = self;
        queues.len()
    }
}

/// Callbacks of one queue that get other slots.
pub(in crate::stores) struct Moves {
    pub(in crate::stores) queue: i64,
    pub(in crate::stores) mark: String,
    pub(in crate::stores) at: DateTime<Utc>,
    pub(in crate::stores) ids: Vec<CallbackId>,
    /// Beside `ids`.
    pub(in crate::stores) rows: Vec<MoveRow>,
}

/// What was read of a callback, and the slot that it gets.
pub(in crate::stores) struct MoveRow {
    pub(in crate::stores) version: i64,
    pub(in crate::stores) state: i64,
    pub(in crate::stores) attempt: i64,
    pub(in crate::stores) from: DateTime<Utc>,
    pub(in crate::stores) to: DateTime<Utc>,
}
