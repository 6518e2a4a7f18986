//! Durable creates and retrieves per second, beside what their parts can do alone.

use std::sync::{Arc, Mutex, PoisonError};

use super::load::{self, HearAnswer, MakeRequest, Seen, Until};
use super::table::{Table, number};
use super::target::Target;
use super::{BenchError, Scale, limits, seed};

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
/// Retrieves go round among so many callbacks.
const RETRIEVED_IDS: usize = 10_000;

/// One measured load with the server's own counts around it.
struct Measured {
    seen: Seen,
    commits: f64,
    commands: f64,
    cpu_seconds: f64,
}

impl Measured {
    fn mean_batch(&self) -> f64 {
        self.commands / self.commits.max(1.0)
    }
}

pub(super) async fn run(scale: Scale) -> Result<(), BenchError> {
    let folder = seed::folder().await?;
    let service =
        Target::start(&["serve"], &[("GES_DATA_DIR", folder.text()), ("GES_LOG_LEVEL", "WARN".into())]).await?;
    let constant = Target::start(&["bench-constant"], &[]).await?;
    let mut creates = Table::new(
        "Durable creates (scheduled callbacks; every 200 is on disk)",
        &[
            "connections",
            "per s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "commits/s",
            "mean batch",
            "CPU s/1000",
            "hyper/s",
            "ratio",
        ],
    );
    let mut retrieves = Table::new(
        "Retrieves",
        &["connections", "per s", "p50 ms", "p99 ms", "p99.9 ms", "CPU s/1000", "hyper/s", "ratio"],
    );
    let ids: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut last = None;
    for connections in CONNECTIONS {
        let constant_rate = measure_constant(&constant, connections, scale).await?;
        let measured = measure(&service, connections, scale, make_creates(), collect_ids(&ids)).await?;
        creates.row(create_row(connections, &measured, constant_rate));
        let known: Arc<[String]> = ids.lock().unwrap_or_else(PoisonError::into_inner).clone().into();
        let read = measure(&service, connections, scale, make_retrieves(known), Arc::new(|_, _| ())).await?;
        retrieves.row(retrieve_row(connections, &read, constant_rate));
        last = Some((measured, constant_rate));
    }
    creates.print();
    retrieves.print();
    measure_immediate(&service, scale).await?;
    service.stop()?;
    if let Some((measured, constant_rate)) = last {
        print_limits(&measured, constant_rate, scale).await?;
    }
    Ok(())
}

fn latency_cells(seen: &Seen) -> [String; 4] {
    [
        number(seen.per_second()),
        number(seen.latency_ms(0.5)),
        number(seen.latency_ms(0.99)),
        number(seen.latency_ms(0.999)),
    ]
}

fn cpu_per_thousand(measured: &Measured) -> String {
    number(measured.cpu_seconds * 1000.0 / (measured.seen.ok.max(1) as f64))
}

fn create_row(connections: usize, measured: &Measured, constant_rate: f64) -> Vec<String> {
    let mut cells = vec![connections.to_string()];
    cells.extend(latency_cells(&measured.seen));
    cells.extend([
        number(measured.commits / measured.seen.took.as_secs_f64()),
        number(measured.mean_batch()),
        cpu_per_thousand(measured),
        number(constant_rate),
        number(measured.seen.per_second() / constant_rate),
    ]);
    cells
}

fn retrieve_row(connections: usize, measured: &Measured, constant_rate: f64) -> Vec<String> {
    let mut cells = vec![connections.to_string()];
    cells.extend(latency_cells(&measured.seen));
    cells.extend([
        cpu_per_thousand(measured),
        number(constant_rate),
        number(measured.seen.per_second() / constant_rate),
    ]);
    cells
}

async fn measure(
    service: &Target,
    connections: usize,
    scale: Scale,
    make: MakeRequest,
    hear: HearAnswer,
) -> Result<Measured, BenchError> {
    let commits = service.metric("ges_commit_commands_count").await?;
    let commands = service.metric("ges_commit_commands_sum").await?;
    let cpu = service.cpu_seconds()?;
    let seen = load::run(service.external, connections, until(scale), make, hear).await?;
    if seen.refused > 0 {
        return Err(BenchError::Broken(format!("{} of {} requests were not answered 200", seen.refused, seen.ok)));
    }
    Ok(Measured {
        commits: service.metric("ges_commit_commands_count").await? - commits,
        commands: service.metric("ges_commit_commands_sum").await? - commands,
        cpu_seconds: service.cpu_seconds()? - cpu,
        seen,
    })
}

async fn measure_constant(constant: &Target, connections: usize, scale: Scale) -> Result<f64, BenchError> {
    let nothing: HearAnswer = Arc::new(|_, _| ());
    Ok(load::run(constant.external, connections, until(scale), make_creates(), nothing).await?.per_second())
}

fn until(scale: Scale) -> Until {
    Until { requests: u64::MAX, elapsed: scale.load_time() }
}

fn make_creates() -> MakeRequest {
    let from = seed::now();
    Arc::new(move |number| seed::create(Some(seed::spread(from, number)), number, None))
}

fn make_retrieves(ids: Arc<[String]>) -> MakeRequest {
    Arc::new(move |number| {
        let index = usize::try_from(number).unwrap_or_default() % ids.len().max(1);
        seed::retrieve(ids.get(index).map_or("", String::as_str))
    })
}

fn collect_ids(ids: &Arc<Mutex<Vec<String>>>) -> HearAnswer {
    let ids = ids.clone();
    Arc::new(move |_, answer| {
        let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() < RETRIEVED_IDS {
            ids.extend(seed::id_of(answer));
        }
    })
}

/// Immediate callbacks live their whole lives beside the load; their rate is printed, not budgeted.
async fn measure_immediate(service: &Target, scale: Scale) -> Result<(), BenchError> {
    let make: MakeRequest = Arc::new(|number| seed::create(None, number, None));
    let measured = measure(service, 64, scale, make, Arc::new(|_, _| ())).await?;
    println!(
        "\nImmediate creates with their sessions, 64 connections: {} per s, p99 {} ms, CPU {} s/1000, mean batch {}",
        number(measured.seen.per_second()),
        number(measured.seen.latency_ms(0.99)),
        cpu_per_thousand(&measured),
        number(measured.mean_batch()),
    );
    Ok(())
}

async fn print_limits(measured: &Measured, constant_rate: f64, scale: Scale) -> Result<(), BenchError> {
    let batch = measured.mean_batch().round().max(1.0) as usize;
    let rows = usize::try_from(scale.count(100_000)).unwrap_or(100_000);
    let alone = limits::commit_rate(1, rows.min(5_000)).await?;
    let batched = limits::commit_rate(batch, rows).await?;
    let limit = 1.0 / (1.0 / constant_rate + 1.0 / batched);
    let mut table = Table::new("Limits of the parts, 256 connections", &["what", "per s"]);
    table.row(["H: this hyper answering a constant".to_owned(), number(constant_rate)]);
    table.row(["SQLite committing the same rows alone".to_owned(), number(alone)]);
    table.row([format!("B: SQLite committing the same rows in batches of {batch}"), number(batched)]);
    table.row(["1/(1/H + 1/B)".to_owned(), number(limit)]);
    table.row(["creates, measured".to_owned(), number(measured.seen.per_second())]);
    table.row(["creates / limit (aim 0.50)".to_owned(), number(measured.seen.per_second() / limit)]);
    table.print();
    Ok(())
}
