//! Who waits for what an input brings, and how an outcome is told.

use domain::callback::{Reply, StepError};
use domain::ports::{CancelError, SignalError, StoreError, Unserved};
use tokio::sync::oneshot;

pub(crate) type CancelReply = oneshot::Sender<Result<(), CancelError>>;
pub(crate) type SignalReply = oneshot::Sender<Result<Reply, SignalError>>;

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
    pub(crate) fn done(self, reply: Reply) {
        match self {
            Self::None => {}
            Self::Cancel(caller) => drop(caller.send(Ok(()))),
            Self::Signal(caller) => drop(caller.send(Ok(reply))),
        }
    }

    pub(crate) fn refused(self, error: StepError) {
        match self {
            Self::None => {}
            Self::Cancel(caller) => drop(caller.send(Err(match error {
                StepError::NotCancellable(state) => CancelError::NotCancellable(state),
                _ => CancelError::Unserved(Unserved::Busy),
            }))),
            Self::Signal(caller) => drop(caller.send(Err(error.into()))),
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
