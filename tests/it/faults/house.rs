//! Nodes, their database behind a line that can be bad, the stream behind another, the engine, two balancers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use domain::ids::{ApiKeyId, QueueName, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::ports::SettingsStore as _;
use domain::queue::QueueSettings;
use domain::tenant::TenantDocument;
use ges::front_door::hash_key;
use ges::master_key::MasterKey;
use ges::root_key::{self, KeyUse};
use ges::stores::postgres::{Address, PostgresOptions, PostgresStore};
use uuid::Uuid;

use super::engine::Engine;
use crate::harness::balancer::Balancer;
use crate::harness::checker::Facts;
use crate::harness::http::Client;
use crate::harness::load::Told;
use crate::harness::postgres::{self, Server};
use crate::harness::redis::Redis;
use crate::harness::service::{Options, Service};
use crate::harness::{api, poll, postgres_rows};

/// How long what takes seconds may take on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(90);
/// What an engine has lost is asked after no earlier than a minute after everybody is back, and a minute of silence.
pub(super) const SETTLED_WITHIN: Duration = Duration::from_secs(260);
/// The queue whose slots have an end, and their places.
pub(super) const NARROW: &str = "narrow";
pub(super) const PLACES: u32 = 4;
/// The key of the second tenant.
pub(super) const OTHER_KEY: &str = "key-of-the-second-tenant-0123456789-0123456";
const MASTER_KEY: [u8; 32] = [7; 32];
const DATABASE: &str = "ges";

/// Which program runs, and what its switch breaks.
#[derive(Debug, Clone, Default)]
pub(super) struct Build {
    pub(super) program: Option<PathBuf>,
    pub(super) broken: Option<&'static str>,
}

impl Build {
    pub(super) fn of(program: &Path, broken: Option<&'static str>) -> Self {
        Self { program: Some(program.to_owned()), broken }
    }
}

/// See the module.
pub(super) struct House {
    pub(super) database: Server,
    pub(super) database_line: Balancer,
    pub(super) redis: Redis,
    pub(super) redis_line: Balancer,
    pub(super) engine: Engine,
    /// In front of the public listeners, and of the internal ones.
    pub(super) outside: Balancer,
    pub(super) inside: Balancer,
    pub(super) nodes: Vec<Service>,
    pub(super) build: Build,
    /// What the faults themselves add to the evidence.
    pub(super) facts: Facts,
}

fn settle(address: &Address) {
    let work = async {
        let store = PostgresStore::open(PostgresOptions::command(address.clone())).await.unwrap();
        let wide = QueueSettings { execution_buffer_seconds: 0, ..QueueSettings::unlimited() };
        let narrow = QueueSettings { slot_capacity: PLACES, ..wide.clone() };
        let root = root_key::open(&store, &MasterKey::new(MASTER_KEY).into()).await.unwrap();
        let hashing_key = root.sub_key(KeyUse::KeyHashes);
        for (name, key) in [("demo", api::KEY), ("second", OTHER_KEY)] {
            let tenant = TenantId::from_name(name);
            let queues = [(api::QUEUE, wide.clone()), (NARROW, narrow.clone())];
            let queues = queues.map(|(name, settings)| (QueueName::new(name).unwrap(), settings));
            store.put_tenant(tenant, TenantDocument::with_queues(name, queues)).await.unwrap();
            let (id, label, scopes) = (ApiKeyId::generate(), "tests".to_owned(), Scope::ALL.to_vec());
            let (hash, created_at) = (hash_key(&hashing_key, key), DateTime::UNIX_EPOCH);
            store.add_key(ApiKey { id, tenant, hash, label, scopes, created_at, revoked_at: None }).await.unwrap();
        }
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

impl House {
    pub(super) fn start(nodes: usize, build: Build) -> Self {
        let database = Server::start(&[]);
        postgres::query(&database.address("postgres"), &format!("CREATE DATABASE {DATABASE}"));
        settle(&database.address(DATABASE));
        let redis = Redis::start();
        let [database_line, redis_line, outside, inside] = [(); 4].map(|()| Balancer::start());
        let engine = Engine::start();
        let facts = Facts::default();
        let mut house = Self {
            database,
            database_line,
            redis,
            redis_line,
            engine,
            outside,
            inside,
            nodes: Vec::new(),
            build,
            facts,
        };
        house.find_servers();
        for node in 0..nodes {
            house.nodes.push(Service::start(house.options(node)));
        }
        house.balance(|_| true);
        house
    }

    /// Lines lead to where the servers are now.
    pub(super) fn find_servers(&self) {
        let local = |port: u16| vec![([127, 0, 0, 1], port).into()];
        self.database_line.send_to(local(self.database.address(DATABASE).port));
        self.redis_line.send_to(local(self.redis.port()));
        self.engine.read_from(self.redis.port());
    }

    pub(super) fn options(&self, node: usize) -> Options {
        let options = Options::default()
            .with("GES_DB_HOST", "127.0.0.1")
            .with("GES_DB_PORT", self.database_line.address().port())
            .with("GES_DB_NAME", DATABASE)
            .with("GES_DB_USER", self.address().user)
            .with("GES_NODE_NAME", format!("node-{node}"))
            .with("GES_MASTER_KEY", STANDARD.encode(MASTER_KEY))
            .with("GES_VMCS_REDIS_HOST", "127.0.0.1")
            .with("GES_VMCS_REDIS_PORT", self.redis_line.address().port())
            .with("GES_INTERNAL_URL", format!("http://{}", self.inside.address()));
        let options = match &self.build.program {
            Some(program) => options.of_program(program),
            None => options,
        };
        match self.build.broken {
            Some(rule) => options.with("GES_TESTING_BREAK", rule),
            None => options,
        }
    }

    /// The database itself, past its line.
    pub(super) fn address(&self) -> Address {
        self.database.address(DATABASE)
    }

    pub(super) fn query(&self, text: &str) -> Vec<String> {
        postgres::query(&self.address(), text)
    }

    /// Sends everybody to these nodes.
    pub(super) fn balance(&self, wanted: impl Fn(usize) -> bool) {
        let nodes: Vec<_> = self.nodes.iter().enumerate().filter(|(node, _)| wanted(*node)).map(|(_, it)| it).collect();
        self.outside.send_to(nodes.iter().map(|it| it.external()).collect());
        self.inside.send_to(nodes.iter().map(|it| it.internal()).collect());
    }

    /// Waits until every node is ready, and sends everybody to all of them.
    pub(super) fn all_ready(&mut self) {
        for node in &mut self.nodes {
            poll::until("a node is ready", SOON, || node.is_ready().then_some(()));
        }
        self.balance(|_| true);
    }

    pub(super) fn client(&self) -> Client {
        api::client(self.outside.address())
    }

    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node].kill9();
    }

    /// Books until the answer is heard, under one key.
    pub(super) fn book(&self, key: &str, phone: &str, at: Option<DateTime<Utc>>) -> Uuid {
        let body = api::booking(phone, at);
        poll::until("a booking is answered 200", SOON, || {
            let answer = api::create(&mut self.client(), Some(key), &body).ok()?;
            assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
            (answer.status == 200).then(|| api::id_of(&answer).unwrap())
        })
    }

    /// The reason of a callback's end.
    pub(super) fn ended(&self, id: Uuid, within: Duration) -> Option<String> {
        poll::try_until(within, || {
            let data = api::retrieve(&mut self.client(), id).ok()?.json()["data"].clone();
            (data["callbackState"] == "COMPLETED").then(|| data["callbackReason"].as_str().unwrap().to_owned())
        })
    }

    /// Waits until nothing moves any more, then everything that is known of the run.
    pub(super) fn judge(&mut self, told: Told, within: Duration) -> Facts {
        let address = self.address();
        let moving = || postgres_rows::moving(&address).unwrap_or_default();
        let settled = poll::try_until(within, || postgres_rows::moving(&address)?.is_empty().then_some(()));
        if settled.is_none() {
            println!("{} callbacks still move; the checker says which", moving().len());
            moving().iter().take(10).for_each(|id| println!("{}", self.told_of(*id)));
        }
        let mut facts = self.facts.clone();
        let (creations, cancellations) = (facts.creations.clone(), facts.cancellations.clone());
        told.put_into(&mut facts);
        facts.creations.extend(creations);
        facts.cancellations.extend(cancellations);
        facts.journal = self.engine.journal();
        facts.capacities = postgres_rows::queue_number(&address, NARROW)
            .map(|queue| (queue, i64::from(PLACES)))
            .into_iter()
            .collect::<BTreeMap<_, _>>();
        postgres_rows::read_into(&address, &mut facts);
        facts
    }

    /// What the service and the engine have to say about a callback.
    pub(super) fn told_of(&self, id: Uuid) -> String {
        let mut client = Client::new(self.inside.address()).with_header("ContactCenterID", "demo");
        let explained = client.get(&format!("/ges/v1/callbacks/{id}/explain"));
        let explained = explained.map_or_else(|lost| lost.to_string(), |it| it.text());
        let journal = self.engine.journal();
        let entries: Vec<_> = journal.iter().filter(|it| it.callback == id).collect();
        format!("{explained}\nengine: {entries:#?}")
    }

    /// Prints what nodes warned of, and which requests they did not serve.
    pub(super) fn print_warnings(&self) {
        let telling = |line: &&str| ["\"WARN\"", "\"ERROR\"", "\"status\":503"].iter().any(|part| line.contains(part));
        for node in &self.nodes {
            node.everything_written().lines().filter(telling).for_each(|line| println!("{line}"));
        }
    }

    pub(super) fn assert_no_panic(&self) {
        for node in &self.nodes {
            assert!(!node.everything_written().contains("panicked"), "a node panicked");
        }
    }
}
