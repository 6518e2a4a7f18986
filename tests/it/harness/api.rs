//! The three operations as a client of the demo tenant uses them.

use std::net::SocketAddr;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::http::{Answer, Client, Lost};

/// The demo tenant's key in every test that does not bring its own.
pub(crate) const KEY: &str = "demo-key-of-the-integration-tests-0123456789";
/// The demo queue that is always open.
pub(crate) const QUEUE: &str = "support";

/// Paths of the operations.
pub(crate) const CREATE: &str = "/engagement/v3/callbacks/create";
pub(crate) const CANCEL: &str = "/engagement/v3/callbacks/cancel";
pub(crate) const RETRIEVE: &str = "/engagement/v3/callbacks/retrieve";
pub(crate) const HOLDS: &str = "/engagement/v3/callbacks/holds";
pub(crate) const RELEASE: &str = "/engagement/v3/callbacks/holds/release";
pub(crate) const RESCHEDULE: &str = "/engagement/v3/callbacks/reschedule";
pub(crate) const RECREATE: &str = "/engagement/v3/callbacks/recreate";

/// A client with the demo key.
pub(crate) fn client(address: SocketAddr) -> Client {
    Client::new(address).with_header("X-API-Key", KEY)
}

/// Body of a create.
pub(crate) fn booking(phone: &str, desired_time: Option<DateTime<Utc>>) -> String {
    let mut body = serde_json::json!({ "serviceName": QUEUE, "phoneNumber": phone });
    if let Some(at) = desired_time {
        body["desiredTime"] = at.to_rfc3339_opts(SecondsFormat::Millis, true).into();
    }
    body.to_string()
}

/// Books; with a key, if one is given.
pub(crate) fn create(client: &mut Client, key: Option<&str>, body: &str) -> Result<Answer, Lost> {
    let headers: Vec<_> = key.iter().map(|key| ("Idempotency-Key", *key)).collect();
    client.post_json(CREATE, &headers, body)
}

/// Cancels.
pub(crate) fn cancel(client: &mut Client, id: Uuid) -> Result<Answer, Lost> {
    client.post_json(CANCEL, &[], &format!(r#"{{"id":"{id}"}}"#))
}

/// Looks at one callback.
pub(crate) fn retrieve(client: &mut Client, id: Uuid) -> Result<Answer, Lost> {
    client.post_json(RETRIEVE, &[], &format!(r#"{{"id":"{id}"}}"#))
}

/// The id in an answer.
pub(crate) fn id_of(answer: &Answer) -> Option<Uuid> {
    answer.json()["data"]["id"].as_str()?.parse().ok()
}
