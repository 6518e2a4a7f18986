//! Supervisor of the tenants, and the one who reads settings and keys.
//!
//! Started by the root. Talked to by the scheduler and the sweep (work to hand on), by membership (settings
//! have changed) and by the desk (read them again). Restarted by the root; its tenants and their sessions die with it and come back from the
//! store. A tenant that fails too often makes it fail in its turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::event::ActorKind;
use domain::ids::TenantId;
use domain::keys::ApiKey;
use domain::ports::{Due, StoreError};
use domain::tenant::Tenant;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::directory::Entry;
use crate::keeper::{Keeper, Lost, spawn};
use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::{Fault, Policies, TaskPanicked};
use crate::tenant::{TenantActor, TenantArgs, TenantMsg};

/// How long reading all settings may take.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// How long the tenants may take to end with this supervisor.
const STOP_DEADLINE: Duration = Duration::from_secs(1);
/// Pause before settings that could not be read are read again.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// The settings as they were read.
pub(crate) struct Read {
    tenants: Vec<Tenant>,
    /// Those whose documents are not understood here.
    others: Vec<TenantId>,
    keys: Vec<ApiKey>,
}

/// Messages to the tenants' supervisor.
pub(crate) enum TenantsMsg {
    /// From scheduler or sweep: somebody has to work on these.
    Work { due: Vec<Due> },
    /// From itself at the start, and from membership: read settings and keys. One reading at a time.
    SettingsChanged,
    /// From the desk: read settings and keys, and tell when they are in force. Not answered if they cannot be read.
    Refresh { reply: oneshot::Sender<DateTime<Utc>> },
    /// From its own task: what was read, or why not.
    SettingsRead { read: Result<Read, StoreError> },
    /// From its own task, in place of its answer.
    TaskPanicked,
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
    keeper: Keeper<TenantId>,
    reading: bool,
    read_again: bool,
    /// Who wants to know when settings that were read from now on are in force. As many as there are requests.
    asked: Vec<oneshot::Sender<DateTime<Utc>>>,
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
        let keeper = Keeper::new(ActorKind::Tenants, args.node.ports.observer.clone());
        Ok(State {
            node: args.node,
            me,
            known: HashMap::new(),
            keeper,
            reading: false,
            read_again: false,
            asked: Vec::new(),
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
            TenantsMsg::Refresh { reply } => state.on_refresh(reply),
            TenantsMsg::SettingsRead { read } => state.on_settings_read(read).await?,
            TenantsMsg::TaskPanicked => return Err(TaskPanicked.into()),
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
        let lost = state.keeper.lost(event);
        Ok(state.on_lost(lost)?)
    }

    async fn post_stop(&self, me: ActorRef<TenantsMsg>, _state: &mut State) -> Result<(), ActorProcessingErr> {
        me.stop_children_and_wait(None, Some(STOP_DEADLINE)).await;
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
        let node = self.node.clone();
        let work = async move {
            let both = async {
                let (tenants, others) = node.ports.settings.understood_tenants().await?;
                Ok(Read { tenants, others, keys: node.ports.settings.keys().await? })
            };
            let read = timeout(READ_DEADLINE, both).await;
            let read = read.unwrap_or_else(|_| Err(StoreError::NotDone("settings were not read in time".into())));
            TenantsMsg::SettingsRead { read }
        };
        self.me.run(work, TenantsMsg::TaskPanicked);
    }

    fn on_refresh(&mut self, reply: oneshot::Sender<DateTime<Utc>>) {
        self.asked.push(reply);
        self.on_settings_changed();
    }

    async fn on_settings_read(&mut self, read: Result<Read, StoreError>) -> Result<(), Fault> {
        self.reading = false;
        match read {
            Ok(Read { mut tenants, others, keys }) => {
                // Of these what was known stays in force.
                tenants.extend(others.iter().filter_map(|id| self.known.get(id)).map(|known| Tenant::clone(known)));
                // Keys last: whoever is let in finds its tenant.
                let gone: Vec<_> =
                    self.known.keys().filter(|id| tenants.iter().all(|it| it.id != **id)).copied().collect();
                gone.into_iter().for_each(|tenant| self.forget(tenant));
                for tenant in &tenants {
                    self.put(Arc::new(tenant.clone())).await?;
                }
                self.node.ports.key_ring.replace(&tenants, keys);
                if let Some(ready) = self.ready.take() {
                    let _gone = ready.send(());
                }
                if std::mem::take(&mut self.read_again) {
                    self.on_settings_changed();
                } else {
                    let now = self.node.now();
                    for reply in self.asked.drain(..) {
                        let _gone = reply.send(now);
                    }
                }
            }
            Err(StoreError::Unreadable(why)) => return Err(Fault(format!("cannot read the settings: {why}"))),
            Err(error) => {
                tracing::warn!(%error, "settings could not be read; the known ones stay in force");
                self.asked.clear();
                self.me.hint_after(READ_AGAIN, TenantsMsg::SettingsChanged);
            }
        }
        Ok(())
    }

    async fn put(&mut self, tenant: Arc<Tenant>) -> Result<(), Fault> {
        if self.known.get(&tenant.id).is_some_and(|known| **known == *tenant) {
            return Ok(());
        }
        let id = tenant.id;
        let is_new = self.known.insert(id, tenant.clone()).is_none();
        match self.node.directory.find(id) {
            // What an earlier life of this supervisor left in the directory has died with it.
            Some(Entry { address, .. }) if !is_new => {
                // If it has just died, it starts again with what is known then.
                address.hint(TenantMsg::SettingsChanged { tenant: tenant.clone() });
                self.node.directory.put(Entry { address, tenant });
                Ok(())
            }
            _ if is_new => self.start(tenant).await,
            // Its pause after a failure is not over.
            _ => Ok(()),
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
        let id = tenant.id;
        let args = |waiting| TenantArgs { node: self.node.clone(), tenant: tenant.clone(), waiting };
        let spawned = spawn(TenantActor, args, self.me.cell()).await.map(|address| {
            let actor = address.cell();
            self.node.directory.put(Entry { address, tenant });
            actor
        });
        let lost = self.keeper.started(id, spawned);
        self.on_lost(lost)
    }

    async fn on_restart(&mut self, tenant: TenantId) -> Result<(), Fault> {
        let is_there = self.node.directory.find(tenant).is_some();
        match self.known.get(&tenant).cloned() {
            Some(tenant) if !is_there && !self.node.is_draining() => self.start(tenant).await,
            _ => Ok(()),
        }
    }

    fn on_lost(&mut self, lost: Option<Lost<TenantId>>) -> Result<(), Fault> {
        // One that was stopped because it is gone is not missed.
        let Some(lost) = lost.filter(|lost| self.known.contains_key(&lost.child)) else { return Ok(()) };
        self.node.directory.remove(lost.child);
        let pause = self.keeper.failed(&lost, ActorKind::Tenant, Policies::TENANT)?;
        self.me.hint_after(pause, TenantsMsg::Restart { tenant: lost.child });
        Ok(())
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
            let _gone = reply.send(());
        });
    }
}
