//! Two nodes on one PostgreSQL, a stream in Redis between them and their engine, a balancer in front: nodes and the
//! database are killed while callbacks are booked, and afterwards every promise has been kept, once and not early.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ges::stores::postgres::Address;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use crate::harness::balancer::Balancer;
use crate::harness::http::Client;
use crate::harness::journal::{self, What};
use crate::harness::postgres::{self, Server};
use crate::harness::redis::Redis;
use crate::harness::service::{Folder, Options, Service, run_to_end};
use crate::harness::stand_in::StandIn;
use crate::harness::{api, nodes, now_ms, poll, seed};

/// How long what takes seconds may take on a busy machine.
const SOON: Duration = Duration::from_secs(90);
/// Whatever a dead node had handed over without a word from the engine is asked after when a minute has gone by since the
/// database came back, and a minute since anything was heard.
const SETTLED_WITHIN: Duration = Duration::from_secs(200);
/// Nodes that stand still for so long are dead to the others.
const DEAD_AFTER: Duration = Duration::from_secs(6);
const DATABASE: &str = "ges";

/// Everything that two nodes need.
struct Cluster {
    database: Server,
    redis: Redis,
    engine: StandIn,
    /// In front of the public listeners, and of the internal ones.
    outside: Balancer,
    inside: Balancer,
    nodes: Vec<Service>,
}

fn options(address: &Address, redis: &Redis, inside: &Balancer, node: usize) -> Options {
    nodes::options(address, node)
        .with("GES_VMCS_REDIS_HOST", "127.0.0.1")
        .with("GES_VMCS_REDIS_PORT", redis.port())
        .with("GES_INTERNAL_URL", format!("http://{}", inside.address()))
}

impl Cluster {
    fn start(nodes: usize) -> Self {
        let database = Server::start(&[]);
        postgres::query(&database.address("postgres"), &format!("CREATE DATABASE {DATABASE}"));
        let address = database.address(DATABASE);
        nodes::settle(&address);
        let (redis, outside, inside) = (Redis::start(), Balancer::start(), Balancer::start());
        let engine = StandIn::start(&redis, 50, 100);
        let started = (0..nodes).map(|node| Service::start(options(&address, &redis, &inside, node))).collect();
        let cluster = Self { database, redis, engine, outside, inside, nodes: started };
        cluster.balance();
        cluster
    }

    /// Sends everybody to the nodes that have been started.
    fn balance(&self) {
        self.outside.send_to(self.nodes.iter().map(Service::external).collect());
        self.inside.send_to(self.nodes.iter().map(Service::internal).collect());
    }

    fn client(&self) -> Client {
        api::client(self.outside.address())
    }

    fn ready(&mut self, node: usize) {
        poll::until("a node is ready", SOON, || self.nodes[node].is_ready().then_some(()));
        self.balance();
    }

    /// Books until the answer is heard: under one key it is one booking, however often it is asked for.
    fn book(&self, number: usize, desired_time: Option<DateTime<Utc>>) -> Uuid {
        // The last four digits choose what happens: these are answered.
        let body = api::booking(&format!("+1416555{:04}", 2_000 + number), desired_time);
        poll::until("a booking is answered 200", SOON, || {
            let answer = api::create(&mut self.client(), Some(&format!("key-{number}")), &body).ok()?;
            assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
            (answer.status == 200).then(|| api::id_of(&answer).unwrap())
        })
    }

    fn ended(&self, id: Uuid) -> String {
        let ended = poll::try_until(SETTLED_WITHIN, || {
            let data = api::retrieve(&mut self.client(), id).ok()?.json()["data"].clone();
            (data["callbackState"] == "COMPLETED").then(|| data["callbackReason"].as_str().unwrap().to_owned())
        });
        ended.unwrap_or_else(|| panic!("{id} has not ended: {}", self.told_of(id)))
    }

    /// What the service and the engine have to say about a callback.
    fn told_of(&self, id: Uuid) -> String {
        let mut client = Client::new(self.inside.address()).with_header("ContactCenterID", "demo");
        let explained = client.get(&format!("/ges/v1/callbacks/{id}/explain"));
        let explained = explained.map_or_else(|lost| lost.to_string(), |it| it.text());
        let (entries, _) = journal::read(&self.engine.journal_folder());
        let entries: Vec<_> = entries.iter().filter(|it| it.callback == id).collect();
        format!("{explained}\nengine: {entries:#?}")
    }

    fn counts(&self, sql: &str) -> Vec<String> {
        postgres::query(&self.database.address(DATABASE), sql)
    }
}

/// A callback that was promised, and from when on the customer may be rung.
type Promises = BTreeMap<Uuid, i64>;

/// What the engine itself wrote down: each promise was kept once, and not before its time.
fn assert_kept(cluster: &Cluster, promises: &Promises) {
    let (entries, _) = journal::read(&cluster.engine.journal_folder());
    for (id, not_before) in promises {
        let dialled: Vec<_> =
            entries.iter().filter(|it| it.callback == *id && it.event == What::Dialled).map(|it| it.at).collect();
        let [at] = dialled[..] else { panic!("{id} was dialled at {dialled:?}") };
        assert!(at >= *not_before, "{id} was dialled {} ms early", not_before - at);
    }
    let entered: Vec<_> = entries.iter().filter(|it| it.event == What::Dialled).map(|it| it.callback).collect();
    assert!(entered.iter().all(|id| promises.contains_key(id)), "somebody was rung whom nobody had promised a call");
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillNode,
    StopNode,
    RestartNode,
    KillDatabase,
}

#[test]
fn what_nodes_and_database_promised_is_kept_whoever_dies() {
    let mut dice = StdRng::seed_from_u64(seed());
    let mut cluster = Cluster::start(2);
    let mut promises = Promises::new();
    let mut number = 0;
    for fault in [Fault::KillNode, Fault::KillDatabase, Fault::RestartNode, Fault::StopNode, Fault::KillNode] {
        let began = std::time::Instant::now();
        let struck = dice.random_range(0..2);
        for step in 0..40 {
            let later = (step % 4 == 0).then(|| Utc::now() + TimeDelta::seconds(dice.random_range(2..20)));
            // Whole milliseconds go over the wire.
            let not_before = later.map_or_else(now_ms, |at| at.timestamp_millis());
            promises.insert(cluster.book(number, later), not_before);
            number += 1;
            if step == 20 {
                match fault {
                    Fault::KillNode => cluster.nodes[struck].kill9(),
                    Fault::StopNode => {
                        cluster.nodes[struck].freeze();
                        // A balancer sees that it answers no more.
                        cluster.outside.send_to(vec![cluster.nodes[1 - struck].external()]);
                        cluster.inside.send_to(vec![cluster.nodes[1 - struck].internal()]);
                    }
                    Fault::RestartNode => drop(cluster.nodes[struck].sigterm()),
                    Fault::KillDatabase => {
                        cluster.database.kill();
                        cluster.database.restart();
                    }
                }
            }
        }
        match fault {
            Fault::KillNode | Fault::RestartNode => {
                cluster.nodes[struck].respawn();
                cluster.ready(struck);
            }
            Fault::StopNode => {
                // Longer than others take to hold it for dead: it comes back to callbacks that are not its own any more.
                let _: Option<()> = poll::try_until(DEAD_AFTER, || None);
                cluster.nodes[struck].thaw();
                cluster.balance();
            }
            Fault::KillDatabase => {}
        }
        println!("{fault:?} of node {struck}: 40 bookings in {:?}", began.elapsed());
    }
    for id in promises.keys() {
        assert_eq!(cluster.ended(*id), "AGENT_CONNECTED", "{}", cluster.told_of(*id));
    }
    assert_kept(&cluster, &promises);
    let rows = cluster.counts("SELECT count(*) FROM callbacks");
    assert_eq!(rows, [promises.len().to_string()], "as many callbacks as bookings that were confirmed");
    let gaps =
        "SELECT count(*) FROM callbacks c WHERE c.version <> (SELECT count(*) FROM history h WHERE h.callback = c.id)";
    assert_eq!(cluster.counts(gaps), ["0"], "history has no gap in versions");
    for node in &cluster.nodes {
        assert!(!node.everything_written().contains("panicked"));
    }
    // The clean tail: every node serves.
    for node in &cluster.nodes {
        let answer = api::create(&mut api::client(node.external()), None, &api::booking("+14165559999", None)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(cluster.ended(api::id_of(&answer).unwrap()), "AGENT_CONNECTED");
    }
    assert!(cluster.redis.calls().get("evalsha").is_some_and(|calls| *calls > 0), "callbacks went through the stream");
}

#[test]
fn settings_and_keys_reach_every_node_without_redis() {
    let mut cluster = Cluster::start(2);
    cluster.redis.kill9();
    let inside: Vec<_> = cluster.nodes.iter().map(Service::internal).collect();
    let folder = Folder::new();
    let options = options(&cluster.database.address(DATABASE), &cluster.redis, &cluster.inside, 9);
    let run = |arguments: &[&str]| {
        let output = run_to_end(&folder, &options, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    std::fs::write(folder.beside("tenant.yaml"), "tenant: second\nqueues:\n  support: {}\n").unwrap();
    run(&["apply", "-f", folder.beside("tenant.yaml").to_str().unwrap()]);
    let printed = run(&["keys", "create", "--tenant", "second", "--label", "test"]);
    let key = printed.split_whitespace().find(|word| word.len() >= 32).expect("a key is printed").to_owned();
    for node in &cluster.nodes {
        let mut client = Client::new(node.external()).with_header("X-API-Key", &key);
        poll::until("the new key works on every node", Duration::from_secs(10), || {
            let answer = api::create(&mut client, None, &api::booking("+14165550001", None)).ok()?;
            (answer.status == 200).then_some(())
        });
    }
    // A tenant's limits are shared: of the eight requests that may come at once each of two nodes grants four.
    let tenant = "tenant: second\nlimits:\n  requestsPerSecond: 1000\n  burst: 8\nqueues:\n  support: {}\n";
    std::fs::write(folder.beside("tenant.yaml"), tenant).unwrap();
    run(&["apply", "-f", folder.beside("tenant.yaml").to_str().unwrap()]);
    for node in &cluster.nodes {
        let mut client = Client::new(node.external()).with_header("X-API-Key", &key);
        poll::until("a node grants its share", Duration::from_secs(10), || {
            let answer = api::retrieve(&mut client, Uuid::nil()).ok()?;
            answer.header("ratelimit")?.starts_with("\"tenant\";r=3;").then_some(())
        });
    }
    // The engine's Redis is tried every few seconds: nobody has to have noticed yet that it is gone.
    for at in inside {
        poll::until("a node says that the engine cannot be reached", SOON, || {
            let health = Client::new(at).get("/ges/v1/health/detail").ok()?.json();
            (health["status"] == "DEGRADED").then_some(())
        });
    }
    assert!(run(&["tenants"]).contains("second"));
}
