//! What the chart hands to the program is understood by it, and its tests test something: both with the real program.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ges::config;
use ges::stores::postgres::Address;

use super::case;
use crate::harness::api;
use crate::harness::postgres::{Server, query, try_query};
use crate::harness::service::{Folder, Options, Service, run_to_end};
use crate::harness::tls::Certificates;

const NAMES: [&str; 10] =
    ["default", "base", "openshift", "gke", "aks", "all-on", "all-off", "guide", "published", "tls"];

fn master_key() -> String {
    STANDARD.encode([7; 32])
}

#[test]
fn every_setting_of_the_config_map_is_known() {
    let known: BTreeSet<&str> = config::settings().iter().map(|setting| setting.name).collect();
    for name in NAMES {
        for setting in case(name).settings().keys() {
            assert!(known.contains(setting.as_str()), "{name}: {setting}");
        }
    }
    assert!(case("all-on").settings().len() >= 30);
}

#[test]
fn the_program_takes_the_settings_of_every_case() {
    for name in NAMES {
        // What the pod adds: its name, and the secrets that are mounted.
        let mut options = Options::default().with("GES_NODE_NAME", "ges-prod-0").with("GES_MASTER_KEY", master_key());
        for (setting, value) in case(name).settings() {
            // Folders and files that are mounted in the pod only.
            let there =
                ["GES_CONFIG_FOLDERS", "GES_CA_FILES", "GES_TLS_CERT", "GES_TLS_KEY"].contains(&setting.as_str());
            options = if there { options } else { options.with(&setting, value) };
        }
        let output = run_to_end(&Folder::new(), &options, &["check-config"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        assert!(!said.contains("not a known setting"), "{name}: {said}");
    }
}

/// Runs the script of a test pod as its container would.
fn run(template: &str, service: &Service, overrides: &[(&str, &str)]) -> (bool, String) {
    let container = &case("all-on").of_template(template)["spec"]["containers"][0];
    let command: Vec<&str> =
        container["command"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
    let mut script = Command::new(command[0]);
    script.args(&command[1..]).env_clear().env("PATH", std::env::var("PATH").unwrap());
    for variable in container["env"].as_array().unwrap() {
        script.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap_or_default());
    }
    script
        .env("BASE", format!("http://{}", service.external()))
        .env("INTERNAL", format!("http://{}", service.internal()));
    script.env("KEY", api::KEY).envs(overrides.iter().copied());
    let output = script.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn its_tests_pass_on_a_service_that_works_and_fail_on_one_that_does_not() {
    let service = Service::start(Options::default());
    let health = run("tests/health-detail.yaml", &service, &[]);
    assert!(health.0, "{}", health.1);
    let booked = run("tests/create-and-cancel.yaml", &service, &[]);
    assert!(booked.0 && booked.1.contains("\"callbackState\":\"COMPLETED\""), "{}", booked.1);
    let call_in = run("tests/call-in.yaml", &service, &[]);
    assert!(call_in.0, "{}", call_in.1);
    assert!(!call_in.1.contains("\"accessCode\":1") && call_in.1.contains("toPhoneNumber"), "{}", call_in.1);
    for (template, wrong) in [
        ("tests/health-detail.yaml", ("INTERNAL", "http://127.0.0.1:1")),
        ("tests/create-and-cancel.yaml", ("KEY", "no-such-key-0123456789")),
        ("tests/create-and-cancel.yaml", ("SERVICE", "nowhere")),
        ("tests/call-in.yaml", ("GROUP", "nobody")),
    ] {
        let (passed, said) = run(template, &service, &[wrong]);
        assert!(!passed, "{template} with {wrong:?}: {said}");
    }
}

#[test]
fn its_tests_trust_the_authority_that_they_are_given() {
    let certificates = Certificates::new();
    let authority = certificates.authority();
    let service = Service::start(Options::default().over_tls(certificates.folder(), &authority));
    let (base, internal) = (format!("https://{}", service.external()), format!("https://{}", service.internal()));
    let authority = authority.display().to_string();
    let over_tls = [("BASE", base.as_str()), ("INTERNAL", &internal), ("CURL_CA_BUNDLE", &authority)];
    for template in ["tests/health-detail.yaml", "tests/create-and-cancel.yaml", "tests/call-in.yaml"] {
        let (passed, said) = run(template, &service, &over_tls);
        assert!(passed, "{template}: {said}");
    }
    let (passed, said) = run("tests/health-detail.yaml", &service, &over_tls[..2]);
    assert!(!passed, "a stranger is not believed: {said}");
}

const ROLES_PAGE: &str = "docs/install-kubernetes.md";

/// The statements of the page that makes the two roles: those before `\connect`, and those after.
fn statements() -> (Vec<String>, Vec<String>) {
    let page = fs::read_to_string(ROLES_PAGE).unwrap();
    let block = page.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the page makes roles");
    let (before, after) = block.split_once("\\connect ges\n").expect("it changes to the database");
    let split = |text: &str| text.split(';').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    (split(before), split(after))
}

#[test]
fn nodes_need_no_more_than_rows_once_the_owner_has_migrated() {
    let server = Server::start(&[]);
    let (before, after) = statements();
    for statement in before {
        query(&server.address("postgres"), &statement);
    }
    for statement in after {
        query(&server.address("ges"), &statement);
    }
    let as_role = |role: &str| Address { user: role.to_owned(), ..server.address("ges") };
    let options = |role: &str| {
        Options::default()
            .with("GES_DB_HOST", "127.0.0.1")
            .with("GES_DB_PORT", server.address("ges").port)
            .with("GES_DB_NAME", "ges")
            .with("GES_DB_USER", role)
            .with("GES_NODE_NAME", "one")
            .with("GES_MASTER_KEY", master_key())
            .with("GES_ROUTING", "simulator")
    };
    let early = run_to_end(&Folder::new(), &options("ges_node"), &["migrate"]);
    assert_eq!(early.status.code(), Some(2), "the nodes' role makes no tables");
    let migrated = run_to_end(&Folder::new(), &options("ges_owner"), &["migrate"]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    assert!(try_query(&as_role("ges_node"), "CREATE TABLE mine (id int)").is_err());
    assert!(try_query(&as_role("ges_node"), "DROP TABLE callbacks").is_err());

    let folder = Folder::new();
    let document = "format: 1\ntenant: demo\nqueues: {support: {}}\nkeys: {website: {key: {env: WEBSITE_KEY}}}\n";
    fs::write(folder.beside("demo.yaml"), document).unwrap();
    let with_key = options("ges_node").with("WEBSITE_KEY", api::KEY);
    let applied = run_to_end(&folder, &with_key, &["apply", "-f", "demo.yaml"]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let service = Service::start(options("ges_node"));
    let mut client = api::client(service.external());
    let later = chrono::Utc::now() + chrono::TimeDelta::hours(20);
    let answer = api::create(&mut client, None, &api::booking("+14165550100", Some(later))).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = api::cancel(&mut client, api::id_of(&answer).unwrap()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}
