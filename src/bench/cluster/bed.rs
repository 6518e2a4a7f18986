//! Nodes, their engine and the balancer between them, on one database.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use super::super::load::{self, Until};
use super::super::target::{Folder, Target};
use super::super::{BenchError, seed};
use super::balancer::Balancer;
use super::servers::{Database, MASTER_KEY, Servers};
use crate::bench::load::{HearAnswer, MakeRequest, Seen};

/// Pause between two looks at what is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The longest that a load takes.
const LOADED_WITHIN: Duration = Duration::from_secs(600);

/// What is started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) nodes: usize,
    /// Of the engine, in each queue.
    pub(super) agents: u32,
    /// Of the engine.
    pub(super) speed: u32,
    /// The most sessions of a node.
    pub(super) sessions: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { nodes: 2, agents: 1, speed: 1, sessions: 50_000 }
    }
}

/// See the module. Everything ends when it is dropped.
pub(super) struct Bed {
    pub(super) servers: Servers,
    pub(super) database: Database,
    pub(super) nodes: Vec<Target>,
    inside: Balancer,
    engine: Engine,
    // Goes after those who write into it.
    _data: Folder,
}

/// The engine as a process.
struct Engine {
    child: Child,
    folder: Folder,
}

impl Engine {
    fn start(servers: &Servers, setup: Setup) -> Result<Self, BenchError> {
        let failed = |error: std::io::Error| BenchError::Target(format!("cannot start the engine: {error}"));
        let folder = Folder::new()?;
        let child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["simulate-ors", "--redis", &format!("redis://{}", servers.voice.0), "--data", &folder.text()])
            .args(["--agents", &setup.agents.to_string(), "--speed", &setup.speed.to_string()])
            .env_clear()
            .env("GES_LOG_LEVEL", "WARN")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        Ok(Self { child, folder })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Settings of node `number`.
pub(super) fn environment(
    servers: &Servers,
    database: &Database,
    number: usize,
    internal_url: &str,
    data: &Folder,
) -> Vec<(&'static str, String)> {
    let address = &database.address;
    vec![
        ("GES_DB_HOST", address.host.clone()),
        ("GES_DB_PORT", address.port.to_string()),
        ("GES_DB_NAME", address.database.clone()),
        ("GES_DB_USER", address.user.clone()),
        ("GES_MASTER_KEY", STANDARD.encode(MASTER_KEY)),
        ("GES_NODE_NAME", format!("node-{number}")),
        ("GES_DATA_DIR", data.text()),
        ("GES_REDIS_HOST", servers.own.0.ip().to_string()),
        ("GES_REDIS_PORT", servers.own.0.port().to_string()),
        ("GES_VMCS_REDIS_HOST", servers.voice.0.ip().to_string()),
        ("GES_VMCS_REDIS_PORT", servers.voice.0.port().to_string()),
        ("GES_INTERNAL_URL", internal_url.to_owned()),
    ]
}

impl Bed {
    /// Starts everything on a new database and empty Redis servers.
    ///
    /// # Errors
    /// What does not start.
    pub(super) async fn start(servers: &Servers, setup: Setup) -> Result<Self, BenchError> {
        servers.own.clear().await?;
        servers.voice.clear().await?;
        let database = Database::make(servers).await?;
        let (inside, data) = (Balancer::start().await?, Folder::new()?);
        let mut nodes = Vec::new();
        for number in 0..setup.nodes {
            let mut settings = environment(servers, &database, number, &inside.url(), &data);
            settings.push(("GES_LOG_LEVEL", "WARN".to_owned()));
            settings.push(("GES_SESSION_LIMIT", setup.sessions.to_string()));
            nodes.push(Target::start(&["serve"], &settings).await?);
        }
        inside.send_to(nodes.iter().map(|node| node.internal).collect());
        let engine = Engine::start(servers, setup)?;
        Ok(Self { servers: servers.clone(), database, nodes, inside, engine, _data: data })
    }

    /// Public addresses of all nodes.
    pub(super) fn externals(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.external).collect()
    }

    /// The node of a number.
    pub(super) fn node(&self, number: usize) -> Result<&Target, BenchError> {
        self.nodes.get(number).ok_or_else(|| BenchError::Target(format!("there is no node {number}")))
    }

    /// Takes a node out of everybody's sight; it runs on.
    pub(super) fn take_out(&mut self, number: usize) -> Result<Target, BenchError> {
        if number >= self.nodes.len() {
            return Err(BenchError::Target(format!("there is no node {number}")));
        }
        let node = self.nodes.remove(number);
        self.inside.send_to(self.nodes.iter().map(|node| node.internal).collect());
        Ok(node)
    }

    /// The folder in which the engine keeps its journal.
    pub(super) fn journal(&self) -> &Folder {
        &self.engine.folder
    }

    /// Books so many at `addresses`, all of which have to be answered 200.
    ///
    /// # Errors
    /// If one is not.
    pub(super) async fn book(
        addresses: &[SocketAddr],
        count: u64,
        make: MakeRequest,
        hear: HearAnswer,
    ) -> Result<Seen, BenchError> {
        let until = Until { requests: count, elapsed: LOADED_WITHIN };
        let seen = load::run_on(addresses, 64, until, make, hear).await?;
        if seen.ok == count {
            Ok(seen)
        } else {
            Err(BenchError::Broken(format!("{} of {count} creates were answered 200", seen.ok)))
        }
    }

    /// Books so many immediate callbacks at `addresses`.
    ///
    /// # Errors
    /// If one is not answered 200.
    pub(super) async fn book_now(addresses: &[SocketAddr], count: u64) -> Result<Seen, BenchError> {
        Self::book(
            addresses,
            count,
            std::sync::Arc::new(|number| seed::create(None, number, None)),
            std::sync::Arc::new(|_, _| ()),
        )
        .await
    }

    /// Waits until a count in the database is at least `wanted`.
    ///
    /// # Errors
    /// If it is not in time.
    pub(super) async fn until(&self, what: &str, text: &str, wanted: u64, within: Duration) -> Result<(), BenchError> {
        let deadline = Instant::now() + within;
        loop {
            let count = u64::try_from(self.database.number(text).await?).unwrap_or_default();
            if count >= wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(BenchError::Broken(format!("only {count} of {wanted} {what}")));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Ends the nodes as a service manager would.
    ///
    /// # Errors
    /// If one cannot be ended.
    pub(super) async fn stop(&mut self) -> Result<(), BenchError> {
        for node in self.nodes.drain(..) {
            tokio::task::block_in_place(|| node.stop())?;
        }
        Ok(())
    }
}
