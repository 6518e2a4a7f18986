//! A primary, a replica and three sentinels that let the replica take over when the primary is gone.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::free_port;
use super::poll;
use super::redis::{Connection, Redis, Reply};

/// The name that the sentinels have for the primary.
pub(crate) const NAME: &str = "mymaster";
/// How long they may take to know of each other, and to agree on a fail-over.
const AGREE_WITHIN: Duration = Duration::from_secs(60);

/// The servers and their sentinels.
pub(crate) struct Sentinels {
    pub(crate) servers: [Redis; 2],
    watching: Vec<Sentinel>,
}

struct Sentinel {
    _folder: TempDir,
    port: u16,
    child: Child,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Sentinels {
    /// Starts everything and waits until every sentinel knows the others and the replica. `password` is that of the
    /// servers; sentinels ask for none.
    pub(crate) fn start(password: Option<&str>) -> Self {
        let asks: Vec<&str> = password.iter().flat_map(|it| ["--requirepass", it, "--masterauth", it]).collect();
        let primary = Redis::start_with(&asks);
        let port = primary.port().to_string();
        let replica = Redis::start_with(&[&asks[..], &["--replicaof", "127.0.0.1", &port]].concat());
        let watching = (0..3).map(|_| Sentinel::start(primary.port(), password)).collect();
        let all = Self { servers: [primary, replica], watching };
        poll::until("sentinels that know of each other", AGREE_WITHIN, || {
            all.watching
                .iter()
                .all(|it| it.says("num-other-sentinels") == "2" && it.says("num-slaves") == "1")
                .then_some(())
        });
        all
    }

    /// Ports of the sentinels.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.watching.iter().map(|it| it.port).collect()
    }

    /// Port of the server that the first sentinel takes for the primary.
    pub(crate) fn primary(&self) -> u16 {
        self.watching[0].says("port").parse().unwrap()
    }

    /// Waits until another server than that at `old` is the primary.
    pub(crate) fn until_taken_over(&self, old: u16) {
        poll::until("another primary", AGREE_WITHIN, || (self.primary() != old).then_some(()));
    }
}

impl Sentinel {
    fn start(primary: u16, password: Option<&str>) -> Self {
        let folder = tempfile::Builder::new().prefix("ges-sentinel-").tempdir().unwrap();
        let port = free_port();
        let path = folder.path().join("sentinel.conf");
        let mut file = std::fs::File::create(&path).unwrap();
        writeln!(file, "port {port}\nbind 127.0.0.1\ndir {}", folder.path().display()).unwrap();
        writeln!(file, "sentinel monitor {NAME} 127.0.0.1 {primary} 2").unwrap();
        writeln!(file, "sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 5000").unwrap();
        if let Some(password) = password {
            writeln!(file, "sentinel auth-pass {NAME} {password}").unwrap();
        }
        drop(file);
        let log = std::fs::File::create(folder.path().join("sentinel.log")).unwrap();
        let child = Command::new("redis-server")
            .arg(&path)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("`make test` installs redis-server");
        Self { _folder: folder, port, child }
    }

    /// One field of what it knows of the primary; empty if it does not answer.
    fn says(&self, field: &str) -> String {
        let told = Connection::open(self.port).and_then(|mut open| open.ask(&["SENTINEL", "MASTER", NAME]));
        let Ok(Reply::List(fields)) = told else { return String::new() };
        let texts: Vec<&str> = fields.iter().map(Reply::text).collect();
        texts.chunks(2).find(|pair| pair[0] == field).map_or_else(String::new, |pair| pair[1].to_owned())
    }
}
