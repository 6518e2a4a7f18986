//! How the process is, as the door shows it.

use std::sync::Arc;

use actors::HealthSnapshot;
use chrono::{DateTime, Utc};

use crate::front_door::{HealthReport, HealthView, Phase};

/// The tree's health as the door shows it.
pub(super) struct Health {
    pub(super) snapshot: Box<dyn Fn() -> HealthSnapshot + Send + Sync>,
    pub(super) node: Arc<str>,
    pub(super) started_at: DateTime<Utc>,
}

impl HealthView for Health {
    fn report(&self) -> HealthReport {
        let snapshot = (self.snapshot)();
        let phase = match (snapshot.draining, snapshot.ready) {
            (true, _) => Phase::Draining,
            (false, true) => Phase::Serving,
            (false, false) => Phase::Starting,
        };
        HealthReport {
            phase,
            node: self.node.clone(),
            started_at: self.started_at,
            dependencies: snapshot.dependencies,
        }
    }
}
