//! What a quiet tenant feels of one that floods: its latency alone and beside the flood, in one run.

use std::sync::Arc;

use super::load::{self, MakeRequest, Seen, Until};
use super::table::{Table, number};
use super::target::Target;
use super::{BenchError, Scale, seed};

/// Connections of the quiet tenant and of the one that floods.
const QUIET: usize = 2;
const FLOOD: usize = 64;
/// Requests before anything is measured.
const WARM_UP: u64 = 20;
/// Requests per second that the second may make; it makes as many as it can, which is far more.
const RATE: u32 = 200;

pub(super) async fn run(scale: Scale) -> Result<(), BenchError> {
    let folder = seed::folder_with_neighbour(RATE).await?;
    let service =
        Target::start(&["serve"], &[("GES_DATA_DIR", folder.text()), ("GES_LOG_LEVEL", "WARN".into())]).await?;
    let until = Until { requests: u64::MAX, elapsed: scale.load_time() };
    let from = seed::now();
    let quiet: MakeRequest = Arc::new(move |number| seed::create(Some(seed::spread(from, number)), number, None));
    let flood: MakeRequest =
        Arc::new(move |number| seed::by_neighbour(seed::create(Some(seed::spread(from, number)), number, None)));
    let deaf: load::HearAnswer = Arc::new(|_, _| ());
    // The first requests of a process wait for what it builds on first use.
    let warm = Until { requests: WARM_UP, ..until };
    load::run(service.external, QUIET, warm, quiet.clone(), deaf.clone()).await?;
    let alone = load::run(service.external, QUIET, until, quiet.clone(), deaf.clone()).await?;
    let (beside, flood) = tokio::try_join!(
        load::run(service.external, QUIET, until, quiet, deaf.clone()),
        load::run(service.external, FLOOD, until, flood, deaf),
    )?;
    let waits = service.metric("ges_commit_batches_waited_count").await?;
    let short = service.metric("ges_commit_batches_waited_bucket{le=\"1\"}").await?;
    service.stop()?;
    let mut table = Table::new(
        &format!("A quiet tenant beside one that floods (durable creates; the flood may make {RATE} per s)"),
        &["who", "connections", "per s", "refused per s", "p50 ms", "p99 ms"],
    );
    table.row(row("quiet, alone", QUIET, &alone));
    table.row(row("quiet, beside the flood", QUIET, &beside));
    table.row(row("flood", FLOOD, &flood));
    table.print();
    let times = (flood.per_second() + refused_per_second(&flood)) / f64::from(RATE);
    println!("The flood came at {} times its rate.", number(times));
    println!("Tenants in batches that had waited for more than one batch before theirs: {}", number(waits - short));
    if beside.refused > 0 {
        return Err(BenchError::Broken(format!("{} requests of the quiet tenant were refused", beside.refused)));
    }
    Ok(())
}

fn refused_per_second(seen: &Seen) -> f64 {
    seen.refused as f64 / seen.took.as_secs_f64().max(1e-9)
}

fn row(who: &str, connections: usize, seen: &Seen) -> [String; 6] {
    [
        who.to_owned(),
        connections.to_string(),
        number(seen.per_second()),
        number(refused_per_second(seen)),
        number(seen.latency_ms(0.5)),
        number(seen.latency_ms(0.99)),
    ]
}
