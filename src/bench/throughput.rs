//! Durable creates and retrieves per second, beside what their parts can do alone.
//!
//! On a machine that does other things too, what is measured a minute later was measured on another machine. So
//! everything goes round: the constant server, creates, retrieves, SQLite alone, each for less than a second, and
//! again. Ratios are taken within a round, and the median of the rounds is what is printed. What writes comes
//! after what does not: many disks serve the first writes after a pause faster, so that both have to have one.

use std::sync::{Arc, Mutex, PoisonError};

use super::limits::BareSqlite;
use super::load::{self, HearAnswer, MakeRequest, Seen, Until};
use super::table::{Table, number};
use super::target::{Folder, Target};
use super::{BenchError, Scale, seed};

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
/// Retrieves go round among so many callbacks.
const RETRIEVED_IDS: usize = 10_000;
/// Most rows that SQLite commits in one round.
const MAX_ROWS: u64 = 20_000;

const COLUMNS: [&str; 14] = [
    "connections",
    "per s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "CPU s/1000",
    "waits/1000",
    "commits/s",
    "mean batch",
    "H: hyper/s",
    "B: SQLite/s",
    "limit/s",
    "ratio",
    "aim",
];

pub(super) async fn run(scale: Scale) -> Result<(), BenchError> {
    let bench = Bench::start(scale).await?;
    let mut sqlite = BareSqlite::open().await?;
    let mut table = Table::new(
        &format!(
            "Durable creates (scheduled callbacks; every 200 is on disk) and retrieves. H: this hyper answering a \
             constant.\nB: SQLite committing the same rows in batches of the same size; with one connection, each row \
             alone.\nLimit of creates: 1/(1/H + 1/B); of retrieves: H. Waits: a thread of the service gave up the \
             processor.\nH, B, limits and ratios: median of {} rounds.",
            scale.rounds()
        ),
        &COLUMNS,
    );
    let mut retrieves = Vec::new();
    for connections in CONNECTIONS {
        let (created, retrieved) = bench.measure(connections, &mut sqlite).await?;
        table.row(created.row(&format!("creates, {connections}"), if connections == 256 { "0.50" } else { "" }));
        retrieves.push(retrieved.row(&format!("retrieves, {connections}"), "0.33"));
    }
    retrieves.into_iter().for_each(|row| table.row(row));
    table.print();
    bench.measure_immediate().await?;
    bench.service.stop()
}

/// What is compared.
struct Bench {
    scale: Scale,
    service: Target,
    constant: Target,
    /// Of callbacks that were created.
    ids: Arc<Mutex<Vec<String>>>,
    // Goes after the service.
    _folder: Folder,
}

impl Bench {
    async fn start(scale: Scale) -> Result<Self, BenchError> {
        let folder = seed::folder().await?;
        let environment = [("GES_DATA_DIR", folder.text()), ("GES_LOG_LEVEL", "WARN".into())];
        Ok(Self {
            scale,
            service: Target::start(&["serve"], &environment).await?,
            constant: Target::start(&["bench-constant"], &[]).await?,
            ids: Arc::default(),
            _folder: folder,
        })
    }

    /// Creates and retrieves over so many connections, in rounds.
    async fn measure(&self, connections: usize, sqlite: &mut BareSqlite) -> Result<(Series, Series), BenchError> {
        let (mut created, mut retrieved) = (Series::new()?, Series::new()?);
        for _ in 0..self.scale.rounds() {
            let constant = self.constant_rate(connections).await?;
            let create = self.load(connections, make_creates(), collect_ids(&self.ids)).await?;
            let read = self.load(connections, self.make_retrieves(), Arc::new(|_, _| ())).await?;
            let batch = create.mean_batch().round().max(1.0) as usize;
            let rows = create.seen.ok.clamp(1, MAX_ROWS) as usize;
            created.add(&create, Limits { constant, sqlite: Some(sqlite.rows_per_second(batch, rows)?) })?;
            retrieved.add(&read, Limits { constant, sqlite: None })?;
        }
        Ok((created, retrieved))
    }

    async fn constant_rate(&self, connections: usize) -> Result<f64, BenchError> {
        let nothing: HearAnswer = Arc::new(|_, _| ());
        let seen = load::run(self.constant.external, connections, self.until(), make_creates(), nothing).await?;
        Ok(seen.per_second())
    }

    async fn load(&self, connections: usize, make: MakeRequest, hear: HearAnswer) -> Result<Measured, BenchError> {
        let service = &self.service;
        let commits = service.metric("ges_commit_commands_count").await?;
        let commands = service.metric("ges_commit_commands_sum").await?;
        let (cpu, waits) = (service.cpu_seconds()?, service.waits()?);
        let seen = load::run(service.external, connections, self.until(), make, hear).await?;
        if seen.refused > 0 {
            return Err(BenchError::Broken(format!("{} of {} requests were not answered 200", seen.refused, seen.ok)));
        }
        Ok(Measured {
            cpu_seconds: service.cpu_seconds()? - cpu,
            waits: service.waits()?.saturating_sub(waits) as f64,
            commits: service.metric("ges_commit_commands_count").await? - commits,
            commands: service.metric("ges_commit_commands_sum").await? - commands,
            seen,
        })
    }

    fn until(&self) -> Until {
        Until { requests: u64::MAX, elapsed: self.scale.load_time() }
    }

    fn make_retrieves(&self) -> MakeRequest {
        let ids: Arc<[String]> = self.ids.lock().unwrap_or_else(PoisonError::into_inner).clone().into();
        Arc::new(move |number| {
            let index = usize::try_from(number).unwrap_or_default() % ids.len().max(1);
            seed::retrieve(ids.get(index).map_or("", String::as_str))
        })
    }

    /// Immediate callbacks live their whole lives beside the load; their rate is printed, not budgeted.
    async fn measure_immediate(&self) -> Result<(), BenchError> {
        let make: MakeRequest = Arc::new(|number| seed::create(None, number, None));
        let mut series = Series::new()?;
        for _ in 0..self.scale.rounds() {
            series.add(&self.load(64, make.clone(), Arc::new(|_, _| ())).await?, Limits::default())?;
        }
        let all = &series.all;
        println!(
            "\nImmediate creates with their sessions, 64 connections: {} per s, p99 {} ms, CPU {} s/1000, waits {}/1000, \
             mean batch {}",
            number(all.seen.per_second()),
            number(all.seen.latency_ms(0.99)),
            number(all.per_thousand(all.cpu_seconds)),
            number(all.per_thousand(all.waits)),
            number(all.mean_batch()),
        );
        Ok(())
    }
}

/// A load with the server's own counts around it.
struct Measured {
    seen: Seen,
    commits: f64,
    commands: f64,
    cpu_seconds: f64,
    waits: f64,
}

impl Measured {
    fn mean_batch(&self) -> f64 {
        self.commands / self.commits.max(1.0)
    }

    /// A count of the whole load for each 1,000 requests.
    fn per_thousand(&self, count: f64) -> f64 {
        count * 1000.0 / self.seen.ok.max(1) as f64
    }
}

/// What the parts did alone in one round, per second.
#[derive(Clone, Copy, Default)]
struct Limits {
    constant: f64,
    /// None for what writes nothing.
    sqlite: Option<f64>,
}

impl Limits {
    /// Requests that take the time of both parts, one after the other.
    fn together(&self) -> f64 {
        self.sqlite.map_or(self.constant, |sqlite| 1.0 / (1.0 / self.constant + 1.0 / sqlite))
    }
}

/// All rounds of one operation over one number of connections.
struct Series {
    all: Measured,
    /// Each round's rate with its limits.
    rounds: Vec<(f64, Limits)>,
}

impl Series {
    fn new() -> Result<Self, BenchError> {
        let all = Measured { seen: Seen::nothing()?, commits: 0.0, commands: 0.0, cpu_seconds: 0.0, waits: 0.0 };
        Ok(Self { all, rounds: Vec::new() })
    }

    fn add(&mut self, round: &Measured, limits: Limits) -> Result<(), BenchError> {
        self.rounds.push((round.seen.per_second(), limits));
        self.all.commits += round.commits;
        self.all.commands += round.commands;
        self.all.cpu_seconds += round.cpu_seconds;
        self.all.waits += round.waits;
        self.all.seen.add(&round.seen)
    }

    fn median(&self, of: impl Fn(&(f64, Limits)) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }

    fn row(&self, name: &str, aim: &str) -> [String; COLUMNS.len()] {
        let all = &self.all;
        let writes = self.rounds.iter().any(|(_, limits)| limits.sqlite.is_some());
        let of_writes = |value: f64| if writes { number(value) } else { String::new() };
        [
            name.to_owned(),
            number(all.seen.per_second()),
            number(all.seen.latency_ms(0.5)),
            number(all.seen.latency_ms(0.99)),
            number(all.seen.latency_ms(0.999)),
            number(all.per_thousand(all.cpu_seconds)),
            number(all.per_thousand(all.waits)),
            of_writes(all.commits / all.seen.took.as_secs_f64()),
            of_writes(all.mean_batch()),
            number(self.median(|(_, limits)| limits.constant)),
            of_writes(self.median(|(_, limits)| limits.sqlite.unwrap_or_default())),
            number(self.median(|(_, limits)| limits.together())),
            number(self.median(|(rate, limits)| rate / limits.together())),
            aim.to_owned(),
        ]
    }
}

/// The middle one of an odd number of values; of an even number, the upper of the two. 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn make_creates() -> MakeRequest {
    let from = seed::now();
    Arc::new(move |number| seed::create(Some(seed::spread(from, number)), number, None))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_round_does_not_move_the_median() {
        assert_eq!(median(vec![0.4, 9.0, 0.5]), 0.5);
        assert_eq!(median(vec![]), 0.0);
    }

    #[test]
    fn the_limit_of_a_write_is_both_parts_in_turn() {
        let limits = Limits { constant: 30_000.0, sqlite: Some(60_000.0) };
        assert!((limits.together() - 20_000.0).abs() < 1e-6);
        assert_eq!(Limits { sqlite: None, ..limits }.together(), 30_000.0);
    }
}
