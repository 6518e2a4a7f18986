//! A data folder for the bench: one tenant whose queue has room for everything, and a key.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::callback::{Callback, Options, Terms};
use domain::ids::{ApiKeyId, CallbackId, QueueName, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::limits::TenantLimits;
use domain::numbers::PhoneNumber;
use domain::ports::Booking;
use domain::queue::{QueueSettings, SlotMinutes};
use domain::slots::Grid;
use domain::tenant::TenantDocument;
use domain::throttle::BookingLimits;
use http::Request;
use http_body_util::Full;

use super::BenchError;
use super::target::Folder;
use crate::front_door::hash_key;
use crate::master_key::MasterKey;
use crate::root_key::{self, KeyUse};
use crate::stores::Store;
use crate::stores::postgres::PostgresStore;
use crate::stores::sqlite::{SqliteOptions, SqliteStore};

const KEY: &str = "bench-key-that-opens-a-temporary-folder-only";
const NEIGHBOURS_KEY: &str = "bench-key-of-the-neighbour-in-that-folder";
const QUEUE: &str = "bench";
const ASIDE: &str = "aside";

/// Writes tenant and key into a new data folder.
///
/// # Errors
/// If the folder cannot be made or written.
pub(super) async fn folder() -> Result<Folder, BenchError> {
    let folder = Folder::new()?;
    put_tenant(&folder, "bench", KEY, TenantLimits::default()).await?;
    Ok(folder)
}

/// As [`folder`], with a second tenant beside the first, which may make so many requests per second.
///
/// # Errors
/// If the folder cannot be made or written.
pub(super) async fn folder_with_neighbour(requests_per_second: u32) -> Result<Folder, BenchError> {
    let folder = folder().await?;
    let limits = TenantLimits { requests_per_second, burst: None };
    put_tenant(&folder, "neighbour", NEIGHBOURS_KEY, limits).await?;
    Ok(folder)
}

async fn put_tenant(folder: &Folder, tenant: &str, key: &str, limits: TenantLimits) -> Result<(), BenchError> {
    let store = SqliteStore::open(folder.path(), SqliteOptions::command()).map_err(|error| failed(&error))?;
    let fresh = root_key::is_fresh(&store).await.map_err(|error| failed(&error))?;
    let master = MasterKey::read_or_create(folder.path(), fresh).map_err(|error| failed(&error))?;
    put(&store, master, tenant, key, limits).await
}

/// Writes tenant and key into the database that several nodes share.
///
/// # Errors
/// If it cannot be written.
pub(super) async fn put_shared(store: &PostgresStore, master: MasterKey) -> Result<(), BenchError> {
    put(store, master, "bench", KEY, TenantLimits::default()).await
}

fn failed(error: &dyn std::fmt::Display) -> BenchError {
    BenchError::Data(error.to_string())
}

async fn put(
    store: &dyn Store,
    master: MasterKey,
    tenant: &str,
    key: &str,
    limits: TenantLimits,
) -> Result<(), BenchError> {
    let settings = QueueSettings {
        slot_capacity: 1_000_000,
        hand_off_limit: 10_000,
        execution_buffer_seconds: 0,
        ..QueueSettings::unlimited()
    };
    let id = TenantId::from_name(tenant);
    let name = |queue: &str| QueueName::new(queue).map_err(|error| failed(&error));
    let queues = [(name(QUEUE)?, settings.clone()), (name(ASIDE)?, settings)];
    let document = TenantDocument { limits, ..TenantDocument::with_queues(tenant, queues) };
    store.put_tenant(id, document).await.map_err(|error| failed(&error))?;
    let root = root_key::open(store, &master.into()).await.map_err(|error| failed(&error))?;
    let hash = hash_key(&root.sub_key(KeyUse::KeyHashes), key);
    let key = ApiKey {
        id: ApiKeyId::generate(),
        tenant: id,
        hash,
        label: "bench".into(),
        scopes: Scope::ALL.to_vec(),
        created_at: now(),
        revoked_at: None,
    };
    store.add_key(key).await.map_err(|error| failed(&error))
}

/// The same request, made by the neighbour.
pub(super) fn by_neighbour(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    request.headers_mut().insert("x-api-key", http::HeaderValue::from_static(NEIGHBOURS_KEY));
    request
}

/// The bookings that [`create`] would bring, as the store gets them.
pub(super) fn bookings(count: usize) -> Result<Vec<Booking>, BenchError> {
    let from = now();
    let queue = QueueName::new(QUEUE).map_err(|error| failed(&error))?;
    Ok((0..count).map(|number| booking(&queue, from, number as u64, None)).collect())
}

/// As [`bookings`], made one by one as they are asked for, each with user data of its own.
pub(super) fn bookings_with(
    count: u64,
    user_data: impl Fn(u64) -> Option<String>,
) -> Result<impl Iterator<Item = Booking>, BenchError> {
    let from = now();
    let queue = QueueName::new(QUEUE).map_err(|error| failed(&error))?;
    Ok((0..count).map(move |number| booking(&queue, from, number, user_data(number))))
}

fn booking(queue: &QueueName, from: DateTime<Utc>, number: u64, user_data: Option<String>) -> Booking {
    let at = spread(from, number);
    let terms = Terms {
        tenant: TenantId::from_name("bench"),
        queue: queue.clone(),
        phone: PhoneNumber::from_digits(14_165_551_000 + number % 8000),
        ttl: TimeDelta::days(1),
    };
    let slot = at - TimeDelta::milliseconds(at.timestamp_millis() % 300_000);
    let callback = Callback::scheduled(CallbackId::generate(from), terms, None, at, at, Some(slot));
    Booking {
        callback,
        slot_capacity: 1_000_000,
        grid: Grid::new(chrono_tz::Tz::UTC, SlotMinutes::default()),
        options: Options::default(),
        user_data,
        idempotency: None,
        limits: BookingLimits::default(),
        captcha: None,
        hold: None,
        booked_at: from,
        announcement: None,
        on_replaced: None,
    }
}

/// The wall clock, which is also the database clock of the embedded store.
pub(super) fn now() -> DateTime<Utc> {
    use domain::ports::Clock;
    crate::clock::SystemClock::default().now()
}

/// A create for `desired` (absent: now) with so many bytes of typical user data.
pub(super) fn create(desired: Option<DateTime<Utc>>, number: u64, user_data: Option<&str>) -> Request<Full<Bytes>> {
    create_in(QUEUE, desired, number, user_data)
}

/// A create in a queue in which nobody else waits.
pub(super) fn create_aside(desired: DateTime<Utc>, number: u64) -> Request<Full<Bytes>> {
    create_in(ASIDE, Some(desired), number, None)
}

fn create_in(
    queue: &str,
    desired: Option<DateTime<Utc>>,
    number: u64,
    user_data: Option<&str>,
) -> Request<Full<Bytes>> {
    let phone = format!("+1416555{:04}", 1000 + number % 8000);
    let mut body = format!(r#"{{"serviceName":"{queue}","phoneNumber":"{phone}""#);
    if let Some(at) = desired {
        body.push_str(&format!(r#","desiredTime":"{}""#, at.to_rfc3339_opts(SecondsFormat::Millis, true)));
    }
    if let Some(data) = user_data {
        body.push_str(r#","userData":"#);
        body.push_str(data);
    }
    body.push('}');
    post("/engagement/v3/callbacks/create", body)
}

/// A retrieve.
pub(super) fn retrieve(id: &str) -> Request<Full<Bytes>> {
    post("/engagement/v3/callbacks/retrieve", format!(r#"{{"id":"{id}"}}"#))
}

/// A question of this bench: its path and query are those of a URI.
pub(super) fn ask(path_and_query: &str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = path_and_query.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
    headers.insert("x-api-key", http::HeaderValue::from_static(KEY));
    request
}

fn post(path: &'static str, body: String) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    headers.insert("x-api-key", http::HeaderValue::from_static(KEY));
    request
}

/// An instant for request `number`, spread evenly over the bookable days, in whole minutes.
pub(super) fn spread(from: DateTime<Utc>, number: u64) -> DateTime<Utc> {
    // A large odd step visits every minute of the 13 days before it visits one again.
    let minute = i64::try_from(number.wrapping_mul(7_919) % (13 * 24 * 60)).unwrap_or_default();
    from + TimeDelta::hours(6) + TimeDelta::minutes(minute)
}

/// A cancel.
pub(super) fn cancel(id: &str) -> Request<Full<Bytes>> {
    post("/engagement/v3/callbacks/cancel", format!(r#"{{"id":"{id}"}}"#))
}

/// The id in the answer to a create.
pub(super) fn id_of(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    let (_, rest) = text.split_once("\"data\":")?;
    let (_, rest) = rest.split_once("\"id\":\"")?;
    rest.split_once('"').map(|(id, _)| id.to_owned())
}
