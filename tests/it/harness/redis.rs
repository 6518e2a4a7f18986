//! A Redis of a test's own: a `redis-server` process on a free port that keeps nothing on disk, and a small client of
//! its protocol on a plain socket. Tests kill it, stop it for a while, empty it and start it again on the same port.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{free_port, poll};

/// How long a server may take until it answers.
const UP_WITHIN: Duration = Duration::from_secs(15);
/// Longest time for one answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a server answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Text(String),
    Number(i64),
    Nothing,
    List(Vec<Reply>),
    Refused(String),
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Refused(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }

    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("not a number: {other:?}"),
        }
    }

    pub(crate) fn list(&self) -> &[Reply] {
        match self {
            Self::List(list) => list,
            Self::Nothing => &[],
            other => panic!("not a list: {other:?}"),
        }
    }
}

/// One connection.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(port: u16) -> std::io::Result<Self> {
        let socket = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), DEADLINE)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_nodelay(true)?;
        Ok(Self(BufReader::new(socket)))
    }

    pub(crate) fn ask(&mut self, words: &[&str]) -> std::io::Result<Reply> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(request.as_bytes())?;
        self.read()
    }

    fn read(&mut self) -> std::io::Result<Reply> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().unwrap();
        Ok(match kind {
            "+" => Reply::Text(rest.to_owned()),
            "-" => Reply::Refused(rest.to_owned()),
            ":" => Reply::Number(number()),
            "$" if number() < 0 => Reply::Nothing,
            "$" => {
                let mut bytes = vec![0; usize::try_from(number()).unwrap() + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Reply::Text(String::from_utf8(bytes).unwrap())
            }
            "*" if number() < 0 => Reply::Nothing,
            "*" => Reply::List((0..number()).map(|_| self.read()).collect::<Result<_, _>>()?),
            other => panic!("not the protocol: {other}"),
        })
    }
}

/// A server.
pub(crate) struct Redis {
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    child: Child,
}

impl Redis {
    /// Starts one that asks for nothing.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("ges-redis-").tempdir().unwrap();
        let port = free_port();
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let child = spawn(&folder, port, &arguments);
        let redis = Self { folder, port, arguments, child };
        redis.wait_until_up();
        redis
    }

    /// Starts one with further arguments that takes encrypted connections as well, with a certificate for `localhost` by the
    /// authority in `tests/fixtures/tls`; and the port for these.
    pub(crate) fn start_encrypted(arguments: &[&str]) -> (Self, u16) {
        let port = free_port();
        let (number, certificate, key) = (port.to_string(), tls_file("server.pem"), tls_file("server.key"));
        let files = ["--tls-cert-file", certificate.to_str().unwrap(), "--tls-key-file", key.to_str().unwrap()];
        let encrypted = [&["--tls-port", &number, "--tls-auth-clients", "no"][..], &files, arguments].concat();
        (Self::start_with(&encrypted), port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn wait_until_up(&self) {
        poll::until("a Redis that answers", UP_WITHIN, || {
            let answer = Connection::open(self.port).ok()?.ask(&["PING"]).ok()?;
            // One that asks for a password is up, too.
            matches!(answer, Reply::Text(_) | Reply::Refused(_)).then_some(())
        });
    }

    /// Ends it as a power cut would: what it held is gone.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, empty.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.folder, self.port, &self.arguments);
        self.wait_until_up();
    }

    /// Stops its process in the middle of whatever it does, until [`Self::go_on`].
    pub(crate) fn stop(&self) {
        signal(&self.child, "STOP");
    }

    pub(crate) fn go_on(&self) {
        signal(&self.child, "CONT");
    }

    /// Asks it over a connection of its own.
    pub(crate) fn ask(&self, words: &[&str]) -> Reply {
        Connection::open(self.port).unwrap().ask(words).unwrap()
    }

    /// How often each command was called since the start, those within scripts included.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        let text = self.ask(&["INFO", "commandstats"]).text().to_owned();
        let one = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        };
        text.lines().filter_map(one).collect()
    }

    /// The entries of a stream, each with its id and its fields.
    pub(crate) fn entries(&self, stream: &str) -> Vec<(String, BTreeMap<String, String>)> {
        self.ask(&["XRANGE", stream, "-", "+"]).list().iter().map(entry).collect()
    }
}

/// An entry as it stands in answers.
pub(crate) fn entry(reply: &Reply) -> (String, BTreeMap<String, String>) {
    let [id, fields] = reply.list() else { panic!("not an entry: {reply:?}") };
    let texts: Vec<String> = fields.list().iter().map(|it| it.text().to_owned()).collect();
    (id.text().to_owned(), texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Three servers that share the slots of a cluster.
pub(crate) fn cluster() -> Vec<Redis> {
    let servers: Vec<Redis> = (0..3).map(|_| Redis::start_with(&["--cluster-enabled", "yes"])).collect();
    for (number, server) in servers.iter().enumerate() {
        let slots: Vec<String> = (0..16_384).filter(|slot| slot % 3 == number).map(|slot| slot.to_string()).collect();
        let words: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
        assert_eq!(server.ask(&words), Reply::Text("OK".into()));
        let port = servers[0].port().to_string();
        assert_eq!(server.ask(&["CLUSTER", "MEET", "127.0.0.1", &port]), Reply::Text("OK".into()));
    }
    poll::until("a cluster that agrees", UP_WITHIN, || {
        let agrees = |server: &Redis| {
            let info = server.ask(&["CLUSTER", "INFO"]).text().to_owned();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        };
        servers.iter().all(agrees).then_some(())
    });
    servers
}

/// A file of the authority that encrypted servers of tests have their certificates from.
pub(crate) fn tls_file(name: &str) -> PathBuf {
    std::fs::canonicalize("tests/fixtures/tls").unwrap().join(name)
}

fn spawn(folder: &TempDir, port: u16, arguments: &[String]) -> Child {
    let log = std::fs::File::create(folder.path().join("redis.log")).unwrap();
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--daemonize", "no", "--dir"])
        .arg(folder.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("`make test` installs redis-server")
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status().unwrap();
    assert!(sent.success(), "the server is not there");
}
