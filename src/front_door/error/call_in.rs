//! Refusals about call-ins and of what a flow engine asks.

use domain::ports::{
    CallInCancelError, CallInError, CallInListError, MatchError, Unserved, UserDataError, WatermarkError,
};
use domain::user_data::{AttachError, MAX_BYTES};

use super::{Kind, Problem};

impl Problem {
    /// A call-in request whose outcome is not known. Only with a key may a client repeat it unasked.
    pub(crate) fn call_in(error: CallInError, has_key: bool) -> Self {
        match error {
            CallInError::Unserved(Unserved::Perhaps) if !has_key => Self::new(
                Kind::Failed,
                "It is not known whether the request was opened; with an Idempotency-Key it could be repeated safely.",
            ),
            other => other.into(),
        }
    }

    /// A match whose outcome is not known. Only with a key would a repetition find what it had matched.
    pub(crate) fn matched(error: MatchError, has_key: bool) -> Self {
        match error {
            MatchError::Unserved(Unserved::Perhaps) if !has_key => Self::new(
                Kind::Failed,
                "It is not known whether a request was matched; with an Idempotency-Key it could be repeated safely.",
            ),
            other => other.into(),
        }
    }
}

fn unknown_group() -> Problem {
    Problem::new(Kind::UnknownService, "groupName names no configured call-in group.")
}

fn key_reused() -> Problem {
    Problem::new(Kind::KeyReused, "Idempotency-Key was used before with another request body.")
}

fn no_such_request(unserved: Unserved) -> Problem {
    match unserved {
        Unserved::NotFound => Problem::new(Kind::NotFound, "Call-in request not found."),
        other => other.into(),
    }
}

impl From<CallInError> for Problem {
    fn from(error: CallInError) -> Self {
        match error {
            CallInError::UnknownGroup => unknown_group(),
            CallInError::NotANumber => Self::new(Kind::NotANumber, "fromPhoneNumber is not a valid number."),
            CallInError::ImpossibleNumber => {
                Self::new(Kind::ImpossibleNumber, "fromPhoneNumber is not a number that can call.")
            }
            CallInError::UnknownCallback => Self::bad("callbackServiceId", "names no callback"),
            CallInError::NothingFree => Self::new(
                Kind::Failed,
                "No access number and code of the group is free; it can be tried again once an open request has ended.",
            ),
            CallInError::KeyReused => key_reused(),
            CallInError::Unserved(unserved) => no_such_request(unserved),
        }
    }
}

impl From<MatchError> for Problem {
    fn from(error: MatchError) -> Self {
        match error {
            MatchError::UnknownGroup => unknown_group(),
            MatchError::KeyReused => key_reused(),
            MatchError::Unserved(unserved) => no_such_request(unserved),
        }
    }
}

impl From<CallInCancelError> for Problem {
    fn from(error: CallInCancelError) -> Self {
        match error {
            CallInCancelError::NotWaiting(state) => {
                Self::new(Kind::Conflict, format!("A call-in request in state {state} cannot be cancelled."))
            }
            CallInCancelError::Unserved(unserved) => no_such_request(unserved),
        }
    }
}

impl From<CallInListError> for Problem {
    fn from(error: CallInListError) -> Self {
        match error {
            CallInListError::NotANumber => Self::bad("ani", "must be a phone number"),
            CallInListError::Unserved(unserved) => unserved.into(),
        }
    }
}

impl From<UserDataError> for Problem {
    fn from(error: UserDataError) -> Self {
        match error {
            UserDataError::Attach(error) => error.into(),
            UserDataError::Unserved(unserved) => unserved.into(),
        }
    }
}

impl From<AttachError> for Problem {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::TooLong => {
                Self::new(Kind::TooLong, format!("The user data must have at most {MAX_BYTES} bytes in all."))
            }
            AttachError::Malformed => Self::new(Kind::Failed, "What is stored cannot be read."),
        }
    }
}

impl From<WatermarkError> for Problem {
    fn from(error: WatermarkError) -> Self {
        match error {
            WatermarkError::UnknownQueue => Self::new(Kind::NotFound, "The name in the path names no queue."),
            WatermarkError::Unserved(unserved) => unserved.into(),
        }
    }
}
