//! Expected waits, computed from what routing reports of a queue.
//!
//! Three ways, as the product names them (`mode` of `/estimated-wait-time`), for somebody who joins the line now,
//! behind `b` others who wait:
//!
//! - **Throughput** (mode1): the last [`MAX_SERVED`] interactions left the line in `s` seconds, one each
//!   `s / n`; the newcomer is number `b + 1`, so the wait is `(b + 1) · s / n`, and nothing if nobody waits. It is
//!   blind to agents: it is right while all of them are busy, and too long for a queue whose customers come slower
//!   than they could be served.
//! - **Agents** (mode2): each of `a` agents takes the next one each mean busy time `m`, and `f` of them are free.
//!   With `b < f` there is no wait; else `(b − f + 1) · m / a`. Until an agent has finished with somebody, `m` is
//!   not known and the throughput has to do.
//! - **Reported** (mode3): routing's or the statistics server's own figure.
//!
//! Callbacks that were submitted ahead of their time count as no backlog: they would wait anyway, and a lead that
//! grew by the waits that it causes would run away.

use chrono::Duration;

/// Interactions of the past that an estimate is made from (the product's 32).
pub const MAX_SERVED: usize = 32;

/// Longest wait that is told, in seconds: a day. What is beyond it is a queue that stands still.
pub const MAX_WAIT_SECONDS: f64 = 86_400.0;

/// How an estimate is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// `mode1`.
    Throughput,
    /// `mode2`, the default.
    #[default]
    Agents,
    /// `mode3`.
    Reported,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Throughput, Self::Agents, Self::Reported];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "mode1",
            Self::Agents => "mode2",
            Self::Reported => "mode3",
        }
    }
}

/// What routing reports of a queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueReport {
    /// Agents who are logged in and serve the queue; none if routing cannot say.
    pub agents: Option<u32>,
    /// How many of them are free.
    pub free_agents: u32,
    /// Interactions that wait for one of them, those submitted ahead of their time and those on hold not counted.
    pub waiting: u32,
    /// Interactions on hold.
    pub on_hold: u32,
    /// Of the last interactions that left the line: how many, at most [`MAX_SERVED`].
    pub served: u32,
    /// From the first of them until now, or until the last if nobody waits any more, in seconds.
    pub served_over_seconds: f64,
    /// Mean time that an agent was busy with one of the last [`MAX_SERVED`], in seconds; none before the first end.
    pub mean_busy_seconds: Option<f64>,
    /// Routing's own figure in seconds; none if it has none.
    pub expected_wait_seconds: Option<i32>,
}

/// Why there is no estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEstimate {
    /// The tenant has no such queue.
    #[error("No such queue")]
    UnknownQueue,
    /// Routing says nothing of it, or has not for 2 minutes.
    #[error("Routing reports nothing of this queue")]
    NotReported,
    /// Nobody has been served yet.
    #[error("There has been no interaction in this queue yet")]
    NoTraffic,
    /// Nobody serves it.
    #[error("No agent is logged in for this queue")]
    NoAgents,
}

impl NoEstimate {
    /// `resultCode` on the wire: −1 no traffic, or not known; −2 no agents.
    pub const fn result_code(self) -> i32 {
        match self {
            Self::UnknownQueue | Self::NotReported | Self::NoTraffic => -1,
            Self::NoAgents => -2,
        }
    }
}

impl QueueReport {
    /// Seconds that somebody who joins now waits for an agent, rounded up, 0 to [`MAX_WAIT_SECONDS`].
    ///
    /// # Errors
    /// [`NoEstimate`] if there is nothing to estimate from.
    pub fn estimate(&self, mode: Mode, with_on_hold: bool) -> Result<i32, NoEstimate> {
        let ahead = self.waiting.saturating_add(if with_on_hold { self.on_hold } else { 0 });
        let seconds = match mode {
            Mode::Throughput => self.by_throughput(ahead)?,
            Mode::Agents => self.by_agents(ahead)?,
            Mode::Reported => self.expected_wait_seconds.map(f64::from).ok_or(NoEstimate::NotReported)?,
        };
        Ok(seconds.clamp(0.0, MAX_WAIT_SECONDS).ceil() as i32)
    }

    /// Whether routing knows that nobody serves the queue.
    pub fn has_no_agents(&self) -> bool {
        self.agents == Some(0)
    }

    fn by_throughput(&self, ahead: u32) -> Result<f64, NoEstimate> {
        match (self.served, ahead) {
            (0, _) => Err(NoEstimate::NoTraffic),
            (_, 0) => Ok(0.0),
            (served, ahead) => Ok((f64::from(ahead) + 1.0) * self.served_over_seconds.max(0.0) / f64::from(served)),
        }
    }

    fn by_agents(&self, ahead: u32) -> Result<f64, NoEstimate> {
        let Some(agents) = self.agents else { return self.by_throughput(ahead) };
        match (agents, self.served, self.mean_busy_seconds) {
            (0, ..) => Err(NoEstimate::NoAgents),
            (_, 0, _) => Err(NoEstimate::NoTraffic),
            _ if ahead < self.free_agents => Ok(0.0),
            (_, _, None) => self.by_throughput(ahead),
            (agents, _, Some(busy)) => Ok((f64::from(ahead - self.free_agents) + 1.0) * busy / f64::from(agents)),
        }
    }
}

/// Whether a queue takes callbacks just now, and how long one would wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueStatus {
    /// Expected wait in seconds; none if there is no estimate.
    pub wait_seconds: Option<i32>,
    /// A callback for now would be taken, and made before closing as far as can be told.
    pub offers_immediate: bool,
    /// Callbacks for later are taken.
    pub offers_scheduled: bool,
}

/// Everything that [`status`] judges by.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// What routing reports, if it does.
    pub report: Option<QueueReport>,
    /// Until the queue closes: zero while it is closed, none if it does not close in sight.
    pub open_for: Option<Duration>,
}

/// Judges by the settings of a queue what it offers now. Without traffic there is no wait to tell, and a callback for
/// now is offered; without agents it is not.
pub fn status(settings: &crate::queue::QueueSettings, situation: Situation) -> QueueStatus {
    let estimate = situation.report.map(|report| report.estimate(Mode::Agents, false));
    let wait_seconds = estimate.and_then(Result::ok);
    let staffed = !situation.report.is_some_and(|report| report.has_no_agents());
    let blackout = Duration::seconds(settings.immediate_blackout_seconds.into());
    let made_after = Duration::seconds(wait_seconds.unwrap_or_default().into());
    let in_time = situation.open_for.is_none_or(|open_for| made_after < open_for && blackout < open_for);
    QueueStatus {
        wait_seconds,
        offers_immediate: settings.immediate_enabled && !settings.paused && staffed && in_time,
        offers_scheduled: settings.scheduled_enabled && !settings.paused,
    }
}

#[cfg(test)]
mod tests;
