//! Do scheduled callbacks start on time? Judged by the simulator's journal: when each attempt entered routing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tokio::time::Instant;

use super::load::{self, HearAnswer, Until};
use super::table::{Table, number};
use super::target::{Folder, Target};
use super::{BenchError, Scale, seed};
use crate::routing::simulator::{Journal, JournalEvent};

/// How many callbacks fall due in which time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    title: &'static str,
    callbacks: u64,
    window: Duration,
    /// From now to the first due instant: long enough to book them all.
    ahead: Duration,
    aim: &'static str,
}

impl Load {
    /// 2,000 over three minutes.
    pub(super) fn steady(scale: Scale) -> Self {
        Self {
            title: "Lateness of scheduled starts, normal load",
            callbacks: scale.count(2_000),
            window: Duration::from_secs(scale.count(180)),
            ahead: Duration::from_secs(10),
            aim: "250",
        }
    }

    /// 100,000 within one minute.
    pub(super) fn burst(scale: Scale) -> Self {
        Self {
            title: "Due in one minute",
            callbacks: scale.count(100_000),
            window: Duration::from_secs(60),
            ahead: Duration::from_secs(scale.count(120)),
            aim: "",
        }
    }

    /// So many within so many seconds, on several nodes; booked in the seconds before.
    pub(super) fn of(title: &'static str, callbacks: u64, window: u64, ahead: u64) -> Self {
        let (window, ahead) = (Duration::from_secs(window), Duration::from_secs(ahead));
        Self { title, callbacks, window, ahead, aim: "" }
    }

    fn due(self, base: DateTime<Utc>, number: u64) -> DateTime<Utc> {
        let window_ms = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        let offset_ms = number * window_ms / self.callbacks.max(1);
        base + TimeDelta::milliseconds(i64::try_from(offset_ms).unwrap_or_default())
    }
}

/// How long after the last due instant everything must have been handed over.
const DRAIN_WITHIN: Duration = Duration::from_secs(600);

type Promises = Arc<Mutex<HashMap<String, DateTime<Utc>>>>;

/// What came of a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) early: u64,
    pub(super) p99_ms: f64,
}

pub(super) async fn run(load: Load) -> Result<(), BenchError> {
    let folder = seed::folder().await?;
    let environment = [
        ("GES_DATA_DIR", folder.text()),
        ("GES_LOG_LEVEL", "WARN".to_owned()),
        // Agents enough that the expected wait is nothing: the start instant is the desired time.
        ("GES_SIM_AGENTS", "100000".to_owned()),
        ("GES_SIM_SPEED", "1000".to_owned()),
    ];
    let service = Target::start(&["serve"], &environment).await?;
    measure(load, &[service.external], &folder).await?;
    service.stop()
}

/// Books at `addresses` in turn, and waits until everything is in the journal in `folder`.
///
/// # Errors
/// What was not booked, or a promise that was broken.
pub(super) async fn measure(load: Load, addresses: &[SocketAddr], folder: &Folder) -> Result<Outcome, BenchError> {
    // In whole milliseconds, as times are sent and kept: a rest of microseconds would look like an early start.
    let base = seed::now().trunc_subsecs(3) + TimeDelta::from_std(load.ahead).unwrap_or_default();
    let promises: Promises = Arc::default();
    let kept = promises.clone();
    let hear: HearAnswer = Arc::new(move |number, answer| {
        if let Some(id) = seed::id_of(answer) {
            kept.lock().unwrap_or_else(PoisonError::into_inner).insert(id, load.due(base, number));
        }
    });
    let until = Until { requests: load.callbacks, elapsed: load.ahead };
    let make: load::MakeRequest = Arc::new(move |number| seed::create(Some(load.due(base, number)), number, None));
    let seen = load::run_on(addresses, 64, until, make, hear).await?;
    if seen.ok != load.callbacks {
        return Err(BenchError::Broken(format!("only {} of {} were booked in time", seen.ok, load.callbacks)));
    }
    let drained = wait_until_entered(folder, load, base).await?;
    report(folder, load, &promises, drained)
}

async fn wait_until_entered(folder: &Folder, load: Load, base: DateTime<Utc>) -> Result<Duration, BenchError> {
    let last_due = load.due(base, load.callbacks.saturating_sub(1));
    let deadline = Instant::now() + load.ahead + load.window + DRAIN_WITHIN;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if seed::now() < last_due {
            continue;
        }
        let entered = entries(folder)?;
        if u64::try_from(entered.len()).unwrap_or_default() >= load.callbacks {
            let end = entered.values().filter_map(|times| times.first()).max().copied().unwrap_or(last_due);
            return Ok((end - last_due).to_std().unwrap_or_default());
        }
        if Instant::now() > deadline {
            return Err(BenchError::Broken(format!("only {} of {} were handed over", entered.len(), load.callbacks)));
        }
    }
}

/// When attempts of each callback entered routing.
pub(super) fn entries(folder: &Folder) -> Result<HashMap<String, Vec<DateTime<Utc>>>, BenchError> {
    let journal =
        Journal::read(&folder.path().join(Journal::FILE_NAME)).map_err(|error| BenchError::Data(error.to_string()))?;
    let mut entered: HashMap<String, Vec<DateTime<Utc>>> = HashMap::new();
    for entry in journal.into_iter().filter(|entry| entry.event == JournalEvent::Entered) {
        entered.entry(entry.callback.to_string()).or_default().extend(DateTime::from_timestamp_millis(entry.at));
    }
    Ok(entered)
}

fn report(folder: &Folder, load: Load, promises: &Promises, drained: Duration) -> Result<Outcome, BenchError> {
    let entered = entries(folder)?;
    let promises = promises.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut lost, mut doubled, mut early) = (0_u64, 0_u64, 0_u64);
    let mut lateness_ms =
        hdrhistogram::Histogram::<u64>::new(3).map_err(|error| BenchError::Data(error.to_string()))?;
    for (id, due) in promises.iter() {
        match entered.get(id).map(Vec::as_slice) {
            None | Some([]) => lost += 1,
            Some([first, rest @ ..]) => {
                doubled += u64::from(!rest.is_empty());
                early += u64::from(first < due);
                lateness_ms.saturating_record(u64::try_from((*first - *due).num_milliseconds()).unwrap_or_default());
            }
        }
    }
    let title = format!("{}: {} callbacks over {} s", load.title, load.callbacks, load.window.as_secs());
    let mut table = Table::new(&title, &["what", "figure", "aim"]);
    for (what, count) in [("lost", lost), ("doubled", doubled), ("early", early)] {
        table.row([what.to_owned(), count.to_string(), "0".to_owned()]);
    }
    for (what, quantile, aim) in [("p50 ms", 0.5, ""), ("p99 ms", 0.99, load.aim), ("max ms", 1.0, "")] {
        table.row([what.to_owned(), lateness_ms.value_at_quantile(quantile).to_string(), aim.to_owned()]);
    }
    table.row(["drained after the last was due, s".to_owned(), number(drained.as_secs_f64()), String::new()]);
    table.print();
    if lost + doubled + early > 0 {
        return Err(BenchError::Broken(format!("{lost} lost, {doubled} doubled, {early} early")));
    }
    Ok(Outcome { lost, doubled, early, p99_ms: lateness_ms.value_at_quantile(0.99) as f64 })
}
