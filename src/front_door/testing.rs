//! A door with nothing behind it: what the fakes were asked is recorded, what they answer is set by the test.

pub(crate) mod call_in;
mod captcha;
pub(crate) mod explain;
mod hours;
mod house;
pub(crate) mod moves;
pub(crate) mod news;
mod numbers;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::availability::{Availability, Question};
use domain::callback::{Canceller, NewCallback, Reply, Signal};
use domain::captcha::CaptchaKeys;
use domain::event::Event;
use domain::health::{Dependency, DependencyStatus};
use domain::ids::{ApiKeyId, CallbackId, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::ports::{
    AvailabilityDesk, AvailabilityError, CallbackView, CancelError, Clock, Desk, How, Inbox, KeyRing as _, Mark,
    Observer, Parked, SaveError, SignalError, StatisticsError, StoreError, SubmitError, Submitted, Unserved,
    VerifyError,
};
use domain::tenant::{Tenant, TenantDocument};
use tokio::sync::Notify;

mod reports;
mod settings;
mod waits;

pub(crate) use house::{Answer, House, post};
pub(crate) use settings::Office;

use crate::config::Level;
use crate::telemetry::alarms::AlarmBook;
use crate::telemetry::tracing::LevelSwitch;
use crate::users::testing::{Memory, users};

use super::{Door, DoorLimits, DoorSettings, HealthReport, HealthView, KeyRing, Parking, Phase, hash_key};

pub(crate) const KEY: &str = "demo-key";
pub(crate) const READ_ONLY_KEY: &str = "read-only-key";
/// Of another tenant, which has no limits.
pub(crate) const NEIGHBOURS_KEY: &str = "neighbours-key";
pub(crate) const CREATE: &str = "/engagement/v3/callbacks/create";
pub(crate) const CANCEL: &str = "/engagement/v3/callbacks/cancel";
pub(crate) const RETRIEVE: &str = "/engagement/v3/callbacks/retrieve";
/// What every test books, cancels and retrieves.
pub(crate) const ID: &str = "0192f0a0-0000-7000-8000-000000000001";

pub(crate) const SUB_KEY: [u8; 32] = [3; 32];

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    super::wire::time::parse(text).unwrap()
}

pub(crate) fn id() -> CallbackId {
    ID.parse().unwrap()
}

/// What a fake desk does with the next question.
pub(crate) enum Mood {
    /// Answers.
    Answers,
    /// Waits until it is woken, then answers.
    Waits(Arc<Notify>),
    Panics,
    /// Never answers.
    Hangs,
}

pub(crate) struct Fake {
    pub(crate) call_in: call_in::Answers,
    pub(crate) explain: explain::Answers,
    pub(crate) mood: Mutex<Mood>,
    pub(crate) submit: Mutex<Result<Submitted, SubmitError>>,
    pub(crate) cancel: Mutex<Result<(), CancelError>>,
    pub(crate) retrieve: Mutex<Result<CallbackView, Unserved>>,
    pub(crate) availability: Mutex<Result<Availability, AvailabilityError>>,
    pub(crate) mark: Mutex<Option<Mark>>,
    pub(crate) signal: Mutex<Result<Reply, SignalError>>,
    /// The settings of the only tenant.
    pub(crate) tenant: Mutex<Result<Arc<Tenant>, Unserved>>,
    pub(crate) waits: waits::FakeWaits,
    pub(crate) verify: Mutex<Result<(), VerifyError>>,
    pub(crate) key_set: Mutex<Option<CaptchaKeys>>,
    pub(crate) statistics: Mutex<Result<Arc<str>, StatisticsError>>,
    pub(crate) asked_statistics: Mutex<Vec<(String, Duration)>>,
    pub(crate) unpark: Mutex<Result<(), SaveError>>,
    pub(crate) health: Mutex<HealthReport>,
    pub(crate) booked: Mutex<Vec<NewCallback>>,
    pub(crate) asked: Mutex<Vec<Question>>,
    pub(crate) signals: Mutex<Vec<(TenantId, CallbackId, Signal)>>,
    pub(crate) reports: Arc<reports::Reports>,
    pub(crate) nodes: Arc<reports::Nodes>,
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) news: news::News,
    pub(crate) moves: moves::Moves,
    pub(crate) cancelled: Mutex<Vec<Canceller>>,
    pub(crate) memory: Arc<Memory>,
}

impl Fake {
    fn new() -> Self {
        let database = Dependency {
            name: "database",
            status: DependencyStatus::Up,
            required: true,
            since: at("2030-01-01T00:00Z"),
            checked_at: at("2030-01-01T00:00:15Z"),
            reason: None,
        };
        let health = HealthReport {
            phase: Phase::Serving,
            node: "node-1".into(),
            started_at: at("2030-01-01T00:00Z"),
            dependencies: vec![database],
        };
        Self {
            call_in: call_in::Answers::default(),
            explain: explain::Answers::default(),
            mood: Mutex::new(Mood::Answers),
            submit: Mutex::new(Ok(Submitted { id: id(), how: How::Booked })),
            cancel: Mutex::new(Ok(())),
            retrieve: Mutex::new(Err(Unserved::NotFound)),
            availability: Mutex::new(Err(AvailabilityError::UnknownQueue)),
            mark: Mutex::default(),
            signal: Mutex::new(Ok(Reply::Done)),
            tenant: Mutex::new(Ok(hours::tenant())),
            waits: waits::FakeWaits::default(),
            verify: Mutex::new(Ok(())),
            key_set: Mutex::default(),
            statistics: Mutex::new(Ok("{}".into())),
            asked_statistics: Mutex::default(),
            unpark: Mutex::new(Ok(())),
            health: Mutex::new(health),
            booked: Mutex::default(),
            asked: Mutex::default(),
            signals: Mutex::default(),
            reports: Arc::default(),
            nodes: Arc::default(),
            events: Mutex::default(),
            news: news::News::default(),
            moves: moves::Moves::default(),
            cancelled: Mutex::default(),
            memory: Arc::default(),
        }
    }

    async fn mood(&self) {
        let notify = match &*self.mood.lock().unwrap() {
            Mood::Answers => return,
            Mood::Waits(notify) => Some(Arc::clone(notify)),
            Mood::Panics => panic!("the desk was told to panic"),
            Mood::Hangs => None,
        };
        match notify {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }

    /// For questions that are answered at once: they can only fail.
    fn mood_now(&self) {
        assert!(!matches!(*self.mood.lock().unwrap(), Mood::Panics), "the desk was told to panic");
    }

    /// How many recorded events `wanted` accepts.
    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }
}

#[async_trait]
impl Desk for Fake {
    async fn submit(&self, _: TenantId, new: NewCallback) -> Result<Submitted, SubmitError> {
        self.booked.lock().unwrap().push(new);
        self.mood().await;
        self.submit.lock().unwrap().clone()
    }

    async fn cancel(&self, _: TenantId, _: CallbackId, by: Canceller) -> Result<(), CancelError> {
        self.cancelled.lock().unwrap().push(by);
        self.mood().await;
        self.cancel.lock().unwrap().clone()
    }

    async fn retrieve(&self, _: TenantId, _: CallbackId) -> Result<CallbackView, Unserved> {
        self.mood().await;
        self.retrieve.lock().unwrap().clone()
    }
}

#[async_trait]
impl AvailabilityDesk for Fake {
    async fn availability(&self, _: TenantId, question: Question) -> Result<Availability, AvailabilityError> {
        self.asked.lock().unwrap().push(question);
        self.mood().await;
        self.availability.lock().unwrap().clone()
    }

    fn mark(&self, _: TenantId) -> Option<Mark> {
        self.mark.lock().unwrap().clone()
    }
}

#[async_trait]
impl Inbox for Fake {
    async fn signal(&self, tenant: TenantId, id: CallbackId, signal: Signal) -> Result<Reply, SignalError> {
        self.signals.lock().unwrap().push((tenant, id, signal));
        self.signal.lock().unwrap().clone()
    }
}

#[async_trait]
impl Parking for Fake {
    async fn parked(&self, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let parked = Parked {
            id: id(),
            tenant: TenantId::from_name("demo"),
            at: at("2030-01-01T00:00Z"),
            reason: "unreadable".into(),
        };
        Ok(vec![parked; limit.min(2)])
    }

    async fn unpark(&self, _: TenantId, _: CallbackId, _: &str) -> Result<(), SaveError> {
        self.unpark.lock().unwrap().clone()
    }
}

impl HealthView for Fake {
    fn report(&self) -> HealthReport {
        self.health.lock().unwrap().clone()
    }
}

impl Clock for Fake {
    fn now(&self) -> DateTime<Utc> {
        at("2030-01-01T01:00Z")
    }
}

impl Observer for Fake {
    fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }
}

/// A door and the fake behind it.
pub(crate) fn door() -> (Door, Arc<Fake>) {
    door_of(TenantDocument::with_queues("demo", []))
}

/// A key of a tenant, which is known by `text`.
pub(crate) fn api_key(tenant: &str, text: &str, scopes: &[Scope]) -> ApiKey {
    ApiKey {
        id: ApiKeyId::generate(),
        tenant: TenantId::from_name(tenant),
        hash: hash_key(&SUB_KEY, text),
        label: format!("key of {tenant}"),
        scopes: scopes.to_vec(),
        created_at: DateTime::UNIX_EPOCH,
        revoked_at: None,
    }
}

/// As [`door`], for a tenant of these settings.
fn door_of(document: TenantDocument) -> (Door, Arc<Fake>) {
    let fake = Arc::new(Fake::new());
    let keys = Arc::new(KeyRing::new(SUB_KEY));
    let tenant = document.resolve(TenantId::from_name("demo")).unwrap();
    let neighbour = TenantDocument::with_queues("neighbour", []).resolve(TenantId::from_name("neighbour")).unwrap();
    let ring = vec![
        api_key("demo", KEY, &Scope::ALL),
        api_key("demo", READ_ONLY_KEY, &[Scope::CallbacksRead]),
        api_key("neighbour", NEIGHBOURS_KEY, &Scope::ALL),
    ];
    keys.replace(&[tenant, neighbour], ring);
    let door = Door {
        desk: fake.clone(),
        hours: fake.clone(),
        numbers: fake.clone(),
        waits: fake.clone(),
        availability: fake.clone(),
        moves: fake.clone(),
        call_ins: fake.clone(),
        flow: fake.clone(),
        explain: fake.clone(),
        search: fake.clone(),
        inbox: fake.clone(),
        reports: fake.reports.clone(),
        nodes: fake.nodes.clone(),
        captcha: fake.clone(),
        statistics: fake.clone(),
        news: fake.clone(),
        keys,
        observer: fake.clone(),
        clock: fake.clone(),
        health: fake.clone(),
        metrics: Arc::new(|| "ges_up 1\n".to_owned()),
        parking: fake.clone(),
        provisioning: settings::unkept(fake.clone()),
        privacy: settings::private(fake.clone()),
        settings: fake.clone(),
        users: Arc::new(users(&fake.memory, fake.clone())),
        failures: Arc::default(),
        alarms: Arc::new(AlarmBook::new(fake.clone())),
        log_level: Arc::new(LevelSwitch::new(Level::Info, |_| Ok(()))),
    };
    (door, fake)
}

pub(crate) fn settings(limits: DoorLimits) -> DoorSettings {
    let any = "127.0.0.1:0".parse().unwrap();
    DoorSettings { external: any, internal: any, internal_token: None, trusted_proxies: Vec::new(), tls: None, limits }
}

/// Waits for a state, at most 5 s.
pub(crate) async fn until(mut reached: impl FnMut() -> bool) {
    let wait = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap();
}
