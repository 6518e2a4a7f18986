//! One listener as a client meets it, without a socket.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use domain::tenant::TenantDocument;
use http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::{Fake, KEY, door, door_of, settings};
use crate::front_door::router::{Shared, Side, router};
use crate::front_door::{Door, DoorLimits, DoorSettings};

/// One listener's service without a socket.
pub(crate) struct House {
    pub(crate) fake: Arc<Fake>,
    router: Router,
}

impl House {
    pub(crate) fn new(side: Side) -> Self {
        Self::with(side, settings(DoorLimits::default()))
    }

    pub(crate) fn with(side: Side, settings: DoorSettings) -> Self {
        Self::behind(side, settings, door())
    }

    pub(crate) fn behind(side: Side, settings: DoorSettings, (door, fake): (Door, Arc<Fake>)) -> Self {
        Self { fake, router: router(Arc::new(Shared::new(side, &settings, door))) }
    }

    /// The public listener of a tenant of these settings.
    pub(crate) fn of(document: TenantDocument, limits: DoorLimits) -> Self {
        Self::behind(Side::External, settings(limits), door_of(document))
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.begin(request).await).await
    }

    /// An answer whose body is still to be read.
    pub(crate) async fn begin(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// A `POST` with the demo key.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(post(path).body(body.into()).unwrap()).await
    }

    /// A `GET` with the demo key.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        self.send(Request::get(path).header("x-api-key", KEY).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }
}

/// The head of an ordinary request.
pub(crate) fn post(path: &str) -> http::request::Builder {
    Request::post(path).header("x-api-key", KEY).header("content-type", "application/json")
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) text: String,
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let headers =
            parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let bytes = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status.as_u16(), headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// HTTP status and envelope code of a refusal, after a look at the whole envelope.
    pub(crate) fn refusal(&self) -> (u16, u64) {
        let json = self.json();
        let status = &json["status"];
        let corr_id = status["corrId"].as_str().unwrap();
        assert!(uuid::Uuid::try_parse(corr_id).is_ok_and(|id| id.get_version_num() == 4), "{self:?}");
        assert!(status["message"].as_str().is_some_and(|message| message.ends_with('.')), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        (self.status, status["code"].as_u64().unwrap())
    }

    pub(crate) fn message(&self) -> String {
        self.json()["status"]["message"].as_str().unwrap().to_owned()
    }

    /// The body with its correlation id checked and replaced.
    pub(crate) fn redacted(&self) -> String {
        let json = self.json();
        let corr_id = json["status"]["corrId"].as_str().or(json["corrId"].as_str()).unwrap();
        assert!(uuid::Uuid::try_parse(corr_id).is_ok(), "{self:?}");
        self.text.replace(corr_id, "[uuid]")
    }
}
