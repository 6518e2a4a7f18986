//! The service's own Redis: the way between nodes over real servers of every kind, and whole programs with and without it.

mod answers;
mod budgets;
mod bus;
mod loss;
mod nodes;
mod pair;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::testing::Recorder;
use domain::event::{BusEnd, Event};
use domain::ports::{Bus as _, Connector as _, Hint};
use ges::clock::SystemClock;
use ges::redis::{BusSettings, Endpoint, Layout, RedisBus, RedisSettings};

use crate::harness::redis::Redis;

/// How long what takes moments may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn single(redis: &Redis) -> RedisSettings {
    RedisSettings {
        servers: vec![Endpoint::new("127.0.0.1", redis.port())],
        layout: Layout::Single,
        password: None,
        tls: None,
    }
}

/// One node's end of the bus, and what it heard.
struct Node {
    bus: Arc<RedisBus>,
    heard: Arc<Mutex<Vec<Hint>>>,
    recorder: Arc<Recorder>,
}

impl Node {
    /// Of the installation with that number.
    fn new(redis: &RedisSettings, installation: u8) -> Self {
        let recorder = Arc::new(Recorder::default());
        let settings = BusSettings { redis: redis.clone(), installation: [installation; 32] };
        let bus = Arc::new(RedisBus::new(settings, Arc::new(SystemClock::default()), recorder.clone()));
        let heard: Arc<Mutex<Vec<Hint>>> = Arc::default();
        let noted = heard.clone();
        bus.listen(Box::new(move |hint| noted.lock().unwrap().push(hint)));
        Self { bus, heard, recorder }
    }

    async fn open(redis: &RedisSettings) -> Self {
        let node = Self::new(redis, 1);
        node.bus.open().await.unwrap();
        node
    }

    fn heard(&self) -> Vec<Hint> {
        self.heard.lock().unwrap().clone()
    }

    fn count(&self, wanted: BusEnd) -> u64 {
        let of = |event: &Event| match event {
            Event::BusEnded { end, count } if *end == wanted => *count,
            _ => 0,
        };
        self.recorder.events().iter().map(of).sum()
    }

    async fn until_heard(&self, what: &Hint) {
        let heard = async {
            while !self.heard().contains(what) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(SOON, heard).await.is_ok(), "{what:?} is not in {:?}", self.heard());
    }
}
