//! What the supervisor runs of GWS: the token of the service's own client, kept good, and with it the readings of contact
//! centres and users, each when its time has come, one at a time. Readings go on beside the connector: a slow one keeps
//! no token from being renewed. Whatever fails is tried again, and what was known stays.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use domain::ports::{Clock, Connector, ContactCenters, Observer, Probe, TenantStore, UserDirectory};
use domain::secret::Secret;
use domain::tenant::Tenant;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::GwsClient;
use super::board::Board;
use super::directory::{self, Directory};
use super::environment::Environment;
use super::own::OwnClient;
use super::probes::{Part, PartProbe};
use super::tokens::Tokens;
use crate::clients::http::HttpClient;
use crate::clients::shared::Shared;

/// Where contact centres are listed.
pub(super) const CONTACT_CENTERS: &str = "/environment/v3/contact-centers";
/// Where the objects of the configuration are.
const OBJECTS: &str = "/configuration/v3/objects";
/// Pause between two readings of users.
const USERS_EVERY: Duration = Duration::from_secs(30 * 60);
/// Pause after a reading that failed, if it would not have come sooner.
const AGAIN: Duration = Duration::from_secs(15);
/// The longest and the shortest pause of the connector.
const LONGEST: Duration = Duration::from_secs(15);
const SHORTEST: Duration = Duration::from_millis(200);
/// Pause after a renewal of the token was begun.
const RENEWAL: Duration = Duration::from_secs(5);
/// How long who wants everything read anew waits for each of the two readings; they go on without it.
const WAIT: Duration = Duration::from_secs(8);

/// Where GWS is and who the service is there. Base addresses have no slash at their end.
#[derive(Debug, Clone)]
pub struct GwsConnectorSettings {
    /// The authentication service.
    pub auth: String,
    /// The environment service.
    pub env: Option<String>,
    /// The configuration service.
    pub conf: Option<String>,
    /// Name of the client.
    pub id: Secret,
    /// Its secret.
    pub secret: Secret,
    /// Pause between two readings of the contact centres.
    pub refresh: Duration,
}

/// What it works with.
pub struct GwsPorts {
    /// Calls.
    pub http: Arc<HttpClient>,
    /// Hears of refused credentials.
    pub observer: Arc<dyn Observer>,
    /// Where new tenants go.
    pub tenants: Arc<dyn TenantStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Has the tokens of tenants with credentials of their own.
    pub clients: Arc<GwsClient>,
}

/// See the module.
pub struct GwsConnector {
    pub(super) own: Arc<OwnClient>,
    board: Arc<Board>,
    centers: Option<Arc<Readings<Environment>>>,
    users: Option<Arc<Readings<Directory>>>,
    /// Base addresses, for the probes.
    settings: GwsConnectorSettings,
}

/// One kind of readings.
struct Readings<T> {
    source: Arc<T>,
    every: Duration,
    due: Mutex<Instant>,
    /// When the last reading began.
    began: Mutex<Instant>,
    failing: AtomicBool,
    /// For log lines.
    what: &'static str,
    under_way: Shared<(), ()>,
}

impl<T: Source> Readings<T> {
    fn new(source: T, what: &'static str, every: Duration) -> Arc<Self> {
        let now = || Mutex::new(Instant::now());
        Arc::new(Self {
            source: Arc::new(source),
            every,
            due: now(),
            began: now(),
            failing: AtomicBool::new(false),
            what,
            under_way: Shared::default(),
        })
    }

    fn due_in(&self) -> Duration {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).saturating_duration_since(Instant::now())
    }

    fn put_off(&self, pause: Duration) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + pause;
    }

    /// Begins a reading, unless one is under way.
    fn start(self: &Arc<Self>) -> watch::Receiver<Option<()>> {
        let me = Arc::clone(self);
        self.put_off(self.every);
        self.under_way.start((), async move { me.read().await })
    }

    /// A reading that has begun since this was asked for: one that was under way may have looked before.
    async fn anew(self: &Arc<Self>) {
        let asked = Instant::now();
        for _ in 0..2 {
            drop(self.start().wait_for(Option::is_some).await);
            if *self.began.lock().unwrap_or_else(PoisonError::into_inner) >= asked {
                break;
            }
        }
    }

    async fn read(&self) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        match self.source.read().await {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(what = self.what, "GWS can be read again");
                }
            }
            Err(error) => {
                self.put_off(AGAIN.min(self.every));
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(what = self.what, error, "GWS could not be read; what is known stays in force");
                }
            }
        }
    }
}

/// What is read.
trait Source: Send + Sync + 'static {
    /// One reading. The text says why there was none.
    fn read(&self) -> impl Future<Output = Result<(), String>> + Send;
}

impl Source for Environment {
    async fn read(&self) -> Result<(), String> {
        Self::read(self).await.map_err(|error| error.to_string())
    }
}

impl Source for Directory {
    async fn read(&self) -> Result<(), String> {
        self.read_all().await.map_err(|error| error.to_string())
    }
}

impl GwsConnector {
    /// Prepares it; nothing is asked yet.
    pub fn new(settings: GwsConnectorSettings, ports: GwsPorts) -> Arc<Self> {
        let GwsPorts { http, observer, tenants, clock, clients } = ports;
        let own = OwnClient {
            http,
            observer: observer.clone(),
            auth: settings.auth.clone(),
            credentials: ArcSwap::from_pointee((settings.id.clone(), settings.secret.clone())),
            tokens: Tokens::default(),
            failing: AtomicBool::new(false),
        };
        let (own, board) = (Arc::new(own), Arc::new(Board::default()));
        let centers = settings.env.as_ref().map(|env| {
            let url = format!("{env}{CONTACT_CENTERS}");
            let environment = Environment { own: own.clone(), url, board: board.clone(), tenants, clock };
            Readings::new(environment, "contact centres", settings.refresh)
        });
        let users = settings.conf.as_ref().map(|conf| {
            let directory = Directory::new(directory::Inner {
                own: own.clone(),
                tenants: clients,
                url: format!("{conf}{OBJECTS}"),
                board: board.clone(),
                observer,
                known: directory::Known::default(),
            });
            Readings::new(directory, "users", USERS_EVERY)
        });
        Arc::new(Self { own, board, centers, users, settings })
    }

    /// These are the tenants now. Nothing is read before this was said once.
    pub fn know(&self, tenants: &[Tenant]) {
        self.board.know(tenants);
    }

    /// What is known of contact centres.
    pub fn contact_centers(&self) -> Arc<dyn ContactCenters> {
        self.board.clone()
    }

    /// What is known of users, where there is a configuration service.
    pub fn directory(&self) -> Option<Arc<dyn UserDirectory>> {
        self.users.as_ref().map(|users| users.source.clone() as Arc<dyn UserDirectory>)
    }

    /// A probe for each part that is there.
    pub fn probes(self: &Arc<Self>) -> Vec<Arc<dyn Probe>> {
        let parts = [
            (Part::Auth, Some(&self.settings.auth)),
            (Part::Environment, self.settings.env.as_ref()),
            (Part::Configuration, self.settings.conf.as_ref()),
        ];
        parts.into_iter().filter_map(|(part, base)| Some(PartProbe::of(self, part, base?))).collect()
    }

    /// The service's own client has other credentials from now on.
    pub fn replace_credentials(&self, id: Secret, secret: Secret) {
        self.own.replace(id, secret);
    }

    /// Reads everything now. What cannot be read in time stays as it is.
    pub async fn refresh(&self) {
        if self.board.tenants().is_none() {
            return;
        }
        if let Some(centers) = &self.centers {
            drop(timeout(WAIT, centers.anew()).await);
        }
        if let Some(users) = &self.users {
            drop(timeout(WAIT, users.anew()).await);
        }
    }

    async fn look_after(&self) -> Result<(), String> {
        self.own.token().await.map_err(|error| error.to_string())?;
        if self.board.tenants().is_some() {
            self.centers.iter().filter(|it| it.due_in().is_zero()).for_each(|it| drop(it.start()));
            self.users.iter().filter(|it| it.due_in().is_zero()).for_each(|it| drop(it.start()));
        }
        Ok(())
    }
}

#[async_trait]
impl Connector for GwsConnector {
    fn name(&self) -> &'static str {
        "gws"
    }

    async fn open(&self) -> Result<(), String> {
        self.look_after().await
    }

    async fn check(&self) -> Result<(), String> {
        self.look_after().await
    }

    async fn close(&self) {
        self.own.forget();
    }

    /// Until the next thing that is due, so that a token is renewed while it is good. A renewal that is under way, or
    /// does not succeed, has time.
    fn pause(&self) -> Duration {
        let renewal = self.own.renewed_in().map(|due| if due.is_zero() { RENEWAL } else { due });
        let centers = self.centers.as_ref().map(|it| it.due_in());
        let users = self.users.as_ref().map(|it| it.due_in());
        let next = [renewal, centers, users].into_iter().flatten().min().unwrap_or(LONGEST);
        next.clamp(SHORTEST, LONGEST)
    }
}
