//! The REST interface of Orchestration in front of the simulator: sessions are started, ended and asked after over HTTP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use domain::ports::{Invitation, Routing as _, RoutingError};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::routing::ors_stream::{self, Action};
use crate::routing::simulator::{SessionState, Simulator};

/// How much later than asked for an answer comes that is to come too late: beyond what the service waits.
const TOO_LATE: Duration = Duration::from_secs(4);

/// What handlers share. The simulator lives as long as its owner wants it to, whatever connections are open.
#[derive(Clone)]
struct Front {
    simulator: Weak<Simulator>,
    /// Told where signals go to, with each start.
    reply_to: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The interface in front of a simulator that somebody else holds. `reply_to` hears where signals go to.
pub fn router(simulator: Weak<Simulator>, reply_to: impl Fn(&str) + Send + Sync + 'static) -> Router {
    Router::new()
        .route("/scxml/session/start", post(start))
        .route("/scxml/session/{name}/terminate", post(terminate))
        .route("/scxml/session/{name}/query", get(query))
        .route("/scxml/session/{name}/event/{event}", post(event))
        .with_state(Front { simulator, reply_to: Arc::new(reply_to) })
}

/// Serves until `stop`.
///
/// # Errors
/// The address cannot be taken.
pub(super) async fn serve(address: SocketAddr, router: Router, stop: CancellationToken) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "taking sessions over HTTP");
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn start(State(front): State<Front>, body: Bytes) -> Response {
    let Some(simulator) = front.simulator.upgrade() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let entry = match ors_stream::read(&fields) {
        Ok(entry) => entry,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let Action::Start(invitation) = entry.action else { return StatusCode::BAD_REQUEST.into_response() };
    (front.reply_to)(&entry.reply_to);
    let session = Simulator::session_of(invitation.id, invitation.attempt);
    let taken = |session: Option<_>| answer(&json!({ "sessionId": session }));
    let invitation: Invitation = *invitation;
    match simulator.start(invitation).await {
        Ok(()) => taken(session),
        Err(RoutingError::Refused(why)) => (StatusCode::FORBIDDEN, why).into_response(),
        Err(RoutingError::NotDone(why)) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
        Err(RoutingError::Perhaps(_)) => {
            tokio::time::sleep(TOO_LATE).await;
            taken(session)
        }
    }
}

async fn terminate(State(front): State<Front>, Path(name): Path<String>) -> Response {
    let Some(simulator) = front.simulator.upgrade() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match simulator.end_session(&name) {
        Ok(SessionState::Gone) => StatusCode::NOT_FOUND.into_response(),
        Ok(SessionState::Alive(_) | SessionState::Ended(_)) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn query(State(front): State<Front>, Path(name): Path<String>) -> Response {
    let Some(simulator) = front.simulator.upgrade() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match simulator.session_state(&name) {
        SessionState::Gone => StatusCode::NOT_FOUND.into_response(),
        SessionState::Alive(_) => answer(&json!({ "state": "alive" })),
        SessionState::Ended(reason) => {
            answer(&json!({ "state": "ended", "reason": reason.map(|reason| reason.to_string()) }))
        }
    }
}

/// An event means nothing to the simulator's flow.
async fn event(State(front): State<Front>, Path((name, _event)): Path<(String, String)>) -> Response {
    let Some(simulator) = front.simulator.upgrade() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match simulator.session_state(&name) {
        SessionState::Gone => StatusCode::NOT_FOUND.into_response(),
        SessionState::Alive(_) | SessionState::Ended(_) => StatusCode::OK.into_response(),
    }
}

fn answer(body: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
