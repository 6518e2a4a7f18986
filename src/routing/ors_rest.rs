//! Orchestration (ORS) behind its older REST interface: sessions are started, ended and asked after on its nodes, signals
//! come back over HTTP to the internal listener as they do with the stream.
//!
//! ```text
//!   start ──▶ POST /scxml/session/start ──────────┐
//!   close ──▶ POST /scxml/session/{id}/terminate ─┼─▶ a node ─▶ POST /ges/v1/callbacks/{id}/signals
//!   ping  ──▶ GET  /scxml/session/{id}/query ─────┘       └─▶ answers to questions, handed to the inbox as signals
//! ```
//!
//! Nothing here makes a start idempotent: each one that arrives begins a session. So one that was perhaps done is not
//! sent again, here or on another node; the callback waits for its `accepted` and then begins a higher attempt. The fence
//! is the conditional write of `accepted`, as everywhere.

mod answers;
mod sessions;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::callback::{Again, Live, Signal, SignalEvent};
use domain::event::Outward;
use domain::ids::{CallbackId, QueueName, SessionId, TenantId};
use domain::ports::{AttemptRef, Clock, Closing, Inbox, Invitation, Routing, RoutingError};
use domain::wait::QueueReport;
use futures::StreamExt as _;
use http::Method;
use reqwest::Url;
use tokio::time::Instant;

use super::nodes::NodeBoard;
use super::ors_stream::{MAX_PING, QUIET, ReportBoard, start_fields};
use crate::clients::http::{Answer, Call, CallError, Cause, HttpClient, NamedBy};

use answers::{Effect, Found, done, found};
use sessions::{Place, Sessions};

/// How long a node may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How long all nodes together may take: less than a session waits for routing.
const ALL_NODES: Duration = Duration::from_secs(8);
/// Questions that are under way at once.
const QUESTIONS_AT_ONCE: usize = 16;
/// What a session is sent whose callback has ended while people talk.
const ENDED_EVENT: &str = "ges.ended";

/// What the adapter needs to know.
#[derive(Debug, Clone)]
pub struct RestSettings {
    /// The flow as Orchestration fetches it (`src`); without it none is named.
    pub scxml_url: Option<String>,
    /// A node that has been back for less than this is not believed when it knows no session: it may be finding them
    /// again. [`RestSettings::QUIET`] everywhere but in tests.
    pub quiet: Duration,
}

impl RestSettings {
    /// Usual value of [`Self::quiet`].
    pub const QUIET: Duration = QUIET;
}

/// The adapter.
pub struct OrsRest {
    settings: RestSettings,
    nodes: Arc<NodeBoard>,
    client: Arc<HttpClient>,
    clock: Arc<dyn Clock>,
    reports: Arc<ReportBoard>,
    sessions: Sessions,
    begun: OnceLock<Begun>,
}

/// Where signals go.
struct Begun {
    inbox: Arc<dyn Inbox>,
    /// Base URL of the internal listener, for flows.
    reply_to: String,
}

impl OrsRest {
    /// Prepares the adapter. Nothing goes out before [`Self::begin`].
    pub fn new(
        settings: RestSettings,
        nodes: Arc<NodeBoard>,
        client: Arc<HttpClient>,
        reports: Arc<ReportBoard>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { settings, nodes, client, clock, reports, sessions: Sessions::default(), begun: OnceLock::new() }
    }

    /// Says where signals are to go: those of flows to `reply_to`, answers to questions to `inbox`. The first word counts.
    pub fn begin(&self, inbox: Arc<dyn Inbox>, reply_to: String) {
        let _said_before = self.begun.set(Begun { inbox, reply_to });
    }

    fn begun(&self) -> Result<&Begun, RoutingError> {
        self.begun.get().ok_or_else(|| not_done("the listener for signals is not open yet"))
    }

    /// One request to one node. `path` is made of segments, so that no name of a session leads anywhere else.
    async fn call(
        &self,
        node: usize,
        method: Method,
        path: &[&str],
        form: &[(&str, &str)],
        until: Instant,
    ) -> Result<Answer, CallError> {
        let base = self.nodes.url(node).unwrap_or_default();
        let mut call = Call::new(Outward::Ors, NamedBy::Operator, method.clone(), &base)?;
        extend(&mut call.url, path);
        if method == Method::POST {
            call = call.form(form);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(CallError::NotDone(Cause::Slow));
        }
        let answer = self.client.call(call.within(ANSWER.min(left))).await;
        match &answer {
            Ok(answer) if !answer.status.is_server_error() => self.nodes.answered(node),
            Ok(answer) => self.nodes.failed(node, &format!("it answered {}", answer.status.as_u16())),
            Err(error) => match error.cause() {
                // Our own doing.
                Cause::BadUrl | Cause::Setup | Cause::Crowded => {}
                // It did not have its whole time.
                Cause::Slow if left < ANSWER => {}
                why => self.nodes.failed(node, &why.to_string()),
            },
        }
        answer
    }

    /// Nodes for a callback that is there already: first the one that took it.
    fn around(&self, id: CallbackId, place: Option<&Place>) -> Vec<usize> {
        let mut nodes = self.nodes.order(&[], id);
        if let Some(first) = place.map(|place| place.node) {
            nodes.retain(|node| *node != first);
            nodes.insert(0, first);
        }
        nodes
    }

    /// How an attempt is; none if no session of it is known, and so nobody can be asked.
    async fn look(&self, attempt: &AttemptRef, until: Instant) -> Option<Found> {
        let place = self.sessions.of(attempt.id, attempt.attempt);
        let names = names_of(attempt, place.as_ref());
        if names.is_empty() {
            return None;
        }
        let mut silent = None;
        for node in self.around(attempt.id, place.as_ref()) {
            if self.nodes.is_down(node) {
                silent = Some("a node does not answer".to_owned());
                continue;
            }
            for name in &names {
                let path = ["scxml", "session", name.as_str(), "query"];
                let answer = self.call(node, Method::GET, &path, &[], until).await;
                match found(&answer) {
                    Found::Gone if !self.nodes.is_only_back(node, self.settings.quiet) => {}
                    Found::Gone => silent = Some("a node has only just come back".to_owned()),
                    Found::Silent(why) => silent = Some(why),
                    known => return Some(known),
                }
            }
        }
        // Gone is what every node says, and nothing less.
        Some(silent.map_or(Found::Gone, Found::Silent))
    }

    /// Asks after one attempt and hands the answer on. An error if nobody said anything.
    async fn ask(&self, begun: &Begun, attempt: AttemptRef, until: Instant) -> Result<(), String> {
        let event = match self.look(&attempt, until).await {
            None => return Ok(()),
            Some(Found::Silent(why)) => return Err(why),
            Some(Found::Alive) => SignalEvent::Alive,
            Some(Found::Ended(reason)) => SignalEvent::Ended(reason),
            Some(Found::Gone) => SignalEvent::Unknown,
        };
        let AttemptRef { tenant, id, attempt, session } = attempt;
        // Refused or not taken now: asked again after the next silence.
        let _ = begun.inbox.signal(tenant, id, Signal { attempt, seq: 0, session, event }).await;
        Ok(())
    }
}

/// The names under which the session of an attempt may be known: as the answer to its start said, and as it called itself.
fn names_of(attempt: &AttemptRef, place: Option<&Place>) -> Vec<SessionId> {
    let mut names: Vec<SessionId> = place.and_then(|place| place.session.clone()).into_iter().collect();
    names.extend(attempt.session.clone().filter(|name| !names.contains(name)));
    names
}

fn extend(url: &mut Url, path: &[&str]) {
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
}

fn not_done(why: &str) -> RoutingError {
    RoutingError::NotDone(why.to_owned())
}

#[async_trait]
impl Routing for OrsRest {
    /// Tries one node after the other for as long as they surely did nothing.
    async fn start(&self, mut invitation: Invitation) -> Result<(), RoutingError> {
        let begun = self.begun()?;
        let order = self.nodes.order(&invitation.call.regions, invitation.id);
        let regions = self.nodes.preference(&invitation.call.regions);
        invitation.call.regions = regions.iter().map(ToString::to_string).collect();
        let fields = start_fields(&invitation, &begun.reply_to, self.clock.now())?;
        let source = self.settings.scxml_url.as_deref().map(|url| ("src", url));
        let form: Vec<(&str, &str)> =
            source.into_iter().chain(fields.iter().map(|(name, value)| (*name, value.as_str()))).collect();
        let until = Instant::now() + ALL_NODES;
        let mut last = "there is no node of Orchestration".to_owned();
        for node in order {
            if Instant::now() >= until {
                break;
            }
            let answer = self.call(node, Method::POST, &["scxml", "session", "start"], &form, until).await;
            match done(&answer) {
                Effect::Taken(session) => {
                    self.sessions.began(invitation.id, invitation.attempt, Place { node, session });
                    return Ok(());
                }
                Effect::Refused(why) => return Err(RoutingError::Refused(why)),
                Effect::NotFound => return Err(RoutingError::Refused("it knows no such path".to_owned())),
                Effect::Perhaps(why) => return Err(RoutingError::Perhaps(why)),
                Effect::NotDone(why) => last = why,
            }
        }
        Err(RoutingError::NotDone(last))
    }

    fn again(&self) -> Again {
        Again::BeginsAnother
    }

    /// Ends the session, wherever it is. Whoever is not known yet is refused when it asks for its attempt.
    async fn close(&self, attempt: AttemptRef, closing: Closing) -> Result<(), RoutingError> {
        let place = self.sessions.of(attempt.id, attempt.attempt);
        let (id, number) = (attempt.id.to_string(), attempt.attempt.to_string());
        let form = [("callbackId", id.as_str()), ("attempt", number.as_str()), ("unless", "processing")];
        let until = Instant::now() + ALL_NODES;
        let mut open = None;
        for name in names_of(&attempt, place.as_ref()) {
            let path: &[&str] = match closing {
                Closing::Everything => &["scxml", "session", name.as_str(), "terminate"],
                Closing::AllButTalk => &["scxml", "session", name.as_str(), "event", ENDED_EVENT],
            };
            for node in self.around(attempt.id, place.as_ref()) {
                if Instant::now() >= until {
                    open = Some("there was no time for every node".to_owned());
                    break;
                }
                match done(&self.call(node, Method::POST, path, &form, until).await) {
                    Effect::Taken(_) => {
                        self.sessions.forget(attempt.id);
                        return Ok(());
                    }
                    // There is nothing that could be ended, or it will not be ended.
                    Effect::NotFound | Effect::Refused(_) => {}
                    Effect::NotDone(why) | Effect::Perhaps(why) => open = Some(why),
                }
            }
        }
        match open {
            Some(why) => Err(RoutingError::Perhaps(why)),
            None => {
                self.sessions.forget(attempt.id);
                Ok(())
            }
        }
    }

    async fn ping(&self, attempts: Vec<AttemptRef>) -> Result<(), RoutingError> {
        if attempts.len() > MAX_PING {
            return Err(not_done("too many attempts in one ping"));
        }
        let begun = self.begun()?;
        let until = Instant::now() + ALL_NODES;
        let asked = futures::stream::iter(attempts.into_iter().map(|attempt| self.ask(begun, attempt, until)));
        let answers: Vec<Result<(), String>> = asked.buffer_unordered(QUESTIONS_AT_ONCE).collect().await;
        match answers.into_iter().find_map(Result::err) {
            Some(why) => Err(RoutingError::Perhaps(why)),
            None => Ok(()),
        }
    }

    /// The engine's own figure, else what its other figures come to.
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
