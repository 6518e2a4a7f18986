//! Who waits for what an input brings, and how an outcome is told.

use domain::callback::{Reply, StepError};
use domain::ports::{CancelError, SignalError, StoreError, Unserved};
use tokio::sync::oneshot;

pub(crate) type CancelReply = oneshot::Sender<Result<(), CancelError>>;
pub(crate) type SignalReply = oneshot::Sender<Result<Reply, SignalError>>;

/// What the machine says to whoever sent an input.
pub(crate) type Answer = Result<Reply, StepError>;

/// Who waits for what an input brings. An answer that nobody awaits any more is dropped.
pub(crate) enum Caller {
    /// Nobody: our own initiative.
    None,
    /// A cancel from outside.
    Cancel(CancelReply),
    /// A report of routing.
    Signal(SignalReply),
}

impl Caller {
    pub(crate) fn answer(self, answer: Answer) {
        match self {
            Self::None => {}
            Self::Cancel(caller) => drop(caller.send(answer.map(drop).map_err(|error| match error {
                StepError::NotCancellable(state) => CancelError::NotCancellable(state),
                _ => CancelError::Unserved(Unserved::Busy),
            }))),
            Self::Signal(caller) => drop(caller.send(answer.map_err(SignalError::from))),
        }
    }

    pub(crate) fn unserved(self, why: Unserved) {
        match self {
            Self::None => {}
            Self::Cancel(caller) => drop(caller.send(Err(why.into()))),
            Self::Signal(caller) => drop(caller.send(Err(why.into()))),
        }
    }
}

/// What a store error means for whoever waits.
pub(crate) fn unserved(error: &StoreError) -> Unserved {
    match error {
        StoreError::PerhapsDone(_) => Unserved::Perhaps,
        StoreError::NotDone(_) | StoreError::Unreadable(_) => Unserved::Busy,
    }
}
