//! Starts the tree, keeps it, and takes it down leaves first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use domain::event::ActorKind;
use domain::ports::{
    AvailabilityDesk, CallInDesk, CaptchaDesk, Desk as DeskPort, ExplainDesk, FlowDesk, HoursDesk, Inbox, MovesDesk,
    NewsDesk, NumberDesk, Ports, SearchDesk, SettingsDesk, StatisticsDesk, StoreError, WaitDesk,
};
use ractor::{Actor, ActorCell, ActorRef, SpawnErr};
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::connectors::Connectors;
use crate::desk::Desk;
use crate::health::{HealthSnapshot, Probes};
use crate::keeper::{Family, Start, Supervisor, SupervisorArgs, spawn};
use crate::mailbox::Waiting;
use crate::membership::{MembershipActor, MembershipArgs, MembershipMsg};
use crate::node::Node;
use crate::notifier::{NotifierActor, NotifierArgs};
use crate::others;
use crate::restart::{Fault, Policies, RestartPolicy};
use crate::scheduler::{SchedulerActor, SchedulerArgs};
use crate::tenants::{TenantsActor, TenantsArgs, TenantsMsg};

/// How long registering the node and reading the first settings may take.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How long the actors that are not sessions may take to end, all together.
const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// How long handing callbacks over to other nodes may take.
const HAND_OVER_DEADLINE: Duration = Duration::from_secs(16);
/// How long signing off may take; a node that did not is missed within 3.5 s.
const LEAVE_DEADLINE: Duration = Duration::from_secs(2);

/// What the tree is told about its node.
#[derive(Debug, Clone)]
pub struct TreeSettings {
    /// Name of the node, the same over its restarts.
    pub node_name: String,
    /// Version of the program.
    pub version: String,
    /// Session actors at the same time, at least 1.
    pub session_limit: usize,
}

/// Why the tree could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The node could not be registered.
    #[error("cannot register the node")]
    Register(#[source] StoreError),
    /// The root actor did not start.
    #[error("cannot start the root of the tree: {0}")]
    Root(String),
    /// Settings could not be read in time.
    #[error("settings and keys could not be read within {} s", START_DEADLINE.as_secs())]
    Settings,
    /// An actor failed again and again, most likely because what is stored cannot be read.
    #[error("the tree gave up: {0}")]
    GaveUp(String),
}

/// The running tree.
pub struct Tree {
    node: Arc<Node>,
    root: ActorRef<Start<Child>>,
    gave_up: watch::Receiver<Option<String>>,
}

impl Tree {
    /// Registers this incarnation, starts every actor and waits until the first settings are in force.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(ports: Ports, settings: TreeSettings) -> Result<Self, StartError> {
        let register = ports.nodes.register(&settings.node_name, &settings.version);
        let me = timeout(START_DEADLINE, register)
            .await
            .unwrap_or_else(|_| Err(StoreError::NotDone("no answer in time".into())))
            .map_err(StartError::Register)?;
        let node = Node::new(ports, me, settings.session_limit.max(1));
        others::listen(&node);
        let (settings_read, mut settings_are_read) = watch::channel(false);
        let (give_up, gave_up) = watch::channel(None);
        let waiting: Waiting = Arc::new(AtomicUsize::new(0));
        let family = Root { settings_read, give_up: give_up.clone() };
        let args = SupervisorArgs { node: node.clone(), family, waiting };
        let (root, handle) = Supervisor::spawn(None, Supervisor::new(), args)
            .await
            .map_err(|error| StartError::Root(error.to_string()))?;
        // The root has no supervisor: when it ends without having said why, that is said here.
        tokio::spawn(async move {
            drop(handle.await);
            give_up.send_if_modified(|why| {
                let unsaid = why.is_none();
                why.get_or_insert_with(|| "the root of the tree ended".to_owned());
                unsaid
            });
        });
        let tree = Self { node, root, gave_up };
        let started = tokio::select! {
            biased;
            why = tree.gave_up() => Err(StartError::GaveUp(why)),
            // Closed only together with the root.
            // The value that is read holds a lock: dropped before anything else is awaited.
            read = async { settings_are_read.wait_for(|read| *read).await.is_ok() } => match read {
                true => Ok(()),
                false => Err(StartError::GaveUp(tree.gave_up().await)),
            },
            () = tokio::time::sleep(START_DEADLINE) => Err(StartError::Settings),
        };
        match started {
            Ok(()) => {
                tracing::info!(incarnation = %me, "the tree has started");
                Ok(tree)
            }
            Err(error) => {
                tree.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// The way in for the door.
    pub fn desk(&self) -> Arc<dyn DeskPort> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for what is asked about captchas.
    pub fn captcha_desk(&self) -> Arc<dyn CaptchaDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for what is asked about statistics.
    pub fn statistics_desk(&self) -> Arc<dyn StatisticsDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// Questions about business hours.
    pub fn hours(&self) -> Arc<dyn HoursDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// Questions about number rules.
    pub fn numbers(&self) -> Arc<dyn NumberDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for whoever asks about the settings in force.
    pub fn settings(&self) -> Arc<dyn SettingsDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// Where waits are asked for.
    pub fn waits(&self) -> Arc<dyn WaitDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for questions about free times.
    pub fn availability(&self) -> Arc<dyn AvailabilityDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for holds, moves and repetitions.
    pub fn moves_desk(&self) -> Arc<dyn MovesDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for call-ins.
    pub fn call_in_desk(&self) -> Arc<dyn CallInDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for what a flow engine asks.
    pub fn flow_desk(&self) -> Arc<dyn FlowDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for routing.
    pub fn inbox(&self) -> Arc<dyn Inbox> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for whoever reads events, and for who looks after their delivery.
    pub fn news(&self) -> Arc<dyn NewsDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for who wants decisions explained.
    pub fn explain_desk(&self) -> Arc<dyn ExplainDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// The way in for who looks for callbacks.
    pub fn search_desk(&self) -> Arc<dyn SearchDesk> {
        Arc::new(Desk::new(self.node.clone()))
    }

    /// A reader of the node's health that does not keep anybody waiting.
    pub fn health(&self) -> impl Fn() -> HealthSnapshot + Send + Sync + 'static {
        let node = self.node.clone();
        move || HealthSnapshot {
            dependencies: node.health.dependencies(),
            ready: node.is_alive() && !node.is_draining(),
            draining: node.is_draining(),
        }
    }

    /// Resolves with the reason when the tree has given up: the process has to end.
    pub async fn gave_up(&self) -> String {
        let mut gave_up = self.gave_up.clone();
        let why = gave_up.wait_for(Option::is_some).await;
        why.ok().and_then(|why| why.clone()).unwrap_or_else(|| "the tree ended".to_owned())
    }

    /// From now on the node is not ready, claims nothing and starts no session; what it has not begun it hands over to
    /// other nodes.
    pub fn begin_drain(&self) {
        self.node.begin_drain();
    }

    /// Ends the tree, leaves first: sessions finish what they are handling, what is left of their callbacks goes to other
    /// nodes, then the supervisors go, last the node's row. Cut short by `grace` it equals a kill, which loses nothing
    /// either.
    pub async fn stop(self, grace: Duration) {
        self.node.begin_drain();
        let drained = async {
            let (reply, answer) = oneshot::channel();
            self.node.tenants.hint(TenantsMsg::Drain { reply });
            drop(answer.await);
        };
        if timeout(grace, drained).await.is_err() {
            tracing::warn!("not every session ended in time; whoever gets its callback goes on");
        }
        let (reply, handed_over) = oneshot::channel();
        self.node.membership.hint(MembershipMsg::HandOver { reply });
        // Also over if membership is gone or has failed: the sweeps of others take what is due.
        drop(timeout(HAND_OVER_DEADLINE, handed_over).await);
        drop(self.root.stop_and_wait(None, Some(STOP_DEADLINE + Duration::from_secs(1))).await);
        match timeout(LEAVE_DEADLINE, self.node.ports.nodes.leave(self.node.me)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the node could not sign off"),
            Err(_) => tracing::warn!("the node could not sign off in time"),
        }
    }
}

/// The children of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Child {
    Connectors,
    Health,
    Membership,
    Tenants,
    Scheduler,
    Notifier,
}

impl Child {
    /// In the order in which they are started.
    const ALL: [Self; 6] =
        [Self::Connectors, Self::Health, Self::Membership, Self::Tenants, Self::Scheduler, Self::Notifier];

    fn kind(self) -> ActorKind {
        match self {
            Self::Connectors => ActorKind::Connectors,
            Self::Health => ActorKind::Health,
            Self::Membership => ActorKind::Membership,
            Self::Tenants => ActorKind::Tenants,
            Self::Scheduler => ActorKind::Scheduler,
            Self::Notifier => ActorKind::Notifier,
        }
    }
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name())
    }
}

/// The root's children, and what it tells the tree.
struct Root {
    settings_read: watch::Sender<bool>,
    give_up: watch::Sender<Option<String>>,
}

impl Family for Root {
    type Child = Child;

    const KIND: ActorKind = ActorKind::Root;
    const STOP_DEADLINE: Duration = STOP_DEADLINE;

    fn children(&self, _node: &Node) -> Vec<Child> {
        Child::ALL.to_vec()
    }

    fn kind(child: Child) -> ActorKind {
        child.kind()
    }

    fn policy(child: Child) -> RestartPolicy {
        match child {
            Child::Connectors => Policies::CONNECTORS,
            Child::Health => Policies::HEALTH,
            Child::Membership => Policies::MEMBERSHIP,
            Child::Tenants => Policies::TENANTS,
            Child::Scheduler => Policies::SCHEDULER,
            Child::Notifier => Policies::NOTIFIER,
        }
    }

    /// While the node drains nobody comes back.
    async fn start(&self, node: &Arc<Node>, child: Child, me: ActorCell) -> Option<Result<ActorCell, SpawnErr>> {
        if node.is_draining() {
            return None;
        }
        let node = node.clone();
        Some(match child {
            Child::Connectors => {
                let args = |waiting| SupervisorArgs { node, family: Connectors, waiting };
                spawn(Supervisor::new(), args, me).await.map(|it| it.cell())
            }
            Child::Health => {
                let args = |waiting| SupervisorArgs { node, family: Probes, waiting };
                spawn(Supervisor::new(), args, me).await.map(|it| it.cell())
            }
            Child::Membership => {
                let args = |waiting| MembershipArgs { node, waiting };
                spawn(MembershipActor, args, me).await.map(|it| it.cell())
            }
            Child::Tenants => {
                let ready = Some(self.forward_settings_read());
                spawn(TenantsActor, |waiting| TenantsArgs { node, waiting, ready }, me).await.map(|it| it.cell())
            }
            Child::Scheduler => {
                let args = |waiting| SchedulerArgs { node, waiting };
                spawn(SchedulerActor, args, me).await.map(|it| it.cell())
            }
            Child::Notifier => {
                let args = |waiting| NotifierArgs { node, waiting };
                spawn(NotifierActor, args, me).await.map(|it| it.cell())
            }
        })
    }

    fn on_give_up(&self, fault: &Fault) {
        tracing::error!(error = %fault, "the tree gives up");
        self.give_up.send_replace(Some(fault.to_string()));
    }
}

impl Root {
    /// What one life of the tenants' supervisor says once; the first of them to say it makes the tree ready.
    fn forward_settings_read(&self) -> oneshot::Sender<()> {
        let (ready, is_ready) = oneshot::channel();
        let settings_read = self.settings_read.clone();
        tokio::spawn(async move {
            if is_ready.await.is_ok() {
                settings_read.send_replace(true);
            }
        });
        ready
    }
}

#[cfg(test)]
mod tests;
