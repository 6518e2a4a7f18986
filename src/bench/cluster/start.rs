//! Time to ready, and lines in the log for one create.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::load::{self, MakeRequest, Until};
use super::super::table::{Table, number};
use super::super::target::{Folder, Target};
use super::super::throughput::median;
use super::super::{BenchError, seed};
use super::bed::environment;
use super::figures::{Figures, Row};
use super::servers::{Database, Servers};

/// Starts of which the middle one counts.
const STARTS: u32 = 5;
/// Creates whose lines are counted.
const CREATES: u64 = 200;
/// How long a node is watched that has nothing to do.
const QUIET: Duration = Duration::from_secs(4);

type Settings = Vec<(&'static str, String)>;

pub(super) async fn run(servers: &Servers, figures: &mut Figures) -> Result<(), BenchError> {
    servers.voice.clear().await?;
    let (database, data, folder) = (Database::make(servers).await?, Folder::new()?, seed::folder().await?);
    let shared = environment(servers, &database, 0, "http://127.0.0.1:9", &data);
    let embedded: Settings = vec![("GES_DATA_DIR", folder.text())];
    let mut table = Table::new("Starts and log lines", &["what", "figure"]);
    for (what, row, settings) in
        [("embedded", Row::ReadyEmbedded, &embedded), ("one of several nodes", Row::ReadyCluster, &shared)]
    {
        let seconds = time_to_ready(settings).await?;
        figures.note(row, seconds);
        table.row([format!("time to ready, {what}, s, median of {STARTS}"), number(seconds)]);
    }
    for (level, row) in [("TRACE", Row::LogTrace), ("INFO", Row::LogInfo)] {
        let lines = lines_per_create(&shared, level, &data.path().join(level)).await?;
        figures.note(row, lines);
        table.row([format!("log lines of one create at {level}"), number(lines)]);
    }
    table.print();
    Ok(())
}

async fn time_to_ready(settings: &Settings) -> Result<f64, BenchError> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let target = Target::start(&["serve"], settings).await?;
        times.push(started.elapsed().as_secs_f64());
        tokio::task::block_in_place(|| target.stop())?;
    }
    Ok(median(times))
}

/// Lines that come with creates, beyond those that come anyway.
async fn lines_per_create(settings: &Settings, level: &str, log: &Path) -> Result<f64, BenchError> {
    let file = File::create(log).map_err(|error| BenchError::Data(error.to_string()))?;
    let mut settings = settings.clone();
    settings.push(("GES_LOG_LEVEL", level.to_owned()));
    let target = Target::start_writing(&["serve"], &settings, Stdio::from(file)).await?;
    let from = seed::now();
    let make: MakeRequest = Arc::new(move |number| seed::create(Some(seed::spread(from, number)), number, None));
    let until = Until { requests: CREATES, elapsed: Duration::from_secs(60) };
    // What is prepared at the first requests.
    load::run(target.external, 1, Until { requests: 5, ..until }, make.clone(), Arc::new(|_, _| ())).await?;
    let before = lines(log)?;
    tokio::time::sleep(QUIET).await;
    let quiet = (lines(log)? - before) / QUIET.as_secs_f64();
    let (before, started) = (lines(log)?, Instant::now());
    load::run(target.external, 1, until, make, Arc::new(|_, _| ())).await?;
    // Lines are written by another thread.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let written = lines(log)? - before - quiet * started.elapsed().as_secs_f64();
    tokio::task::block_in_place(|| target.stop())?;
    Ok((written / CREATES as f64).max(0.0))
}

fn lines(log: &Path) -> Result<f64, BenchError> {
    let text = std::fs::read(log).map_err(|error| BenchError::Data(error.to_string()))?;
    Ok(text.iter().filter(|byte| **byte == b'\n').count() as f64)
}
