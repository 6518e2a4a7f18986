//! What the floor tells unasked, every few seconds: how its queues are, and where callbacks stand. Live values only: what
//! gets lost is told anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::TenantId;
use domain::ports::Routing as _;
use domain::wait::QueueReport;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::signals::{Poster, WireSignal};
use crate::routing::simulator::Simulator;

/// Pause between two rounds.
const EVERY: Duration = Duration::from_secs(5);
/// Signals, or reports, in one request, the most that the service takes.
const BATCH: usize = 500;

#[derive(Serialize)]
struct Queues {
    queues: Vec<Report>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agents: Option<u32>,
    free_agents: u32,
    waiting: u32,
    on_hold: u32,
    served: u32,
    served_over_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_busy_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_wait_seconds: Option<i32>,
}

impl Report {
    fn of(queue: String, report: QueueReport) -> Self {
        Self {
            queue,
            agents: report.agents,
            free_agents: report.free_agents,
            waiting: report.waiting,
            on_hold: report.on_hold,
            served: report.served,
            served_over_seconds: report.served_over_seconds,
            mean_busy_seconds: report.mean_busy_seconds,
            expected_wait_seconds: report.expected_wait_seconds,
        }
    }
}

#[derive(Serialize)]
struct Signals {
    signals: Vec<Batched>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Batched {
    callback_id: String,
    #[serde(flatten)]
    signal: WireSignal,
}

/// Tells until `stop`.
pub(super) async fn report(simulator: Arc<Simulator>, poster: Arc<Poster>, stop: CancellationToken) {
    let mut next = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        tell_queues(&simulator, &poster).await;
        next = tell_positions(&simulator, &poster, next).await;
    }
}

async fn tell_queues(simulator: &Simulator, poster: &Poster) {
    let mut of_tenants: HashMap<TenantId, Vec<Report>> = HashMap::new();
    for (tenant, queue) in simulator.queues() {
        if let Some(report) = simulator.queue_report(tenant, &queue) {
            of_tenants.entry(tenant).or_default().push(Report::of(queue.into(), report));
        }
    }
    for (tenant, mut reports) in of_tenants {
        while !reports.is_empty() {
            let rest = reports.split_off(reports.len().min(BATCH));
            let queues = std::mem::replace(&mut reports, rest);
            let _told_anew_if_lost = poster.post(tenant, "/ges/v1/queues/reports", &Queues { queues }).await;
        }
    }
}

/// Tells where some of those who wait stand; in the next round others have their turn.
async fn tell_positions(simulator: &Simulator, poster: &Poster, from: usize) -> usize {
    let (whereabouts, next) = simulator.whereabouts(from, BATCH);
    let mut of_tenants: HashMap<TenantId, Vec<Batched>> = HashMap::new();
    for (tenant, id, signal) in whereabouts {
        let batched = Batched { callback_id: id.to_string(), signal: signal.into() };
        of_tenants.entry(tenant).or_default().push(batched);
    }
    for (tenant, signals) in of_tenants {
        let _told_anew_if_lost = poster.post(tenant, "/ges/v1/callbacks/signals", &Signals { signals }).await;
    }
    next
}
