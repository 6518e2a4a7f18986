//! The drills of the handbook: `make drill` with one of its faults, which leaves nothing behind however it ends, and
//! `ges drill` on a running installation. Whoever runs them gets a verdict that can be relied on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::harness::prometheus::Prometheus;
use crate::harness::service::{Options, Service};
use crate::harness::{api, poll};

/// How long an installation of several processes may take to start or to end on a busy machine.
const WITHIN: Duration = Duration::from_secs(180);

/// `scripts/drill` with one fault, on the program of this build. What it makes is below `folder`.
fn make_drill(fault: &str, folder: &Path) -> Command {
    // PostgreSQL may run as somebody else, who has to come through here.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("scripts/drill");
    command.arg(fault).env("CLUSTER_PROGRAM", env!("CARGO_BIN_EXE_ges")).env("TMPDIR", folder).stdin(Stdio::null());
    command
}

/// Processes that were started with `folder` in their environment.
fn left_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let of_it = processes.filter(|process| {
        fs::read(process.path().join("environ")).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(folder))
    });
    of_it.map(|process| fs::read_to_string(process.path().join("comm")).unwrap_or_default()).collect()
}

#[test]
fn a_fault_is_noticed_and_forgotten_in_time() {
    let folder = tempfile::Builder::new().prefix("ges-test-drill-").tempdir().unwrap();
    let output = make_drill("redis", folder.path()).output().expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let verdict = said.lines().find(|line| line.contains("GES_REDIS_DOWN")).unwrap_or_else(|| panic!("{said}"));
    assert!(verdict.starts_with("ok ") && verdict.contains("fired in") && verdict.contains("cleared in"), "{said}");
    assert!(said.contains("0 promises are broken") && said.contains("all is good"), "{said}");
}

#[test]
fn a_drill_that_is_asked_to_end_heals_what_it_injured_and_leaves_nothing() {
    let folder = tempfile::Builder::new().prefix("ges-test-drill-").tempdir().unwrap();
    let output = folder.path().join("said");
    let file = fs::File::create(&output).unwrap();
    let mut command = make_drill("database", folder.path());
    let mut child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().expect("bash runs");
    let said = || fs::read_to_string(&output).unwrap();
    poll::until("the fault", WITHIN, || {
        assert!(child.try_wait().unwrap().is_none(), "it has ended: {}", said());
        said().contains("database: injected").then_some(())
    });
    // A database that stands still could not be stopped.
    let asked = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(asked.success(), "it is not there");
    let status = poll::until("its end", WITHIN, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(128 + 15), "{}", said());
    poll::until("the last process", WITHIN, || left_in(folder.path()).is_empty().then_some(()));
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["said"], "{}", said());
}

#[test]
fn a_fault_that_nobody_knows_is_named() {
    let output = Command::new("python3").args(["-B", "scripts/drill.py", "flood"]).output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("there is no fault flood; there are node, redis"), "{said}");
}

/// One that fires after a request with a key that nobody has, and one that never does.
const RULES: &str = r#"{"groups": [{"name": "drill", "rules": [
    {"alert": "STRANGER", "expr": "sum((ges_http_failed_requests_total{httpCode='401'} unless ges_http_failed_requests_total{httpCode='401'} offset 5s) or increase(ges_http_failed_requests_total{httpCode='401'}[5s])) > 0"},
    {"alert": "NEVER", "expr": "vector(0) > 1"}]}]}"#;

/// A running installation: a node, and a Prometheus that watches it.
struct Staging {
    service: Service,
    prometheus: Prometheus,
}

impl Staging {
    fn start() -> Self {
        let service = Service::start(Options::default());
        let rules = service.folder().beside("rules.json");
        fs::write(&rules, RULES).unwrap();
        let prometheus = Prometheus::start(service.internal(), &[], &[rules.to_str().unwrap()]);
        Self { service, prometheus }
    }

    /// `ges drill`, whose fault is a request of a stranger; then `more` is done. Healing leaves a file.
    fn drill(&self, more: &str, expected: &[&str]) -> Output {
        let (inside, outside) = (self.service.internal(), self.service.external());
        let stranger = format!("curl -s -o said -H 'X-API-Key: nobody' -d '{{}}' http://{outside}{}", api::RETRIEVE);
        Command::new(env!("CARGO_BIN_EXE_ges"))
            .args(["drill", "--prometheus", &self.prometheus.url(), "--service", &format!("http://{inside}")])
            .args(["--fires-within", "30", "--inject", &format!("{stranger}; {more}"), "--heal", "touch healed"])
            .args(expected.iter().flat_map(|alert| ["--expect", alert]))
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .current_dir(self.service.folder().beside("."))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn assert_healed(&self) {
        fs::remove_file(self.service.folder().beside("healed")).expect("the fault was healed");
    }
}

#[test]
fn a_drill_on_a_running_installation_judges_its_alerts_and_heals_whatever_comes() {
    let staging = Staging::start();
    let good = staging.drill("true", &["STRANGER"]);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert_eq!(good.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&good.stderr));
    let line = |about: &str| said.lines().find(|line| line.contains(about)).unwrap_or_else(|| panic!("{said}"));
    assert!(line("STRANGER").starts_with("ok ") && line("STRANGER").contains("cleared in"), "{said}");
    for about in ["every node", "callbacks that were missed", "callbacks that were set aside", "work has been due"] {
        assert!(line(about).starts_with("ok "), "{said}");
    }
    staging.assert_healed();

    let bad = staging.drill("true", &["STRANGER", "NEVER"]);
    let said = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert_eq!(bad.status.code(), Some(1), "{said}");
    assert!(said.lines().any(|line| line.starts_with("FAIL NEVER") && line.contains("NOT in 30 s")), "{said}");
    staging.assert_healed();
}

#[test]
fn a_drill_that_cannot_be_done_is_no_good_one() {
    let staging = Staging::start();
    let unknown = staging.drill("true", &["GES_REDIS_GONE"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(2), "{said}");
    assert!(said.contains("no alert rule GES_REDIS_GONE") && unknown.stdout.is_empty(), "{said}");
    assert!(!staging.service.folder().beside("said").exists(), "nothing is injected");

    let failed = staging.drill("exit 3", &["STRANGER"]);
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(2), "{said}");
    assert!(said.contains("injecting failed"), "{said}");
    staging.assert_healed();
}
