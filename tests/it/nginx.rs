//! `deploy/nginx.conf` in Debian's nginx before the real program: what the allow-list names comes through, and nothing
//! else does.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::http::{Answer, Client};
use crate::harness::service::{Options, Service};
use crate::harness::{api, poll};

const UP_WITHIN: Duration = Duration::from_secs(20);
const PROGRAM: &str = "/usr/sbin/nginx";

/// nginx with the sample, changed where the sample says that it has to be.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    fn before(service: &Service) -> Self {
        let folder = TempDir::with_prefix("ges-nginx-").unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let tls = Path::new("tests/fixtures/tls").canonicalize().unwrap();
        let mut text = fs::read_to_string("deploy/nginx.conf").unwrap();
        for (sample, ours) in [
            ("server 127.0.0.1:2050;", format!("server {};", service.external())),
            ("listen 443 ssl;", format!("listen {address};")),
            ("/etc/nginx/tls/ges.crt", tls.join("server.pem").display().to_string()),
            ("/etc/nginx/tls/ges.key", tls.join("server.key").display().to_string()),
        ] {
            assert_eq!(text.matches(sample).count(), 1, "{sample}");
            text = text.replace(sample, &ours);
        }
        let file = folder.path().join("nginx.conf");
        fs::write(&file, text).unwrap();
        let own = format!("daemon off; master_process off; pid {}/pid; error_log {0}/log;", folder.path().display());
        let child = Command::new(PROGRAM)
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .args(["-g", &own])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        poll::until("nginx answers", UP_WITHIN, || Client::new(address).get("/").ok());
        Self { child, address, _folder: folder }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        Client::new(self.address).request(method, path, &all, body.as_bytes()).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the service answered, and not nginx: its answers have the envelope.
fn is_from_the_service(answer: &Answer) -> bool {
    answer.json()["status"]["corrId"].is_string()
}

#[test]
fn every_allowed_path_reaches_the_service_and_no_other_does() {
    let service = Service::start(Options::default());
    let nginx = Nginx::before(&service);
    let allowed = [
        ("POST", "/engagement/v3/callbacks/create"),
        ("POST", "/engagement/v3/callbacks/cancel"),
        ("POST", "/engagement/v3/callbacks/retrieve"),
        ("GET", "/engagement/v3/callbacks/availability/support"),
        ("GET", "/engagement/v3/callbacks/queue-status/support"),
        ("GET", "/engagement/v3/callbacks/open-for/support"),
        ("GET", "/engagement/v3/estimated-wait-time?virtual-queues=support"),
        ("POST", "/engagement/v3/call-in/requests/create"),
        ("POST", "/engagement/v3/statistics/operations/get-statistic-ex"),
    ];
    for (method, path) in allowed {
        let answer = nginx.ask(method, path, &[], "{}");
        assert_eq!(answer.status, 401, "{path} without a key: {}", answer.text());
        let answer = nginx.ask(method, path, &[("X-API-Key", api::KEY)], "{}");
        assert!(is_from_the_service(&answer) && answer.status != 401, "{path}: {} {}", answer.status, answer.text());
    }
    // Nothing is there yet, but it is the service that says so.
    assert!(is_from_the_service(&nginx.ask("GET", "/ges/", &[], "")));

    for path in [
        "/",
        "/metrics",
        "/gesture",
        "/engagement/v3/events",
        "/engagement/v3/openapi.json",
        "/engagement/v3/docs/",
        "/engagement/v3/callbacks/create/",
        "/engagement/v3/callbacks/create/x",
        "/engagement/v3/callbacks/holds",
        "/engagement/v3/callbacks/explain",
        "/engagement/v3/callbacks/availability/",
        "/engagement/v3/callbacks/availability/../../../../metrics",
        "/engagement/v3/callbacks/availability/%2e%2e/%2e%2e/events",
        "/ENGAGEMENT/v3/callbacks/create",
    ] {
        let answer = nginx.ask("GET", path, &[("X-API-Key", api::KEY)], "");
        assert_eq!(answer.status, 404, "{path}");
        assert!(!is_from_the_service(&answer), "{path} reaches the service");
    }
}

#[test]
fn the_key_is_passed_on_and_what_else_names_a_contact_centre_is_not() {
    let service = Service::start(Options::default());
    let nginx = Nginx::before(&service);
    let book = |headers: &[(&str, &str)]| nginx.ask("POST", api::CREATE, headers, &api::booking("+14165550100", None));
    let named = [("X-API-Key", api::KEY), ("ccid", "another"), ("ContactCenterID", "another")];
    // The service refuses such a header, so it has not seen it.
    let direct =
        api::client(service.external()).post_json(api::CREATE, &named[1..2], &api::booking("+14165550101", None));
    assert_eq!(direct.unwrap().status, 403);
    let answer = book(&named);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(book(&[("X-API-Key", "no-such-key-0123456789")]).status, 401);
    let long = format!(r#"{{"userData": "{}"}}"#, "x".repeat(2 << 20));
    assert_eq!(nginx.ask("POST", api::CREATE, &[("X-API-Key", api::KEY)], &long).status, 413);
}
