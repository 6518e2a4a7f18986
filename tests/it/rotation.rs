//! Secrets are changed under a running node, as Kubernetes does it: a link below the folder is swapped.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{TimeDelta, Utc};
use ges::stores::postgres::Address;

use crate::harness::http::Client;
use crate::harness::postgres::{self, Server};
use crate::harness::redis::{Connection, Redis, Reply};
use crate::harness::service::{Service, run_to_end};
use crate::harness::{api, nodes, poll};

/// A new secret is seen within seconds; lost connections come back in a few more.
pub(crate) const SOON: Duration = Duration::from_secs(60);
const DATABASE: &str = "ges";
const ROLE: &str = "service";

/// A folder of secret files as the kubelet makes it: files are links into a folder that is itself a link.
pub(crate) struct Secrets {
    pub(crate) folder: tempfile::TempDir,
    version: u32,
}

impl Secrets {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let mut secrets = Self { folder: tempfile::tempdir().unwrap(), version: 0 };
        secrets.put(files);
        secrets
    }

    /// Everything that is there from now on.
    pub(crate) fn put(&mut self, files: &[(&str, &str)]) {
        self.version += 1;
        let root = self.folder.path();
        let version = format!("..version-{}", self.version);
        fs::create_dir(root.join(&version)).unwrap();
        for (name, text) in files {
            fs::write(root.join(&version).join(name), text).unwrap();
        }
        let (data, next) = (root.join("..data"), root.join("..data_tmp"));
        symlink(&version, &next).unwrap();
        fs::rename(&next, &data).unwrap();
        for entry in fs::read_dir(root).unwrap().flatten() {
            let gone = !entry.file_name().to_string_lossy().starts_with("..") && !entry.path().exists();
            if gone {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        for (name, _) in files {
            let _ = symlink(PathBuf::from("..data").join(name), root.join(name));
        }
    }
}

/// A database whose role has to show a password.
fn database() -> (Server, Address) {
    let server = Server::start(&[]);
    let owner = server.address("postgres");
    postgres::query(&owner, &format!("CREATE ROLE {ROLE} LOGIN PASSWORD 'planted-database-one'"));
    postgres::query(&owner, &format!("CREATE DATABASE {DATABASE} OWNER {ROLE}"));
    let address = Address { user: ROLE.to_owned(), ..server.address(DATABASE) };
    nodes::settle(&address);
    let rules = server.folder().join("pg_hba.conf");
    let usual = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("host all {ROLE} 127.0.0.1/32 scram-sha-256\n{usual}")).unwrap();
    postgres::query(&owner, "SELECT pg_reload_conf()");
    (server, address)
}

/// Asks a Redis that wants this password.
fn ask(redis: &Redis, password: &str, words: &[&str]) -> Reply {
    let mut connection = Connection::open(redis.port()).unwrap();
    connection.ask(&["AUTH", password]).unwrap();
    connection.ask(words).unwrap()
}

/// From now on it wants that password, also of those who were let in before.
fn change(redis: &Redis, from: &str, to: &str) {
    ask(redis, from, &["CONFIG", "SET", "requirepass", to]);
    ask(redis, to, &["CLIENT", "KILL", "SKIPME", "yes"]);
}

fn files(number: &str, voice: &'static str, token: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DB-USER", ROLE.to_owned()),
        ("DB-PASSWORD", format!("planted-database-{number}\n")),
        ("REDIS-CACHEKEY", format!("planted-redis-{number}")),
        (voice, format!(r#"{{"password":"planted-voice-{number}"}}"#)),
        ("GES-INTERNAL-TOKEN", token.to_owned()),
        ("GES-MASTER-KEY", STANDARD.encode(nodes::MASTER_KEY)),
    ]
}

fn put(secrets: &mut Secrets, files: &[(&'static str, String)]) {
    secrets.put(&files.iter().map(|(name, text)| (*name, text.as_str())).collect::<Vec<_>>());
}

fn books(service: &Service, key: &str) {
    let later = Utc::now() + TimeDelta::hours(1);
    let body = api::booking("+14165550100", Some(later));
    poll::until("a booking is taken", SOON, || {
        let answer = api::create(&mut api::client(service.external()), Some(key), &body).ok()?;
        (answer.status == 200).then_some(())
    });
}

fn all_up(service: &Service) {
    poll::until("everything is up", SOON, || {
        let detail = Client::new(service.internal()).get("/ges/v1/health/detail").ok()?.json();
        (detail["status"] == "UP").then_some(())
    });
}

fn status_with(service: &Service, token: &str) -> u16 {
    let mut client = Client::new(service.internal()).with_header("Authorization", &format!("Bearer {token}"));
    client.get("/ges/v1/routing/nodes").unwrap().status
}

#[test]
fn the_service_goes_on_with_new_passwords() {
    let (database, address) = database();
    let redis = Redis::start_with(&["--requirepass", "planted-redis-one"]);
    let voice = Redis::start_with(&["--requirepass", "planted-voice-one"]);
    let mut secrets = Secrets::new(&[]);
    put(&mut secrets, &files("one", "voice-redis-ors-stream", "planted-token-number-one"));
    let options = nodes::options(&address, 0)
        .with("GES_DB_USER", "")
        .with("GES_MASTER_KEY", "")
        .with("GES_CONFIG_FOLDERS", secrets.folder.path().display())
        .with("GES_REDIS_HOST", "127.0.0.1")
        .with("GES_REDIS_PORT", redis.port())
        .with("GES_VMCS_REDIS_HOST", "127.0.0.1")
        .with("GES_VMCS_REDIS_PORT", voice.port());
    let service = Service::start(options);
    books(&service, "before");
    all_up(&service);
    assert_eq!(status_with(&service, "planted-token-number-two"), 401);

    let owner = Address { user: "ges".to_owned(), ..database.address("postgres") };
    postgres::query(&owner, &format!("ALTER ROLE {ROLE} PASSWORD 'planted-database-two'"));
    // The other spelling of the voice services' secret, and another master key: that one cannot be replaced.
    let mut second = files("two", "voice_redis_ors_stream", "planted-token-number-two");
    second.pop();
    second.push(("GES-MASTER-KEY", STANDARD.encode([8; 32])));
    put(&mut secrets, &second);
    for secret in ["DB-USER, DB-PASSWORD", "REDIS-CACHEKEY", "voice-redis-ors-stream", "GES-INTERNAL-TOKEN"] {
        let line = format!("\"secret\":\"{secret}\"");
        poll::until(secret, SOON, || service.log().contains(&line).then_some(()));
    }
    poll::until("what counts later", SOON, || service.log().contains("\"settings\":\"GES_MASTER_KEY\"").then_some(()));

    // Nobody is let in with the old ones any more, and whoever was in is thrown out.
    change(&redis, "planted-redis-one", "planted-redis-two");
    change(&voice, "planted-voice-one", "planted-voice-two");
    let ours = format!("FROM pg_stat_activity WHERE usename = '{ROLE}'");
    let thrown_out = postgres::query(&owner, &format!("SELECT pg_terminate_backend(pid) {ours}"));
    assert!(!thrown_out.is_empty());
    books(&service, "after");
    all_up(&service);
    let connections = postgres::query(&owner, &format!("SELECT count(*) {ours}"));
    assert_ne!(connections, ["0"]);
    for token in ["planted-token-number-one", "planted-token-number-two"] {
        assert_eq!(status_with(&service, token), 200, "{token}");
    }
    assert!(!service.everything_written().contains("planted-"), "{}", service.everything_written());
}

#[test]
fn a_wrong_password_at_the_start_is_no_reason_to_end() {
    let (_database, address) = database();
    let voice = Redis::start();
    let mut secrets = Secrets::new(&[("DB-PASSWORD", "planted-database-zero")]);
    let options = nodes::options(&address, 0)
        .with("GES_CONFIG_FOLDERS", secrets.folder.path().display())
        .with("GES_VMCS_REDIS_HOST", "127.0.0.1")
        .with("GES_VMCS_REDIS_PORT", voice.port());
    let starting = std::thread::spawn(move || Service::start(options));
    secrets.put(&[("DB-PASSWORD", "planted-database-one")]);
    let service = starting.join().unwrap();
    books(&service, "healed");
    assert!(!service.everything_written().contains("planted-"), "{}", service.everything_written());
}

#[test]
fn the_master_key_is_replaced_node_by_node() {
    let server = Server::start(&[]);
    postgres::query(&server.address("postgres"), &format!("CREATE DATABASE {DATABASE}"));
    let address = server.address(DATABASE);
    nodes::settle(&address);
    let (old, new) = (STANDARD.encode(nodes::MASTER_KEY), STANDARD.encode([8; 32]));
    let options = |node: usize, current: &str, others: &str| {
        let options = nodes::options(&address, node).with("GES_ROUTING", "simulator");
        options.with("GES_MASTER_KEY", current).with("GES_MASTER_KEY_OLD", others)
    };
    let mut both: Vec<Service> = (0..2).map(|node| Service::start(options(node, &old, ""))).collect();
    let sealed = || postgres::query(&address, "SELECT encode(root_key, 'hex') FROM installation");
    let first = sealed();
    let mut told = 0;
    let mut serve = |both: &mut Vec<Service>| {
        for service in both.iter_mut() {
            poll::until("a node is ready", SOON, || service.is_ready().then_some(()));
            told += 1;
            books(service, &format!("booking-{told}"));
        }
    };
    serve(&mut both);
    // The next one is made known to all, then it takes the place of the old one, which is forgotten at last.
    for (current, others) in [(&old, &new), (&new, &old), (&new, &String::new())] {
        for node in 0..2 {
            both[node].sigterm();
            both[node].respawn_as(options(node, current, others));
            serve(&mut both);
        }
    }
    assert_ne!(sealed(), first);
    assert_eq!(postgres::query(&address, "SELECT count(*) FROM callbacks"), [told.to_string()]);

    let output = run_to_end(both[0].folder(), &options(2, &old, ""), &["serve"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("GES_MASTER_KEY_OLD"), "{said}");
    let written: Vec<String> = both.iter().map(Service::everything_written).chain([said]).collect();
    for key in [&old, &new] {
        assert!(!written.iter().any(|text| text.contains(key.as_str())), "a key is printed");
    }
}
