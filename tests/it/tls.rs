//! The program with listeners that speak TLS: certificates are made as the handbook says, and clients trust nobody but their
//! authority.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use http::Version;
use reqwest::{Certificate, ClientBuilder};
use serde_json::Value;

use crate::harness::http::{self as plain, Client};
use crate::harness::service::{Folder, Options, Service, run_to_end};
use crate::harness::stand_in::StandIn;
use crate::harness::tls::{Certificates, Encrypted};
use crate::harness::{api, free_port, poll};
use crate::rotation::{SOON, Secrets};

const LIVE: &str = "/ges/v1/health/live";
/// From the start of a connection to the end of its first request, as the door has it.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

fn over(certificates: &Certificates) -> Options {
    Options::default().over_tls(certificates.folder(), &certificates.authority())
}

/// A client that trusts one authority.
fn trusting(certificates: &Certificates) -> ClientBuilder {
    drop(rustls::crypto::ring::default_provider().install_default());
    let authority = Certificate::from_pem(certificates.text("ca.crt").as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([authority]).no_proxy().timeout(plain::DEADLINE)
}

/// Asks the public API.
async fn post(client: &reqwest::Client, service: &Service, path: &str, body: String) -> (u16, Version, Value) {
    let request = client.post(format!("https://{}{path}", service.external())).header("X-API-Key", api::KEY);
    let answer = request.header("Content-Type", "application/json").body(body).send().await.unwrap();
    let (status, version) = (answer.status().as_u16(), answer.version());
    (status, version, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_listeners_serve_who_trusts_them_over_either_http_and_nobody_else() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let mut service = Service::start(over(&certificates));
    let (external, internal) = (service.external(), service.internal());
    let newer = trusting(&certificates).build().unwrap();
    let older = trusting(&certificates).http1_only().build().unwrap();
    for (client, version) in [(&newer, Version::HTTP_2), (&older, Version::HTTP_11)] {
        let live = client.get(format!("https://{internal}{LIVE}")).send().await.unwrap();
        assert_eq!((live.status().as_u16(), live.version()), (200, version));
        let booked = post(client, &service, api::CREATE, api::booking("+14165550100", None)).await;
        assert_eq!((booked.0, booked.1), (200, version), "{}", booked.2);
    }
    let stranger = trusting(&others).build().unwrap();
    assert!(stranger.get(format!("https://{internal}{LIVE}")).send().await.unwrap_err().is_connect());
    assert!(newer.get(format!("http://{internal}{LIVE}")).send().await.is_err(), "nothing is said in the clear");
    assert!(newer.get(format!("http://{external}/")).send().await.is_err(), "nothing is said in the clear");
    // Connections are open and idle.
    assert_eq!(service.sigterm().code(), Some(0));
    drop((newer, older));
    assert!(!service.everything_written().contains("connections were cut"), "{}", service.everything_written());
}

#[test]
fn who_speaks_no_tls_gets_nothing_and_disturbs_nobody() {
    let certificates = Certificates::new();
    let service = Service::start(over(&certificates));
    let (external, internal) = (service.external(), service.internal());
    let began = Instant::now();
    let mut silent = plain::connect(external).unwrap();
    for address in [external, internal] {
        assert!(Client::new(address).get(LIVE).is_err(), "no HTTP");
        drop(plain::connect(address).unwrap());
        let mut open = Encrypted::open(address, &certificates.authority()).unwrap();
        assert!(open.get("/nowhere").unwrap().starts_with("HTTP/1.1 404 "));
    }
    // A name that is none would be worth a warning to the library, for everybody who likes to send one.
    openssl(certificates.folder(), &format!("s_client -connect {external} -servername 127.0.0.1"));
    let mut said = Vec::new();
    // A close may come as a reset; it is not the end of our own patience, which is longer.
    let end = silent.read_to_end(&mut said).map_err(|error| error.kind());
    assert!(end.is_ok() || end == Err(std::io::ErrorKind::ConnectionReset), "{end:?}");
    assert!(said.is_empty() && began.elapsed() >= FIRST_REQUEST, "{said:?} after {:?}", began.elapsed());
    assert!(Encrypted::open(external, &certificates.authority()).is_ok());
    let written = service.everything_written();
    let told = ["\"ERROR\"", "TLS", "SNI"].iter().any(|word| written.contains(word));
    assert!(!told, "only for DEBUG: {written}");
}

/// Puts these in place of what was there, as the kubelet does.
fn put(secrets: &mut Secrets, certificate_of: &Certificates, key_of: &Certificates) {
    secrets.put(&[("tls.crt", &certificate_of.text("tls.crt")), ("tls.key", &key_of.text("tls.key"))]);
}

#[test]
fn a_new_certificate_counts_without_a_restart_and_a_wrong_pair_never() {
    let [one, two, three] = std::array::from_fn(|_| Certificates::new());
    let mut secrets = Secrets::new(&[]);
    put(&mut secrets, &one, &one);
    let service = Service::start(Options::default().over_tls(secrets.folder.path(), &one.authority()));
    let shows = |certificates: &Certificates| {
        let authority = certificates.authority();
        [service.external(), service.internal()].iter().all(|address| Encrypted::open(*address, &authority).is_ok())
    };
    let mut open = Encrypted::open(service.internal(), &one.authority()).unwrap();
    assert!(open.get(LIVE).unwrap().starts_with("HTTP/1.1 200 "));

    put(&mut secrets, &two, &two);
    poll::until("the new certificate", SOON, || shows(&two).then_some(()));
    assert!(!shows(&one));
    assert!(open.get(LIVE).unwrap().starts_with("HTTP/1.1 200 "), "who was there goes on");
    let told = |words: &[&str]| service.log().lines().any(|line| words.iter().all(|word| line.contains(word)));
    let changed = ["\"INFO\"", "a secret has changed", "\"secret\":\"GES_TLS_CERT, GES_TLS_KEY\""];
    poll::until("a line of it", SOON, || told(&changed).then_some(()));

    put(&mut secrets, &three, &one);
    let refused = ["\"WARN\"", "the secrets cannot be read again", "GES_TLS_KEY", "not that of the first certificate"];
    poll::until("a line that names the wrong key", SOON, || told(&refused).then_some(()));
    assert!(shows(&two), "what counts goes on counting");

    put(&mut secrets, &three, &three);
    poll::until("the right pair", SOON, || shows(&three).then_some(()));
    assert!(!told(&["settings have changed that count from the next start"]));
    let written = service.everything_written();
    for key in [&one, &two, &three].map(|certificates| certificates.text("tls.key")) {
        assert!(
            key.lines().filter(|line| line.len() > 20 && !line.starts_with('-')).all(|line| !written.contains(line))
        );
    }
}

/// Runs OpenSSL in a folder.
fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn keys_are_taken_as_openssl_writes_them_and_others_end_the_start() {
    let certificates = Certificates::new();
    let folder = certificates.folder();
    openssl(folder, "ec -in tls.key -out sec1.key");
    let new = "req -x509 -nodes -subj /CN=ges";
    openssl(folder, &format!("{new} -newkey rsa:2048 -keyout rsa.key -out rsa.crt"));
    openssl(folder, "rsa -in rsa.key -traditional -out pkcs1.key");
    openssl(folder, "rsa -in rsa.key -aes128 -passout pass:planted -out locked.key");
    openssl(folder, &format!("{new} -newkey ed25519 -keyout ed25519.key -out ed25519.crt"));
    for curve in ["P-384", "P-521"] {
        openssl(
            folder,
            &format!("{new} -newkey ec -pkeyopt ec_paramgen_curve:{curve} -keyout {curve}.key -out {curve}.crt"),
        );
    }
    for (file, begin) in [("sec1.key", "-----BEGIN EC PRIVATE KEY"), ("pkcs1.key", "-----BEGIN RSA PRIVATE KEY")] {
        assert!(certificates.text(file).starts_with(begin));
    }
    let run = |certificate: &str, key: &str, command: &str| {
        let file = |name: &str| folder.join(name).display().to_string();
        let options = Options::default().with("GES_TLS_CERT", file(certificate)).with("GES_TLS_KEY", file(key));
        let output = run_to_end(&Folder::new(), &options, &[command]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (certificate, key) in [
        ("tls.crt", "tls.key"),
        ("tls.crt", "sec1.key"),
        ("rsa.crt", "rsa.key"),
        ("rsa.crt", "pkcs1.key"),
        ("ed25519.crt", "ed25519.key"),
        ("P-384.crt", "P-384.key"),
    ] {
        let (code, said) = run(certificate, key, "check-config");
        assert_eq!(code, Some(0), "{certificate}, {key}: {said}");
    }
    for (certificate, key) in [("P-521.crt", "P-521.key"), ("rsa.crt", "tls.key"), ("rsa.crt", "locked.key")] {
        for command in ["check-config", "serve"] {
            let (code, said) = run(certificate, key, command);
            assert_eq!(code, Some(2), "{certificate}, {key}: {said}");
            assert!(said.contains("GES_TLS_KEY") && !said.contains("planted"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_trusts_the_authority_reports_over_tls() {
    let certificates = Certificates::new();
    let port = free_port();
    let trusts = Options::default().with("GES_CA_FILES", certificates.authority().display());
    let stand_in = StandIn::listen_with(port, 20, 50, trusts);
    let nodes = format!("sim=http://127.0.0.1:{port};eu;primary");
    let service = Service::start(over(&certificates).with("GES_ROUTING", "rest").with("GES_ORS_NODES", nodes));
    let client = trusting(&certificates).build().unwrap();
    let (status, _, booked) = post(&client, &service, api::CREATE, api::booking("+14165551234", None)).await;
    assert_eq!(status, 200, "{booked}");
    let which = serde_json::json!({ "id": booked["data"]["id"] }).to_string();
    let reason = poll::until_async("the end of a callback", SOON, || async {
        let data = post(&client, &service, api::RETRIEVE, which.clone()).await.2["data"].clone();
        (data["callbackState"] == "COMPLETED").then(|| data["callbackReason"].clone())
    });
    assert_eq!(reason.await, "AGENT_CONNECTED", "{}", stand_in.everything_written());
}
