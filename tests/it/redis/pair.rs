//! Two nodes on one PostgreSQL, with a Redis of their own or without.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::SOON;
use crate::harness::balancer::Balancer;
use crate::harness::http::Client;
use crate::harness::postgres::{self, Server};
use crate::harness::redis::Redis;
use crate::harness::service::Service;
use crate::harness::{api, nodes, poll};

const DATABASE: &str = "ges";
const STREAM: &str = "NewCallbackStream";

/// The nodes and everything that they need.
pub(super) struct Pair {
    pub(super) nodes: Vec<Service>,
    pub(super) own: Option<Redis>,
    /// That of the engine.
    pub(super) voice: Redis,
    /// In front of the internal listeners.
    _inside: Balancer,
    _database: Server,
}

impl Pair {
    pub(super) fn with_redis() -> Self {
        Self::start(Some(Redis::start()))
    }

    pub(super) fn without_redis() -> Self {
        Self::start(None)
    }

    fn start(own: Option<Redis>) -> Self {
        let database = Server::start(&[]);
        postgres::query(&database.address("postgres"), &format!("CREATE DATABASE {DATABASE}"));
        let address = database.address(DATABASE);
        nodes::settle(&address);
        let (voice, inside) = (Redis::start(), Balancer::start());
        let options = |node| {
            let options = nodes::options(&address, node)
                .with("GES_VMCS_REDIS_HOST", "127.0.0.1")
                .with("GES_VMCS_REDIS_PORT", voice.port())
                .with("GES_INTERNAL_URL", format!("http://{}", inside.address()));
            match &own {
                Some(redis) => options.with("GES_REDIS_HOST", "127.0.0.1").with("GES_REDIS_PORT", redis.port()),
                None => options,
            }
        };
        let started: Vec<Service> = (0..2).map(|node| Service::start(options(node))).collect();
        inside.send_to(started.iter().map(Service::internal).collect());
        let pair = Self { nodes: started, own, voice, _inside: inside, _database: database };
        for node in 0..2 {
            pair.until_dependency(node, "ors-redis", "UP");
            if pair.own.is_some() {
                pair.until_dependency(node, "redis", "UP");
            }
        }
        pair
    }

    pub(super) fn own(&self) -> &Redis {
        self.own.as_ref().expect("they have one")
    }

    pub(super) fn client(&self, node: usize) -> Client {
        api::client(self.nodes[node].external())
    }

    pub(super) fn internal(&self, node: usize) -> Client {
        Client::new(self.nodes[node].internal()).with_header("ContactCenterID", "demo")
    }

    pub(super) fn health(&self, node: usize) -> Value {
        self.internal(node).get("/ges/v1/health/detail").map_or(Value::Null, |answer| answer.json())
    }

    /// What a node says of one dependency.
    pub(super) fn dependency(&self, node: usize, name: &str) -> Value {
        let health = self.health(node);
        let all = health["dependencies"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|it| it["name"] == name).unwrap_or_default()
    }

    pub(super) fn until_dependency(&self, node: usize, name: &str, status: &str) {
        poll::until(&format!("{name} of node {node} is {status}"), SOON, || {
            (self.dependency(node, name)["status"] == status).then_some(())
        });
    }

    /// Books through a node, which owns the callback, and waits until the engine has been told of it.
    pub(super) fn started(&self, node: usize, number: usize) -> Uuid {
        let body = api::booking(&format!("+1416555{number:04}"), None);
        let answer = api::create(&mut self.client(node), None, &body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = api::id_of(&answer).unwrap();
        self.until_entered(id, "start", 1);
        id
    }

    /// Waits until the engine was told so often to do something with a callback.
    pub(super) fn until_entered(&self, id: Uuid, action: &str, count: usize) {
        let id = id.to_string();
        poll::until(&format!("{count} {action} of {id}"), SOON, || {
            let entries = self.voice.entries(STREAM);
            let of = entries.iter().filter(|(_, it)| it.get("callbackId") == Some(&id) && it["action"] == action);
            (of.count() >= count).then_some(())
        });
    }

    /// The engine's first session of a callback reports to a node.
    pub(super) fn report(&self, node: usize, id: Uuid, seq: u32, event: &str, more: Value) {
        let mut body = json!({"attempt": 1, "seq": seq, "event": event, "sessionId": format!("session-{id}")});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        let answer = self.internal(node).post_json(&format!("/ges/v1/callbacks/{id}/signals"), &[], &body.to_string());
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(super) fn position(&self, node: usize, id: Uuid) -> i64 {
        let answer = api::retrieve(&mut self.client(node), id).unwrap().json();
        answer["data"]["positionInQueue"].as_i64().unwrap_or(i64::MIN)
    }

    pub(super) fn until_position(&self, node: usize, id: Uuid, position: i64) {
        poll::until(&format!("node {node} says {position}"), SOON, || {
            (self.position(node, id) == position).then_some(())
        });
    }

    /// The value of a series of a node's metrics.
    pub(super) fn metric(&self, node: usize, series: &str) -> f64 {
        let page = self.internal(node).get("/metrics").unwrap().text();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
    }
}

/// The middle one.
pub(super) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
