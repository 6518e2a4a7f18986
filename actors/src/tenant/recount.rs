//! Keeps the places of queues counted by the slots that the settings have: at the start, whenever settings change,
//! and when a booking finds that they are not. Counting what is counted already costs one read.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::QueueName;
use domain::slots::Grid;
use domain::tenant::Tenant;
use tokio::time::timeout;

use super::{State, TenantMsg};
use crate::mailbox::Address;
use crate::restart::any_number;
use crate::task;

/// How long one count may take. A million callbacks take seconds.
const DEADLINE: Duration = Duration::from_secs(120);
/// Shortest pause before a count that was not done is tried again, and by how much it varies.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_SPREAD_MS: u64 = 4_000;

/// Whether a count is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Counting {
    /// None is.
    #[default]
    Idle,
    /// One is.
    Running,
    /// One is, and another has to follow, because settings may have changed since it began.
    RunningAgain,
}

/// How a count ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Every queue is counted by its slots.
    Done,
    /// Not now.
    NotDone,
}

/// Says how a count ended when it is dropped, so that a panic in it is no silence.
struct Report {
    tenant: Address<TenantMsg>,
    counted: Counted,
}

impl Report {
    fn say(&mut self, counted: Counted) {
        self.counted = counted;
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.tenant.hint(TenantMsg::Recounted { counted: self.counted });
    }
}

impl State {
    pub(super) fn on_recount(&mut self) {
        if self.counting != Counting::Idle {
            self.counting = Counting::RunningAgain;
            return;
        }
        self.counting = Counting::Running;
        let (node, facts) = (self.node.clone(), self.facts.clone());
        let mut report = Report { tenant: self.me.clone(), counted: Counted::NotDone };
        let work = async move {
            let grids = grids(&facts.current());
            let count = node.ports.callbacks.recount(facts.id, &grids, node.now());
            match timeout(DEADLINE, count).await {
                Ok(Ok(moved)) => {
                    report.say(Counted::Done);
                    if moved > 0 {
                        tracing::info!(tenant.name = &*facts.name, moved, "callbacks got the slots of new settings");
                    }
                }
                Ok(Err(error)) => tracing::warn!(tenant.name = &*facts.name, %error, "slots were not counted anew"),
                Err(_) => tracing::warn!(tenant.name = &*facts.name, "slots were not counted anew in time"),
            }
        };
        task::spawn(&self.node, "counting slots anew", work);
    }

    pub(super) fn on_recounted(&mut self, counted: Counted) {
        match (std::mem::take(&mut self.counting), counted) {
            (Counting::RunningAgain, Counted::Done) => self.on_recount(),
            (_, Counted::NotDone) => {
                let pause = PAUSE + Duration::from_millis(any_number() % PAUSE_SPREAD_MS);
                self.me.hint_after(pause, TenantMsg::Recount);
            }
            (_, Counted::Done) => {}
        }
    }
}

fn grids(tenant: &Tenant) -> BTreeMap<QueueName, Grid> {
    tenant.queues.iter().map(|(name, queue)| (name.clone(), queue.layout.grid())).collect()
}
