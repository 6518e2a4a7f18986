//! `ges drill`: one fault of a running installation, judged by what its operators see of it. The fault is injected and healed
//! by the command lines that are given, or by whoever runs the drill; Prometheus says which alerts fire, and the nodes how
//! they are. `make drill` does as much with many faults in a short time, on an installation of its own.
//!
//! What was injected is healed however the drill ends, also if it is asked to.

mod judge;
mod sources;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Args;
use thiserror::Error;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep};

use crate::clients::http::SetupError;
use crate::config::Config;
use crate::shutdown;
use judge::{Limits, Line, Mark, Watch};
use sources::Sources;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a command line may take, and the pause between two looks whether it has ended.
const COMMAND: Duration = Duration::from_secs(120);
const COMMAND_PAUSE: Duration = Duration::from_millis(50);
/// How long is waited for a well installation before anything is injected.
const CALM: Duration = Duration::from_secs(60);

/// What is drilled, and where.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  ges drill --prometheus http://prometheus:9090 --service http://ges-0:3050 --service http://ges-1:3050 \\\n    --expect GES_REDIS_DOWN --inject 'kubectl scale statefulset/redis --replicas=0' --heal 'kubectl scale statefulset/redis --replicas=1'\n\nExit codes: 0 all verdicts are good, 1 one is not, 2 the drill could not be done."
)]
pub struct DrillOptions {
    /// The Prometheus that evaluates the alert rules of the installation
    #[arg(long, value_name = "URL")]
    pub prometheus: String,
    /// Labels that tell this installation's alerts and metrics from others', such as 'namespace="calls"'
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    pub labels: String,
    /// The internal listener of a node; once for each
    #[arg(long, value_name = "URL", required = true)]
    pub service: Vec<String>,
    /// An alert that has to fire; once for each
    #[arg(long, value_name = "ALERT", required = true)]
    pub expect: Vec<String>,
    /// Command line that injects the fault; without it you do so when you are told to
    #[arg(long, value_name = "COMMAND", requires = "heal")]
    pub inject: Option<String>,
    /// Command line that heals it; is run whatever happens in between
    #[arg(long, value_name = "COMMAND", requires = "inject")]
    pub heal: Option<String>,
    /// Seconds within which the alerts have to fire, from the injection on
    #[arg(long, value_name = "SECONDS", default_value_t = 1_200, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub fires_within: u64,
    /// Seconds within which the nodes have to be well and the alerts be cleared, from the healing on
    #[arg(long, value_name = "SECONDS", default_value_t = 1_200, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub clears_within: u64,
}

/// What the drill came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every line of it is good.
    Good,
    /// One is not.
    Bad,
}

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum DrillError {
    /// Calls cannot be made.
    #[error("cannot set up calls to Prometheus and the nodes")]
    Http(#[from] reqwest::Error),
    /// A file of certificate authorities cannot be used.
    #[error(transparent)]
    Authorities(#[from] SetupError),
    /// Prometheus does not answer.
    #[error("the Prometheus at {0} does not tell its alert rules")]
    NoRules(String),
    /// What is expected can never happen.
    #[error("that Prometheus has no alert rule {0}: are the rules of the chart loaded there?")]
    NoSuchAlert(String),
    /// A drill on something that is not well would show nothing.
    #[error("nothing was injected, for this was not so within {limit} s: {0}", limit = CALM.as_secs())]
    NotCalm(String),
    /// A command line failed.
    #[error("{what} failed: {why}")]
    Command {
        /// What it was for.
        what: &'static str,
        /// How it ended.
        why: String,
    },
    /// Whoever runs it has asked it to end.
    #[error("asked to end by {0}; the fault was healed, and there is no verdict")]
    Asked(&'static str),
    /// Something of the system.
    #[error("cannot print, or hear signals")]
    System(#[from] io::Error),
}

/// Does the drill and prints its verdicts.
///
/// # Errors
/// [`DrillError`]: there is no verdict.
pub async fn run(options: &DrillOptions, config: &Config, out: &mut dyn Write) -> Result<Verdict, DrillError> {
    let sources = Sources::new(options, config)?;
    sources.know(&options.expect).await?;
    let mut drill = Drill { watch: Watch::new(calm(&sources, options).await?), sources, began: Instant::now() };
    let limits =
        Limits { fires: Duration::from_secs(options.fires_within), clears: Duration::from_secs(options.clears_within) };
    let most = COMMAND * 2 + limits.fires + limits.clears;
    writeln!(out, "all is well; the drill ends within {} s", most.as_secs())?;

    let mut asked = tokio::spawn(shutdown::requested());
    let struck = tokio::select! {
        struck = drill.strike(options, limits, &mut *out) => struck,
        signal = &mut asked => Err(ended(signal)),
    };
    let healed = act("healing", options.heal.as_deref(), out).await;
    let healed_at = drill.began.elapsed();
    healed?;
    struck?;
    let lines = tokio::select! {
        lines = drill.judge(options, limits, healed_at) => lines,
        signal = &mut asked => return Err(ended(signal)),
    };
    for line in &lines {
        writeln!(out, "{line}")?;
    }
    Ok(if lines.iter().any(|line| line.mark == Mark::Bad) { Verdict::Bad } else { Verdict::Good })
}

/// Somebody has asked us to end; or signals cannot be heard, and then nothing is begun that could not be stopped.
fn ended(signal: Result<io::Result<&'static str>, JoinError>) -> DrillError {
    match signal {
        Ok(Ok(signal)) => DrillError::Asked(signal),
        Ok(Err(error)) => DrillError::System(error),
        Err(error) => DrillError::System(io::Error::other(error)),
    }
}

/// Waits until every node is well and nothing fires yet that has to; what fires already.
async fn calm(sources: &Sources, options: &DrillOptions) -> Result<BTreeSet<String>, DrillError> {
    let began = Instant::now();
    loop {
        let not_so = match (sources.firing().await, sources.ill().await) {
            (None, _) => "Prometheus answers".to_owned(),
            (_, Some(node)) => format!("{node} says UP"),
            (Some(firing), None) => match options.expect.iter().find(|alert| firing.contains(*alert)) {
                Some(alert) => format!("{alert} does not fire"),
                None => return Ok(firing),
            },
        };
        if began.elapsed() >= CALM {
            return Err(DrillError::NotCalm(not_so));
        }
        sleep(PAUSE).await;
    }
}

/// A drill under way. Times are counted from `began`, the moment before the injection.
struct Drill {
    sources: Sources,
    watch: Watch,
    began: Instant,
}

impl Drill {
    /// Injects the fault and waits until every alert has fired that has to.
    async fn strike(&mut self, options: &DrillOptions, limits: Limits, out: &mut dyn Write) -> Result<(), DrillError> {
        act("injecting", options.inject.as_deref(), out).await?;
        self.until(limits.fires, |watch| watch.have_fired(&options.expect)).await;
        Ok(())
    }

    /// Waits until everything is well again, and says what all of it comes to.
    async fn judge(&mut self, options: &DrillOptions, limits: Limits, healed_at: Duration) -> Vec<Line> {
        let well = self.until_well(limits.clears).await;
        let left = limits.clears.saturating_sub(self.began.elapsed().saturating_sub(healed_at));
        self.until(left, |watch| watch.are_over(&options.expect)).await;
        let mut lines = vec![judge::service(well, limits)];
        lines.extend(self.watch.lines(&options.expect, healed_at, limits));
        lines.extend(self.sources.invariants(self.began.elapsed()).await);
        lines
    }

    /// Watches the alerts until `reached`, or until `limit` is over.
    async fn until(&mut self, limit: Duration, reached: impl Fn(&Watch) -> bool) {
        let began = Instant::now();
        self.look().await;
        while !reached(&self.watch) && began.elapsed() < limit {
            sleep(PAUSE).await;
            self.look().await;
        }
    }

    /// How long it took until every node was well; none if that was not within `limit`.
    async fn until_well(&mut self, limit: Duration) -> Option<Duration> {
        let began = Instant::now();
        loop {
            self.look().await;
            if self.sources.ill().await.is_none() {
                return Some(began.elapsed());
            }
            if began.elapsed() >= limit {
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    /// Without an answer nothing is known, and nothing is over.
    async fn look(&mut self) {
        if let Some(firing) = self.sources.firing().await {
            self.watch.saw(&firing, self.began.elapsed());
        }
    }
}

/// A command line that runs, and ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs a command line, or tells whoever runs the drill to do it.
async fn act(what: &'static str, command: Option<&str>, out: &mut dyn Write) -> Result<(), DrillError> {
    let told = command.map_or_else(|| format!("{what} is yours: do it now"), |command| format!("{what}: {command}"));
    // Whoever does not listen any more is healed all the same.
    let _ = writeln!(out, "{told}");
    let Some(command) = command else { return Ok(()) };
    let failed = |why: String| DrillError::Command { what, why };
    let cannot = |error: io::Error| failed(error.to_string());
    let child = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).spawn().map_err(cannot)?;
    let (mut running, began) = (Running(child), Instant::now());
    loop {
        match running.0.try_wait().map_err(cannot)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(failed(status.to_string())),
            None if began.elapsed() >= COMMAND => return Err(failed(format!("not done in {} s", COMMAND.as_secs()))),
            None => sleep(COMMAND_PAUSE).await,
        }
    }
}

/// A line that is not about an alert.
fn line(mark: Mark, about: &str, what: impl Into<String>) -> Line {
    Line { mark, about: about.to_owned(), what: what.into() }
}
