//! Supervisor of the tenants, and the one who reads settings and keys.
//!
//! Started by the root. Talked to by the scheduler and the sweep (work to hand on) and by membership (settings
//! have changed). Restarted by the root; its tenants and their sessions die with it and come back from the
//! store. A tenant that fails too often makes it fail in its turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use domain::event::{ActorKind, Event, Failure};
use domain::ids::TenantId;
use domain::keys::ApiKey;
use domain::ports::{Due, StoreError};
use domain::tenant::Tenant;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::directory::Entry;
use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::{Fault, Policies, Restarts, Verdict, failure_of};
use crate::tenant::{TenantActor, TenantArgs, TenantMsg};

/// How long reading all settings may take.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// Pause before settings that could not be read are read again.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// Messages to the tenants' supervisor.
pub(crate) enum TenantsMsg {
    /// From scheduler or sweep: somebody has to work on these.
    Work { due: Vec<Due> },
    /// From itself at the start, and from membership: read settings and keys. One reading at a time.
    SettingsChanged,
    /// From its own task: what was read, or why not.
    SettingsRead { read: Result<(Vec<Tenant>, Vec<ApiKey>), StoreError> },
    /// From itself: start this tenant again after its pause.
    Restart { tenant: TenantId },
    /// From the root: end every session. Answered when none is left.
    Drain { reply: oneshot::Sender<()> },
}

/// What it is started with.
pub(crate) struct TenantsArgs {
    pub(crate) node: Arc<Node>,
    pub(crate) waiting: Waiting,
    /// Answered once, when the first settings are in force.
    pub(crate) ready: Option<oneshot::Sender<()>>,
}

/// State of the supervisor.
pub(crate) struct State {
    node: Arc<Node>,
    me: Address<TenantsMsg>,
    known: HashMap<TenantId, Arc<Tenant>>,
    by_actor: HashMap<ActorId, TenantId>,
    failures: HashMap<TenantId, Restarts>,
    reading: bool,
    read_again: bool,
    ready: Option<oneshot::Sender<()>>,
    meter: Meter,
}

/// The actor.
pub(crate) struct TenantsActor;

impl Actor for TenantsActor {
    type Msg = TenantsMsg;
    type State = State;
    type Arguments = TenantsArgs;

    async fn pre_start(&self, me: ActorRef<TenantsMsg>, args: TenantsArgs) -> Result<State, ActorProcessingErr> {
        let meter = Meter::new(ActorKind::Tenants, args.node.ports.observer.clone(), args.waiting);
        let me = meter.address(&me);
        me.hint(TenantsMsg::SettingsChanged);
        args.node.tenants.put(me.clone());
        Ok(State {
            node: args.node,
            me,
            known: HashMap::new(),
            by_actor: HashMap::new(),
            failures: HashMap::new(),
            reading: false,
            read_again: false,
            ready: args.ready,
            meter,
        })
    }

    async fn handle(
        &self,
        _me: ActorRef<TenantsMsg>,
        message: TenantsMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        match message {
            TenantsMsg::Work { due } => state.on_work(due),
            TenantsMsg::SettingsChanged => state.on_settings_changed(),
            TenantsMsg::SettingsRead { read } => state.on_settings_read(read).await?,
            TenantsMsg::Restart { tenant } => state.on_restart(tenant).await?,
            TenantsMsg::Drain { reply } => state.on_drain(reply),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<TenantsMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                state.on_tenant_failed(child.get_id(), failure_of(&error), &error.to_string())?;
            }
            SupervisionEvent::ActorTerminated(child, _, _) => drop(state.by_actor.remove(&child.get_id())),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl State {
    fn on_work(&self, due: Vec<Due>) {
        let mut by_tenant: HashMap<TenantId, Vec<Due>> = HashMap::new();
        for one in due {
            by_tenant.entry(one.tenant).or_default().push(one);
        }
        for (tenant, due) in by_tenant {
            match self.node.directory.find(tenant) {
                Some(entry) => entry.address.hint(TenantMsg::Work { due }),
                None => tracing::warn!(tenant.id = %tenant, count = due.len(), "work for a tenant that is not known"),
            }
        }
    }

    fn on_settings_changed(&mut self) {
        if std::mem::replace(&mut self.reading, true) {
            self.read_again = true;
            return;
        }
        let (node, me) = (self.node.clone(), self.me.clone());
        tokio::spawn(async move {
            let both = async { Ok((node.ports.settings.tenants().await?, node.ports.settings.keys().await?)) };
            let read = timeout(READ_DEADLINE, both).await;
            let read = read.unwrap_or_else(|_| Err(StoreError::NotDone("settings were not read in time".into())));
            me.hint(TenantsMsg::SettingsRead { read });
        });
    }

    async fn on_settings_read(&mut self, read: Result<(Vec<Tenant>, Vec<ApiKey>), StoreError>) -> Result<(), Fault> {
        self.reading = false;
        match read {
            Ok((tenants, keys)) => {
                // Keys last: whoever is let in finds its tenant.
                let gone: Vec<_> = self.known.keys().filter(|id| tenants.iter().all(|it| it.id != **id)).copied().collect();
                gone.into_iter().for_each(|tenant| self.forget(tenant));
                for tenant in &tenants {
                    self.put(Arc::new(tenant.clone())).await?;
                }
                self.node.ports.key_ring.replace(&tenants, keys);
                if let Some(ready) = self.ready.take() {
                    drop(ready.send(()));
                }
                if std::mem::take(&mut self.read_again) {
                    self.on_settings_changed();
                }
            }
            Err(StoreError::Unreadable(why)) => return Err(Fault(format!("cannot read the settings: {why}"))),
            Err(error) => {
                tracing::warn!(%error, "settings could not be read; the known ones stay in force");
                let me = self.me.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(READ_AGAIN).await;
                    me.hint(TenantsMsg::SettingsChanged);
                });
            }
        }
        Ok(())
    }

    async fn put(&mut self, tenant: Arc<Tenant>) -> Result<(), Fault> {
        if self.known.get(&tenant.id).is_some_and(|known| **known == *tenant) {
            return Ok(());
        }
        let id = tenant.id;
        self.known.insert(id, tenant.clone());
        match self.node.directory.find(id) {
            Some(Entry { address, .. }) if address.send(TenantMsg::SettingsChanged { tenant: tenant.clone() }).is_ok() => {
                self.node.directory.put(Entry { address, tenant });
                Ok(())
            }
            _ => self.start(tenant).await,
        }
    }

    fn forget(&mut self, tenant: TenantId) {
        self.known.remove(&tenant);
        if let Some(entry) = self.node.directory.find(tenant) {
            entry.address.cell().stop(Some("the tenant is gone".into()));
        }
        self.node.directory.remove(tenant);
    }

    async fn start(&mut self, tenant: Arc<Tenant>) -> Result<(), Fault> {
        let waiting: Waiting = Arc::new(AtomicUsize::new(0));
        let args = TenantArgs { node: self.node.clone(), tenant: tenant.clone(), waiting: waiting.clone() };
        match TenantActor::spawn_linked(None, TenantActor, args, self.me.cell()).await {
            Ok((actor, _)) => {
                self.by_actor.insert(actor.get_id(), tenant.id);
                self.node.directory.put(Entry { address: Address::new(actor, waiting), tenant });
                Ok(())
            }
            Err(error) => self.on_failure(tenant.id, Failure::Start, &error.to_string()),
        }
    }

    async fn on_restart(&mut self, tenant: TenantId) -> Result<(), Fault> {
        match self.known.get(&tenant).cloned() {
            Some(tenant) if !self.node.is_draining() => self.start(tenant).await,
            _ => Ok(()),
        }
    }

    fn on_tenant_failed(&mut self, actor: ActorId, reason: Failure, error: &str) -> Result<(), Fault> {
        let Some(tenant) = self.by_actor.remove(&actor) else { return Ok(()) };
        self.node.directory.remove(tenant);
        self.on_failure(tenant, reason, error)
    }

    fn on_failure(&mut self, tenant: TenantId, reason: Failure, error: &str) -> Result<(), Fault> {
        if reason == Failure::Panic {
            self.node.note(Event::PanicCaught);
        }
        let restarts = self.failures.entry(tenant).or_insert_with(|| Restarts::new(Policies::TENANT));
        let spread = u64::try_from(tenant.as_uuid().as_u128() % 4_099).unwrap_or_default();
        match restarts.failed(Instant::now(), spread) {
            Verdict::Restart(pause) => {
                tracing::error!(tenant.id = %tenant, error, reason = reason.name(), "a tenant failed and is started again");
                self.node.note(Event::Restarted { supervisor: ActorKind::Tenants, child: ActorKind::Tenant, reason });
                let me = self.me.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    me.hint(TenantsMsg::Restart { tenant });
                });
                Ok(())
            }
            Verdict::GiveUp => Err(Fault(format!("tenant {tenant} fails again and again, last: {error}"))),
        }
    }

    fn on_drain(&self, reply: oneshot::Sender<()>) {
        let entries: Vec<Entry> = self.known.keys().filter_map(|tenant| self.node.directory.find(*tenant)).collect();
        tokio::spawn(async move {
            let mut answers = Vec::with_capacity(entries.len());
            for entry in entries {
                let (reply, answer) = oneshot::channel();
                entry.address.hint(TenantMsg::Drain { reply });
                answers.push(answer);
            }
            for answer in answers {
                drop(answer.await);
            }
            drop(reply.send(()));
        });
    }
}
