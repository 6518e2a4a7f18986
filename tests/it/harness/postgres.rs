//! PostgreSQL servers for tests: the one that `make test` has started, or one of our own, and as many databases in it as
//! there are fixtures.
//!
//! A server refuses to run as root, so a child of root becomes `nobody`. It writes through to the disk as a real one does:
//! what is tested is what is promised.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ges::stores::postgres::Address;
use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::{free_port, poll};

/// How long a server may take until it answers.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// The role that owns everything.
const USER: &str = "ges";
/// Where Debian and others put the programs that are on nobody's path.
const PROGRAMS: [&str; 2] = ["/usr/lib/postgresql", "/usr/pgsql"];
const NOBODY: u32 = 65_534;

/// The program of that name: in the folder `TEST_POSTGRES_BIN` if it is set, else of the newest version there is.
fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("TEST_POSTGRES_BIN") {
        return PathBuf::from(folder).join(name);
    }
    let versions = PROGRAMS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// A server that belongs to one test, or to this run. Dropping it stops it.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
}

impl Server {
    /// Makes a cluster and starts it. `settings` are like `fsync=off`.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let folder = TempDir::with_prefix("ges-postgres-").unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = folder.path().join("data");
        let mut initdb = as_somebody(&program("initdb"));
        initdb.arg("--pgdata").arg(&data).args(["--username", USER, "--auth", "trust", "--encoding", "UTF8"]);
        initdb.args(["--locale", "C", "--no-sync"]).stdout(Stdio::null());
        assert!(initdb.status().expect("PostgreSQL is installed").success(), "initdb");
        if settings.contains(&"ssl=on") {
            give_certificate(&data);
        }
        let (settings, port) = (settings.iter().map(|&text| text.to_owned()).collect(), free_port());
        let child = run(folder.path(), port, &settings);
        let server = Self { child, folder, port, settings };
        server.wait();
        server
    }

    pub(crate) fn address(&self, database: &str) -> Address {
        address("127.0.0.1".to_owned(), self.port, database)
    }

    /// A program that belongs to the server, told where that is.
    pub(crate) fn tool(&self, name: &str) -> Command {
        let mut tool = Command::new(program(name));
        tool.args(["--host=127.0.0.1", &format!("--username={USER}"), &format!("--port={}", self.port)]);
        tool
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Stops it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.signal("QUIT");
        self.child.wait().unwrap();
    }

    /// Stops it in good order, as an operator does.
    pub(crate) fn stop(&mut self) {
        self.signal("INT");
        self.child.wait().unwrap();
    }

    /// Starts it again at the same place.
    pub(crate) fn restart(&mut self) {
        self.child = run(self.folder.path(), self.port, &self.settings);
        self.wait();
    }

    /// Sends a signal to every process that serves a connection.
    pub(crate) fn signal_backends(&self, name: &str) {
        let _ = Command::new("pkill").args([&format!("-{name}"), "-P", &self.child.id().to_string()]).status();
    }

    /// A standby whose word every commit here waits for from now on.
    pub(crate) fn synchronous_standby(&self) -> Self {
        let folder = TempDir::with_prefix("ges-postgres-").unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut copy = as_somebody(&program("pg_basebackup"));
        copy.arg("-D").arg(folder.path().join("data")).args(["-R", "-X", "stream", "-c", "fast", "-h", "127.0.0.1"]);
        copy.args(["-U", USER, "-p", &self.port.to_string()]).stdout(Stdio::null());
        assert!(copy.status().expect("PostgreSQL is installed").success(), "pg_basebackup");
        let port = free_port();
        let child = run(folder.path(), port, &self.settings);
        let standby = Self { child, folder, port, settings: self.settings.clone() };
        standby.wait();
        let here = self.address("postgres");
        query(&here, "ALTER SYSTEM SET synchronous_standby_names = '*'");
        query(&here, "SELECT pg_reload_conf()");
        poll::until("a synchronous standby", UP_WITHIN, || {
            (query(&here, "SELECT sync_state FROM pg_stat_replication") == ["sync"]).then_some(())
        });
        standby
    }

    /// Makes a standby a server of its own.
    pub(crate) fn promote(&self) {
        query(&self.address("postgres"), "SELECT pg_promote()");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").arg(format!("-{name}")).arg(id).stderr(Stdio::null()).status();
    }

    fn wait(&self) {
        let address = self.address("postgres");
        if poll::try_until(UP_WITHIN, || try_query(&address, "SELECT 1").ok()).is_none() {
            panic!(
                "the server does not answer: {}",
                fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal_backends("CONT");
        self.signal("INT");
        let _ = self.child.wait();
    }
}

/// The names under which a server looks for its certificate.
fn give_certificate(data: &Path) {
    for (from, to) in [("server.pem", "server.crt"), ("server.key", "server.key")] {
        let to = data.join(to);
        fs::copy(Path::new("tests/fixtures/tls").join(from), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            chown(&to, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}

fn as_somebody(program: &Path) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir("/");
    command
}

fn run(folder: &Path, port: u16, settings: &Vec<String>) -> Child {
    let mut server = as_somebody(&program("postgres"));
    server.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    server.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
    server.args(["-c", "max_connections=300", "-c", "shared_buffers=64MB"]);
    for setting in settings {
        server.args(["-c", setting]);
    }
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    server.stdout(Stdio::null()).stderr(log).spawn().expect("PostgreSQL is installed")
}

fn address(host: String, port: u16, database: &str) -> Address {
    Address { host, port, database: database.to_owned(), user: USER.to_owned(), password: None, tls: None }
}

/// Runs texts on a connection of their own; the first column of what they bring.
pub(crate) fn query(address: &Address, text: &str) -> Vec<String> {
    try_query(address, text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// As [`query`], if it may fail.
pub(crate) fn try_query(address: &Address, text: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let run = async {
        let mut config = tokio_postgres::Config::new();
        config.host(&address.host).port(address.port).user(&address.user).dbname(&address.database);
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(connection);
        let messages = client.simple_query(text).await?;
        drop(client);
        let _ = driver.await;
        let values = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(values.collect())
    };
    // Callers stand on threads of other runtimes, some of them in a `drop`.
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| scope.spawn(|| runtime().block_on(run)).join().unwrap())
}

/// The server of this run: `TEST_POSTGRES` as `host:port` if it is set, else one that is started when it is first needed.
/// That one ends with this process: a shell waits for the end of its input.
pub(crate) fn shared(database: &str) -> Address {
    static SERVER: OnceLock<(String, u16)> = OnceLock::new();
    let (host, port) = SERVER.get_or_init(|| match std::env::var("TEST_POSTGRES") {
        Ok(place) => {
            let (host, port) = place.rsplit_once(':').expect("TEST_POSTGRES is host:port");
            (host.to_owned(), port.parse().expect("TEST_POSTGRES is host:port"))
        }
        Err(_) => start_shared(),
    });
    address(host.clone(), *port, database)
}

fn start_shared() -> (String, u16) {
    let server = Server::start(&[]);
    let (port, process) = (server.port, server.child.id());
    let folder = server.folder.path().to_owned();
    // Statics are not dropped. The watcher reads from us until we are gone, however we go.
    let watch = format!(
        "read _; kill -INT {process}; while kill -0 {process} 2>/dev/null; do sleep 0.1; done; rm -rf '{}'",
        folder.display()
    );
    let watcher = Command::new("sh").args(["-c", &watch]).stdin(Stdio::piped()).process_group(0).spawn().unwrap();
    std::mem::forget(server);
    std::mem::forget(watcher);
    ("127.0.0.1".to_owned(), port)
}

/// A database of its own, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Database(pub(crate) Address);

impl Database {
    /// A copy of `template`.
    pub(crate) fn copy(template: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        query(&shared("postgres"), &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Self(shared(&name))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = try_query(&shared("postgres"), &format!("DROP DATABASE {} WITH (FORCE)", self.0.database));
    }
}
