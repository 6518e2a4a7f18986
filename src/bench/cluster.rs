//! Several nodes: every row of the budgets, measured by the counters of PostgreSQL and Redis themselves, beside what the
//! product publishes of itself.
//!
//! ```text
//!   this process ──HTTP──▶ ges serve × 2 ──▶ PostgreSQL, own Redis
//!                               ▲   └──▶ voice Redis ──▶ ges simulate-ors
//!                            balancer ◀──signals─────────┘
//! ```
//!
//! `scripts/bench-cluster` starts the servers. Each section has a database of its own.

mod balancer;
mod bed;
mod bytes;
mod example;
mod figures;
mod lives;
mod memory;
mod pgbench;
mod redis;
mod servers;
mod start;
mod takeover;
mod throughput;

pub(super) use figures::Figures;

use super::lateness::{self, Load};
use super::{BenchError, Scale, Section};
use bed::{Bed, Setup};
use figures::Row;
use servers::Servers;

/// Runs one section; what it measures goes into `figures`.
///
/// # Errors
/// Servers that are not there, what could not be measured, or a broken promise.
pub(super) async fn run(section: Section, scale: Scale, figures: &mut Figures) -> Result<(), BenchError> {
    let servers = Servers::from_environment()?;
    match section {
        Section::ClusterStart => start::run(&servers, figures).await,
        Section::ClusterLives => lives::run(&servers, scale, figures).await,
        Section::ClusterExample => example::run(&servers, scale, figures).await,
        Section::ClusterBytes => bytes::run(&servers, scale, figures).await,
        Section::ClusterMemory => memory::run(&servers, scale.count(20_000), figures).await,
        Section::ClusterMemoryFull => memory::run(&servers, scale.count(100_000), figures).await,
        Section::ClusterLateness => {
            let seconds = scale.count(60);
            let load = Load::of("Lateness of scheduled starts, two nodes", scale.count(600), seconds, 10);
            let outcome = scheduled(&servers, load).await?;
            figures.note(Row::Lateness, outcome.p99_ms);
            figures.note(Row::Early, outcome.early as f64);
            Ok(())
        }
        Section::ClusterBurst => burst(&servers, scale.count(20_000), scale.count(40), figures).await,
        Section::ClusterBurstFull => burst(&servers, scale.count(100_000), scale.count(180), figures).await,
        Section::ClusterTakeover => takeover::killed(&servers, scale, figures).await,
        Section::ClusterDrain => takeover::drained(&servers, scale, figures).await,
        Section::ClusterThroughput => throughput::run(&servers, scale, figures).await,
        _ => Err(BenchError::Target("not about several nodes".to_owned())),
    }
}

async fn burst(servers: &Servers, callbacks: u64, ahead: u64, figures: &mut Figures) -> Result<(), BenchError> {
    let outcome = scheduled(servers, Load::of("Due in one minute, two nodes", callbacks, 60, ahead.max(20))).await?;
    figures.note(Row::Burst, (outcome.lost + outcome.doubled) as f64);
    figures.note(Row::BurstEarly, outcome.early as f64);
    Ok(())
}

async fn scheduled(servers: &Servers, load: Load) -> Result<lateness::Outcome, BenchError> {
    // Agents enough that the expected wait is nothing: the start instant is the desired time.
    let mut bed = Bed::start(servers, Setup { agents: 100_000, speed: 1000, ..Setup::default() }).await?;
    let outcome = lateness::measure(load, &bed.externals(), bed.journal()).await?;
    bed.stop().await?;
    Ok(outcome)
}
