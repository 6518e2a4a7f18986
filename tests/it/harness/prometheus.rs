//! A Prometheus of a test's own, from Debian's package: it scrapes what the test says, every second.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::free_port;
use super::http::Client;
use super::poll;

/// How long it may take until it has scraped a few times.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A started server.
pub(crate) struct Prometheus {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Prometheus {
    /// Starts one that scrapes `target`, adds `labels` to what it reads, and keeps the rules of these files; waits until it
    /// has scraped three times.
    pub(crate) fn start(target: SocketAddr, labels: &[(&str, &str)], rules: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("ges-prometheus-").tempdir().unwrap();
        let here = std::env::current_dir().unwrap();
        let rules: Vec<_> = rules.iter().map(|path| here.join(path)).collect();
        let config = serde_json::json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": rules,
            "scrape_configs": [{
                "job_name": "ges",
                "static_configs": [{
                    "targets": [target.to_string()],
                    "labels": labels.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
                }],
            }],
        });
        let file = folder.path().join("prometheus.json");
        // YAML is a superset of JSON.
        std::fs::write(&file, config.to_string()).unwrap();
        let port = free_port();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("prometheus runs: install Debian's package of that name, or use `make test`");
        let prometheus = Self { folder, port, child };
        prometheus.wait_until_it_knows();
        prometheus
    }

    fn wait_until_it_knows(&self) {
        let knows = poll::try_until(READY_WITHIN, || {
            let scrapes = self.try_query("sum_over_time(up[1m])").ok()?;
            (number(scrapes.first()?) >= 3.0).then_some(())
        });
        knows.unwrap_or_else(|| panic!("it did not scrape:\n{}", self.log()));
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Answers of the API: the member `data`.
    pub(crate) fn get(&self, path: &str) -> Result<Value, String> {
        let answer = Client::new(([127, 0, 0, 1], self.port).into()).get(path).map_err(|error| error.to_string())?;
        match (answer.status, answer.json()) {
            (200, mut json) => Ok(json["data"].take()),
            (status, json) => Err(format!("{status} {json}")),
        }
    }

    /// The samples of an expression now.
    pub(crate) fn try_query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let query: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let data = self.get(&format!("/api/v1/query?query={query}"))?;
        match data["resultType"].as_str() {
            Some("vector") => Ok(data["result"].as_array().cloned().unwrap_or_default()),
            other => Err(format!("it gives a {other:?}")),
        }
    }
}

/// The value of a sample.
pub(crate) fn number(sample: &Value) -> f64 {
    sample["value"][1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("Prometheus' last lines:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}
