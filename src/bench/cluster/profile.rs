//! Where the time of durable creates goes: what is counted while the load runs, and what the sessions of the writers are
//! seen to do.
//!
//! A share of time is a share of looks at `pg_stat_activity`, one every few milliseconds. A session that is not idle has a
//! batch under way, for a node writes one at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::super::BenchError;
use super::super::processes::{Process, Processors};
use super::super::table::{Table, number};
use super::bed::Bed;
use super::servers::{Activity, Watcher};

/// Pause between two looks at the sessions.
const LOOK_AGAIN: Duration = Duration::from_millis(4);

/// What is counted, as it stands at a moment or between two.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// Of the nodes that get the load, as everything down to their processor seconds.
    batches: f64,
    commands: f64,
    batch_seconds: f64,
    /// What the oldest command of each batch has waited for, and how often that was told.
    batches_waited: f64,
    waits: f64,
    node_cpu: f64,
    database_cpu: f64,
    load_cpu: f64,
    wal_bytes: f64,
    /// Of the sessions of all nodes.
    session_waits: f64,
    processors: Processors,
}

impl Counts {
    /// Now, of the first `nodes`.
    ///
    /// # Errors
    /// If somebody does not tell.
    pub(super) async fn take(bed: &Bed, nodes: usize) -> Result<Self, BenchError> {
        let mut counts = Self::default();
        for node in bed.nodes.iter().take(nodes) {
            counts.batches += node.metric("ges_commit_commands_count").await?;
            counts.commands += node.metric("ges_commit_commands_sum").await?;
            counts.batch_seconds += node.metric("ges_commit_seconds_sum").await?;
            counts.batches_waited += node.metric("ges_commit_batches_waited_sum").await?;
            counts.waits += node.metric("ges_commit_batches_waited_count").await?;
            counts.node_cpu += node.cpu_seconds()?;
        }
        counts.wal_bytes = bed.database.wal_bytes().await?;
        counts.session_waits = bed.database.waits().await?;
        // The server is on this machine, and the parent of each of its sessions.
        let session = bed.database.number("SELECT pg_backend_pid()::bigint").await?;
        counts.database_cpu = Process::seconds_of_family(Process::read(&session.to_string())?.parent)?;
        counts.load_cpu = Process::read("self")?.seconds;
        counts.processors = Processors::read()?;
        Ok(counts)
    }

    pub(super) fn since(self, earlier: Self) -> Self {
        self.plus(earlier, -1.0)
    }

    fn plus(self, other: Self, times: f64) -> Self {
        Self {
            batches: self.batches + times * other.batches,
            commands: self.commands + times * other.commands,
            batch_seconds: self.batch_seconds + times * other.batch_seconds,
            batches_waited: self.batches_waited + times * other.batches_waited,
            waits: self.waits + times * other.waits,
            node_cpu: self.node_cpu + times * other.node_cpu,
            database_cpu: self.database_cpu + times * other.database_cpu,
            load_cpu: self.load_cpu + times * other.load_cpu,
            wal_bytes: self.wal_bytes + times * other.wal_bytes,
            session_waits: self.session_waits + times * other.session_waits,
            processors: self.processors.plus(other.processors, times),
        }
    }

    /// Commands in a batch.
    pub(super) fn mean_batch(self) -> f64 {
        self.commands / self.batches.max(1.0)
    }

    /// Seconds of a processor that the nodes use for a thousand creates.
    pub(super) fn node_cpu_per_thousand(self, creates: f64) -> f64 {
        self.node_cpu * 1000.0 / creates.max(1.0)
    }
}

/// How often the sessions were seen, and at what.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looks {
    /// With no batch under way, with one, and with more.
    under_way: [f64; 3],
    /// A session was executing statements.
    runs: f64,
    /// Its commit waited for the disk, or for another that was writing to it.
    flushes: f64,
    /// Its next statement had not come from the node.
    waits_for_node: f64,
    /// It waited for something else in the server: locks, pages.
    waits: f64,
}

impl Looks {
    fn see(&mut self, sessions: &[Activity]) {
        if let Some(times) = self.under_way.get_mut(sessions.len().min(2)) {
            *times += 1.0;
        }
        for session in sessions {
            *match session {
                Activity::Runs => &mut self.runs,
                Activity::Flushes => &mut self.flushes,
                Activity::WaitsForNode => &mut self.waits_for_node,
                Activity::Waits => &mut self.waits,
            } += 1.0;
        }
    }

    fn plus(self, other: Self) -> Self {
        let ([a, b, c], [d, e, f]) = (self.under_way, other.under_way);
        Self {
            under_way: [a + d, b + e, c + f],
            runs: self.runs + other.runs,
            flushes: self.flushes + other.flushes,
            waits_for_node: self.waits_for_node + other.waits_for_node,
            waits: self.waits + other.waits,
        }
    }
}

/// Looks at the sessions of a database until it is asked for what it has seen.
pub(super) struct Sampling {
    task: JoinHandle<Result<(), BenchError>>,
    seen: Arc<Mutex<Looks>>,
}

impl Sampling {
    /// From now on. If the server does not answer any more, whoever counts hears of it.
    pub(super) fn start(watcher: Watcher) -> Self {
        let seen: Arc<Mutex<Looks>> = Arc::default();
        let looks = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let sessions = watcher.sessions().await?;
                looks.lock().unwrap_or_else(PoisonError::into_inner).see(&sessions);
                sleep(LOOK_AGAIN).await;
            }
        });
        Self { task, seen }
    }

    pub(super) fn end(self) -> Looks {
        self.task.abort();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that was counted of some nodes and connections, in all rounds.
#[derive(Debug, Clone, Default)]
pub(super) struct Profile {
    name: String,
    creates: f64,
    seconds: f64,
    nodes: f64,
    counts: Counts,
    looks: Looks,
}

impl Profile {
    /// Of nothing yet.
    pub(super) fn of(nodes: usize, connections: usize) -> Self {
        Self { name: format!("{nodes}, {connections}"), nodes: nodes as f64, ..Self::default() }
    }

    /// One more round, in which so many creates were answered within `seconds`.
    pub(super) fn add(&mut self, creates: f64, seconds: f64, counts: Counts, looks: Looks) {
        self.creates += creates;
        self.seconds += seconds;
        self.counts = self.counts.plus(counts, 1.0);
        self.looks = self.looks.plus(looks);
    }

    /// The lines of the table; `limit` is what the parts could do.
    fn lines(&self, per_second: f64, limit: f64) -> [String; 8] {
        let (counts, looks) = (self.counts, self.looks);
        let share = |part: f64, of: f64| format!("{:.0}", part * 100.0 / of.max(1e-9));
        let all_looks = looks.under_way.iter().sum();
        let busy_looks = looks.runs + looks.flushes + looks.waits_for_node + looks.waits;
        let [none, one, more] = looks.under_way.map(|times| share(times, all_looks));
        let [runs, flushes, for_node, waits] =
            [looks.runs, looks.flushes, looks.waits_for_node, looks.waits].map(|times| share(times, busy_looks));
        let per_thousand = |seconds: f64| number(seconds * 1000.0 / self.creates.max(1.0));
        let Processors { busy, waiting, idle } = counts.processors;
        let [busy, waiting, idle] = [busy, waiting, idle].map(|part| share(part, busy + waiting + idle));
        let in_batches = share(counts.batch_seconds, self.seconds * self.nodes);
        [
            format!("{} / {}", number(1e6 / per_second.max(1e-9)), number(1e6 / limit.max(1e-9))),
            format!("{} / {in_batches}", number(counts.batch_seconds * 1000.0 / counts.batches.max(1.0))),
            format!("{none} / {one} / {more}"),
            format!("{runs} / {flushes} / {for_node} / {waits}"),
            format!(
                "{} / {}",
                number(counts.session_waits / counts.batches.max(1.0)),
                number(counts.batches_waited / counts.waits.max(1.0))
            ),
            [counts.node_cpu, counts.database_cpu, counts.load_cpu].map(per_thousand).join(" / "),
            format!("{busy} / {waiting} / {idle}"),
            number(counts.wal_bytes / self.creates.max(1.0)),
        ]
    }
}

/// Prints the profiles beside each other, each with its creates per second and what the parts could do.
pub(super) fn print(profiles: &[(Profile, f64, f64)]) {
    let names: Vec<&str> =
        std::iter::once("nodes, connections").chain(profiles.iter().map(|it| it.0.name.as_str())).collect();
    let mut table = Table::new("Where the rest goes (all of it, load and database too, on this machine)", &names);
    let columns: Vec<[String; 8]> =
        profiles.iter().map(|(profile, per_second, limit)| profile.lines(*per_second, *limit)).collect();
    let what = [
        "µs of a create: measured / by the limit",
        "ms of a batch in the node, to the answer to its commit / % of the node's time",
        "% of time with no / one / two batches in the server",
        "of these %: statements run / log is flushed / node is waited for / locks, pages",
        "a batch: round trips and flushes, about / batches that its oldest create waited for",
        "CPU s/1000 creates: nodes / PostgreSQL / load",
        "% of the processors: busy / waiting for disk / idle",
        "WAL bytes per create",
    ];
    for (number, what) in what.into_iter().enumerate() {
        let cells = columns.iter().filter_map(|column| column.get(number).cloned());
        table.row(std::iter::once(what.to_owned()).chain(cells));
    }
    table.print();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_what_they_say() {
        let mut profile = Profile::of(2, 64);
        let mut looks = Looks::default();
        for sessions in [&[][..], &[Activity::Runs], &[Activity::Runs, Activity::Flushes], &[Activity::WaitsForNode]] {
            looks.see(sessions);
        }
        let counts = Counts {
            batches: 10.0,
            commands: 500.0,
            batch_seconds: 1.0,
            batches_waited: 15.0,
            waits: 10.0,
            node_cpu: 0.5,
            database_cpu: 0.25,
            load_cpu: 0.125,
            wal_bytes: 1e6,
            session_waits: 120.0,
            processors: Processors { busy: 3.0, waiting: 1.0, idle: 0.0 },
        };
        profile.add(250.0, 0.5, counts, looks);
        profile.add(250.0, 0.5, Counts::default(), Looks::default());
        let lines = profile.lines(500.0, 1000.0);
        let expected =
            ["2000 / 1000", "100 / 50", "25 / 50 / 25", "50 / 25 / 25 / 0", "12.00 / 1.50", "1.00 / 0.500 / 0.250"];
        assert_eq!(lines[..6], expected);
        assert_eq!(lines[6..], ["75 / 25 / 0", "2000"]);
        assert_eq!((counts.mean_batch(), counts.node_cpu_per_thousand(500.0)), (50.0, 1.0));
    }
}
