//! What a refusal looks like: one table from meaning to HTTP status and envelope code, and one place that
//! turns the errors of the ports into it.

mod bookings;
mod call_in;
mod moves;

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::ports::{
    AvailabilityError, CancelError, NoVerdict, NumberDeskError, SaveError, SignalError, StatisticsError, StoreError,
    Unserved, VerifyError,
};
use domain::setting::SettingError;
use http::StatusCode;

/// Seconds after which a refused request may be tried again: a full service empties in less.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 1;

/// What went wrong, as far as a client can tell one case from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    BadParameter,
    NoKey,
    NoToken,
    NoSession,
    NoCredentials,
    Forbidden,
    NotFound,
    WrongMethod,
    TooSlow,
    Conflict,
    PreconditionFailed,
    TooLong,
    WrongType,
    KeyReused,
    PreconditionRequired,
    NotANumber,
    ImpossibleNumber,
    NotAllowedNumber,
    UnknownService,
    Throttled,
    TooManyGuesses,
    Closed,
    SlotFull,
    NotCancellable,
    NotReschedulable,
    NotEnded,
    HoldGone,
    Paused,
    TooSoon,
    ClosesSoon,
    SlotUnlikely,
    Withdrawn,
    Failed,
    Busy,
}

/// One row of the table.
pub(crate) struct Row {
    pub(crate) kind: Kind,
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// `status.code` of the envelope. Never 0; never 503, which means a missing key to old clients.
    pub(crate) code: u16,
    /// Last part of the `type` of a problem document.
    pub(crate) name: &'static str,
}

const fn row(kind: Kind, status: StatusCode, code: u16, name: &'static str) -> Row {
    Row { kind, status, code, name }
}

/// The one table of refusals, in the order of [`Kind`].
pub(crate) const TABLE: [Row; 34] = [
    row(Kind::BadParameter, StatusCode::BAD_REQUEST, 501, "invalid-parameter"),
    row(Kind::NoKey, StatusCode::UNAUTHORIZED, 1103, "api-key-missing"),
    row(Kind::NoToken, StatusCode::UNAUTHORIZED, 401, "token-missing"),
    row(Kind::NoSession, StatusCode::UNAUTHORIZED, 401, "session-missing"),
    row(Kind::NoCredentials, StatusCode::UNAUTHORIZED, 401, "statistics-credentials"),
    row(Kind::Forbidden, StatusCode::FORBIDDEN, 403, "forbidden"),
    row(Kind::NotFound, StatusCode::NOT_FOUND, 404, "not-found"),
    row(Kind::WrongMethod, StatusCode::METHOD_NOT_ALLOWED, 405, "wrong-method"),
    row(Kind::TooSlow, StatusCode::REQUEST_TIMEOUT, 408, "request-too-slow"),
    row(Kind::Conflict, StatusCode::CONFLICT, 409, "conflict"),
    row(Kind::PreconditionFailed, StatusCode::PRECONDITION_FAILED, 412, "precondition-failed"),
    row(Kind::TooLong, StatusCode::PAYLOAD_TOO_LARGE, 413, "body-too-long"),
    row(Kind::WrongType, StatusCode::UNSUPPORTED_MEDIA_TYPE, 415, "wrong-content-type"),
    row(Kind::KeyReused, StatusCode::UNPROCESSABLE_ENTITY, 422, "idempotency-key-reused"),
    row(Kind::PreconditionRequired, StatusCode::PRECONDITION_REQUIRED, 428, "precondition-required"),
    row(Kind::NotANumber, StatusCode::BAD_REQUEST, 7030, "not-a-phone-number"),
    row(Kind::ImpossibleNumber, StatusCode::BAD_REQUEST, 7036, "impossible-phone-number"),
    row(Kind::NotAllowedNumber, StatusCode::BAD_REQUEST, 7037, "phone-number-not-allowed"),
    row(Kind::UnknownService, StatusCode::BAD_REQUEST, 7040, "service-not-configured"),
    row(Kind::Throttled, StatusCode::TOO_MANY_REQUESTS, 7041, "too-many-requests"),
    row(Kind::TooManyGuesses, StatusCode::TOO_MANY_REQUESTS, 429, "too-many-guesses"),
    row(Kind::Closed, StatusCode::BAD_REQUEST, 7042, "office-closed"),
    row(Kind::SlotFull, StatusCode::TOO_MANY_REQUESTS, 7043, "slot-full"),
    row(Kind::NotCancellable, StatusCode::BAD_REQUEST, 409, "not-cancellable"),
    row(Kind::NotReschedulable, StatusCode::BAD_REQUEST, 409, "not-reschedulable"),
    row(Kind::NotEnded, StatusCode::BAD_REQUEST, 409, "not-ended"),
    row(Kind::HoldGone, StatusCode::BAD_REQUEST, 409, "hold-gone"),
    row(Kind::Paused, StatusCode::BAD_REQUEST, 7040, "service-paused"),
    row(Kind::TooSoon, StatusCode::BAD_REQUEST, 501, "too-soon"),
    row(Kind::ClosesSoon, StatusCode::BAD_REQUEST, 7042, "closes-soon"),
    row(Kind::SlotUnlikely, StatusCode::TOO_MANY_REQUESTS, 7043, "slot-unlikely"),
    row(Kind::Withdrawn, StatusCode::FORBIDDEN, 403, "contact-center-withdrawn"),
    row(Kind::Failed, StatusCode::INTERNAL_SERVER_ERROR, 500, "failed"),
    BUSY,
];

/// Overload. The number 500, because 503 in an envelope tells old clients that their key is missing.
const BUSY: Row = row(Kind::Busy, StatusCode::SERVICE_UNAVAILABLE, 500, "busy");

impl Kind {
    pub(crate) fn row(self) -> &'static Row {
        // The table is complete, which a test proves.
        TABLE.iter().find(|row| row.kind == self).unwrap_or(&BUSY)
    }
}

/// A refusal on its way out. As a response it is an empty body that carries itself; the guard, which knows the
/// correlation id and what the client accepts, writes the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    /// One sentence that names the field and the rule. Never a value that the client sent.
    pub(crate) message: Cow<'static, str>,
    /// Nearest slots with places, for [`Kind::SlotFull`] and [`Kind::SlotUnlikely`].
    pub(crate) slots: Option<Vec<(DateTime<Utc>, u32)>>,
    /// Seconds after which it would pass, where that is known.
    pub(crate) wait_seconds: Option<u32>,
    /// Everything that is wrong with a settings document.
    pub(crate) mistakes: Option<Vec<SettingError>>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), slots: None, wait_seconds: None, mistakes: None }
    }

    /// The same request would pass after so many seconds.
    pub(crate) fn after(self, seconds: u32) -> Self {
        Self { wait_seconds: Some(seconds), ..self }
    }

    /// A member that breaks a rule of form: `field` and `rule` make one sentence.
    pub(crate) fn bad(field: &str, rule: impl AsRef<str>) -> Self {
        Self::new(Kind::BadParameter, format!("{field} {}.", rule.as_ref()))
    }

    /// Whether a client does right to try again by itself.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        self.wait_seconds.or((self.kind == Kind::Busy).then_some(RETRY_AFTER_SECONDS))
    }

    pub(crate) fn shed() -> Self {
        Self::new(Kind::Busy, "The service is full for the moment; try again.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.row().status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Unserved> for Problem {
    fn from(unserved: Unserved) -> Self {
        match unserved {
            Unserved::NotFound => Self::new(Kind::NotFound, "Callback not found."),
            Unserved::Busy => Self::new(Kind::Busy, "The service cannot take this now; nothing was done."),
            Unserved::Perhaps => Self::new(Kind::Busy, "The outcome is not known; the same request may be repeated."),
        }
    }
}

/// Rounded up, and at least one: who waits so long has waited long enough.
fn seconds_until(until: DateTime<Utc>, now: DateTime<Utc>) -> u32 {
    let seconds = (until - now).num_milliseconds().max(1).saturating_add(999) / 1000;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

impl From<NumberDeskError> for Problem {
    fn from(error: NumberDeskError) -> Self {
        match error {
            NumberDeskError::UnknownQueue => Self::new(Kind::UnknownService, "queue names no configured service."),
            NumberDeskError::UnknownRule => Self::new(Kind::UnknownService, "rule names no number rule."),
            NumberDeskError::Unserved(unserved) => unserved.into(),
        }
    }
}

impl From<AvailabilityError> for Problem {
    fn from(error: AvailabilityError) -> Self {
        match error {
            AvailabilityError::UnknownQueue => Self::new(Kind::UnknownService, "The path names no configured service."),
            AvailabilityError::Unserved(unserved) => unserved.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NotCancellable(state) => {
                Self::new(Kind::NotCancellable, format!("A callback in state {state} cannot be cancelled."))
            }
            CancelError::Unserved(unserved) => unserved.into(),
        }
    }
}

impl From<SignalError> for Problem {
    fn from(error: SignalError) -> Self {
        match error {
            SignalError::Refused(refused) => Self::new(Kind::Conflict, format!("The signal was refused: {refused}.")),
            SignalError::Unserved(unserved) => unserved.into(),
        }
    }
}

impl From<StatisticsError> for Problem {
    fn from(error: StatisticsError) -> Self {
        match error {
            StatisticsError::NoCredentials => {
                Self::new(Kind::NoCredentials, "No credentials for the statistics service are registered.")
            }
            StatisticsError::CredentialsRefused => {
                Self::new(Kind::NoCredentials, "The statistics service refuses the registered credentials.")
            }
            StatisticsError::RequestRefused => {
                Self::new(Kind::BadParameter, "The statistics service refuses the request.")
            }
            StatisticsError::NotConfigured => Self::new(Kind::Failed, "No statistics service is configured."),
            StatisticsError::Unavailable(why) => {
                tracing::warn!(why, "the statistics service cannot be asked");
                Self::new(Kind::Failed, "The statistics service cannot be asked just now.")
            }
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::UnknownSiteKey => Self::bad("siteKey", "is that of no key set"),
            VerifyError::Refused(refusal) => Self::bad("captchaToken", refusal.to_string()),
            VerifyError::NoVerdict(NoVerdict::Misconfigured(why)) => {
                Self::new(Kind::Failed, format!("The key set cannot be used: {why}."))
            }
            VerifyError::NoVerdict(NoVerdict::Unavailable(why)) => {
                Self::new(Kind::Busy, format!("The captcha provider cannot be asked: {why}."))
            }
            VerifyError::Unserved(unserved) => unserved.into(),
        }
    }
}

impl From<SaveError> for Problem {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::NotFound => Unserved::NotFound.into(),
            SaveError::Conflict | SaveError::SlotFull => {
                Self::new(Kind::Conflict, "The callback has changed meanwhile, or is not in a state for this.")
            }
            SaveError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotDone(_) => Unserved::Busy.into(),
            StoreError::PerhapsDone(_) => Unserved::Perhaps.into(),
            StoreError::Unreadable(_) => Self::new(Kind::Failed, "What is stored cannot be read."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_row_per_kind_in_order() {
        for (position, row) in TABLE.iter().enumerate() {
            assert_eq!(row.kind as usize, position, "{:?}", row.kind);
            assert_eq!(row.kind.row().code, row.code);
            assert!(row.code != 0 && row.code != 503, "{:?}", row.kind);
        }
        assert_eq!(Kind::Busy as usize + 1, TABLE.len());
    }
}
