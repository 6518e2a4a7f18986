//! The product's own example: 134,400 scheduled and 1,000 active callbacks on two nodes.
//!
//! Scheduled ones are loaded by the store's own way of writing, because nothing but the store is asked about them until
//! they fall due; the active ones are booked through the API, and wait in the line of an engine with one agent.

use std::time::Duration;

use super::super::table::{Table, number};
use super::super::{BenchError, Scale, seed};
use super::bed::{Bed, Setup};
use super::figures::{Figures, Row};
use super::servers::Servers;

const SCHEDULED: u64 = 134_400;
const ACTIVE: u64 = 1_000;
/// How long the active ones may take until they are accepted.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(120);
/// Tables and indexes that are listed.
const LISTED: usize = 8;
const ACCEPTED: &str = "SELECT count(*) FROM callbacks WHERE session IS NOT NULL";

pub(super) async fn run(servers: &Servers, scale: Scale, figures: &mut Figures) -> Result<(), BenchError> {
    let (scheduled, active) = (scale.count(SCHEDULED), scale.count(ACTIVE));
    let mut bed = Bed::start(servers, Setup::default()).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let short = Duration::from_secs(scale.count(20).max(5));
    let idle = per_minute(&bed, short).await?;
    let (memory, bytes) = (bed.servers.own.memory().await?, bed.database.bytes().await?);

    bed.database.load(seed::bookings_with(scheduled, |_| None)?).await?;
    let bytes = (bed.database.bytes().await? - bytes) / scheduled as f64;
    figures.note(Row::Scheduled, bytes);
    let loaded = per_minute(&bed, short).await?;
    let memory_loaded = bed.servers.own.memory().await?;

    Bed::book_now(&bed.externals(), active).await?;
    bed.until("active callbacks were accepted", ACCEPTED, active, ACCEPTED_WITHIN).await?;
    let all = per_minute(&bed, Duration::from_secs(scale.count(60).max(15))).await?;
    let memory_all = bed.servers.own.memory().await?;
    redis_figures(
        &bed,
        figures,
        [
            (Row::RedisScheduled, (loaded - idle).max(0.0) / scheduled as f64),
            (Row::RedisExample, all),
            (Row::RedisMemoryScheduled, (memory_loaded - memory).max(0.0) / scheduled as f64),
            (Row::RedisMemoryActive, (memory_all - memory_loaded).max(0.0) / active as f64),
        ],
    )
    .await?;

    let title = format!("The product's example: {scheduled} scheduled, {active} active, two nodes");
    let mut table = Table::new(&title, &["what", "figure"]);
    for (what, figure) in [
        ("own Redis, commands per minute: idle", idle),
        ("own Redis, commands per minute: with scheduled ones", loaded),
        ("own Redis, commands per minute: with active ones too", all),
        ("own Redis, bytes: idle", memory),
        ("own Redis, bytes: with scheduled ones", memory_loaded),
        ("own Redis, bytes: with active ones too", memory_all),
        ("database bytes per scheduled callback", bytes),
        ("resident MiB of one node", bed.node(0)?.resident_bytes()? as f64 / 1_048_576.0),
    ] {
        table.row([what.to_owned(), number(figure)]);
    }
    for (name, bytes) in bed.database.sizes().await?.into_iter().take(LISTED) {
        table.row([format!("  of which {name}"), number(bytes / scheduled as f64)]);
    }
    table.print();
    bed.stop().await
}

/// Notes what Redis was asked and keeps, if anybody has used it.
async fn redis_figures<const N: usize>(
    bed: &Bed,
    figures: &mut Figures,
    rows: [(Row, f64); N],
) -> Result<(), BenchError> {
    let used = bed.servers.own.is_used().await?;
    for (row, figure) in rows {
        if used { figures.note(row, figure) } else { figures.note_unused(row) }
    }
    Ok(())
}

async fn per_minute(bed: &Bed, window: Duration) -> Result<f64, BenchError> {
    let before = bed.servers.own.calls().await?;
    tokio::time::sleep(window).await;
    let calls = bed.servers.own.calls().await?.since(&before);
    Ok(calls.all() as f64 * 60.0 / window.as_secs_f64())
}
