//! Calls to services outside, as metrics tell them apart.

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outward {
    /// A CAPTCHA provider.
    Captcha,
    /// The statistics service.
    Statistics,
    /// The service that gives tokens for it.
    StatisticsAuth,
    /// The service that pushes to devices.
    Push,
    /// The service that gives tokens for it.
    PushAuth,
    /// An endpoint of a tenant.
    Webhook,
    /// A node of Orchestration.
    Ors,
    /// A probe of a node of routing.
    RoutingProbe,
    /// The authentication service of GWS, for the service's own client.
    GwsAuth,
    /// The environment service of GWS, which lists contact centres.
    GwsEnvironment,
    /// The configuration service of GWS, which knows users.
    GwsConfiguration,
    /// The provider of users.
    Identity,
}

impl Outward {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Captcha => "captcha",
            Self::Statistics => "statistics",
            Self::StatisticsAuth => "statistics-auth",
            Self::Push => "push",
            Self::PushAuth => "push-auth",
            Self::Webhook => "webhook",
            Self::Ors => "ors",
            Self::RoutingProbe => "routing-probe",
            Self::Identity => "identity",
            Self::GwsAuth => "gws-auth",
            Self::GwsEnvironment => "gws-env",
            Self::GwsConfiguration => "gws-config",
        }
    }

    /// Whether it is a part of Genesys Web Services.
    pub const fn is_gws(self) -> bool {
        match self {
            Self::Statistics | Self::StatisticsAuth | Self::GwsAuth | Self::GwsEnvironment | Self::GwsConfiguration => {
                true
            }
            Self::Captcha
            | Self::Push
            | Self::PushAuth
            | Self::Webhook
            | Self::Ors
            | Self::RoutingProbe
            | Self::Identity => false,
        }
    }
}

/// How a call to the outside ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallEnd {
    /// Answered with 2xx.
    Well,
    /// Answered with another status below 500.
    Refused,
    /// Answered with 5xx.
    Failed,
    /// No connection: surely not done.
    NotDone,
    /// No whole answer: perhaps done.
    Perhaps,
    /// Not tried, because its destination failed too often lately.
    Resting,
}

impl CallEnd {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::NotDone => "not-done",
            Self::Perhaps => "perhaps",
            Self::Resting => "resting",
        }
    }
}
