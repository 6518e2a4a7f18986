//! The nodes of routing: what is known of each, who asks them, and in which order they are tried.
//!
//! A probe of each kind of node (`ors`, `urs`) is run by the health supervisor and asks all of its kind at once. Between
//! two probes a call that failed counts, too: its node is tried last from then on, until a probe was well again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::event::Outward;
use domain::health::DependencyStatus;
use domain::ids::CallbackId;
use domain::ports::{Clock, Probe, RoutingNodes};
use domain::region::{self, Node, NodeKind, NodeReport, Region};
use futures::future::join_all;
use http::Method;
use tokio::time::Instant;

use crate::clients::http::{Call, HttpClient, NamedBy};

/// How long a node may take to answer a probe.
const PROBE: Duration = Duration::from_secs(3);
/// Longest answer to a probe; what it says makes no difference.
const MAX_PROBE_BYTES: usize = 64 << 10;
/// Nodes that are named in the reason why none answers.
const MAX_NAMED: usize = 3;

/// The board. Nodes are known by their places on it.
pub struct NodeBoard {
    watched: Mutex<Vec<Watched>>,
    affinity: Vec<Region>,
    clock: Arc<dyn Clock>,
}

struct Watched {
    report: NodeReport,
    url: Arc<str>,
    /// When it began to answer again.
    came_back: Option<Instant>,
}

impl NodeBoard {
    /// A board of nodes with their base URLs, without a trailing slash, of which nothing is known yet.
    pub fn new(nodes: Vec<(Node, String)>, affinity: Vec<Region>, clock: Arc<dyn Clock>) -> Self {
        let since = clock.now();
        let watched = nodes.into_iter().map(|(node, url)| Watched {
            report: NodeReport { node, status: DependencyStatus::Unknown, since, last_response: None, reason: None },
            url: url.into(),
            came_back: None,
        });
        Self { watched: Mutex::new(watched.collect()), affinity, clock }
    }

    fn watched(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The regions in the order in which a queue with that rule prefers them now.
    pub fn preference(&self, rule: &[String]) -> Vec<Region> {
        region::preference(rule, &self.affinity, &self.nodes())
    }

    /// Nodes of Orchestration in the order in which they are tried for `id` now.
    pub fn order(&self, rule: &[String], id: CallbackId) -> Vec<usize> {
        let nodes = self.nodes();
        region::order(&nodes, &region::preference(rule, &self.affinity, &nodes), id)
    }

    /// Base URL of a node.
    pub fn url(&self, at: usize) -> Option<Arc<str>> {
        self.watched().get(at).map(|it| Arc::clone(&it.url))
    }

    /// Whether a node of a kind is known at all.
    pub fn has(&self, kind: NodeKind) -> bool {
        self.watched().iter().any(|it| it.report.node.kind == kind)
    }

    /// Whether a node surely does not answer.
    pub fn is_down(&self, at: usize) -> bool {
        self.watched().get(at).is_none_or(|it| it.report.is_down())
    }

    /// Whether a node has been back for less than `quiet`: it may not have found its sessions again yet.
    pub fn is_only_back(&self, at: usize, quiet: Duration) -> bool {
        self.watched().get(at).and_then(|it| it.came_back).is_some_and(|back| back.elapsed() < quiet)
    }

    /// A node answered a call. One that was down stays so until its probe was well.
    pub fn answered(&self, at: usize) {
        let now = self.clock.now();
        if let Some(it) = self.watched().get_mut(at) {
            it.report.last_response = Some(now);
            if it.report.status == DependencyStatus::Unknown {
                it.set(DependencyStatus::Up, None, now);
            }
        }
    }

    /// A node did not answer.
    pub fn failed(&self, at: usize, why: &str) {
        let now = self.clock.now();
        if let Some(it) = self.watched().get_mut(at) {
            it.set(DependencyStatus::Down, Some(why.to_owned()), now);
        }
    }

    /// A probe of a node was well.
    fn is_well(&self, at: usize) {
        let now = self.clock.now();
        if let Some(it) = self.watched().get_mut(at) {
            it.report.last_response = Some(now);
            it.set(DependencyStatus::Up, None, now);
        }
    }

    fn of_kind(&self, kind: NodeKind) -> Vec<usize> {
        let watched = self.watched();
        watched.iter().enumerate().filter(|(_, it)| it.report.node.kind == kind).map(|(at, _)| at).collect()
    }
}

impl Watched {
    fn set(&mut self, status: DependencyStatus, reason: Option<String>, now: chrono::DateTime<chrono::Utc>) {
        let report = &mut self.report;
        if report.status != status {
            let (name, kind) = (report.node.name.as_str(), report.node.kind.name());
            match status {
                DependencyStatus::Up if report.status == DependencyStatus::Down => {
                    self.came_back = Some(Instant::now());
                    tracing::info!(node = name, kind, "a node of routing answers again");
                }
                DependencyStatus::Down => {
                    tracing::warn!(node = name, kind, reason, "a node of routing does not answer and is tried last");
                }
                _ => {}
            }
            report.since = now;
        }
        report.status = status;
        report.reason = reason;
    }
}

impl RoutingNodes for NodeBoard {
    fn nodes(&self) -> Vec<NodeReport> {
        self.watched().iter().map(|it| it.report.clone()).collect()
    }
}

/// Asks all nodes of a kind.
pub struct NodeProbe {
    board: Arc<NodeBoard>,
    client: Arc<HttpClient>,
    kind: NodeKind,
}

impl NodeProbe {
    /// A probe of each kind of which there are nodes.
    pub fn all(board: &Arc<NodeBoard>, client: &Arc<HttpClient>) -> Vec<Arc<dyn Probe>> {
        let kinds = [NodeKind::Ors, NodeKind::Urs].into_iter().filter(|kind| board.has(*kind));
        kinds.map(|kind| Arc::new(Self::new(board, client, kind)) as Arc<dyn Probe>).collect()
    }

    /// A probe of one kind.
    pub fn new(board: &Arc<NodeBoard>, client: &Arc<HttpClient>, kind: NodeKind) -> Self {
        Self { board: Arc::clone(board), client: Arc::clone(client), kind }
    }

    /// Any answer below 500 will do: what a node has at this path is its own affair.
    async fn ask(&self, at: usize) -> Result<(), String> {
        let url = self.board.url(at).unwrap_or_default();
        let call = Call::new(Outward::RoutingProbe, NamedBy::Operator, Method::GET, &format!("{url}/"));
        let mut call = call.map_err(|error| error.to_string())?.within(PROBE);
        call.max_answer_bytes = MAX_PROBE_BYTES;
        let answer = self.client.call(call).await;
        // A head is an answer, whatever became of the rest.
        let status = match &answer {
            Ok(answer) => Some(answer.status),
            Err(error) => error.status(),
        };
        match status {
            Some(status) if !status.is_server_error() => Ok(()),
            Some(status) => Err(format!("it answered {}", status.as_u16())),
            None => Err(answer.err().map(|error| error.cause().to_string()).unwrap_or_default()),
        }
    }
}

#[async_trait]
impl Probe for NodeProbe {
    fn name(&self) -> &'static str {
        match self.kind {
            NodeKind::Ors => "ors",
            NodeKind::Urs => "urs",
        }
    }

    fn required(&self) -> bool {
        false
    }

    /// Well while one of them answers.
    async fn check(&self) -> Result<(), String> {
        let places = self.board.of_kind(self.kind);
        let answers = join_all(places.iter().map(|at| self.ask(*at))).await;
        let mut down = Vec::new();
        for (at, answer) in places.iter().zip(answers) {
            match answer {
                Ok(()) => self.board.is_well(*at),
                Err(why) => {
                    self.board.failed(*at, &why);
                    down.push((*at, why));
                }
            }
        }
        if down.len() < places.len() {
            return Ok(());
        }
        let nodes = self.board.nodes();
        let name = |at: usize| nodes.get(at).map(|it| it.node.name.clone()).unwrap_or_default();
        let named: Vec<_> = down.iter().take(MAX_NAMED).map(|(at, why)| format!("{}: {why}", name(*at))).collect();
        Err(format!("none of {} answers; {}", places.len(), named.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use domain::region::Role;

    fn board(regions: &[&str]) -> NodeBoard {
        let node = |(at, region): (usize, &&str)| {
            let (name, region) = (format!("n{at}"), Region::new(region));
            (Node { name, kind: NodeKind::Ors, region, role: Role::Primary }, format!("http://n{at}"))
        };
        let nodes = regions.iter().enumerate().map(node).collect();
        NodeBoard::new(nodes, vec![Region::new("eu")], Arc::new(SystemClock::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_failed_is_tried_last_until_its_probe_is_well() {
        let board = board(&["us", "eu"]);
        let id = CallbackId::from_uuid(uuid::Uuid::from_u128(1));
        assert_eq!(board.order(&[], id), [1, 0]);
        board.failed(1, "no answer in time");
        assert_eq!(board.order(&[], id), [0, 1]);
        assert_eq!(board.preference(&[]).first().map(Region::as_str), Some("eu"), "the only one that is preferred");
        board.answered(1);
        assert_eq!(board.order(&[], id), [0, 1], "one call that went well is no probe");
        assert!(board.nodes()[1].last_response.is_some() && board.nodes()[1].reason.is_some());
        board.is_well(1);
        assert_eq!(board.order(&[], id), [1, 0]);
        assert!(board.is_only_back(1, Duration::from_secs(60)) && !board.is_only_back(0, Duration::from_secs(60)));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!board.is_only_back(1, Duration::from_secs(60)));
        assert_eq!(board.order(&["us".to_owned()], id), [0, 1], "a rule goes before the affinity");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_of_a_new_node_is_no_return() {
        let board = board(&["eu"]);
        board.answered(0);
        assert_eq!(board.nodes()[0].status, DependencyStatus::Up);
        assert!(!board.is_only_back(0, Duration::from_secs(60)));
        assert!(board.is_down(7), "whom nobody knows");
    }
}
