//! Orchestration (ORS) behind a stream in the Redis of the voice services: starts, cancels and questions go out as
//! entries, signals come back over HTTP to the internal listener.
//!
//! ```text
//!   start ──▶ start script ─┐
//!   close ──▶ close script ─┼─▶ {stream} + {stream}:cb:<id> ─▶ ORS ─▶ POST /ges/v1/callbacks/{id}/signals
//!   ping  ──▶ ping script ──┘
//! ```
//!
//! The client is a [`Connector`]: an actor opens it, looks after it, closes it and opens it anew, for ever. Between two
//! looks the client connects again by itself. Nothing here is waited for on the way of a booking, and nothing polls.
//! What the stream and the registers hold may vanish: the register only saves work, the fence is the conditional write
//! of `accepted`.

mod entry;
mod failure;
mod keys;
mod reports;
mod scripts;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::Live;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{AttemptRef, Clock, Closing, Connector, Invitation, Probe, Routing, RoutingError};
use domain::wait::QueueReport;
use fred::interfaces::{ClientLike as _, EventInterface as _, LuaInterface as _, StreamsInterface as _};
use fred::types::config::Options;
use fred::types::scripts::Script;
use fred::types::{ClientState, Value};
use tokio::time::Instant;

pub use entry::{Action, Entry, EntryError, MAX_USER_DATA_BYTES, read};
pub use reports::ReportBoard;

use super::nodes::NodeBoard;
use crate::redis::{Link, Password, RedisSettings, Use, open, told};
use crate::testing::{self, Rule};
use entry::{Fields, instant};
use failure::failed;
use keys::Keys;

/// The stream's usual name.
pub const USUAL_STREAM: &str = "NewCallbackStream";
/// One ping asks after at most so many attempts.
pub const MAX_PING: usize = 500;
/// A register lives until the end of its callback's life and this much longer.
const KEEP_REGISTER: chrono::Duration = chrono::Duration::hours(24);
/// A register of a callback whose end of life is not known lives for so long: longer than any record.
const KEEP_UNKNOWN: chrono::Duration = chrono::Duration::days(15);
/// An entry of such a callback is of use for so long.
const UNKNOWN_LIFE: chrono::Duration = chrono::Duration::hours(24);
/// Usual value of [`StreamSettings::quiet`].
pub const QUIET: Duration = Duration::from_secs(60);
/// A question has been read or never will be after this; its entry is taken away with a later question.
const QUESTION_LIFE: Duration = Duration::from_secs(120);
/// Questions whose entries are remembered to be taken away; those beyond go when their time is over.
const MAX_QUESTIONS: usize = 1_000;
/// What a probe has written is of use to nobody; it stays for so long.
const PROBE_LIFE_MS: i64 = 60_000;
/// Entries of questions that one question takes away at most.
const MAX_TAKEN_AWAY: usize = 100;

/// What the adapter needs to know.
#[derive(Debug, Clone)]
pub struct StreamSettings {
    /// Where the stream is.
    pub redis: RedisSettings,
    /// Its name, without braces.
    pub stream: String,
    /// Nothing is asked after in this time after the connection came back: who reads the stream is only coming back,
    /// too. [`QUIET`] everywhere but in tests.
    pub quiet: Duration,
}

/// The adapter.
pub struct OrsStream {
    redis: RedisSettings,
    password: Password,
    quiet: Duration,
    keys: Keys,
    client: ArcSwapOption<Opened>,
    clock: Arc<dyn Clock>,
    reports: Arc<ReportBoard>,
    nodes: Option<Arc<NodeBoard>>,
    reply_to: OnceLock<String>,
    /// Entries of questions, oldest first.
    questions: Mutex<VecDeque<(Instant, String)>>,
}

/// An open client.
struct Opened {
    link: Link,
    /// When it was connected last.
    connected_at: Arc<Mutex<Instant>>,
}

impl OrsStream {
    /// Prepares the adapter. Nothing is opened before the connector's actor does it, and nothing goes out before
    /// [`Self::reply_to`] has been said.
    pub fn new(settings: &StreamSettings, reports: Arc<ReportBoard>, clock: Arc<dyn Clock>) -> Self {
        Self {
            redis: settings.redis.clone(),
            password: Password::new(settings.redis.password.clone()),
            quiet: settings.quiet,
            keys: Keys::new(&settings.stream),
            client: ArcSwapOption::empty(),
            clock,
            reports,
            nodes: None,
            reply_to: OnceLock::new(),
            questions: Mutex::default(),
        }
    }

    /// With nodes that are watched: regions are named in an order that knows which of them are dark.
    #[must_use]
    pub fn among(self, nodes: Arc<NodeBoard>) -> Self {
        Self { nodes: Some(nodes), ..self }
    }

    /// The password of the voice Redis, which may be replaced.
    pub fn password(&self) -> Password {
        self.password.clone()
    }

    /// Says where signals are to go: the base URL of the internal listener. The first word counts.
    pub fn reply_to(&self, url: String) {
        let _said_before = self.reply_to.set(url);
    }

    fn where_to_reply(&self) -> Result<&str, RoutingError> {
        self.reply_to.get().map(String::as_str).ok_or_else(|| not_done("the listener for signals is not open yet"))
    }

    /// The client, if its connection stands. Whatever fails before this was surely not done.
    fn connected(&self) -> Result<Arc<Opened>, RoutingError> {
        let opened = self.client.load_full().ok_or_else(|| not_done("the voice Redis is not connected"))?;
        match opened.link.client().state() {
            ClientState::Connected => Ok(opened),
            _ => Err(not_done("the voice Redis is being connected again")),
        }
    }

    /// Runs a script by its hash; a server that does not know it is given it.
    async fn run<T>(&self, script: &Script, keys: Vec<String>, arguments: Vec<Value>) -> Result<T, RoutingError>
    where
        T: fred::types::FromValue,
    {
        let opened = self.connected()?;
        let once = Options { max_attempts: Some(1), fail_fast: true, ..Options::default() };
        let client = opened.link.client().with_options(&once);
        match client.evalsha(script.sha1().clone(), keys.clone(), arguments.clone()).await {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let lua = script.lua().cloned().unwrap_or_default();
                client.eval(lua, keys, arguments).await.map_err(|error| failed(&error))
            }
            result => result.map_err(|error| failed(&error)),
        }
    }

    /// Entries of questions that nobody needs any more.
    fn old_questions(&self) -> Vec<String> {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = Vec::new();
        while old.len() < MAX_TAKEN_AWAY && questions.front().is_some_and(|(at, _)| at.elapsed() > QUESTION_LIFE) {
            old.extend(questions.pop_front().map(|(_, id)| id));
        }
        old
    }

    fn remember_question(&self, id: String) {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if questions.len() < MAX_QUESTIONS {
            questions.push_back((Instant::now(), id));
        }
    }

    /// Does what a hand-over needs: runs a script that writes beside the stream.
    async fn writes(&self) -> Result<(), String> {
        let keys = vec![self.keys.stream().to_owned(), self.keys.probe()];
        let arguments = vec![instant(self.clock.now()).into(), PROBE_LIFE_MS.into()];
        let length: Result<i64, _> = self.run(&scripts::PROBE, keys, arguments).await;
        length.map(drop).map_err(|error| error.to_string())
    }

    async fn asks(&self) -> Result<(), String> {
        let opened = self.connected().map_err(|error| error.to_string())?;
        // The stream's own server answers, and a key that is no stream is noticed.
        let length: Result<u64, _> = opened.link.client().xlen(self.keys.stream()).await;
        length.map(drop).map_err(|error| told(&error))
    }
}

fn not_done(why: &str) -> RoutingError {
    RoutingError::NotDone(why.to_owned())
}

fn unwritable(error: &serde_json::Error) -> RoutingError {
    RoutingError::NotDone(format!("the entry cannot be written: {error}"))
}

/// What a start says of its attempt, whichever way it goes.
pub(super) fn start_fields(
    invitation: &Invitation,
    reply_to: &str,
    now: DateTime<Utc>,
) -> Result<Fields, RoutingError> {
    entry::start(invitation, reply_to, now).map_err(|error| unwritable(&error))
}

fn values(fields: Fields) -> impl Iterator<Item = Value> {
    fields.into_iter().flat_map(|(name, value)| [Value::from(name), Value::from(value)])
}

/// Milliseconds from `now` until `until`, at least one day.
fn life_ms(now: DateTime<Utc>, until: DateTime<Utc>) -> i64 {
    (until - now).max(KEEP_REGISTER).num_milliseconds()
}

#[async_trait]
impl Routing for OrsStream {
    async fn start(&self, mut invitation: Invitation) -> Result<(), RoutingError> {
        let (reply_to, now) = (self.where_to_reply()?, self.clock.now());
        if let Some(nodes) = &self.nodes {
            let regions = nodes.preference(&invitation.call.regions);
            invitation.call.regions = regions.iter().map(ToString::to_string).collect();
        }
        let fields = start_fields(&invitation, reply_to, now)?;
        let mut arguments: Vec<Value> = vec![
            i64::from(invitation.attempt).into(),
            life_ms(now, invitation.not_after + KEEP_REGISTER).into(),
            instant(now).into(),
            instant(invitation.not_after).into(),
        ];
        arguments.extend(values(fields));
        let of = if testing::is_broken(Rule::Register) { CallbackId::generate(now) } else { invitation.id };
        let keys = vec![self.keys.stream().to_owned(), self.keys.register(of)];
        match self.run::<i64>(&scripts::START, keys, arguments).await? {
            -1 => Err(RoutingError::Refused("the register is closed".to_owned())),
            _ => Ok(()),
        }
    }

    async fn close(&self, attempt: AttemptRef, _: Closing) -> Result<(), RoutingError> {
        let AttemptRef { tenant, id, .. } = attempt;
        let (reply_to, now) = (self.where_to_reply()?, self.clock.now());
        let mut arguments: Vec<Value> =
            vec![KEEP_UNKNOWN.num_milliseconds().into(), instant(now).into(), instant(now + UNKNOWN_LIFE).into()];
        arguments.extend(values(entry::cancel(tenant, id, reply_to, now)));
        let keys = vec![self.keys.stream().to_owned(), self.keys.register(id)];
        self.run::<i64>(&scripts::CLOSE, keys, arguments).await.map(drop)
    }

    async fn ping(&self, attempts: Vec<AttemptRef>) -> Result<(), RoutingError> {
        if attempts.len() > MAX_PING {
            return Err(not_done("too many attempts in one ping"));
        }
        let (reply_to, now) = (self.where_to_reply()?, self.clock.now());
        let connected_at = *self.connected()?.connected_at.lock().unwrap_or_else(PoisonError::into_inner);
        if connected_at.elapsed() < self.quiet {
            return Err(not_done("the voice Redis has only just come back"));
        }
        let fields = entry::ping(&attempts, reply_to, now).map_err(|error| unwritable(&error))?;
        let old = self.old_questions();
        let mut arguments: Vec<Value> = vec![instant(now).into(), i64::try_from(old.len()).unwrap_or_default().into()];
        arguments.extend(old.into_iter().map(Value::from));
        arguments.extend(values(fields));
        let id: String = self.run(&scripts::PING, vec![self.keys.stream().to_owned()], arguments).await?;
        self.remember_question(id);
        Ok(())
    }

    fn expected_wait(&self, tenant: TenantId, queue: &QueueName) -> Option<i32> {
        self.reports.expected_wait(tenant, queue)
    }

    fn queue_report(&self, tenant: TenantId, queue: &QueueName) -> Option<QueueReport> {
        self.reports.of(tenant, queue)
    }

    /// Never: where callbacks stand comes in signals and is on the board of the tree.
    fn live(&self, _id: CallbackId) -> Option<Live> {
        None
    }
}

/// The name of both the client and the dependency.
const NAME: &str = "ors-redis";

#[async_trait]
impl Connector for OrsStream {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn open(&self) -> Result<(), String> {
        let link = open(&self.redis, &self.password, Use::Commands).await?;
        let connected_at = Arc::new(Mutex::new(Instant::now()));
        let noted = Arc::clone(&connected_at);
        // Ends with the client.
        drop(link.client().on_reconnect(move |_| {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            async { Ok(()) }
        }));
        self.client.store(Some(Arc::new(Opened { link, connected_at })));
        self.asks().await
    }

    async fn check(&self) -> Result<(), String> {
        self.asks().await
    }

    async fn close(&self) {
        if let Some(opened) = self.client.swap(None) {
            opened.link.quit().await;
        }
    }
}

#[async_trait]
impl Probe for OrsStream {
    fn name(&self) -> &'static str {
        NAME
    }

    fn required(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), String> {
        self.writes().await
    }
}
