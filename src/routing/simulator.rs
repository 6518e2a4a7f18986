//! The built-in contact centre: virtual queues with agents, customers that behave as the last four digits of
//! their number say, all from one seed, so that runs repeat. It takes the place of a routing engine when none
//! is configured, and it obeys the same contract: a start is an invitation, accepted once.
//!
//! ```text
//!   start, close, ping, live ──▶ Simulator ──lock──▶ Floor (state machine, no I/O) + Journal
//!                                                     ▲
//!   inbox ◀── at most 256 signals ◀── driver (one task, one timer)
//! ```
//!
//! Sessions are volatile and die with the process. The registers, which make a start idempotent by (callback,
//! attempt), are kept by the journal. `docs/simulator.md` has the tables.

mod behind_rest;
mod behind_stream;
mod dice;
mod driver;
mod floor;
mod journal;
mod line;
mod register;
mod script;
mod session;
mod timeline;
mod traffic;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::callback::Live;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{AttemptRef, Clock, Closing, Inbox, Invitation, Probe, Routing, RoutingError};
use domain::wait::QueueReport;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use behind_rest::SessionState;
pub use behind_stream::Entered;
pub use journal::{Journal, JournalEntry, JournalError, JournalEvent};

use floor::{Admission, Bounds, Floor, Now};
use register::Aftermath;
use script::{NO_ANSWER_TO_START_SECONDS, Outcome, SLOW_START_SECONDS, Times};

/// One ping asks after at most so many attempts.
pub const MAX_PING: usize = 500;

/// How the simulated contact centre is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimulatorSettings {
    /// `GES_SIM_SPEED`: divides the simulator's own durations, [`Self::MIN_SPEED`] to [`Self::MAX_SPEED`]. Clocks, desired
    /// times and the waits it reports stay real. Default 1: a lone callback is finished in 30 s.
    pub speed: f64,
    /// `GES_SIM_SEED`: the same seed gives the same durations to the same callbacks. Default 1.
    pub seed: u64,
    /// `GES_SIM_AGENTS`: agents of each virtual queue, 1 to [`Self::MAX_AGENTS`]. Default 5.
    pub agents: u32,
}

impl SimulatorSettings {
    /// Slowest speed: a callback takes the better part of an hour.
    pub const MIN_SPEED: f64 = 0.01;
    /// Fastest speed: a callback takes some milliseconds.
    pub const MAX_SPEED: f64 = 10_000.0;
    /// Most agents of a queue.
    pub const MAX_AGENTS: u32 = 100_000;
}

impl Default for SimulatorSettings {
    fn default() -> Self {
        Self { speed: 1.0, seed: 1, agents: 5 }
    }
}

/// Why the simulator cannot begin.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The speed is no usable number.
    #[error("the simulator's speed is {} to {}", SimulatorSettings::MIN_SPEED, SimulatorSettings::MAX_SPEED)]
    BadSpeed,
    /// No agents, or too many.
    #[error("the simulator has 1 to {} agents in each queue", SimulatorSettings::MAX_AGENTS)]
    BadAgents,
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The simulator. Dropping it without [`Self::shutdown`] equals a kill: the journal is as after one.
pub struct Simulator {
    shared: Arc<Shared>,
    times: Times,
    stop: CancellationToken,
    driver: Mutex<Option<JoinHandle<()>>>,
}

/// What the ports and the driver share.
struct Shared {
    core: Mutex<Core>,
    inbox: RwLock<Option<Arc<dyn Inbox>>>,
    /// Tells the driver that there is something to do before its timer ends.
    wake: Notify,
    clock: Arc<dyn Clock>,
    opened: Instant,
}

struct Core {
    floor: Floor,
    journal: Journal,
    /// What the last write to the journal failed with.
    journal_trouble: Option<String>,
    stopped: bool,
}

impl Simulator {
    /// Reads the journal (a torn last line is cut off) and prepares the floor. Nothing moves before
    /// [`Self::attach`].
    ///
    /// # Errors
    /// [`OpenError`] if a setting is out of range or the journal cannot be used; nothing was changed then.
    pub fn open(settings: SimulatorSettings, journal: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        if !(SimulatorSettings::MIN_SPEED..=SimulatorSettings::MAX_SPEED).contains(&settings.speed) {
            return Err(OpenError::BadSpeed);
        }
        if !(1..=SimulatorSettings::MAX_AGENTS).contains(&settings.agents) {
            return Err(OpenError::BadAgents);
        }
        let wall_ms = clock.now().timestamp_millis();
        let mut aftermath = Aftermath::default();
        let journal = Journal::open(journal, wall_ms, |entry| aftermath.read(entry))?;
        let (registers, leftovers) = aftermath.finish(wall_ms);
        tracing::info!(callbacks = registers.len(), leftovers = leftovers.len(), "simulator opened");
        let mut floor = Floor::new(settings.seed, settings.speed, settings.agents, Bounds::default());
        floor.restore(registers, leftovers, Now { at: 0, wall_ms });
        let core = Core { floor, journal, journal_trouble: None, stopped: false };
        let shared = Shared {
            core: Mutex::new(core),
            inbox: RwLock::new(None),
            wake: Notify::new(),
            clock,
            opened: Instant::now(),
        };
        Ok(Arc::new(Self {
            shared: Arc::new(shared),
            times: Times::new(settings.speed),
            stop: CancellationToken::new(),
            driver: Mutex::new(None),
        }))
    }

    /// From now on signals go to `inbox`, in place of any earlier one, and the floor moves. The sessions that an
    /// earlier process lost are reported at once. Call it inside a tokio runtime.
    pub fn attach(&self, inbox: Arc<dyn Inbox>) {
        *self.shared.inbox.write().unwrap_or_else(PoisonError::into_inner) = Some(inbox);
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if driver.is_none() && !self.stop.is_cancelled() {
            *driver = Some(tokio::spawn(driver::drive(Arc::clone(&self.shared), self.stop.clone())));
        }
    }

    /// Stops for good: nothing enters, nothing is sent any more. Signals in flight are given up, and
    /// reported again by the next process.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.shared.core().stopped = true;
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(driver) = driver {
            // A driver that panicked has been reported by its panic; there is nothing left to stop.
            let _ = driver.await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.core().stopped = true;
        self.stop.cancel();
        if let Some(driver) = self.driver.lock().unwrap_or_else(PoisonError::into_inner).take() {
            driver.abort();
        }
    }
}

impl Shared {
    /// A panic while the lock was held is a bug that has been reported; the floor itself stays usable.
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        self.inbox.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now(&self) -> Now {
        let at = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { at, wall_ms: self.clock.now().timestamp_millis() }
    }
}

impl Core {
    /// Writes what the floor noted, then `lines`. On success the floor may go on.
    fn write(&mut self, lines: &[u8]) -> Result<(), RoutingError> {
        self.flush()?;
        if lines.is_empty() {
            return Ok(());
        }
        let written = self.journal.append(lines);
        self.judge(written)
    }

    /// Writes what the floor noted. As long as that fails, nothing may be sent and nothing may enter.
    fn flush(&mut self) -> Result<(), RoutingError> {
        if self.floor.lines().is_empty() {
            return Ok(());
        }
        let written = self.journal.append(self.floor.lines());
        if written.is_ok() {
            self.floor.lines().clear();
        }
        self.judge(written)
    }

    fn judge(&mut self, written: std::io::Result<()>) -> Result<(), RoutingError> {
        match written {
            Ok(()) => {
                if self.journal_trouble.take().is_some() {
                    tracing::info!("the simulator's journal can be written again");
                }
                Ok(())
            }
            Err(error) => {
                let text = format!("the simulator's journal cannot be written: {error}");
                if self.journal_trouble.is_none() {
                    tracing::error!("{text}");
                }
                self.journal_trouble = Some(text.clone());
                Err(RoutingError::NotDone(text))
            }
        }
    }

    fn running(&self) -> Result<(), RoutingError> {
        if self.stopped { Err(not_done("the simulator has stopped")) } else { Ok(()) }
    }

    /// Judges, writes, carries out: in this order and under one lock.
    fn start(&mut self, invitation: &Invitation, now: Now) -> Result<Admission, RoutingError> {
        self.running()?;
        let mut lines = Vec::new();
        let admission = self.floor.admit(invitation, now.wall_ms, &mut lines);
        if !lines.is_empty() {
            self.write(&lines)?;
            self.floor.enter(invitation, admission, now.at);
        }
        Ok(admission)
    }

    fn close(&mut self, tenant: TenantId, id: CallbackId, now: Now) -> Result<(), RoutingError> {
        self.running()?;
        let mut lines = Vec::new();
        self.floor.closing(tenant, id, now.wall_ms, &mut lines).map_err(not_done)?;
        if !lines.is_empty() {
            self.write(&lines)?;
            self.floor.close(id, now);
        }
        Ok(())
    }
}

fn not_done(why: &str) -> RoutingError {
    RoutingError::NotDone(why.to_owned())
}

#[async_trait]
impl Routing for Simulator {
    /// Idempotent by (callback, attempt); answers at once, except for the numbers whose last digits ask for a
    /// slow answer or none.
    async fn start(&self, invitation: Invitation) -> Result<(), RoutingError> {
        if self.enter(&invitation)? == Entered::Before {
            return Ok(());
        }
        let pause = |seconds| tokio::time::sleep(Duration::from_micros(self.times.micros(seconds)));
        match Outcome::of(invitation.phone) {
            Outcome::OrsAnswersLate => {
                pause(NO_ANSWER_TO_START_SECONDS).await;
                Err(RoutingError::Perhaps("the number asks for no answer".into()))
            }
            Outcome::OrsSlow => {
                pause(SLOW_START_SECONDS).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn close(&self, attempt: AttemptRef, _: Closing) -> Result<(), RoutingError> {
        self.close_register(attempt.tenant, attempt.id)
    }

    async fn ping(&self, attempts: Vec<AttemptRef>) -> Result<(), RoutingError> {
        if attempts.len() > MAX_PING {
            return Err(not_done("too many attempts in one ping"));
        }
        {
            let mut core = self.shared.core();
            core.running()?;
            if !core.floor.ping(&attempts) {
                return Err(not_done("too many sessions"));
            }
        }
        self.shared.wake.notify_one();
        Ok(())
    }

    fn expected_wait(&self, tenant: TenantId, queue: &QueueName) -> Option<i32> {
        let core = self.shared.core();
        core.running().ok()?;
        Some(core.floor.expected_wait(tenant, queue))
    }

    fn queue_report(&self, tenant: TenantId, queue: &QueueName) -> Option<QueueReport> {
        let now = self.shared.now();
        let core = self.shared.core();
        core.running().ok()?;
        Some(core.floor.report(tenant, queue, now.at))
    }

    fn live(&self, id: CallbackId) -> Option<Live> {
        let now = self.shared.now();
        self.shared.core().floor.live(id, now.wall_ms)
    }
}

#[async_trait]
impl Probe for Simulator {
    fn name(&self) -> &'static str {
        "routing"
    }

    fn required(&self) -> bool {
        false
    }

    /// Down while the journal cannot be written, after a stop, or if the driver has died.
    async fn check(&self) -> Result<(), String> {
        if self.driver.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(JoinHandle::is_finished) {
            return Err("the simulator's driver has ended".into());
        }
        let core = self.shared.core();
        core.running().map_err(|error| error.to_string())?;
        core.journal_trouble.clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests;
