//! What the clauses are run against: a routing engine, and an inbox that answers as told and forgets nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::{Reply, Signal, SignalEvent};
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{AttemptRef, Clock, Closing, Details, Inbox, Invitation, Routing, RoutingError, SignalError};
use domain::queue::CallOptions;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Builds one engine with one inbox, and can take the engine's life.
#[async_trait]
pub(super) trait Bench: Send {
    /// The engine that runs now.
    fn routing(&self) -> Arc<dyn Routing>;
    /// The inbox; the same one over all restarts.
    fn inbox(&self) -> Arc<ScriptedInbox>;
    /// The time that desired times are judged by.
    fn now(&self) -> DateTime<Utc>;
    /// Kills the engine without a goodbye and starts it again.
    async fn restart(&mut self);
    /// Every attempt that entered, in order, as an outsider sees it.
    fn handed_over(&self) -> Vec<(CallbackId, u32)>;
    /// Every dial, in order, with its time.
    fn dialled(&self) -> Vec<(CallbackId, DateTime<Utc>)>;
}

/// A clock that stands still with tokio's.
pub(super) struct TestClock {
    started: Instant,
}

impl TestClock {
    pub(super) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + self.started.elapsed()
    }
}

/// One signal as it came, and what it was answered.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) at: Instant,
    pub(super) id: CallbackId,
    pub(super) signal: Signal,
    pub(super) answer: Result<Reply, SignalError>,
}

type Script = Box<dyn FnMut(CallbackId, &Signal) -> Result<Reply, SignalError> + Send>;

/// Answers each signal by a script, at first always with success.
pub(super) struct ScriptedInbox {
    script: Mutex<Script>,
    heard: Mutex<Vec<Heard>>,
    news: Notify,
}

impl ScriptedInbox {
    pub(super) fn new() -> Arc<Self> {
        let script: Script = Box::new(|_, _| Ok(Reply::Done));
        Arc::new(Self { script: Mutex::new(script), heard: Mutex::default(), news: Notify::new() })
    }

    pub(super) fn answer(
        &self,
        script: impl FnMut(CallbackId, &Signal) -> Result<Reply, SignalError> + Send + 'static,
    ) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Everything about one callback.
    pub(super) fn of(&self, id: CallbackId) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| heard.id == id).collect()
    }

    /// Names of the events about one callback that were answered with success.
    pub(super) fn events(&self, id: CallbackId) -> Vec<&'static str> {
        let taken = self.of(id).into_iter().filter(|heard| heard.answer.is_ok());
        taken.map(|heard| heard.signal.event.name()).collect()
    }

    /// Waits until `condition` holds of everything heard; at most two hours of the test's clock.
    pub(super) async fn until(&self, what: &str, condition: impl Fn(&[Heard]) -> bool) {
        let wait = async {
            loop {
                let news = self.news.notified();
                if condition(&self.heard()) {
                    return;
                }
                news.await;
            }
        };
        if timeout(Duration::from_secs(7200), wait).await.is_err() {
            panic!("waited in vain until {what}; heard {:#?}", self.heard());
        }
    }

    /// Waits until this event of a callback was answered with success.
    pub(super) async fn until_event(&self, id: CallbackId, name: &str) {
        self.until(name, |heard| {
            heard.iter().any(|it| it.id == id && it.signal.event.name() == name && it.answer.is_ok())
        })
        .await;
    }
}

#[async_trait]
impl Inbox for ScriptedInbox {
    async fn signal(&self, _tenant: TenantId, id: CallbackId, signal: Signal) -> Result<Reply, SignalError> {
        let answer = (self.script.lock().unwrap())(id, &signal);
        self.heard.lock().unwrap().push(Heard { at: Instant::now(), id, signal, answer: answer.clone() });
        self.news.notify_waiters();
        answer
    }
}

/// Lets the paused clock move on; costs no time.
pub(super) async fn pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub(super) fn tenant() -> TenantId {
    TenantId::from_name("demo")
}

pub(super) fn id(n: u128) -> CallbackId {
    CallbackId::from_uuid(uuid::Uuid::from_u128(n))
}

/// An invitation of callback `n`, wanted now.
pub(super) fn invitation(bench: &dyn Bench, n: u128, attempt: u32, last_digits: u64) -> Invitation {
    let now = bench.now();
    Invitation {
        tenant: tenant(),
        id: id(n),
        attempt,
        not_after: now + chrono::Duration::days(1),
        queue: QueueName::new("support").unwrap(),
        phone: PhoneNumber::from_digits(15_551_230_000 + last_digits),
        desired_time: now,
        call: CallOptions::usual(&QueueName::new("support").unwrap()),
        details: Details::default(),
    }
}

/// As if everything of callback `n` were to end.
pub(super) async fn close(routing: &dyn Routing, n: u128) -> Result<(), RoutingError> {
    routing.close(asked(n, 1), Closing::Everything).await
}

pub(super) fn asked(n: u128, attempt: u32) -> AttemptRef {
    AttemptRef { tenant: tenant(), id: id(n), attempt, session: None }
}

pub(super) fn reason_of(event: &SignalEvent) -> Option<String> {
    match event {
        SignalEvent::DialResult(reason) => Some(reason.to_string()),
        SignalEvent::Completed(reason) | SignalEvent::Failed(reason) | SignalEvent::Ended(reason) => {
            reason.as_ref().map(ToString::to_string)
        }
        _ => None,
    }
}
