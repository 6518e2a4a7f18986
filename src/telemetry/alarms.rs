//! The book of alarms: hears what the metrics hear, and keeps what operators should know for lists and for the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::alarm::{Alarm, AlarmBoard, AlarmKind, Alert, Change, Occurrence, Resource};
use domain::event::Event;
use domain::ports::{Clock, Observer};

use super::metrics::{LAGGING, Metrics};

/// How often it is looked whether alarms are over.
const EVERY: Duration = Duration::from_secs(5);

/// Alarms and alerts of this node.
pub struct AlarmBook {
    board: Mutex<AlarmBoard>,
    /// The machine's, as in the log: it is there before anything else is.
    clock: Arc<dyn Clock>,
}

impl AlarmBook {
    /// An empty one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { board: Mutex::default(), clock }
    }

    /// What has happened and has not rested; what exceeds its tolerance first.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.board().alarms()
    }

    /// The newest alerts.
    pub fn alerts(&self, limit: usize) -> Vec<Alert> {
        self.board().alerts().take(limit).cloned().collect()
    }

    fn hear(&self, event: &Event) {
        let Some(occurrence) = occurrence(event) else { return };
        let change = self.board().note(occurrence, self.clock.now());
        change.iter().for_each(tell);
    }

    /// Lines of the log that could not be written: nobody else hears of them.
    fn lines_were_lost(&self, lines: u64) {
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        let occurrence = Occurrence::Happened(AlarmKind::LoggingFailure, Resource::Node, lines);
        let change = self.board().note(occurrence, self.clock.now());
        change.iter().for_each(tell);
    }

    fn tick(&self) {
        let ended = self.board().tick(self.clock.now());
        ended.iter().for_each(tell);
    }

    fn board(&self) -> MutexGuard<'_, AlarmBoard> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Alarms are about what somebody may have to do something about: most events are none.
fn occurrence(event: &Event) -> Option<Occurrence> {
    use Occurrence::{Happened, Well};
    let once = |kind, resource| Some(Happened(kind, resource, 1));
    let of = |tenant: &Arc<str>| Resource::Tenant(tenant.clone());
    match event {
        Event::Probed { dependency, up } => {
            let (kind, resource) = (of_dependency(dependency), Resource::Dependency(dependency));
            Some(if *up { Well(kind, resource) } else { Happened(kind, resource, 1) })
        }
        Event::Answered { tenant, status, .. } => {
            let kind = match status {
                400 => AlarmKind::Http400,
                401 => AlarmKind::Http401,
                404 => AlarmKind::Http404,
                500.. => AlarmKind::Http500,
                _ => return None,
            };
            once(kind, tenant.as_ref().map_or(Resource::Node, of))
        }
        Event::BodyTooLong => once(AlarmKind::InvalidContentLength, Resource::Node),
        Event::Shed => once(AlarmKind::RequestsShed, Resource::Node),
        Event::GwsFailed => once(AlarmKind::GwsServerError, Resource::Node),
        Event::GwsClientRefused => once(AlarmKind::GwsCredentials, Resource::Node),
        Event::VirtualQueuesNotRead => once(AlarmKind::ProxyError, Resource::Node),
        Event::LookupFailed => once(AlarmKind::DnsFailure, Resource::Node),
        Event::PanicCaught => once(AlarmKind::UncaughtException, Resource::Node),
        Event::Restarted { child, .. } => once(AlarmKind::SupervisorRestarts, Resource::Actors(*child)),
        Event::Fired { lateness } if *lateness > LAGGING => once(AlarmKind::MonitorLagging, Resource::Node),
        Event::Throttled { tenant, .. } => once(AlarmKind::TtlLimit, of(tenant)),
        Event::DuplicateLimitReached { tenant } => once(AlarmKind::EnqueueLimit, of(tenant)),
        Event::SubmitFailed => once(AlarmKind::SubmitFailed, Resource::Node),
        Event::Parked { tenant } => once(AlarmKind::Parked, of(tenant)),
        Event::EndpointDisabled { tenant } => once(AlarmKind::WebhookDisabled, of(tenant)),
        Event::Swept { taken, .. } => {
            Some(Happened(AlarmKind::Takeovers, Resource::Node, u32::try_from(*taken).unwrap_or(u32::MAX)))
        }
        _ => None,
    }
}

fn of_dependency(name: &str) -> AlarmKind {
    match name {
        "database" => AlarmKind::Database,
        "redis" => AlarmKind::Redis,
        "ors-redis" => AlarmKind::OrsRedis,
        "urs" => AlarmKind::AllUrsDown,
        "gws-auth" => AlarmKind::GwsAuth,
        "gws-env" => AlarmKind::GwsEnvironment,
        "gws-config" => AlarmKind::GwsConfiguration,
        _ => AlarmKind::Dependency,
    }
}

fn tell(change: &Change) {
    match change {
        Change::Began(alarm) => {
            let (name, message) = (alarm.kind.name(), alarm.kind.rule().message);
            let (resource, incident) = (alarm.resource.to_string(), alarm.incident);
            tracing::warn!(alarm = name, resource, incident, what = message, "more happens than is tolerated");
        }
        Change::Ended(alarm) => {
            let (name, resource, incident) = (alarm.kind.name(), alarm.resource.to_string(), alarm.incident);
            tracing::info!(alarm = name, resource, incident, "an alarm is over");
        }
    }
}

/// Lets time pass in the book for as long as it is run, and looks at how many lines of the log were lost so far.
pub async fn watch(book: Arc<AlarmBook>, lost_lines: Arc<AtomicU64>) {
    let mut known = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        let lost = lost_lines.load(Ordering::Relaxed);
        book.lines_were_lost(lost.saturating_sub(known));
        known = lost;
        book.tick();
    }
}

/// Tells both the book and the metrics.
pub struct MetricsAndAlarms {
    /// Counts everything.
    pub metrics: Arc<Metrics>,
    /// Keeps what somebody should know.
    pub alarms: Arc<AlarmBook>,
}

impl Observer for MetricsAndAlarms {
    fn note(&self, event: Event) {
        self.alarms.hear(&event);
        self.metrics.note(event);
    }
}

#[cfg(test)]
mod tests {
    use domain::event::{ActorKind, Failure};

    use super::*;
    use crate::clock::SystemClock;

    fn book() -> AlarmBook {
        AlarmBook::new(Arc::new(SystemClock::default()))
    }

    #[test]
    fn every_event_that_matters_is_an_alert_of_its_type() {
        let tenant: Arc<str> = "demo".into();
        let answered = |status| Event::Answered {
            tenant: Some(tenant.clone()),
            method: "GET",
            route: "/metrics",
            status,
            took: Duration::ZERO,
        };
        let restarted =
            Event::Restarted { supervisor: ActorKind::Root, child: ActorKind::Scheduler, reason: Failure::Panic };
        let probed = |dependency| Event::Probed { dependency, up: false };
        let cases = [
            (probed("database"), AlarmKind::Database, "database"),
            (probed("redis"), AlarmKind::Redis, "redis"),
            (probed("ors-redis"), AlarmKind::OrsRedis, "ors-redis"),
            (probed("urs"), AlarmKind::AllUrsDown, "urs"),
            (probed("gws-auth"), AlarmKind::GwsAuth, "gws-auth"),
            (probed("gws-env"), AlarmKind::GwsEnvironment, "gws-env"),
            (probed("gws-config"), AlarmKind::GwsConfiguration, "gws-config"),
            (probed("ors"), AlarmKind::Dependency, "ors"),
            (Event::GwsFailed, AlarmKind::GwsServerError, "node"),
            (Event::GwsClientRefused, AlarmKind::GwsCredentials, "node"),
            (Event::VirtualQueuesNotRead, AlarmKind::ProxyError, "node"),
            (answered(400), AlarmKind::Http400, "demo"),
            (answered(401), AlarmKind::Http401, "demo"),
            (answered(404), AlarmKind::Http404, "demo"),
            (answered(503), AlarmKind::Http500, "demo"),
            (Event::BodyTooLong, AlarmKind::InvalidContentLength, "node"),
            (Event::Shed, AlarmKind::RequestsShed, "node"),
            (Event::LookupFailed, AlarmKind::DnsFailure, "node"),
            (Event::PanicCaught, AlarmKind::UncaughtException, "node"),
            (restarted, AlarmKind::SupervisorRestarts, "scheduler"),
            (Event::Fired { lateness: LAGGING * 2 }, AlarmKind::MonitorLagging, "node"),
            (Event::Throttled { tenant: tenant.clone(), rule: "window" }, AlarmKind::TtlLimit, "demo"),
            (Event::DuplicateLimitReached { tenant: tenant.clone() }, AlarmKind::EnqueueLimit, "demo"),
            (Event::SubmitFailed, AlarmKind::SubmitFailed, "node"),
            (Event::Parked { tenant: tenant.clone() }, AlarmKind::Parked, "demo"),
            (Event::EndpointDisabled { tenant: tenant.clone() }, AlarmKind::WebhookDisabled, "demo"),
            (Event::Swept { taken: 3, oldest: Duration::ZERO }, AlarmKind::Takeovers, "node"),
        ];
        for (event, kind, resource) in cases {
            let book = book();
            book.hear(&event);
            let alerts: Vec<_> = book.alerts(9).into_iter().map(|it| (it.kind, it.resource.to_string())).collect();
            assert_eq!(alerts, [(kind, resource.to_owned())], "{event:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lines_of_the_log_that_are_lost_are_an_alert_of_their_own() {
        let (book, lost) = (Arc::new(book()), Arc::new(AtomicU64::new(3)));
        let watching = tokio::spawn(watch(book.clone(), lost.clone()));
        tokio::time::sleep(EVERY * 3).await;
        let alarms: Vec<_> = book.alarms().iter().map(|alarm| (alarm.kind, alarm.occurrences)).collect();
        assert_eq!(alarms, [(AlarmKind::LoggingFailure, 3)], "each is counted once");
        watching.abort();
    }

    #[test]
    fn what_is_usual_is_no_alert_and_what_is_well_again_no_alarm() {
        let book = book();
        book.hear(&Event::Fired { lateness: LAGGING });
        book.hear(&Event::Swept { taken: 0, oldest: Duration::ZERO });
        book.hear(&Event::Probed { dependency: "redis", up: true });
        assert_eq!((book.alerts(9).len(), book.alarms().len()), (0, 0));
        book.hear(&Event::Probed { dependency: "redis", up: false });
        assert!(book.alarms()[0].exceeds_since.is_some());
        book.hear(&Event::Probed { dependency: "redis", up: true });
        assert_eq!((book.alerts(9).len(), book.alarms().len()), (1, 0));
    }
}
