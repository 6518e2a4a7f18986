//! Asks the parts of GWS how they are, with the questions that the service has for them.

use std::sync::Arc;

use async_trait::async_trait;
use domain::event::Outward;
use domain::ports::Probe;
use http::StatusCode;

use super::connector::{CONTACT_CENTERS, GwsConnector};

/// Whether authentication lives.
const PING: &str = "/auth/v3/ping";
/// The lightest question to the configuration service.
const APPLICATION: &str = "/configuration/v3/system/application";

/// A part of GWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Gives tokens.
    Auth,
    /// Lists contact centres.
    Environment,
    /// Knows users.
    Configuration,
}

/// A probe of one part.
pub(super) struct PartProbe {
    pub(super) part: Part,
    pub(super) gws: Arc<GwsConnector>,
    /// What is asked.
    url: String,
}

impl PartProbe {
    /// Of the part at that base address.
    pub(super) fn of(gws: &Arc<GwsConnector>, part: Part, base: &str) -> Arc<dyn Probe> {
        let path = match part {
            Part::Auth => PING,
            Part::Environment => CONTACT_CENTERS,
            Part::Configuration => APPLICATION,
        };
        Arc::new(Self { part, gws: Arc::clone(gws), url: format!("{base}{path}") })
    }
}

#[async_trait]
impl Probe for PartProbe {
    fn name(&self) -> &'static str {
        match self.part {
            Part::Auth => "gws-auth",
            Part::Environment => "gws-env",
            Part::Configuration => "gws-config",
        }
    }

    fn required(&self) -> bool {
        false
    }

    /// Authentication has to live and to give tokens. The others have to answer well to a token; while there is none,
    /// which is not their fault, any answer shows that they live.
    async fn check(&self) -> Result<(), String> {
        let own = &self.gws.own;
        let to = match self.part {
            Part::Auth => {
                let answer = own.get_unknown(Outward::GwsAuth, &self.url).await.map_err(|error| error.to_string())?;
                well(answer.status)?;
                return own.token().await.map(drop).map_err(|error| error.to_string());
            }
            Part::Environment => Outward::GwsEnvironment,
            Part::Configuration => Outward::GwsConfiguration,
        };
        let with_token = own.renewed_in().is_some();
        let answer = if with_token { own.get(to, &self.url).await } else { own.get_unknown(to, &self.url).await };
        let status = answer.map_err(|error| error.to_string())?.status;
        if with_token || status.is_server_error() { well(status) } else { Ok(()) }
    }
}

fn well(status: StatusCode) -> Result<(), String> {
    if status.is_success() { Ok(()) } else { Err(format!("it answered with status {}", status.as_u16())) }
}
