//! Durable creates per second on PostgreSQL, by one node and by two, beside what the parts can do alone. Everything goes
//! round for about a second each; ratios are taken within a round, and the median of the rounds is printed.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::load::{self, MakeRequest, Until};
use super::super::table::{Table, number};
use super::super::target::Target;
use super::super::throughput::median;
use super::super::{BenchError, Scale, seed};
use super::bed::{Bed, Setup};
use super::figures::{Figures, Row};
use super::pgbench::Pgbench;
use super::servers::Servers;

const CONNECTIONS: [usize; 2] = [64, 256];
/// The batch that pgbench commits beside singles.
const BATCH: usize = 64;

/// What was measured of some nodes in one round, per second.
#[derive(Debug, Clone, Copy)]
struct Round {
    creates: f64,
    p99_ms: f64,
    batch: f64,
    cpu: f64,
    constant: f64,
    rows: f64,
    singles: f64,
    batches: f64,
}

impl Round {
    fn limit(self) -> f64 {
        1.0 / (1.0 / self.constant + 1.0 / self.rows)
    }
}

pub(super) async fn run(servers: &Servers, scale: Scale, figures: &mut Figures) -> Result<(), BenchError> {
    let mut bed = Bed::start(servers, Setup::default()).await?;
    let constant = Target::start(&["bench-constant"], &[]).await?;
    let pgbench = Pgbench::open(servers).await?;
    let bench = Bench { scale, bed: &bed, constant: &constant, pgbench: &pgbench };
    bench.warm().await?;
    let title = format!(
        "Durable creates per second on PostgreSQL (scheduled callbacks; every 200 is on disk). H: this hyper answering a \
         constant.\nB: pgbench committing the same rows, one client per node, in batches of the mean size that the nodes \
         had. Limit: 1/(1/H + 1/B).\nMedians of {} rounds.",
        scale.rounds()
    );
    let columns = [
        "nodes, connections",
        "per s",
        "p99 ms",
        "mean batch",
        "CPU s/1000",
        "H: hyper/s",
        "B: rows/s",
        "pgbench singly/s",
        "pgbench by 64/s",
        "limit/s",
        "ratio",
        "aim",
    ];
    let mut table = Table::new(&title, &columns);
    for connections in CONNECTIONS {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..scale.rounds() {
            for (nodes, rounds) in (1..).zip(&mut rounds) {
                rounds.push(bench.round(nodes, connections).await?);
            }
        }
        for (nodes, rounds) in (1..).zip(&rounds) {
            let ratio = median(rounds.iter().map(|round| round.creates / round.limit()).collect());
            table.row(row(nodes, connections, rounds, ratio));
            // The last is the larger number of connections.
            figures.note(if nodes == 1 { Row::CreatesOne } else { Row::CreatesTwo }, ratio);
        }
    }
    table.print();
    constant.stop()?;
    bed.stop().await
}

fn row(nodes: usize, connections: usize, rounds: &[Round], ratio: f64) -> [String; 12] {
    let of = |value: fn(&Round) -> f64| number(median(rounds.iter().map(value).collect()));
    [
        format!("{nodes}, {connections}"),
        of(|it| it.creates),
        of(|it| it.p99_ms),
        of(|it| it.batch),
        of(|it| it.cpu),
        of(|it| it.constant),
        of(|it| it.rows),
        of(|it| it.singles),
        of(|it| it.batches),
        of(|it| it.limit()),
        number(ratio),
        "0.70".to_owned(),
    ]
}

/// What is compared.
struct Bench<'a> {
    scale: Scale,
    bed: &'a Bed,
    constant: &'a Target,
    pgbench: &'a Pgbench,
}

impl Bench<'_> {
    /// Until a table is no longer empty, plans and pages are not what they are later.
    async fn warm(&self) -> Result<(), BenchError> {
        Bed::book(&self.bed.externals(), self.scale.count(10_000), creates(), Arc::new(|_, _| ())).await?;
        self.pgbench.rows_per_second(2, BATCH).map(drop)
    }

    async fn round(&self, nodes: usize, connections: usize) -> Result<Round, BenchError> {
        let constant = self.load(&[self.constant.external], connections).await?.0;
        let at: Vec<SocketAddr> = self.bed.externals().into_iter().take(nodes).collect();
        let (commits, commands, cpu) = self.counts(nodes).await?;
        let (creates, p99_ms, done) = self.load(&at, connections).await?;
        let (commits_now, commands_now, cpu_now) = self.counts(nodes).await?;
        let batch = (commands_now - commands) / (commits_now - commits).max(1.0);
        let whole = batch.round().max(1.0) as usize;
        let (rows, singles, batches) = tokio::task::block_in_place(|| {
            Ok::<_, BenchError>((
                self.pgbench.rows_per_second(nodes, whole)?,
                self.pgbench.rows_per_second(connections.min(64), 1)?,
                self.pgbench.rows_per_second(nodes, BATCH)?,
            ))
        })?;
        let cpu = (cpu_now - cpu) * 1000.0 / done.max(1.0);
        Ok(Round { creates, p99_ms, batch, cpu, constant, rows, singles, batches })
    }

    /// Answers per second, their 99th percentile, and how many there were.
    async fn load(&self, at: &[SocketAddr], connections: usize) -> Result<(f64, f64, f64), BenchError> {
        let until = Until { requests: u64::MAX, elapsed: self.scale.load_time() };
        let seen = load::run_on(at, connections, until, creates(), Arc::new(|_, _| ())).await?;
        if seen.refused > 0 {
            return Err(BenchError::Broken(format!("{} of {} requests were not answered 200", seen.refused, seen.ok)));
        }
        Ok((seen.per_second(), seen.latency_ms(0.99), seen.ok as f64))
    }

    /// Commits, commands in them, and processor seconds, of the first `nodes`.
    async fn counts(&self, nodes: usize) -> Result<(f64, f64, f64), BenchError> {
        let mut counts = (0.0, 0.0, 0.0);
        for node in self.bed.nodes.iter().take(nodes) {
            counts.0 += node.metric("ges_commit_commands_count").await?;
            counts.1 += node.metric("ges_commit_commands_sum").await?;
            counts.2 += node.cpu_seconds()?;
        }
        Ok(counts)
    }
}

fn creates() -> MakeRequest {
    let from = seed::now();
    Arc::new(move |number| seed::create(Some(seed::spread(from, number)), number, None))
}
