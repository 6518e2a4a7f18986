//! Tenants as code on the whole program: documents applied beside a running service.

use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

use ges::provisioning::handbook;

use crate::documents;
use crate::harness::checker::{self, Facts};
use crate::harness::http::Client;
use crate::harness::load::Load;
use crate::harness::service::{Folder, Options, Service, run_to_end};
use crate::harness::{api, database, journal, poll};

/// How soon a running service has to follow: 2 s by its own promise, and some for a busy machine.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(3);
const SETTLE_WITHIN: Duration = Duration::from_secs(180);

fn ges(folder: &Folder, options: &Options, arguments: &[&str]) -> Output {
    run_to_end(folder, options, arguments)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs what has to succeed; what it printed.
fn done(folder: &Folder, options: &Options, arguments: &[&str]) -> String {
    let output = ges(folder, options, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

fn write(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.beside(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Twenty mistakes of different kinds, each with the beginning of what is told of it.
const TWENTY: &str = r#"
format: 1
tenant: acme
tenannt: acme
limits: {burst: 0}
regionRules: {eu: []}
corsOrigins: [example.com]
businessHours:
  office: {zone: Mars/Base, weekly: {}}
  night: sometimes
capacityRules: 7
callInGroups:
  mobile: {numbers: [], codeDigits: 2}
captcha:
  keys:
    web: {provider: recaptchav3, secretKey: clear-text-secret}
keys:
  website: {scopes: [everything], key: {env: GES_NO_SUCH_VARIABLE}}
queues:
  support:
    slotCapacity: many
    ttlSeconds: 5
    whenClosed: expires
    numberRule: nowhere
    _request_time_bucket: "7"
    _tll: 60
    routePoint: 8001
    throttleWindows: [{limit: 1}]
"#;

const TWENTY_PLACES: [&str; 20] = [
    "tenannt: is not a known key; did you mean tenant?",
    "limits.burst: has to be",
    "regionRules.eu: has to be",
    "corsOrigins.0: has to be an origin",
    "businessHours.office.zone: ",
    "businessHours.night: has to be",
    "capacityRules: has to be an object",
    "callInGroups.mobile.numbers: has to be",
    "callInGroups.mobile.codeDigits: has to be",
    "captcha.keys.web.provider: has to be one of",
    "captcha.keys.web.siteKey: is missing",
    "captcha.keys.web.secretKey: has to be {file: PATH}",
    "keys.website.scopes.0: has to be one of",
    "queues.support.slotCapacity: has to be a whole number",
    "queues.support.ttlSeconds: has to be 60 to",
    "queues.support.whenClosed: has to be one of",
    "queues.support.numberRule: has to be a name of numberRules",
    "queues.support._request_time_bucket: ",
    "queues.support._tll: is not a known key; did you mean _ttl?",
    "queues.support.routePoint: has to be a text",
];

#[test]
fn twenty_mistakes_are_twenty_lines_and_nothing_is_applied() {
    let (folder, options) = (Folder::new(), Options::default());
    let document = TWENTY.replace("    throttleWindows: [{limit: 1}]\n", "");
    let file = write(&folder, "acme.yaml", &document);
    for command in ["apply", "diff"] {
        let output = ges(&folder, &options, &[command, "-f", &file]);
        assert_eq!(output.status.code(), Some(2));
        let told = stderr(&output);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "ges: 20 mistakes, nothing was applied");
        assert_eq!(lines.len(), 21, "{told}");
        for place in TWENTY_PLACES {
            let line = format!("  {file}: {place}");
            assert!(lines.iter().any(|told| told.starts_with(&line)), "{place} is not told:\n{told}");
        }
        assert!(!told.contains("clear-text-secret"), "{told}");
    }
    assert_eq!(done(&folder, &options, &["tenants"]).lines().count(), 1, "no tenant was made");
    // One mistake in one of two documents keeps both from being applied.
    let good = write(&folder, "good.yaml", "tenant: good\n");
    let output = ges(&folder, &options, &["apply", "-f", &good, "-f", &file]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(done(&folder, &options, &["tenants"]).lines().count(), 1);
}

#[test]
fn a_running_service_follows_documents_and_a_document_follows_a_service() {
    let options = Options::fast().with("PLANTED_CAPTCHA", "planted-captcha-secret").with("GES_LOG_LEVEL", "TRACE");
    let mut service = Service::start(options.clone());
    let folder = service.folder().clone();
    write(&folder, "website.key", "planted-key-of-the-website-0123456789\n");
    let document = r#"
format: 1
tenant: acme
queues:
  hotline: {_request_execution_time_buffer: "0", hours: office}
businessHours:
  office: always
captcha:
  keys:
    web: {provider: hcaptcha, siteKey: s, secretKey: {env: PLANTED_CAPTCHA}}
keys:
  website: {scopes: [callbacks-write, callbacks-read], key: {file: website.key}}
"#;
    let file = write(&folder, "acme.yaml", document);
    let differs = ges(&folder, &options, &["diff", "-f", &file]);
    assert_eq!(differs.status.code(), Some(1), "{}", stderr(&differs));
    assert!(stdout(&differs).contains("+ queues.hotline"), "{}", stdout(&differs));
    assert!(stderr(&differs).is_empty(), "{}", stderr(&differs));

    let told = done(&folder, &options, &["apply", "-f", &file]);
    assert!(told.starts_with("acme: revision 1\n"), "{told}");
    let applied = Instant::now();
    let book = |address| {
        let mut client = Client::new(address).with_header("X-API-Key", "planted-key-of-the-website-0123456789");
        let body = r#"{"serviceName": "hotline", "phoneNumber": "+14165550100"}"#;
        client.post_json(api::CREATE, &[], body).is_ok_and(|answer| answer.status == 200)
    };
    let external = service.external();
    poll::until("a booking of the new tenant", Duration::from_secs(30), || book(external).then_some(()));
    let took = applied.elapsed();
    println!("a new tenant with its key was served {took:?} after it was applied");
    assert!(took <= TAKEN_UP_WITHIN, "{took:?}");

    // What is written out is what is there: applied again it changes nothing, and once more is the same text.
    let exported = done(&folder, &options, &["export", "--tenant", "acme"]);
    let copy = folder.beside("copy.yaml").display().to_string();
    done(&folder, &options, &["export", "--tenant", "acme", "-o", &copy]);
    assert_eq!(fs::read_to_string(&copy).unwrap().trim_end(), exported.trim_end());
    assert_eq!(ges(&folder, &options, &["diff", "-f", &copy]).status.code(), Some(0));
    assert_eq!(done(&folder, &options, &["apply", "-f", &copy]), "acme: nothing to change, revision 1\n");
    assert_eq!(done(&folder, &options, &["apply", "-f", &file]), "acme: nothing to change, revision 1\n");
    assert_eq!(done(&folder, &options, &["export", "--tenant", "acme"]), exported);

    // The same over HTTP, and as a table.
    let mut admin = Client::new(service.internal()).with_header("ContactCenterID", "acme");
    let read = admin.get("/ges/v1/tenant").unwrap();
    assert_eq!(read.json()["queues"]["hotline"]["executionBufferSeconds"], 0);
    let table = done(&folder, &options, &["export", "--tenant", "acme", "--csv"]);
    assert!(table.starts_with("queue,") && table.contains("\nhotline,"), "{table}");
    let table = write(&folder, "acme.csv", "queue,Callback TTL (seconds)\nhotline,3600\n");
    let told = done(&folder, &options, &["apply", "--csv", &table, "--tenant", "acme"]);
    assert!(told.contains("~ queues.hotline.ttlSeconds: 86400 → 3600"), "{told}");
    let history = done(&folder, &options, &["tenants", "history", "--tenant", "acme"]);
    assert_eq!(history.lines().count(), 3, "{history}");

    // A key that the document no longer has opens nothing, as soon as the service has heard of it.
    write(&folder, "acme.yaml", &document.replace("  website:", "  other:").replace("website.key", "other.key"));
    write(&folder, "other.key", "planted-key-of-somebody-else-0123456789\n");
    let told = done(&folder, &options, &["apply", "-f", &file]);
    assert!(told.contains("- keys.website: "), "{told}");
    poll::until("the old key is refused", Duration::from_secs(30), || (!book(external)).then_some(()));

    assert!(service.sigterm().success());
    let database = fs::read(service.folder().data().join("ges.db")).unwrap();
    let shown = [exported, service.everything_written(), history, String::from_utf8_lossy(&database).into_owned()];
    for text in &shown {
        assert!(!text.contains("planted"), "a secret is shown");
    }
}

#[test]
fn changing_settings_under_load_drops_nothing() {
    const CHANGES: usize = 12;
    let options = Options::fast();
    let mut service = Service::start(options.clone());
    let folder = service.folder().clone();
    let file = folder.beside("demo.yaml").display().to_string();
    done(&folder, &options, &["export", "--tenant", "demo", "-o", &file]);
    let document = fs::read_to_string(&file).unwrap();
    let load = Load::start(4, 7);
    load.up(service.external());
    for change in 0..CHANGES {
        load.wait_for_answers(100);
        let extra = if change % 2 == 0 { format!("\n  extra: {{displayName: \"{change}\"}}") } else { String::new() };
        let changed = document.replacen("queues:", &format!("queues:{extra}"), 1);
        let changed = changed.replacen("  support:", &format!("  support:\n    displayName: \"{change}\""), 1);
        fs::write(&file, changed).unwrap();
        let told = done(&folder, &options, &["apply", "-f", &file]);
        assert!(told.starts_with(&format!("demo: revision {}\n", change + 2)), "{told}");
    }
    load.wait_for_answers(200);
    let told = load.stop();
    let data = folder.data();
    poll::try_until(SETTLE_WITHIN, || (database::moving(&data) == 0).then_some(()));
    assert!(service.sigterm().success());
    println!("{CHANGES} changes, {} creates confirmed, {} answers lost", told.creations.len(), told.lost);
    assert!(told.creations.len() >= 100, "only {} creates were confirmed", told.creations.len());
    assert_eq!((told.lost, told.server_errors.as_slice()), (0, [].as_slice()), "{}", told.last_loss);
    let (entries, torn_lines) = journal::read(&data);
    let mut facts = Facts { journal: entries, torn_lines, ..Facts::default() };
    told.put_into(&mut facts);
    database::read_into(&data, &mut facts);
    checker::assert_kept(&facts);
    let log = service.everything_written();
    assert!(!log.contains("panicked") && !log.contains("\"ERROR\""), "something went wrong");
}

#[test]
fn the_handbook_lists_every_setting_as_the_code_has_it() {
    documents::assert_holds("tenants.md", "queue keys", &handbook::queue_keys());
    documents::assert_holds("tenants.md", "routing options", &handbook::routing_options());
}

#[test]
fn the_schema_is_printed_for_editors() {
    let schema = done(&Folder::new(), &Options::default(), &["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema, domain::tenant::json_schema());
}
