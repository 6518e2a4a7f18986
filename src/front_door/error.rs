//! What a refusal looks like: one table from meaning to HTTP status and envelope code, and one place that
//! turns the errors of the ports into it.

mod call_in;
mod moves;

use std::borrow::Cow;
use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::number_rules::NumberRefusal;
use domain::ports::{
    AvailabilityError, CancelError, NoVerdict, NumberDeskError, SaveError, SignalError, StatisticsError, StoreError,
    SubmitError, Unserved, VerifyError,
};
use domain::setting::SettingError;
use domain::throttle::{LimitReached, LimitRule};
use http::StatusCode;

use super::wire::time::Stamp;

/// Seconds after which a refused request may be tried again: a full service empties in less.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 1;

/// What went wrong, as far as a client can tell one case from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    BadParameter,
    NoKey,
    NoToken,
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
pub(crate) const TABLE: [Row; 31] = [
    row(Kind::BadParameter, StatusCode::BAD_REQUEST, 501, "invalid-parameter"),
    row(Kind::NoKey, StatusCode::UNAUTHORIZED, 1103, "api-key-missing"),
    row(Kind::NoToken, StatusCode::UNAUTHORIZED, 401, "token-missing"),
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

    /// A number that is not called. Which pattern blocks it is not told, or it could be searched for a way round.
    fn number(rule: &NumberRefusal) -> Self {
        match rule {
            NumberRefusal::NotANumber => SubmitError::NotANumber.into(),
            NumberRefusal::Impossible => SubmitError::ImpossibleNumber.into(),
            NumberRefusal::Premium => Self::new(Kind::NotAllowedNumber, "Premium-rate numbers are not called."),
            NumberRefusal::CountryNotPermitted { .. } => {
                Self::new(Kind::NotAllowedNumber, "Numbers of the country of phoneNumber are not called.")
            }
            NumberRefusal::CountryUnknown => Self::new(
                Kind::NotAllowedNumber,
                "The country of phoneNumber cannot be determined, so it is not called.",
            ),
            NumberRefusal::Blocked { .. } => Self::new(Kind::NotAllowedNumber, "phoneNumber is not called."),
        }
    }

    /// A booking whose outcome is not known. Only with a key may a client repeat it unasked.
    pub(crate) fn submit(error: SubmitError, has_key: bool, now: DateTime<Utc>) -> Self {
        match error {
            SubmitError::Limited(reached) => limited(&reached, now),
            SubmitError::Unserved(Unserved::Perhaps) if !has_key => Self::new(
                Kind::Failed,
                "It is not known whether the callback was booked; with an Idempotency-Key the request could be \
                 repeated safely.",
            ),
            other => other.into(),
        }
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

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::UnknownQueue => Self::new(Kind::UnknownService, "serviceName names no configured service."),
            SubmitError::CaptchaMissing => Self::bad("captchaToken", "is required"),
            SubmitError::CaptchaRefused(refusal) => Self::bad("captchaToken", refusal.to_string()),
            SubmitError::CaptchaUnavailable => {
                Self::new(Kind::Busy, "captchaToken cannot be checked just now; nothing was done.")
            }
            SubmitError::Paused => {
                Self::new(Kind::Paused, "The service takes no callbacks for the time being; it is paused.")
            }
            SubmitError::ImmediateDisabled => {
                Self::new(Kind::UnknownService, "The service is not configured for immediate callbacks.")
            }
            SubmitError::ScheduledDisabled => {
                Self::new(Kind::UnknownService, "The service is not configured for scheduled callbacks.")
            }
            SubmitError::PushTargetsRequired => {
                Self::bad("pushTargets", "is required: customers of this service are told when to call")
            }
            SubmitError::UnknownPushEndpoint => {
                Self::bad("pushTargets.target", "must begin with the name of a configured endpoint for channel HTTP")
            }
            SubmitError::NotANumber => Self::new(Kind::NotANumber, "phoneNumber is not a valid number."),
            SubmitError::ImpossibleNumber => {
                Self::new(Kind::ImpossibleNumber, "phoneNumber is not a number that can be called.")
            }
            SubmitError::NumberNotAllowed { rule } => Self::number(&rule),
            SubmitError::TooSoon { earliest, lead_seconds: 0 } => Self::new(
                Kind::TooSoon,
                format!("desiredTime has passed; the earliest that can be booked is {}.", Stamp(earliest)),
            ),
            SubmitError::TooSoon { earliest, lead_seconds } => Self::new(
                Kind::TooSoon,
                format!(
                    "desiredTime is too soon: minLeadSeconds is {lead_seconds}, and the earliest that can be booked is {}.",
                    Stamp(earliest)
                ),
            ),
            SubmitError::TooFarAhead { latest, max_ahead_days } => Self::bad(
                "desiredTime",
                format!(
                    "is too far ahead: maxAheadDays is {max_ahead_days}, and the latest that can be booked is {}",
                    Stamp(latest)
                ),
            ),
            SubmitError::Closed { next_opening } => {
                let mut message = String::from("The office is closed at desiredTime");
                if let Some(opening) = next_opening {
                    let _ = write!(message, "; it opens next at {}", Stamp(opening));
                }
                Self::new(Kind::Closed, message + ".")
            }
            SubmitError::ClosesSoon { closes_at, blackout_seconds } => Self::new(
                Kind::ClosesSoon,
                format!(
                    "The office closes at {}, and takes no immediate callbacks in the last {blackout_seconds} s before \
                     (immediateBlackoutSeconds).",
                    Stamp(closes_at)
                ),
            ),
            SubmitError::SlotUnlikely { wait_seconds, slot_end, proposals, .. } => Self {
                slots: Some(proposals),
                ..Self::new(
                    Kind::SlotUnlikely,
                    format!(
                        "The callback would hardly be served in its slot (alwaysCheckCapacity): the expected wait is \
                         {wait_seconds} s, and the slot ends at {}.",
                        Stamp(slot_end)
                    ),
                )
            },
            SubmitError::NoAgents => Self::new(
                Kind::Closed,
                "No agent is logged in for the service; it takes no immediate callbacks until one is.",
            ),
            SubmitError::SlotFull { proposals } => Self {
                slots: Some(proposals),
                ..Self::new(Kind::SlotFull, "No capacity is left at the requested time.")
            },
            SubmitError::HoldGone => moves::hold_gone("The hold that holdId names"),
            SubmitError::HoldElsewhere => Self::bad("holdId", "holds a place of another service or another slot"),
            SubmitError::Limited(reached) => Self::new(Kind::Throttled, limit_message(&reached)),
            SubmitError::KeyReused => {
                Self::new(Kind::KeyReused, "Idempotency-Key was used before with another request body.")
            }
            SubmitError::Unserved(unserved) => unserved.into(),
        }
    }
}

/// A counted rule as a client hears of it: with its name, its number, and the wait if that depends on time alone.
fn limited(reached: &LimitReached, now: DateTime<Utc>) -> Problem {
    let problem = Problem::new(Kind::Throttled, limit_message(reached));
    match reached.until {
        Some(until) => problem.after(seconds_until(until, now)),
        None => problem,
    }
}

/// Rounded up, and at least one: who waits so long has waited long enough.
fn seconds_until(until: DateTime<Utc>, now: DateTime<Utc>) -> u32 {
    let seconds = (until - now).num_milliseconds().max(1).saturating_add(999) / 1000;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

fn limit_message(reached: &LimitReached) -> String {
    let limit = reached.limit;
    let mut message = match &reached.rule {
        LimitRule::Duplicates => format!("The limit of {limit} waiting callbacks for the same phoneNumber is reached"),
        LimitRule::Day { parameter } => {
            format!("The limit of {limit} immediate callbacks per day for the same {parameter} is reached")
        }
        LimitRule::Window { seconds } => {
            format!("The service's limit of {limit} callbacks in {seconds} seconds is reached")
        }
        LimitRule::Depth => format!("The service's limit of {limit} active callbacks is reached"),
    };
    if let Some(until) = reached.until {
        let _ = write!(message, "; try again after {}", Stamp(until));
    }
    message + "."
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
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
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

    #[test]
    fn an_unknown_outcome_invites_a_repetition_only_under_a_key() {
        let perhaps = || SubmitError::Unserved(Unserved::Perhaps);
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(Problem::submit(perhaps(), true, now).retry_after(), Some(RETRY_AFTER_SECONDS));
        assert_eq!(Problem::submit(perhaps(), false, now).retry_after(), None);
    }
}
