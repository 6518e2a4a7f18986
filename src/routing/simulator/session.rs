//! One session: the simulator's work on one attempt, and the signals that it still owes.

use std::collections::VecDeque;

use domain::callback::{Live, Signal, SignalEvent};
use domain::ids::{CallbackId, SessionId, TenantId};

use super::dice::Dice;
use super::script::{DialResult, End, Outcome};
use super::timeline::Micros;

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// In the register; will ask for its attempt.
    Entered,
    /// Asked; nothing else happens until that is answered.
    Asking,
    /// In the line of its queue. It may be served once it is ready.
    Waiting,
    /// An agent is reserved and gets ready.
    Reserved,
    /// The customer's phone rings.
    Ringing,
    /// An agent is reserved, and the customer was asked to call in.
    Expecting,
    /// Agent and customer talk.
    Talking,
    /// Only its signals still have to be answered: the flow is over, or has died with an earlier process.
    Telling,
}

/// A signal in two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    Accepted,
    Queued,
    Routing,
    DialResult(DialResult),
    Processing,
    Completed(End),
    /// Before `accepted`: the simulator refuses the attempt.
    Failed,
    Alive,
    Ended(Option<End>),
    Unknown,
}

impl Report {
    fn event(self) -> SignalEvent {
        match self {
            Self::Accepted => SignalEvent::Accepted,
            Self::Queued => SignalEvent::Queued,
            Self::Routing => SignalEvent::Routing,
            Self::DialResult(result) => SignalEvent::DialResult(result.reason()),
            Self::Processing => SignalEvent::Processing,
            Self::Completed(end) => SignalEvent::Completed(end.reason()),
            Self::Failed => SignalEvent::Failed(None),
            Self::Alive => SignalEvent::Alive,
            Self::Ended(end) => SignalEvent::Ended(end.and_then(End::reason)),
            Self::Unknown => SignalEvent::Unknown,
        }
    }
}

/// Where the first signal of the outbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Post {
    /// There is none.
    Empty,
    /// In the queue of the driver.
    Lined,
    /// With the inbox.
    Sent,
    /// Was not taken; goes again when its stamp comes up.
    Pausing(u32),
}

/// One session. Kept small: there may be hundreds of thousands.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) tenant: TenantId,
    pub(super) callback: CallbackId,
    pub(super) attempt: u32,
    /// Given out once; tells this session from an earlier one in the same place.
    pub(super) born: u32,
    /// Number of its queue; meaningless for one that only tells.
    pub(super) queue: u32,
    /// Its ticket while it waits.
    pub(super) ticket: u32,
    /// Stamp of its next step.
    pub(super) step: u32,
    /// When its agent was reserved, while it has one.
    pub(super) reserved_at: Micros,
    /// No dial before this, in milliseconds since 1970.
    pub(super) desired_ms: i64,
    pub(super) dice: Dice,
    pub(super) phase: Phase,
    pub(super) outcome: Outcome,
    /// Dials that are left before a busy or silent customer is given up.
    pub(super) dials_left: u8,
    /// The customer calls in and is not dialled.
    pub(super) calls_in: bool,
    /// While it waits: whether it may be served as soon as it is the first that is ready.
    pub(super) servable: bool,
    pub(super) post: Post,
    /// Tries of the first signal that were not taken.
    pub(super) tries: u8,
    /// `seq` of the newest signal.
    last_seq: u32,
    /// When the first signal was tried first.
    pub(super) first_try: Micros,
    outbox: VecDeque<Report>,
}

/// Signals about a session that died with an earlier process come after everything that it said itself.
const AFTERMATH_SEQ: u32 = 1 << 20;

impl Session {
    pub(super) fn new(tenant: TenantId, callback: CallbackId, attempt: u32, born: u32) -> Self {
        Self {
            tenant,
            callback,
            attempt,
            born,
            queue: u32::MAX,
            ticket: 0,
            step: 0,
            reserved_at: 0,
            desired_ms: 0,
            dice: Dice::new(0),
            phase: Phase::Entered,
            outcome: Outcome::Answered,
            dials_left: 1,
            calls_in: false,
            servable: false,
            post: Post::Empty,
            tries: 0,
            last_seq: 0,
            first_try: 0,
            outbox: VecDeque::new(),
        }
    }

    /// One that has no flow and only tells.
    pub(super) fn telling(tenant: TenantId, callback: CallbackId, attempt: u32, born: u32) -> Self {
        let new = Self::new(tenant, callback, attempt, born);
        Self { phase: Phase::Telling, last_seq: AFTERMATH_SEQ, ..new }
    }

    /// The name that the session speaks under. It follows from the attempt, so that a simulator that was
    /// killed between two lines of its journal continues as the same session.
    pub(super) fn name_of(callback: CallbackId, attempt: u32) -> Option<SessionId> {
        SessionId::new(&format!("sim-{callback}-{attempt}")).ok()
    }

    pub(super) fn push(&mut self, report: Report) {
        self.last_seq += 1;
        self.outbox.push_back(report);
    }

    pub(super) fn front(&self) -> Option<Report> {
        self.outbox.front().copied()
    }

    pub(super) fn pop(&mut self) -> Option<Report> {
        let report = self.outbox.pop_front();
        self.tries = 0;
        if self.outbox.is_empty() {
            self.outbox = VecDeque::new(); // waiting sessions are many and silent: give the memory back
        }
        report
    }

    pub(super) fn signal(&self) -> Option<Signal> {
        let report = self.front()?;
        let behind = u32::try_from(self.outbox.len()).unwrap_or_default().saturating_sub(1);
        Some(Signal {
            attempt: self.attempt,
            seq: u64::from(self.last_seq.saturating_sub(behind)),
            session: Self::name_of(self.callback, self.attempt),
            event: report.event(),
        })
    }

    /// Whether an agent is busy with it.
    pub(super) const fn holds_agent(&self) -> bool {
        matches!(self.phase, Phase::Reserved | Phase::Ringing | Phase::Expecting | Phase::Talking)
    }
}

/// What is shown of a session that has an agent.
pub(super) const SERVED: Live = Live { position: 0, estimated_wait_seconds: 0 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Session>() <= 144, "{} bytes", size_of::<Session>());
    }

    #[test]
    fn seq_rises_from_one_in_the_order_of_the_reports() {
        let id = CallbackId::from_uuid(uuid::Uuid::from_u128(7));
        let mut session = Session::new(TenantId::from_name("demo"), id, 2, 1);
        for report in [Report::Accepted, Report::Queued, Report::Routing] {
            session.push(report);
        }
        let mut said = Vec::new();
        while let Some(signal) = session.signal() {
            said.push((signal.seq, signal.event.name()));
            session.pop();
        }
        session.push(Report::Processing);
        said.push((session.signal().unwrap().seq, "processing"));
        assert_eq!(said, [(1, "accepted"), (2, "queued"), (3, "routing"), (4, "processing")]);
    }
}
