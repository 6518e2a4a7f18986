//! Users with their access groups, and virtual queues, from the configuration service.
//!
//! It answers about the contact centre of the token. So a tenant that has registered credentials of its own is asked
//! about with those, and the service's own client only about the one tenant that is left, if there is one: where there
//! are several, nobody could say whose users it tells of, and numbers of users are the same in all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::event::{Event, Outward};
use domain::ids::TenantId;
use domain::ports::{DirectoryError, DirectoryUser, Observer, UserDirectory, WhichUser};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use super::board::{Board, KnownTenant};
use super::objects::{self, member, number};
use super::own::{GwsError, OwnClient, question};
use super::{GwsClient, Owner};
use crate::clients::http::Answer;
use crate::clients::shared::Shared;

/// Objects that are asked for at once.
const PAGE: usize = 500;
/// Pages of one list.
const MAX_PAGES: usize = 200;
/// A user who is not known is looked for anew, unless the last reading is younger than this.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long who asks waits for a reading.
const WAIT: Duration = Duration::from_secs(8);
/// Sections of the annex that name roles, the first that is there counts; and the options that do.
const ANNEX_SECTIONS: [&str; 2] = ["ges", "gms"];
const ANNEX_OPTIONS: [&str; 2] = ["roles", "role"];

/// What is known of one contact centre.
struct Snapshot {
    by_dbid: HashMap<u64, Arc<DirectoryUser>>,
    /// In lower case.
    by_name: HashMap<String, Arc<DirectoryUser>>,
    virtual_queues: Arc<[String]>,
    read_at: Instant,
}

impl Snapshot {
    fn find(&self, which: WhichUser<'_>) -> Option<Arc<DirectoryUser>> {
        match which {
            WhichUser::Dbid(dbid) => self.by_dbid.get(&dbid).cloned(),
            WhichUser::Named(name) => self.by_name.get(&name.to_lowercase()).cloned(),
        }
    }
}

type Reading = Result<Arc<Snapshot>, DirectoryError>;

/// See the module.
pub(super) struct Directory {
    inner: Arc<Inner>,
    reading: Shared<TenantId, Reading>,
}

pub(super) struct Inner {
    pub(super) own: Arc<OwnClient>,
    /// Asks with the credentials of tenants.
    pub(super) tenants: Arc<GwsClient>,
    /// Where objects are.
    pub(super) url: String,
    pub(super) board: Arc<Board>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) known: Known,
}

/// By tenant.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<TenantId, Arc<Snapshot>>>);

impl Known {
    fn find(&self, tenant: TenantId) -> Option<Arc<Snapshot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    fn put(&self, tenant: TenantId, snapshot: Arc<Snapshot>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, snapshot);
    }

    fn retain(&self, tenants: &BTreeSet<TenantId>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|tenant, _| tenants.contains(tenant));
    }
}

/// Whose token is shown.
enum Asker {
    Own,
    Tenant(Owner),
}

impl Directory {
    pub(super) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner), reading: Shared::default() }
    }

    /// Reads everything anew.
    ///
    /// # Errors
    /// Some contact centre could not be read; what was known of it stays.
    pub(super) async fn read_all(&self) -> Result<(), DirectoryError> {
        let tenants: BTreeSet<_> = self.inner.readable().into_iter().collect();
        self.inner.known.retain(&tenants);
        let mut result = Ok(());
        for tenant in tenants {
            if let Err(error) = self.read(tenant).await {
                result = Err(error);
            }
        }
        result
    }

    /// Reads a tenant anew, once for all who want it at the same time.
    async fn read(&self, tenant: TenantId) -> Reading {
        let inner = self.inner.clone();
        let work = async move { inner.read(tenant).await };
        let given_up = || Err(DirectoryError::Unavailable("reading was given up".to_owned()));
        self.reading.run(tenant, work).await.unwrap_or_else(given_up)
    }

    async fn read_in_time(&self, tenant: TenantId) -> Reading {
        let late = || Err(DirectoryError::Unavailable(format!("no answer within {} s", WAIT.as_secs())));
        timeout(WAIT, self.read(tenant)).await.unwrap_or_else(|_| late())
    }

    async fn snapshot(&self, tenant: TenantId) -> Reading {
        match self.inner.known.find(tenant) {
            Some(known) => Ok(known),
            None => self.read_in_time(tenant).await,
        }
    }
}

#[async_trait]
impl UserDirectory for Directory {
    async fn user(&self, tenant: TenantId, which: WhichUser<'_>) -> Result<Option<Arc<DirectoryUser>>, DirectoryError> {
        let snapshot = self.snapshot(tenant).await?;
        if let Some(user) = snapshot.find(which) {
            return Ok(Some(user));
        }
        if snapshot.read_at.elapsed() < LOOK_AGAIN {
            return Ok(None);
        }
        Ok(self.read_in_time(tenant).await?.find(which))
    }

    async fn virtual_queues(&self, tenant: TenantId) -> Result<Arc<[String]>, DirectoryError> {
        Ok(self.snapshot(tenant).await?.virtual_queues.clone())
    }
}

impl Inner {
    /// Tenants that the configuration service can be asked about.
    fn readable(&self) -> Vec<TenantId> {
        let tenants = self.board.tenants().unwrap_or_default();
        tenants.iter().filter(|tenant| asker(&tenants, tenant).is_some()).map(|tenant| tenant.id).collect()
    }

    async fn read(&self, tenant: TenantId) -> Reading {
        let tenants = self.board.tenants().unwrap_or_default();
        let known = tenants.iter().find(|known| known.id == tenant);
        let asker = known.and_then(|known| asker(&tenants, known)).ok_or(DirectoryError::NotConfigured)?;
        let unavailable = |error: GwsError| DirectoryError::Unavailable(error.to_string());
        let persons = self.list(&asker, "persons").await.map_err(unavailable)?;
        let groups = self.list(&asker, "access-groups").await.map_err(unavailable)?;
        let virtual_queues = match self.list(&asker, "dns?dnType=CFGVirtACDQueue").await {
            Ok(numbers) => names(&numbers),
            Err(error) => {
                self.observer.note(Event::VirtualQueuesNotRead);
                tracing::warn!(%error, tenant.id = %tenant, "virtual queues could not be read; the known ones stay");
                self.known.find(tenant).map(|known| known.virtual_queues.clone()).unwrap_or_default()
            }
        };
        let users: Vec<_> = users(&persons, &members_of(&groups)).into_iter().map(Arc::new).collect();
        let snapshot = Arc::new(Snapshot {
            by_dbid: users.iter().map(|user| (user.dbid, user.clone())).collect(),
            by_name: users.iter().map(|user| (user.user_name.to_lowercase(), user.clone())).collect(),
            virtual_queues,
            read_at: Instant::now(),
        });
        self.known.put(tenant, snapshot.clone());
        Ok(snapshot)
    }

    /// Every object of a type. A service that knows no pages gives all of them at once, and the same ones again.
    async fn list(&self, asker: &Asker, what: &str) -> Result<Vec<Map<String, Value>>, GwsError> {
        let mut all: Vec<Map<String, Value>> = Vec::new();
        let more = if what.contains('?') { '&' } else { '?' };
        for _ in 0..MAX_PAGES {
            let url = format!("{}/{what}{more}limit={PAGE}&offset={}", self.url, all.len());
            let page = objects::objects(&self.get(asker, &url).await?)?;
            let is_new = page.objects.first().is_some_and(|first| all.first() != Some(first));
            let count = page.objects.len();
            if is_new {
                all.extend(page.objects);
            }
            let has_all = page.total.map_or(count < PAGE, |total| all.len() >= total);
            if has_all || !is_new {
                return Ok(all);
            }
        }
        Err(GwsError::Unavailable("there is more than can be read".to_owned()))
    }

    async fn get(&self, asker: &Asker, url: &str) -> Result<Answer, GwsError> {
        let to = Outward::GwsConfiguration;
        match asker {
            Asker::Own => self.own.get(to, url).await,
            Asker::Tenant(owner) => Ok(self.tenants.get_as(owner, |token| question(to, url, Some(token))).await?),
        }
    }
}

/// Whose token the configuration service answers to about a tenant.
fn asker(all: &[KnownTenant], tenant: &KnownTenant) -> Option<Asker> {
    if let Some(gws) = &tenant.gws {
        return Some(Asker::Tenant((tenant.id, gws.clone())));
    }
    // Tenants that belong to a contact centre go before those that only have a document.
    let left = || all.iter().filter(|other| other.gws.is_none());
    let any_centers = left().any(|other| other.center.is_some());
    let mut candidates = left().filter(|other| !any_centers || other.center.is_some());
    let sole = candidates.next().filter(|_| candidates.next().is_none())?;
    (sole.id == tenant.id).then_some(Asker::Own)
}

/// The names of access groups, by the number of each member.
fn members_of(groups: &[Map<String, Value>]) -> BTreeMap<u64, BTreeSet<String>> {
    let mut members: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for group in groups {
        let info = member(group, "groupInfo").and_then(Value::as_object);
        let name = info.and_then(|info| member(info, "name")).or_else(|| member(group, "name")).and_then(Value::as_str);
        let list = ["members", "memberIds", "memberDBIDs"].iter().find_map(|key| member(group, key)?.as_array());
        let (Some(name), Some(list)) = (name, list) else { continue };
        for one in list {
            let dbid = one.as_object().map_or_else(|| number(one), |one| number(member(one, "dbid")?));
            if let Some(dbid) = dbid {
                members.entry(dbid).or_default().insert(name.to_owned());
            }
        }
    }
    members
}

fn users(persons: &[Map<String, Value>], groups: &BTreeMap<u64, BTreeSet<String>>) -> Vec<DirectoryUser> {
    let user = |person: &Map<String, Value>| {
        let dbid = number(member(person, "dbid")?)?;
        let user_name = member(person, "userName")?.as_str()?.to_owned();
        let mut access_groups = groups.get(&dbid).cloned().unwrap_or_default();
        access_groups.extend(objects::texts(member(person, "accessGroups")));
        let annex = ["annex", "userProperties"].iter().find_map(|key| member(person, key));
        let access_groups = access_groups.into_iter().collect();
        Some(DirectoryUser { dbid, user_name, access_groups, annex_roles: annex.and_then(annex_roles) })
    };
    persons.iter().filter_map(user).collect()
}

fn annex_roles(annex: &Value) -> Option<Vec<String>> {
    let sections = objects::options(annex);
    let section = ANNEX_SECTIONS.iter().find_map(|name| sections.get(*name))?;
    let options = objects::options(section);
    Some(
        ANNEX_OPTIONS
            .iter()
            .find_map(|name| options.get(*name))
            .map(|roles| objects::texts(Some(roles)))
            .unwrap_or_default(),
    )
}

fn names(numbers: &[Map<String, Value>]) -> Arc<[String]> {
    let name = |dn: &Map<String, Value>| {
        let is_virtual = member(dn, "type").and_then(Value::as_str).is_none_or(|kind| kind.ends_with("VirtACDQueue"));
        let name = member(dn, "name").or_else(|| member(dn, "number")).and_then(Value::as_str)?;
        is_virtual.then(|| name.to_owned())
    };
    numbers.iter().filter_map(name).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use domain::gws::GwsSettings;
    use domain::ids::ContactCenterId;
    use domain::secret::SecretRef;
    use serde_json::json;

    use super::*;

    fn list(value: Value) -> Vec<Map<String, Value>> {
        value.as_array().unwrap().iter().map(|one| one.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn users_have_the_groups_that_have_them_and_the_roles_of_their_annex() {
        let groups = members_of(&list(json!([
            { "name": "Acme Supervisors", "members": [{ "DBID": 101, "type": "CFGPerson" }, { "dbid": "102" }] },
            { "groupInfo": { "name": "Callback Developers" }, "memberIds": [101] },
            { "name": "nobody" },
        ])));
        let found = users(
            &list(json!([
                { "DBID": 101, "userName": "ann", "annex": { "gms": { "roles": "Supervisor, Monitor" } } },
                { "dbid": "102", "userName": "Bob", "userProperties": [
                    { "key": "gms", "value": [{ "key": "roles", "value": "Monitor" }] },
                    { "key": "ges", "value": [] },
                ] },
                { "dbid": 103, "userName": "cy", "accessGroups": ["Extra"], "annex": { "other": {} } },
                { "dbid": 104 },
            ])),
            &groups,
        );
        let told: Vec<_> =
            found.iter().map(|it| (it.dbid, it.access_groups.join("+"), it.annex_roles.clone())).collect();
        assert_eq!(
            told,
            [
                (
                    101,
                    "Acme Supervisors+Callback Developers".to_owned(),
                    Some(vec!["Supervisor".to_owned(), "Monitor".to_owned()])
                ),
                (102, "Acme Supervisors".to_owned(), Some(vec![])),
                (103, "Extra".to_owned(), None),
            ]
        );
    }

    #[test]
    fn virtual_queues_have_names_and_other_numbers_are_left_out() {
        let found = names(&list(json!([
            { "name": "VQ_b", "type": "CFGVirtACDQueue" },
            { "number": "VQ_a" },
            { "number": "8001", "type": "CFGRoutingPoint" },
        ])));
        assert_eq!(*found, ["VQ_a", "VQ_b"]);
    }

    fn tenant(name: &str, center: bool, own: bool) -> KnownTenant {
        let id = TenantId::from_name(name);
        let gws = GwsSettings {
            auth_url: None,
            stats_url: None,
            client_id: name.to_owned(),
            client_secret: SecretRef::Sealed("1".to_owned()),
            user: None,
        };
        let center = center.then(|| ContactCenterId::from_uuid(id.as_uuid()));
        KnownTenant { id, center, lists_origins: false, gws: own.then_some(gws) }
    }

    #[test]
    fn the_own_client_asks_only_where_nobody_else_can_be_meant() {
        let who = |all: &[KnownTenant]| -> Vec<_> {
            let word = |asker| match asker {
                None => "nobody",
                Some(Asker::Own) => "own",
                Some(Asker::Tenant(_)) => "tenant",
            };
            all.iter().map(|tenant| word(asker(all, tenant))).collect()
        };
        assert_eq!(who(&[tenant("a", false, false)]), ["own"]);
        assert_eq!(who(&[tenant("a", true, false), tenant("demo", false, false)]), ["own", "nobody"]);
        assert_eq!(who(&[tenant("a", true, false), tenant("b", true, false)]), ["nobody", "nobody"]);
        assert_eq!(who(&[tenant("a", true, false), tenant("b", true, true)]), ["own", "tenant"]);
        assert_eq!(who(&[tenant("a", true, true), tenant("b", true, true)]), ["tenant", "tenant"]);
    }
}
