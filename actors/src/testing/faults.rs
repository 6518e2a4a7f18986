//! What is to go wrong: rules by operation, looked up at every call of a fake.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::ids::CallbackId;
use domain::ports::StoreError;

/// An operation of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "operations are named as in their ports")]
pub enum Op {
    Book,
    Known,
    Save,
    Load,
    Details,
    History,
    Claim,
    Due,
    Take,
    HandOver,
    Park,
    Unpark,
    Parked,
    PlacesTaken,
    Hold,
    Release,
    ExpireHolds,
    Recount,
    Purge,
    WorkCounts,
    ClaimNotices,
    Settle,
    Happenings,
    /// What else a store of notices is asked.
    Notices,
    OpenCallIn,
    MatchCallIn,
    CancelCallIn,
    ListCallIns,
    UserData,
    ReplaceUserData,
    CountActive,
    Preview,
    WhyParked,
    Search,
    Tenants,
    Keys,
    Register,
    Heartbeat,
    Leave,
    /// Of routing.
    Start,
    /// Of routing.
    Close,
    Ping,
    ExpectedWait,
    /// The clock is read.
    Now,
    /// The probe of that name.
    Probe(&'static str),
    /// Of a connector.
    Open,
    /// Of a connector.
    Check,
    /// Of a connector.
    CloseClient,
    /// A captcha provider is asked.
    Captcha,
}

/// How it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Surely nothing happens, and the caller is told so.
    NotDone,
    /// Nothing happens, and the caller cannot know.
    PerhapsNot,
    /// It happens, and the caller cannot know.
    PerhapsDone,
    /// Somebody else was first. Of a save only.
    Conflict,
    /// There is a row, and it makes no sense.
    Unreadable,
    /// Routing says no.
    Refused,
    /// It takes so long, and then happens.
    Slow(Duration),
    /// The adapter has a bug.
    Panic,
}

impl Fault {
    /// The fault as a store's error.
    pub fn as_store_error(self) -> StoreError {
        match self {
            Self::PerhapsNot | Self::PerhapsDone => StoreError::PerhapsDone("told to fail".into()),
            Self::Unreadable => StoreError::Unreadable("told to be damaged".into()),
            _ => StoreError::NotDone("told to fail".into()),
        }
    }
}

struct Rule {
    op: Op,
    only: Option<CallbackId>,
    fault: Fault,
    /// None: until healed.
    left: Option<u32>,
}

/// The rules in force, and how often each operation was called.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<HashMap<Op, u64>>,
}

impl Faults {
    /// From now on, until healed.
    pub fn set(&self, op: Op, fault: Fault) {
        self.add(Rule { op, only: None, fault, left: None });
    }

    /// The next `times` calls.
    pub fn next(&self, op: Op, fault: Fault, times: u32) {
        self.add(Rule { op, only: None, fault, left: Some(times) });
    }

    /// Calls about one callback, until healed.
    pub fn set_for(&self, op: Op, id: CallbackId, fault: Fault) {
        self.add(Rule { op, only: Some(id), fault, left: None });
    }

    /// The next `times` calls about one callback.
    pub fn next_for(&self, op: Op, id: CallbackId, fault: Fault, times: u32) {
        self.add(Rule { op, only: Some(id), fault, left: Some(times) });
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.rules.lock().expect("never poisoned").clear();
    }

    /// This operation goes well again.
    pub fn heal_op(&self, op: Op) {
        self.rules.lock().expect("never poisoned").retain(|rule| rule.op != op);
    }

    /// How often an operation was called, with whatever outcome.
    pub fn calls(&self, op: Op) -> u64 {
        self.calls.lock().expect("never poisoned").get(&op).copied().unwrap_or_default()
    }

    fn add(&self, rule: Rule) {
        self.rules.lock().expect("never poisoned").push(rule);
    }

    fn find(&self, op: Op, id: Option<CallbackId>) -> Option<Fault> {
        *self.calls.lock().expect("never poisoned").entry(op).or_default() += 1;
        let mut rules = self.rules.lock().expect("never poisoned");
        let index = rules.iter().position(|rule| rule.op == op && (rule.only.is_none() || rule.only == id))?;
        let rule = rules.get_mut(index)?;
        let fault = rule.fault;
        if let Some(left) = &mut rule.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                rules.remove(index);
            }
        }
        Some(fault)
    }

    /// Looks the operation up: waits if it is to be slow, panics if told so, else returns the fault.
    pub async fn pass(&self, op: Op) -> Option<Fault> {
        self.pass_about(op, None).await
    }

    /// As [`Self::pass`], about one callback.
    pub async fn pass_about(&self, op: Op, id: Option<CallbackId>) -> Option<Fault> {
        match self.find(op, id) {
            Some(Fault::Slow(pause)) => {
                tokio::time::sleep(pause).await;
                None
            }
            Some(Fault::Panic) => panic!("told to panic"),
            other => other,
        }
    }

    /// As [`Self::pass`], for calls that cannot wait: slowness is ignored.
    pub fn pass_at_once(&self, op: Op) -> Option<Fault> {
        match self.find(op, None) {
            Some(Fault::Panic) => panic!("told to panic"),
            Some(Fault::Slow(_)) => None,
            other => other,
        }
    }
}
