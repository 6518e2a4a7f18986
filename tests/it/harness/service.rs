//! The program as its users run it: a child process with a data folder of its own, on free ports.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::http::Client;
use super::on_postgres::{self, Holding};
use super::postgres::Database;
use super::tls::Encrypted;
use super::{api, poll};

/// How long the program may take until it is ready. Far above what it needs: the machine may be busy.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take to end after it was asked to: the drain with its grace, and some.
const END_WITHIN: Duration = Duration::from_secs(40);

/// How to start the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    environment: Vec<(String, String)>,
    /// Another build of the program.
    program: Option<PathBuf>,
    /// Whose certificate it shows, if it speaks TLS.
    authority: Option<PathBuf>,
}

impl Options {
    /// Sets one variable of its environment. A later value replaces an earlier one.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Runs another build of the program.
    pub(crate) fn of_program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Both listeners speak TLS with `tls.crt` and `tls.key` of the folder, which come from the authority in a file.
    pub(crate) fn over_tls(mut self, folder: &Path, authority: &Path) -> Self {
        self.authority = Some(authority.to_owned());
        self.with("GES_TLS_CERT", folder.join("tls.crt").display())
            .with("GES_TLS_KEY", folder.join("tls.key").display())
    }

    /// A contact centre so fast that a callback's whole life takes a moment.
    pub(crate) fn fast() -> Self {
        Self::default().with("GES_SIM_SPEED", 1000).with("GES_SIM_AGENTS", 500)
    }
}

/// A data folder and everything that a run leaves behind; goes when the last owner goes.
#[derive(Debug, Clone)]
pub(crate) struct Folder(
    Arc<TempDir>,
    #[expect(dead_code, reason = "is dropped with the folder")] Option<Arc<Database>>,
);

impl Folder {
    /// With the database of it, if this run is about PostgreSQL; the sample tenant is in that one.
    pub(crate) fn new() -> Self {
        Self::holding(Holding::SampleTenant)
    }

    /// With a database, if this run is about PostgreSQL, that holds nothing.
    pub(crate) fn without_tenants() -> Self {
        Self::holding(Holding::Nothing)
    }

    fn holding(holding: Holding) -> Self {
        let Self(place, _) = Self::embedded();
        let database = on_postgres::for_folder(place.path(), holding).map(Arc::new);
        Self(place, database)
    }

    /// For the embedded mode, whatever this run is about.
    pub(crate) fn embedded() -> Self {
        Self(Arc::new(tempfile::Builder::new().prefix("ges-test-").tempdir().unwrap()), None)
    }

    /// `GES_DATA_DIR`. The program makes it.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// A file beside the data folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// The program with its options, ready to be run in a folder. Its environment holds nothing of the machine's.
pub(crate) fn command(folder: &Folder, options: &Options) -> Command {
    let shipped = Path::new(env!("CARGO_BIN_EXE_ges"));
    let mut command = Command::new(options.program.as_deref().unwrap_or(shipped));
    command
        .env_clear()
        .current_dir(folder.0.path())
        .env("GES_DATA_DIR", folder.data())
        .env("GES_EXTERNAL_PORT", "0")
        .env("GES_INTERNAL_PORT", "0")
        .env("GES_LOG_FORMAT", "json")
        .env("GES_DEMO_API_KEY", api::KEY)
        // No balancer stands in front that would have to look elsewhere first.
        .env("GES_DRAIN_SECONDS", "0")
        .env("RUST_BACKTRACE", "1")
        .envs(on_postgres::settings(&folder.data()))
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    command
}

/// Runs the program to its end, for commands that end by themselves and for starts that must fail.
pub(crate) fn run_to_end(folder: &Folder, options: &Options, arguments: &[&str]) -> Output {
    let mut child = command(folder, options)
        .args(arguments)
        .stdout(File::create(folder.beside("run.stdout")).unwrap())
        .stderr(File::create(folder.beside("run.stderr")).unwrap())
        .spawn()
        .unwrap();
    let ended = poll::try_until(READY_WITHIN, || child.try_wait().unwrap());
    let Some(status) = ended else {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("`ges {}` did not end by itself", arguments.join(" "));
    };
    let read = |name: &str| std::fs::read(folder.beside(name)).unwrap();
    Output { status, stdout: read("run.stdout"), stderr: read("run.stderr") }
}

/// A started program. Ends with the value, and nothing of it may be left then.
pub(crate) struct Service {
    folder: Folder,
    options: Options,
    starts: u32,
    child: Child,
    addresses: Option<(SocketAddr, SocketAddr)>,
}

impl Service {
    /// Starts the program in a new folder and waits until it is ready.
    pub(crate) fn start(options: Options) -> Self {
        Self::start_in(Folder::new(), options)
    }

    /// Starts it in a folder that may hold data already.
    pub(crate) fn start_in(folder: Folder, options: Options) -> Self {
        let child = spawn(&folder, &options, 1);
        let mut service = Self { folder, options, starts: 1, child, addresses: None };
        service.wait_until_ready();
        service
    }

    /// Whether the last run has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Starts it again on the same data, after it ended, without waiting for anything.
    pub(crate) fn respawn(&mut self) {
        assert!(self.has_ended(), "the last run has not ended");
        self.starts += 1;
        self.addresses = None;
        self.child = spawn(&self.folder, &self.options, self.starts);
    }

    /// As [`Self::respawn`], with other options.
    pub(crate) fn respawn_as(&mut self, options: Options) {
        self.options = options;
        self.respawn();
    }

    /// Starts it again on the same data and waits until it is ready.
    pub(crate) fn restart(&mut self) {
        self.respawn();
        self.wait_until_ready();
    }

    /// Whether it is ready now; learns its addresses on the way.
    pub(crate) fn is_ready(&mut self) -> bool {
        if self.addresses.is_none() {
            self.addresses = self.log().lines().find_map(listening);
        }
        let Some((_, internal)) = self.addresses else { return false };
        const READY: &str = "/ges/v1/health/ready";
        match &self.options.authority {
            None => Client::new(internal).get(READY).is_ok_and(|answer| answer.status == 200),
            Some(authority) => Encrypted::open(internal, authority)
                .and_then(|mut connection| connection.get(READY))
                .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")),
        }
    }

    fn wait_until_ready(&mut self) {
        let ready = poll::try_until(READY_WITHIN, || {
            let ended = self.child.try_wait().unwrap();
            (ended.is_some() || self.is_ready()).then_some(ended)
        });
        match ready {
            Some(None) => {}
            Some(Some(status)) => panic!("the program ended ({status}) instead of serving:\n{}", self.tail()),
            None => panic!("the program was not ready in {READY_WITHIN:?}:\n{}", self.tail()),
        }
    }

    /// The public listener.
    pub(crate) fn external(&self) -> SocketAddr {
        self.addresses.expect("it has been ready").0
    }

    /// The internal listener.
    pub(crate) fn internal(&self) -> SocketAddr {
        self.addresses.expect("it has been ready").1
    }

    /// Its folder; a clone of it keeps the data after the service.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What this run wrote to its standard output so far.
    pub(crate) fn log(&self) -> String {
        text_of(&self.folder.beside(&format!("stdout.{}", self.starts)))
    }

    /// What all runs wrote, to both outputs.
    pub(crate) fn everything_written(&self) -> String {
        let files = (1..=self.starts).flat_map(|run| [format!("stdout.{run}"), format!("stderr.{run}")]);
        files.map(|file| text_of(&self.folder.beside(&file))).collect()
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kilobytes =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse().ok());
        kilobytes.map(|kilobytes: u64| kilobytes * 1024).expect("VmRSS in /proc")
    }

    /// Ends it as a power cut would and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Has it do nothing at all until [`Self::thaw`].
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(sent.success(), "the program is not there");
    }

    /// Asks it to end, as a service manager does. Does not wait.
    pub(crate) fn ask_to_end(&self) {
        self.signal("TERM");
    }

    /// Waits until it has ended after it was asked to.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        match poll::try_until(END_WITHIN, || self.child.try_wait().unwrap()) {
            Some(status) => status,
            None => panic!("the program did not end in {END_WITHIN:?}:\n{}", self.tail()),
        }
    }

    /// Asks it to end and waits.
    pub(crate) fn sigterm(&mut self) -> ExitStatus {
        self.ask_to_end();
        self.wait_for_end()
    }

    fn tail(&self) -> String {
        let all = self.everything_written();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("the program's last lines:\n{}", self.tail());
            return;
        }
        if let Some((external, internal)) = self.addresses {
            for address in [external, internal] {
                let left = TcpStream::connect_timeout(&address, Duration::from_secs(1));
                assert!(left.is_err(), "something still listens on {address}");
            }
        }
    }
}

fn spawn(folder: &Folder, options: &Options, run: u32) -> Child {
    command(folder, options)
        .arg("serve")
        .stdout(File::create(folder.beside(&format!("stdout.{run}"))).unwrap())
        .stderr(File::create(folder.beside(&format!("stderr.{run}"))).unwrap())
        .spawn()
        .unwrap()
}

fn text_of(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// The addresses in the line that the program logs once it listens.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| value.get(name)?.as_str();
    if field("msg")? != "listening" {
        return None;
    }
    Some((field("external")?.parse().ok()?, field("internal")?.parse().ok()?))
}
