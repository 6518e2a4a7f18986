//! The service under test: a child process of this very program, with a data folder of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::BenchError;
use super::processes::Process;

/// A running `ges serve` or constant server.
pub(super) struct Target {
    child: Child,
    /// Public API.
    pub(super) external: SocketAddr,
    /// Metrics and health.
    pub(super) internal: SocketAddr,
}

/// How long a child may take until it serves.
const START_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two looks whether it serves.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl Target {
    /// Starts this program with `arguments` and `environment` on free ports and waits until it serves.
    ///
    /// # Errors
    /// If the child does not start, ends, or does not serve within 30 s.
    pub(super) async fn start(arguments: &[&str], environment: &[(&str, String)]) -> Result<Self, BenchError> {
        Self::start_writing(arguments, environment, Stdio::null()).await
    }

    /// As [`Self::start`], with somewhere to write its log to.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(super) async fn start_writing(
        arguments: &[&str],
        environment: &[(&str, String)],
        log: Stdio,
    ) -> Result<Self, BenchError> {
        let failed = |what: String| BenchError::Target(what);
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let [external, internal] = free_addresses().map_err(|error| failed(error.to_string()))?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("GES_EXTERNAL_PORT", external.port().to_string())
            .env("GES_INTERNAL_PORT", internal.port().to_string())
            .env("GES_DRAIN_SECONDS", "0")
            .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("cannot start the service: {error}")))?;
        let mut target = Self { child, external, internal };
        let deadline = Instant::now() + START_WITHIN;
        while !super::is_ok(internal, "/ges/v1/health/ready").await {
            if let Ok(Some(status)) = target.child.try_wait() {
                return Err(failed(format!("the service ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(failed("the service does not answer".to_owned()));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(target)
    }

    /// Resident memory in bytes, from `/proc`.
    pub(super) fn resident_bytes(&self) -> Result<u64, BenchError> {
        let status = self.proc("status")?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kilobytes.map(|kb| kb * 1024).ok_or_else(|| BenchError::Target("no VmRSS in /proc".into()))
    }

    /// CPU seconds used so far, user and system, from `/proc` (in ticks of 10 ms).
    pub(super) fn cpu_seconds(&self) -> Result<f64, BenchError> {
        Ok(Process::read(&self.child.id().to_string())?.seconds)
    }

    /// How often its threads have waited for something: see [`Process::waits`].
    pub(super) fn waits(&self) -> Result<u64, BenchError> {
        Process::waits(&self.child.id().to_string())
    }

    fn proc(&self, file: &str) -> Result<String, BenchError> {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(&path).map_err(|error| BenchError::Target(format!("cannot read {path}: {error}")))
    }

    /// One value of the metrics page, by its whole name with labels; 0 if it is not there (yet).
    pub(super) async fn metric(&self, name: &str) -> Result<f64, BenchError> {
        let page = super::get(self.internal, "/metrics").await?;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        Ok(value.unwrap_or_default())
    }

    /// Ends the child as a crash would.
    pub(super) fn kill(&mut self) -> Result<(), BenchError> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| BenchError::Target(error.to_string()))
    }

    /// Ends the child as a service manager would and waits for it.
    pub(super) fn stop(mut self) -> Result<(), BenchError> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        if !sent.is_ok_and(|status| status.success()) {
            drop(self.child.kill());
        }
        self.child.wait().map(drop).map_err(|error| BenchError::Target(error.to_string()))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Two addresses that were free a moment ago. Both are held until both are known, so that they differ.
fn free_addresses() -> std::io::Result<[SocketAddr; 2]> {
    let held = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let [external, internal] = &held;
    Ok([external.local_addr()?, internal.local_addr()?])
}

/// A folder under the system's temporary folder that goes when this value goes.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new empty folder.
    pub(super) fn new() -> Result<Self, BenchError> {
        let path = std::env::temp_dir().join(format!("ges-bench-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path)
            .map_err(|error| BenchError::Target(format!("cannot make {}: {error}", path.display())))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Its path as text for the environment of a child.
    pub(super) fn text(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
