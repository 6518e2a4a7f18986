//! The table of types: one row each, and the tolerances that the metrics show.

use std::time::Duration;

use super::{AlarmType, Class, Severity, Throttle, Tolerance};

/// A type of alarm, under the name of the product's metric where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// The database does not answer.
    Database,
    /// The service's own Redis does not answer.
    Redis,
    /// The Redis of the voice services does not answer.
    OrsRedis,
    /// No node of Universal Routing answers.
    AllUrsDown,
    /// The authentication service of GWS does not answer, or gives no token.
    GwsAuth,
    /// The environment service of GWS does not answer.
    GwsEnvironment,
    /// The configuration service of GWS does not answer.
    GwsConfiguration,
    /// Another dependency does not answer.
    Dependency,
    /// Answers with 400.
    Http400,
    /// Answers with 401.
    Http401,
    /// Answers with 404.
    Http404,
    /// Answers with 500 and above.
    Http500,
    /// Bodies that are longer than allowed.
    InvalidContentLength,
    /// Requests that were refused before any work.
    RequestsShed,
    /// Calls to GWS that were answered with 500 and above, or not at all.
    GwsServerError,
    /// Tokens that GWS did not give to the service's own client.
    GwsCredentials,
    /// Proxies of virtual queues that could not be made.
    ProxyError,
    /// Hosts whose names could not be looked up.
    DnsFailure,
    /// Lines of the log that could not be written.
    LoggingFailure,
    /// Panics that were caught.
    UncaughtException,
    /// Actors that were started again.
    SupervisorRestarts,
    /// Callbacks that were begun over a minute late.
    MonitorLagging,
    /// Bookings refused by the limit of a number in a time.
    TtlLimit,
    /// Bookings refused because there was no room.
    EnqueueLimit,
    /// Callbacks that could not be handed over.
    SubmitFailed,
    /// Callbacks that were set aside.
    Parked,
    /// Callbacks that nobody worked on any more and that this node took over.
    Takeovers,
    /// Endpoints of webhooks that were switched off.
    WebhookDisabled,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// More than `max` in `time` once.
const fn more_than(max: u32, time: Duration) -> Tolerance {
    Tolerance { max, time, periods: 1 }
}

/// What is told of most types: enough to see a pattern, too little to fill the list.
const USUAL: Throttle = Throttle { max: 10, time: seconds(60) };
/// What is told of what goes on until somebody acts.
const RARELY: Throttle = Throttle { max: 1, time: seconds(300) };

impl AlarmKind {
    /// Every type.
    pub const ALL: [Self; 28] = [
        Self::Database,
        Self::Redis,
        Self::OrsRedis,
        Self::AllUrsDown,
        Self::GwsAuth,
        Self::GwsEnvironment,
        Self::GwsConfiguration,
        Self::Dependency,
        Self::Http400,
        Self::Http401,
        Self::Http404,
        Self::Http500,
        Self::InvalidContentLength,
        Self::RequestsShed,
        Self::GwsServerError,
        Self::GwsCredentials,
        Self::ProxyError,
        Self::DnsFailure,
        Self::LoggingFailure,
        Self::UncaughtException,
        Self::SupervisorRestarts,
        Self::MonitorLagging,
        Self::TtlLimit,
        Self::EnqueueLimit,
        Self::SubmitFailed,
        Self::Parked,
        Self::Takeovers,
        Self::WebhookDisabled,
    ];

    /// Its name in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "DB_STATUS",
            Self::Redis => "REDIS_CONNECTION",
            Self::OrsRedis => "ORS_REDIS_STATUS",
            Self::AllUrsDown => "ALL_URS_DOWN",
            Self::GwsAuth => "GWS_AUTH_STATUS",
            Self::GwsEnvironment => "GWS_ENV_STATUS",
            Self::GwsConfiguration => "GWS_CONFIG_STATUS",
            Self::Dependency => "DEPENDENCY_DOWN",
            Self::Http400 => "HTTP_400",
            Self::Http401 => "HTTP_401",
            Self::Http404 => "HTTP_404",
            Self::Http500 => "HTTP_500",
            Self::InvalidContentLength => "INVALID_CONTENT_LENGTH",
            Self::RequestsShed => "REQUESTS_SHED",
            Self::GwsServerError => "GWS_SERVER_ERROR",
            Self::GwsCredentials => "GWS_INCORRECT_CLIENT_CREDENTIALS",
            Self::ProxyError => "RBAC_CREATE_VQ_PROXY_ERROR",
            Self::DnsFailure => "DNS_FAILURE",
            Self::LoggingFailure => "LOGGING_FAILURE",
            Self::UncaughtException => "UNCAUGHT_EXCEPTION",
            Self::SupervisorRestarts => "SUPERVISOR_RESTARTS",
            Self::MonitorLagging => "MONITOR_LAGGING_BEHIND",
            Self::TtlLimit => "CB_TTL_LIMIT_REACHED",
            Self::EnqueueLimit => "CB_ENQUEUE_LIMIT_REACHED",
            Self::SubmitFailed => "CB_SUBMIT_FAILED",
            Self::Parked => "CALLBACKS_PARKED",
            Self::Takeovers => "TAKEOVERS",
            Self::WebhookDisabled => "WEBHOOK_DISABLED",
        }
    }

    /// Its row.
    pub const fn rule(self) -> AlarmType {
        let (severity, tolerance, throttle) = self.limits();
        AlarmType { severity, class: self.class(), tolerance, throttle, message: self.message() }
    }

    /// The numbers are those of the alert rules where there is one for the same thing.
    const fn limits(self) -> (Severity, Tolerance, Throttle) {
        use Severity::{Critical, Info, Warning};
        match self {
            Self::Database | Self::Redis | Self::OrsRedis => (Critical, more_than(0, seconds(60)), RARELY),
            Self::AllUrsDown | Self::Dependency => (Warning, more_than(0, seconds(60)), RARELY),
            Self::GwsAuth | Self::GwsEnvironment | Self::GwsConfiguration => {
                (Warning, more_than(0, seconds(60)), RARELY)
            }
            Self::Http400 | Self::Http401 | Self::Http404 => (Info, more_than(100, seconds(120)), USUAL),
            Self::Http500 => (Info, more_than(10, seconds(120)), USUAL),
            Self::InvalidContentLength => (Info, more_than(10, seconds(120)), USUAL),
            Self::RequestsShed => (Warning, more_than(0, seconds(300)), RARELY),
            Self::GwsServerError | Self::GwsCredentials => (Warning, more_than(0, seconds(300)), RARELY),
            Self::ProxyError => (Info, more_than(5, seconds(600)), USUAL),
            Self::DnsFailure => (Warning, more_than(0, seconds(1_800)), RARELY),
            Self::LoggingFailure => (Warning, more_than(0, seconds(60)), RARELY),
            Self::UncaughtException => (Warning, more_than(0, seconds(60)), USUAL),
            Self::SupervisorRestarts => (Warning, more_than(5, seconds(900)), USUAL),
            Self::MonitorLagging => (Info, more_than(100, seconds(60)), RARELY),
            Self::TtlLimit | Self::EnqueueLimit => (Info, more_than(0, seconds(120)), RARELY),
            Self::SubmitFailed => (Info, more_than(0, seconds(120)), USUAL),
            Self::Parked => (Warning, more_than(0, seconds(3_600)), USUAL),
            Self::Takeovers => (Warning, more_than(0, seconds(600)), RARELY),
            Self::WebhookDisabled => (Info, more_than(0, seconds(3_600)), RARELY),
        }
    }

    const fn class(self) -> Class {
        match self {
            Self::Database | Self::Redis | Self::OrsRedis | Self::AllUrsDown | Self::Dependency => Class::Dependency,
            Self::GwsAuth | Self::GwsEnvironment | Self::GwsConfiguration => Class::Dependency,
            Self::GwsServerError | Self::GwsCredentials | Self::ProxyError => Class::Dependency,
            Self::DnsFailure | Self::WebhookDisabled => Class::Dependency,
            Self::Http400 | Self::Http401 | Self::Http404 | Self::Http500 => Class::Api,
            Self::InvalidContentLength | Self::RequestsShed => Class::Api,
            Self::LoggingFailure | Self::UncaughtException | Self::SupervisorRestarts => Class::Process,
            Self::MonitorLagging | Self::TtlLimit | Self::EnqueueLimit | Self::SubmitFailed => Class::Callbacks,
            Self::Parked | Self::Takeovers => Class::Callbacks,
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Database => "the database does not answer",
            Self::Redis => "the service's own Redis does not answer",
            Self::OrsRedis => "the Redis of the voice services does not answer",
            Self::AllUrsDown => "no node of Universal Routing answers",
            Self::GwsAuth => "the authentication service of GWS does not answer, or gives no token",
            Self::GwsEnvironment => "the environment service of GWS does not answer",
            Self::GwsConfiguration => "the configuration service of GWS does not answer",
            Self::Dependency => "something that the service needs does not answer",
            Self::Http400 => "a request was answered 400",
            Self::Http401 => "a request was answered 401",
            Self::Http404 => "a request was answered 404",
            Self::Http500 => "a request was answered 500 or above",
            Self::InvalidContentLength => "a body was longer than allowed",
            Self::RequestsShed => "a request was refused before any work, as too many were being served",
            Self::GwsServerError => "a call to GWS was answered with 500 or above, or not at all",
            Self::GwsCredentials => "GWS gave no token for the service's own client",
            Self::ProxyError => "a proxy of a virtual queue could not be made",
            Self::DnsFailure => "the name of a host could not be looked up",
            Self::LoggingFailure => "a line of the log could not be written",
            Self::UncaughtException => "a panic was caught",
            Self::SupervisorRestarts => "an actor was started again",
            Self::MonitorLagging => "a callback was begun more than a minute late",
            Self::TtlLimit => "a booking was refused by a limit of its number",
            Self::EnqueueLimit => "a booking was refused because there was no room",
            Self::SubmitFailed => "a callback could not be handed over",
            Self::Parked => "a callback was set aside",
            Self::Takeovers => "callbacks were taken over that nobody worked on",
            Self::WebhookDisabled => "an endpoint of webhooks was switched off",
        }
    }
}
