//! The sweep: what is due and has nobody, of this node and of those that are gone.

use std::time::Duration;

use chrono::TimeDelta;
use domain::event::Event;
use domain::ids::Incarnation;
use domain::ports::{Due, StoreError, Take};
use tokio::time::timeout;

use crate::node::Node;
use crate::tenants::TenantsMsg;

/// How long one sweep may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// Callbacks that one sweep brings back of ours, and that it takes from others in one batch.
pub(super) const SWEPT_AT_ONCE: usize = 2_000;
/// A row that is overdue by this is taken whoever owns it.
const OVERDUE: TimeDelta = TimeDelta::seconds(60);
/// In how many rounds these are once those, too, that wait for a place in the hand-off budget of a living node. There they have
/// a turn, which they lose whenever they are taken: where places are short everywhere, nodes would take them from each other
/// all the time, and some would never have their turn.
pub(super) const ROUNDS_PER_WAITING: u64 = 600;

/// What a sweep brought back; of what it took, the last batch.
pub(crate) struct Swept {
    pub(super) due: Vec<Due>,
    /// There was more of ours than was asked for.
    pub(super) more: bool,
}

/// What one sweep looks for.
pub(super) struct Reach {
    pub(super) living: Vec<Incarnation>,
    /// Callbacks of ours at most.
    pub(super) limit: usize,
    /// See [`ROUNDS_PER_WAITING`].
    pub(super) waiting: bool,
}

/// Sweeps once and tells what it found.
pub(super) async fn sweep(node: &Node, reach: Reach) -> Result<Swept, StoreError> {
    let swept = timeout(DEADLINE, find(node, reach)).await;
    swept.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the sweep took too long".into())))
}

async fn find(node: &Node, Reach { living, limit, waiting }: Reach) -> Result<Swept, StoreError> {
    let at = node.now();
    let mut due = node.ports.callbacks.due(node.me, at, limit).await?;
    let more = due.len() >= limit;
    let mut seats = node.free_seats();
    loop {
        let ours = due.len();
        let at_most = SWEPT_AT_ONCE.min(seats);
        if at_most > 0 {
            let take = Take {
                owner: node.me,
                living: living.clone(),
                at,
                overdue_before: at - OVERDUE,
                waiting,
                limit: at_most,
            };
            due.extend(node.ports.callbacks.take(take).await?);
        }
        let taken = due.len() - ours;
        let oldest = due.iter().map(|due| at - due.wake_at).max().unwrap_or_default();
        node.note(Event::Swept { taken: taken as u64, oldest: oldest.to_std().unwrap_or_default() });
        if taken == 0 || taken < at_most || !node.may_work() {
            return Ok(Swept { due, more });
        }
        // A node that dies may leave many: work on these begins while the next are taken.
        seats = seats.saturating_sub(taken);
        node.tenants.hint(TenantsMsg::Work { due: std::mem::take(&mut due) });
    }
}
