//! The service under test: a child process of this very program, with a data folder of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::BenchError;

/// A running `ges serve` or constant server.
pub(super) struct Target {
    child: Child,
    /// Public API.
    pub(super) external: SocketAddr,
    /// Metrics and health.
    pub(super) internal: SocketAddr,
}

/// How long a child may take to say where it listens.
const START_WITHIN: Duration = Duration::from_secs(30);

impl Target {
    /// Starts this program with `arguments` and `environment` on free ports and waits for its `listening` line.
    ///
    /// # Errors
    /// If the child does not start or does not listen within 30 s.
    pub(super) fn start(arguments: &[&str], environment: &[(&str, String)]) -> Result<Self, BenchError> {
        let failed = |what: String| BenchError::Target(what);
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("GES_EXTERNAL_PORT", "0")
            .env("GES_INTERNAL_PORT", "0")
            .env("GES_LOG_FORMAT", "json")
            .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("cannot start the service: {error}")))?;
        let output = child.stdout.take().ok_or_else(|| failed("the service has no output".into()))?;
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        // Reads on to the end so that the child never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(addresses) = listening(&line) {
                    let _ = send.try_send(addresses);
                }
            }
        });
        match receive.recv_timeout(START_WITHIN) {
            Ok((external, internal)) => Ok(Self { child, external, internal }),
            Err(_) => {
                drop(child.kill());
                Err(failed("the service did not say where it listens".into()))
            }
        }
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
        let stat = self.proc("stat")?;
        // Fields 14 and 15; the second field, the name, is in brackets and may hold blanks.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|tick| tick.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / 100.0)
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

fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let field = |name| value.get(name).or_else(|| value.get("fields")?.get(name))?.as_str();
    (field("message").or_else(|| field("msg"))? == "listening").then_some(())?;
    Some((field("external")?.parse().ok()?, field("internal")?.parse().ok()?))
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
