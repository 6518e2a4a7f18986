//! The alert rules: each is read by promtool, fires for its reason and rests without it, and has a page that says what to
//! do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use crate::documents;

/// The rules, as installations get them.
pub(crate) const RULES: &str = "deploy/helm/ges/prometheus/alerts.yaml";
const CASES: &str = "tests/fixtures/alerts";
const PAGES: &str = "docs/runbooks";

/// Runs promtool and returns what it said if it found something.
pub(crate) fn promtool(arguments: &[&str]) -> Result<(), String> {
    let program = env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let output = Command::new(program).args(arguments).output();
    let output = output.expect("promtool runs: install Debian's package prometheus, or use `make test`");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said) }
}

fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every rule that has this key: `alert` or `record`.
fn rules(key: &str) -> Vec<Value> {
    let groups = yaml(Path::new(RULES));
    let groups = groups["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.filter(|rule| rule.get(key).is_some()).cloned().collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// The expressions of all rules.
pub(crate) fn expressions() -> Vec<String> {
    ["alert", "record"].iter().flat_map(|key| rules(key)).map(|rule| text(&rule, "expr").to_owned()).collect()
}

/// Names that rules record.
pub(crate) fn recorded() -> BTreeSet<String> {
    rules("record").iter().map(|rule| text(rule, "record").to_owned()).collect()
}

fn alert_names() -> BTreeSet<String> {
    let names: Vec<_> = rules("alert").iter().map(|rule| text(rule, "alert").to_owned()).collect();
    let set: BTreeSet<_> = names.iter().cloned().collect();
    assert_eq!(set.len(), names.len(), "an alert stands twice");
    set
}

fn case_files() -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(CASES).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn promtool_reads_every_rule_and_finds_every_case_as_it_should_be() {
    promtool(&["check", "rules", RULES]).unwrap();
    for file in case_files() {
        promtool(&["test", "rules", file.to_str().unwrap()]).unwrap();
    }
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_does_not() {
    let mut fires = BTreeSet::new();
    let mut rests = BTreeSet::new();
    for file in case_files() {
        for case in yaml(&file)["tests"].as_array().unwrap() {
            for asked in case["alert_rule_test"].as_array().unwrap() {
                let name = text(asked, "alertname").to_owned();
                let expected = asked["exp_alerts"].as_array().unwrap();
                if expected.is_empty() {
                    rests.insert(name)
                } else {
                    fires.insert(name)
                };
            }
        }
    }
    assert_eq!(fires, alert_names());
    assert_eq!(rests, alert_names());
}

#[test]
fn every_alert_of_the_product_is_here() {
    let products = "GES_UP GES_CPU_USAGE GES_MEMORY_USAGE GES-NODE-JS-DELAY-WARNING GES_NOT_READY_CRITICAL \
        GES_NOT_READY_WARNING GES_PODS_RESTART GES_HEALTH GES_ALL_URS_DOWN GES_REDIS_DOWN GES_ORS_REDIS_DOWN \
        GES_GWS_AUTH_DOWN GES_GWS_ENVIRONMENT_DOWN GES_GWS_CONFIG_DOWN GES_GWS_SERVER_ERROR GES_HTTP_400_POD \
        GES_HTTP_401_POD GES_HTTP_404_POD GES_HTTP_500 GES_HTTP_400_TENANT GES_HTTP_401_TENANT GES_HTTP_404_TENANT \
        GES_HTTP_500_TENANT GES_SLOW_HTTP_RESPONSE_TIME GES_RBAC_CREATE_VQ_PROXY_ERROR GES_LOGGING_FAILURE \
        GES_UNCAUGHT_EXCEPTION GES_INVALID_CONTENT_LENGTH GES_DNS_FAILURE GES_MONITOR_LAGGING_BEHIND \
        GES_CB_TTL_LIMIT_REACHED GES_CB_ENQUEUE_LIMIT_REACHED GES_CB_SUBMIT_FAILED \
        GES_GWS_INCORRECT_CLIENT_CREDENTIALS GES_NEXUS_ACCESS_FAILURE";
    let names = alert_names();
    let missing: Vec<_> = products.split_whitespace().filter(|name| !names.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_alert_has_its_page_and_every_page_its_alert() {
    let pages: BTreeSet<String> = fs::read_dir(PAGES)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(pages, alert_names());
    for rule in rules("alert") {
        let name = text(&rule, "alert");
        assert_eq!(text(&rule["annotations"], "runbook_url"), format!("{PAGES}/{name}.md"));
        assert!(!text(&rule["annotations"], "summary").is_empty(), "{name}");
        assert_eq!(text(&rule["labels"], "service"), "GES", "{name}");
        let called = match text(&rule["labels"], "severity") {
            "critical" => "page",
            "warning" | "info" => "email",
            other => panic!("{name}: severity {other}"),
        };
        assert_eq!(text(&rule["labels"], "action"), called, "{name}");
        assert_page(name);
    }
}

/// Three parts with something in each, and links that lead somewhere.
fn assert_page(name: &str) {
    let page = fs::read_to_string(format!("{PAGES}/{name}.md")).unwrap();
    assert!(page.starts_with(&format!("# {name}\n")), "{name}");
    let (_, rest) = page.split_once("\n## Cause\n").unwrap_or_else(|| panic!("{name}: no cause"));
    let (cause, rest) = rest.split_once("\n## Check\n").unwrap_or_else(|| panic!("{name}: nothing to check"));
    let (check, act) = rest.split_once("\n## Act\n").unwrap_or_else(|| panic!("{name}: nothing to do"));
    for part in [cause, check, act] {
        assert!(part.contains("\n- "), "{name}: an empty part");
    }
    for link in page.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
        assert!(Path::new(PAGES).join(link).exists(), "{name}: {link} leads nowhere");
    }
}

#[test]
fn the_page_lists_every_alert_as_the_rules_have_it() {
    let mut table = "| alert | condition | for | severity | runbook |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for rule in rules("alert") {
        let name = text(&rule, "alert");
        let condition = text(&rule, "expr").split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let lasting = rule.get("for").and_then(Value::as_str).unwrap_or("–");
        let severity = text(&rule["labels"], "severity");
        table += &format!("| `{name}` | `{condition}` | {lasting} | {severity} | [page](runbooks/{name}.md) |\n");
    }
    documents::assert_holds("alerts.md", "alerts", &table);
}

/// Whatever asks about requests or bookings by tenant must work where a scrape brings a tenant of its own.
#[test]
fn tenants_are_known_whatever_the_scrape_calls_them() {
    let by_tenant: BTreeMap<_, _> = rules("alert")
        .iter()
        .filter(|rule| text(rule, "expr").contains("tenant"))
        .map(|rule| (text(rule, "alert").to_owned(), text(rule, "expr").contains("tenant, exported_tenant")))
        .collect();
    assert!(by_tenant.len() >= 8 && by_tenant.values().all(|both| *both), "{by_tenant:?}");
}
