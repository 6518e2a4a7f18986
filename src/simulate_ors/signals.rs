//! Signals on their way to the service: one HTTP request each. The simulator repeats what was not answered.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::callback::{Reply, Signal, SignalEvent, StepError};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Inbox, SignalError, Unserved};
use http::StatusCode;
use reqwest::Certificate;
use serde::Serialize;

use super::addresses::Addresses;

/// From the first packet to an open connection.
const CONNECT: Duration = Duration::from_secs(2);
/// A request without an answer for so long is repeated.
const ANSWER: Duration = Duration::from_secs(8);
/// Unused connections that are kept.
const IDLE: usize = 64;

/// Sends requests to the service, wherever it is now.
pub(super) struct Poster {
    addresses: Arc<Addresses>,
    client: reqwest::Client,
    token: Option<String>,
}

impl Poster {
    /// `token` is what the service's internal listener asks for, if it asks. Its certificate, if it speaks TLS, may come
    /// from one of `authorities`.
    pub(super) fn new(
        addresses: Arc<Addresses>,
        token: Option<&str>,
        authorities: Vec<Certificate>,
    ) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_max_idle_per_host(IDLE)
            .tls_certs_merge(authorities)
            .no_proxy()
            .build()?;
        Ok(Self { addresses, client, token: token.map(str::to_owned) })
    }

    /// The status of the answer and its text; none if there was no answer.
    pub(super) async fn post(
        &self,
        tenant: TenantId,
        path: &str,
        body: &impl Serialize,
    ) -> Option<(StatusCode, String)> {
        let address = self.addresses.current()?;
        let body = serde_json::to_vec(body).ok()?;
        let mut request = self.client.post(format!("{}{path}", address.trim_end_matches('/')));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let request =
            request.header("ContactCenterID", tenant.to_string()).header("Content-Type", "application/json").body(body);
        let answered = async {
            let answer = request.send().await?;
            let status = answer.status();
            answer.text().await.map(|text| (status, text))
        };
        match answered.await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::debug!(error = %error.without_url(), "the service was not reached");
                self.addresses.failed(&address);
                None
            }
        }
    }
}

/// One signal as it goes over the wire.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireSignal {
    attempt: u32,
    seq: u64,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_wait_time: Option<i32>,
}

impl From<Signal> for WireSignal {
    fn from(signal: Signal) -> Self {
        let event = signal.event.name();
        let (reason, live) = match signal.event {
            SignalEvent::DialResult(reason) => (Some(reason), None),
            SignalEvent::Completed(reason) | SignalEvent::Failed(reason) | SignalEvent::Ended(reason) => (reason, None),
            SignalEvent::Position(live) => (None, Some(live)),
            _ => (None, None),
        };
        Self {
            attempt: signal.attempt,
            seq: signal.seq,
            event,
            session_id: signal.session.map(Into::into),
            reason: reason.map(|reason| reason.to_string()),
            position: live.map(|live| live.position),
            estimated_wait_time: live.map(|live| live.estimated_wait_seconds),
        }
    }
}

/// An inbox at the other end of HTTP.
pub(super) struct HttpInbox {
    poster: Arc<Poster>,
}

impl HttpInbox {
    pub(super) fn new(poster: Arc<Poster>) -> Self {
        Self { poster }
    }
}

#[async_trait]
impl Inbox for HttpInbox {
    async fn signal(&self, tenant: TenantId, id: CallbackId, signal: Signal) -> Result<Reply, SignalError> {
        let path = format!("/ges/v1/callbacks/{id}/signals");
        let answer = self.poster.post(tenant, &path, &WireSignal::from(signal)).await;
        let Some((status, _)) = answer else { return Err(Unserved::Perhaps.into()) };
        match status {
            StatusCode::OK => Ok(Reply::Done),
            StatusCode::CONFLICT => Err(StepError::OtherSession.into()),
            StatusCode::NOT_FOUND => Err(Unserved::NotFound.into()),
            StatusCode::SERVICE_UNAVAILABLE => Err(Unserved::Busy.into()),
            other => {
                tracing::warn!(status = other.as_u16(), "the service answered a signal in an unexpected way");
                Err(Unserved::Busy.into())
            }
        }
    }
}
