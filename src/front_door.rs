//! The HTTP side: two listeners, one service behind each, the public API by its contract.
//!
//! The way of a request: `server` accepts and watches the connection, hyper reads the head, axum routes,
//! `gate` knows users and what they may do, before it `guard` gives the request its correlation id, admits or sheds it and sees to its end (deadline, panic,
//! envelope, log line, metric), a handler reads the bounded body, `wire` makes a domain value of it or a
//! refusal, and the [`Desk`] does the rest. The door knows ports and no actor.
//!
//! The external listener serves the public operations, and to users with a session what the permission table allows them;
//! it answers 404 to everything else. The internal one serves all of it and what operators, metrics and routing need.

mod body;
mod cors;
mod docs;
mod engagement;
mod error;
mod failures;
mod gate;
mod guard;
mod internal;
mod kept;
mod keys;
mod openapi;
mod peers;
mod rates;
mod reply;
mod router;
mod server;
mod settings;
mod tls;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::health::Dependency;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{
    AvailabilityDesk, CallInDesk, CallbackStore, CaptchaDesk, Clock, Desk, ExplainDesk, FlowDesk, HoursDesk, Inbox,
    MovesDesk, NewsDesk, NumberDesk, Observer, Parked, QueueReports, RoutingNodes, SaveError, SearchDesk, SettingsDesk,
    StatisticsDesk, StoreError, WaitDesk,
};

use crate::privacy::Privacy;
use crate::provisioning::Provisioning;
use crate::telemetry::alarms::AlarmBook;
use crate::telemetry::tracing::LevelSwitch;
use crate::users::Users;
pub use failures::Failures;
pub use keys::{Caller, KeyRing, generate_key, hash_key};
pub use openapi::openapi;
pub use server::{BindError, Doors};
pub use settings::{DoorLimits, DoorSettings, InternalToken};
pub use tls::ListenerTls;

/// What the door needs from the rest of the process.
#[derive(Clone)]
pub struct Door {
    /// Takes bookings, cancels and questions.
    pub desk: Arc<dyn Desk>,
    /// Tells expected waits and what queues offer.
    pub waits: Arc<dyn WaitDesk>,
    /// Tells which slots can be booked.
    pub availability: Arc<dyn AvailabilityDesk>,
    /// Takes holds, moves and repetitions.
    pub moves: Arc<dyn MovesDesk>,
    /// Takes call-ins.
    pub call_ins: Arc<dyn CallInDesk>,
    /// Answers flow engines.
    pub flow: Arc<dyn FlowDesk>,
    /// Explains decisions.
    pub explain: Arc<dyn ExplainDesk>,
    /// Finds callbacks.
    pub search: Arc<dyn SearchDesk>,
    /// Knows when queues are served.
    pub hours: Arc<dyn HoursDesk>,
    /// Judges numbers.
    pub numbers: Arc<dyn NumberDesk>,
    /// Takes what routing reports.
    pub inbox: Arc<dyn Inbox>,
    /// Takes what routing reports of its queues.
    pub reports: Arc<dyn QueueReports>,
    /// Knows the nodes of routing.
    pub nodes: Arc<dyn RoutingNodes>,
    /// Answers what operators ask about captchas.
    pub captcha: Arc<dyn CaptchaDesk>,
    /// Answers with statistics.
    pub statistics: Arc<dyn StatisticsDesk>,
    /// Reads events, and looks after their delivery.
    pub news: Arc<dyn NewsDesk>,
    /// Knows the callers. The tree fills it.
    pub keys: Arc<KeyRing>,
    /// Hears of every answer.
    pub observer: Arc<dyn Observer>,
    /// Time, for the uptime and for taking up parked callbacks.
    pub clock: Arc<dyn Clock>,
    /// How the process is.
    pub health: Arc<dyn HealthView>,
    /// The text of `/metrics` in Prometheus' format 0.0.4.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What operators can see and do about parked callbacks.
    pub parking: Arc<dyn Parking>,
    /// Reads, compares and applies documents of tenants.
    pub provisioning: Arc<Provisioning>,
    /// Tells and erases what is kept of a number, and knows the audit log.
    pub privacy: Arc<Privacy>,
    /// Reads settings again when somebody asks for it.
    pub settings: Arc<dyn SettingsDesk>,
    /// Lets users in and knows them again.
    pub users: Arc<Users>,
    /// Calls of tenants that failed, of both listeners.
    pub failures: Arc<Failures>,
    /// What happens too often.
    pub alarms: Arc<AlarmBook>,
    /// Which log lines are written.
    pub log_level: Arc<LevelSwitch>,
}

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not ready yet.
    Starting,
    /// Ready, unless a required dependency is down.
    Serving,
    /// Asked to end: still serving, no longer ready.
    Draining,
}

/// What is known of the health of the process.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthReport {
    /// Where it is in its life.
    pub phase: Phase,
    /// Name of this node.
    pub node: Arc<str>,
    /// When the process started.
    pub started_at: DateTime<Utc>,
    /// Last results of the probes.
    pub dependencies: Vec<Dependency>,
}

/// Tells how the process is. Must not wait.
pub trait HealthView: Send + Sync {
    /// As known now.
    fn report(&self) -> HealthReport;
}

/// Callbacks that were set aside, for operators.
#[async_trait]
pub trait Parking: Send + Sync {
    /// What is parked, oldest first, at most `limit`.
    async fn parked(&self, limit: usize) -> Result<Vec<Parked>, StoreError>;

    /// Makes a parked callback due now. `actor` stands in the audit log.
    async fn unpark(&self, tenant: TenantId, id: CallbackId, actor: &str) -> Result<(), SaveError>;
}

/// [`Parking`] straight from a store: the sweep finds what was taken up again within a second.
pub struct StoreParking {
    /// Where the callbacks are.
    pub callbacks: Arc<dyn CallbackStore>,
    /// What "now" is.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Parking for StoreParking {
    async fn parked(&self, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.callbacks.parked(limit).await
    }

    async fn unpark(&self, tenant: TenantId, id: CallbackId, actor: &str) -> Result<(), SaveError> {
        self.callbacks.unpark(tenant, id, self.clock.now(), actor).await
    }
}

/// Opens both listeners and serves until [`Doors::shutdown`]. Runs in the background on the current runtime.
///
/// # Errors
/// [`BindError`] if an address cannot be taken; nothing is left open then.
pub async fn serve(settings: DoorSettings, door: Door) -> Result<Doors, BindError> {
    server::open(settings, door)
}

/// Turns a span of time into the milliseconds of a log line.
fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
