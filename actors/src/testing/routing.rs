//! A routing engine that records what it is asked and answers by a script. As the real one it enters an
//! attempt once, and only if it is higher than any before and the register is open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::{Again, Live, Reason, Signal, SignalEvent};
use domain::ids::{CallbackId, QueueName, SessionId, TenantId};
use domain::ports::{AttemptRef, Closing, Inbox, Invitation, Routing, RoutingError, SignalError, Unserved};
use domain::wait::QueueReport;

use super::{Fault, Faults, Op, TestClock};

/// What routing reports of every attempt that it enters: after each pause, an event.
pub type Script = Vec<(Duration, SignalEvent)>;

/// One attempt that was entered.
#[derive(Debug, Clone, PartialEq)]
pub struct Entered {
    /// When.
    pub at: DateTime<Utc>,
    /// What was asked.
    pub invitation: Invitation,
}

#[derive(Default)]
struct Register {
    attempt: u32,
    closed: bool,
}

/// The routing engine.
pub struct FakeRouting {
    faults: Arc<Faults>,
    clock: Arc<TestClock>,
    registers: Mutex<HashMap<CallbackId, Register>>,
    entered: Mutex<Vec<Entered>>,
    closed: Mutex<Vec<CallbackId>>,
    pinged: Mutex<Vec<Vec<AttemptRef>>>,
    waits: Mutex<HashMap<QueueName, i32>>,
    reports: Mutex<HashMap<QueueName, QueueReport>>,
    live: Mutex<HashMap<CallbackId, Live>>,
    answering: Arc<Mutex<Option<Answering>>>,
    again: Mutex<Again>,
}

#[derive(Clone)]
struct Answering {
    inbox: Arc<dyn Inbox>,
    script: Script,
}

impl FakeRouting {
    pub(super) fn new(faults: Arc<Faults>, clock: Arc<TestClock>) -> Self {
        Self {
            faults,
            clock,
            registers: Mutex::default(),
            entered: Mutex::default(),
            closed: Mutex::default(),
            pinged: Mutex::default(),
            waits: Mutex::default(),
            reports: Mutex::default(),
            live: Mutex::default(),
            answering: Arc::default(),
            again: Mutex::new(Again::EntersOnce),
        }
    }

    /// From now on every attempt entered is reported on by `script`, and everything still to be reported goes
    /// to `inbox`, also what another life of the tree did not take.
    pub fn answer(&self, inbox: Arc<dyn Inbox>, script: Script) {
        *self.answering.lock().expect("never poisoned") = Some(Answering { inbox, script });
    }

    /// A script that accepts at once and then says nothing.
    pub fn accepting() -> Script {
        vec![(Duration::from_millis(1), SignalEvent::Accepted)]
    }

    /// A script of a whole call: accepted, queued, an agent reserved, talking, done; a second between each.
    pub fn whole_call() -> Script {
        let second = Duration::from_secs(1);
        vec![
            (Duration::from_millis(1), SignalEvent::Accepted),
            (second, SignalEvent::Queued),
            (second, SignalEvent::Routing),
            (second, SignalEvent::Processing),
            (second, SignalEvent::Completed(Some(Reason::AGENT_CONNECTED))),
        ]
    }

    /// Every attempt entered, in order. An attempt is entered once, however often it is submitted.
    pub fn entered(&self) -> Vec<Entered> {
        self.entered.lock().expect("never poisoned").clone()
    }

    /// Attempts entered of one callback.
    pub fn attempts_of(&self, id: CallbackId) -> Vec<u32> {
        let entered = self.entered.lock().expect("never poisoned");
        entered.iter().filter(|it| it.invitation.id == id).map(|it| it.invitation.attempt).collect()
    }

    /// Callbacks whose register was closed, in order, with repetitions.
    pub fn closed(&self) -> Vec<CallbackId> {
        self.closed.lock().expect("never poisoned").clone()
    }

    /// Questions, call by call.
    pub fn pinged(&self) -> Vec<Vec<AttemptRef>> {
        self.pinged.lock().expect("never poisoned").clone()
    }

    /// From now on an attempt that is asked for again begins again.
    pub fn begin_another_each_time(&self) {
        *self.again.lock().expect("never poisoned") = Again::BeginsAnother;
    }

    /// Sets the expected wait of a queue.
    pub fn set_wait(&self, queue: &QueueName, seconds: i32) {
        self.waits.lock().expect("never poisoned").insert(queue.clone(), seconds);
    }

    /// Sets what is reported of a queue.
    pub fn set_report(&self, queue: &QueueName, report: QueueReport) {
        self.reports.lock().expect("never poisoned").insert(queue.clone(), report);
    }

    /// Sets where a callback stands.
    pub fn set_live(&self, id: CallbackId, live: Live) {
        self.live.lock().expect("never poisoned").insert(id, live);
    }

    fn enter(&self, invitation: Invitation) {
        {
            let mut registers = self.registers.lock().expect("never poisoned");
            let register = registers.entry(invitation.id).or_default();
            let known = self.again() == Again::EntersOnce && invitation.attempt <= register.attempt;
            if known || register.closed {
                return;
            }
            register.attempt = invitation.attempt;
        }
        let (tenant, id, attempt) = (invitation.tenant, invitation.id, invitation.attempt);
        self.entered.lock().expect("never poisoned").push(Entered { at: self.clock.time(), invitation });
        let script = self.answering.lock().expect("never poisoned").as_ref().map(|it| it.script.clone());
        if let Some(script) = script {
            tokio::spawn(report(Arc::clone(&self.answering), script, tenant, id, attempt));
        }
    }
}

/// Reports until answered, as routing does; an answer other than "not now" ends the session.
async fn report(
    answering: Arc<Mutex<Option<Answering>>>,
    script: Script,
    tenant: TenantId,
    id: CallbackId,
    attempt: u32,
) {
    let session = SessionId::new(&format!("session-{attempt}")).expect("a valid name");
    for (seq, (pause, event)) in (1..).zip(script) {
        tokio::time::sleep(pause).await;
        let signal = Signal { attempt, seq, session: Some(session.clone()), event };
        loop {
            let inbox = answering.lock().expect("never poisoned").as_ref().map(|it| Arc::clone(&it.inbox));
            let Some(inbox) = inbox else { return };
            match inbox.signal(tenant, id, signal.clone()).await {
                Ok(_) => break,
                Err(SignalError::Unserved(Unserved::Busy | Unserved::Perhaps)) => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(_) => return,
            }
        }
    }
}

#[async_trait]
impl Routing for FakeRouting {
    async fn start(&self, invitation: Invitation) -> Result<(), RoutingError> {
        match self.faults.pass_about(Op::Start, Some(invitation.id)).await {
            None => {
                self.enter(invitation);
                Ok(())
            }
            Some(Fault::PerhapsDone) => {
                self.enter(invitation);
                Err(RoutingError::Perhaps("told to fail".into()))
            }
            Some(Fault::PerhapsNot) => Err(RoutingError::Perhaps("told to fail".into())),
            Some(Fault::Refused) => Err(RoutingError::Refused("told to refuse".into())),
            Some(_) => Err(RoutingError::NotDone("told to fail".into())),
        }
    }

    fn again(&self) -> Again {
        *self.again.lock().expect("never poisoned")
    }

    async fn close(&self, attempt: AttemptRef, _: Closing) -> Result<(), RoutingError> {
        let id = attempt.id;
        match self.faults.pass_about(Op::Close, Some(id)).await {
            None => {
                self.registers.lock().expect("never poisoned").entry(id).or_default().closed = true;
                self.closed.lock().expect("never poisoned").push(id);
                Ok(())
            }
            Some(_) => Err(RoutingError::NotDone("told to fail".into())),
        }
    }

    async fn ping(&self, attempts: Vec<AttemptRef>) -> Result<(), RoutingError> {
        match self.faults.pass(Op::Ping).await {
            None => {
                self.pinged.lock().expect("never poisoned").push(attempts);
                Ok(())
            }
            Some(_) => Err(RoutingError::NotDone("told to fail".into())),
        }
    }

    fn expected_wait(&self, _tenant: TenantId, queue: &QueueName) -> Option<i32> {
        let _ = self.faults.pass_at_once(Op::ExpectedWait);
        self.waits.lock().expect("never poisoned").get(queue).copied()
    }

    fn queue_report(&self, _tenant: TenantId, queue: &QueueName) -> Option<QueueReport> {
        self.reports.lock().expect("never poisoned").get(queue).copied()
    }

    fn live(&self, id: CallbackId) -> Option<Live> {
        self.live.lock().expect("never poisoned").get(&id).copied()
    }
}
