//! What the chart brings along has to be what the rest of the tree says: its version, rules, boards, and the table of
//! connections with the policies that are made from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ges::config;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CHART, case, rendered};
use crate::documents;

/// One row of the table of connections.
#[derive(Debug, Deserialize)]
struct Connection {
    name: String,
    direction: String,
    who: String,
    port: String,
    ports: String,
    protocol: String,
    speaks: String,
    tls: String,
    optional: String,
    setting: String,
    peers: String,
}

fn connections() -> Vec<Connection> {
    let text = fs::read_to_string(Path::new(CHART).join("connections.yaml")).unwrap();
    serde_saphyr::from_str(&text).expect("the table is a list")
}

/// Names and contents of a folder's files with that ending.
fn files(folder: &Path, ending: &str) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let paths =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == ending));
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn chart_image_and_program_have_one_version() {
    let metadata = &rendered().metadata;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&metadata["version"], &metadata["appVersion"]), (&json!(version), &json!(version)));
    let pod = &case("default").only("Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], format!("ges:{version}"));
}

#[test]
fn no_secret_is_taken_into_the_config_map() {
    let template = fs::read_to_string(Path::new(CHART).join("templates/_settings.tpl")).unwrap();
    let refused =
        template.lines().find(|line| line.contains("$secrets := list")).expect("the chart refuses secrets there");
    for setting in config::settings().iter().filter(|setting| setting.secret) {
        assert!(refused.contains(&format!("\"{}\"", setting.name)), "{}", setting.name);
    }
}

#[test]
fn boards_are_those_of_the_tree() {
    let mut shipped = BTreeMap::new();
    for manifest in case("all-on").objects.iter().filter(|manifest| manifest.template.starts_with("grafana/")) {
        assert_eq!(manifest.object["metadata"]["labels"]["grafana_dashboard"], "1");
        for (name, board) in manifest.object["data"].as_object().unwrap() {
            assert!(shipped.insert(name.clone(), board.as_str().unwrap().to_owned()).is_none(), "{name} twice");
        }
    }
    assert_eq!(shipped, files(Path::new("dashboards"), "json"));
    let folder = Path::new(CHART).join("templates/grafana");
    assert!(
        folder.join("ges-dashboard-configmap.yaml").exists() && folder.join("ges-performance-dashboard.yaml").exists()
    );
}

#[test]
fn rules_are_those_of_the_tree() {
    let files = files(&Path::new(CHART).join("prometheus"), "yaml");
    let shipped: BTreeMap<String, String> =
        serde_json::from_value(case("all-on").of_template("prometheus/alerts.yaml")["data"].clone()).unwrap();
    assert_eq!(shipped, files);
    let groups: Vec<Value> = files
        .values()
        .flat_map(|text| {
            let rules: Value = serde_saphyr::from_str(text).unwrap();
            rules["groups"].as_array().unwrap().clone()
        })
        .collect();
    let rule = &case("operator").only("PrometheusRule")["spec"]["groups"];
    assert_eq!(rule.as_array().cloned().unwrap_or_default(), groups);
}

/// The ports of all rules in one direction of a policy, with their peers.
fn rules(policy: &Value, direction: &str) -> Vec<(Vec<u64>, Value)> {
    let (side, peers) = if direction == "in" { ("ingress", "from") } else { ("egress", "to") };
    let rule = |rule: &Value| {
        let ports = rule["ports"].as_array().unwrap().iter().map(|port| port["port"].as_u64().unwrap()).collect();
        (ports, rule.get(peers).cloned().unwrap_or_default())
    };
    policy["spec"][side].as_array().unwrap().iter().map(rule).collect()
}

#[test]
fn policies_let_through_what_the_table_says() {
    let names = |direction: &str| -> Vec<String> {
        connections().into_iter().filter(|row| row.direction == direction).map(|row| row.name).collect()
    };
    assert_eq!(names("in"), ["clients", "engine", "prometheus"]);
    let outward = ["names", "names-tcp", "database", "redis", "voice-redis", "ors", "urs", "gws", "outside", "traces"];
    assert_eq!(names("out"), outward);
    let policy = case("all-on").only("NetworkPolicy");
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    let inside = json!([{"namespaceSelector": {}}]);
    let monitoring = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]);
    let inward = vec![(vec![2050], Value::Null), (vec![3050], inside.clone()), (vec![3050], monitoring)];
    assert_eq!(rules(policy, "in"), inward);
    let cidr = |range: &str| json!([{"ipBlock": {"cidr": range}}]);
    // One rule per row, in the order of the table, and what the values add.
    let ports: [&[u64]; 11] = [
        &[53],
        &[53],
        &[5432],
        &[6379],
        &[6379, 10_000],
        &[9098],
        &[5580],
        &[80, 8443, 8080],
        &[443],
        &[4318],
        &[6380],
    ];
    let rules_out = rules(policy, "out");
    assert_eq!(rules_out.iter().map(|(ports, _)| ports.as_slice()).collect::<Vec<_>>(), ports);
    assert_eq!((&rules_out[2].1, &rules_out[10].1), (&cidr("10.20.0.0/24"), &cidr("10.30.0.0/24")));
    assert_eq!(policy["spec"]["egress"][0]["ports"][0]["protocol"], "UDP");
    // What is not set up is not let through.
    let little = case("policies").only("NetworkPolicy");
    assert_eq!(rules(little, "in"), [(vec![2050], Value::Null), (vec![3050], inside)]);
    let out: Vec<_> = rules(little, "out").into_iter().flat_map(|(ports, _)| ports).collect();
    assert_eq!(out, [53, 53, 5432, 6379, 443]);
    // The migration needs the database as well.
    let chosen = little["spec"]["podSelector"]["matchLabels"].as_object().unwrap();
    for labels in
        [&case("policies").only("Job")["spec"]["template"], &case("policies").only("Deployment")["spec"]["template"]]
    {
        assert!(chosen.iter().all(|(name, value)| labels["metadata"]["labels"][name] == *value), "{chosen:?}");
    }
}

#[test]
fn the_page_shows_the_table() {
    let mut text =
        "\n| connection | from | to | port | what is spoken | encrypted | without it | setting |\n".to_owned();
    text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for row in connections() {
        assert!(
            ["TCP", "UDP"].contains(&row.protocol.as_str()) && ["any", "cluster"].contains(&row.peers.as_str()),
            "{row:?}"
        );
        assert!(!row.ports.is_empty(), "{row:?}");
        let (from, to) =
            if row.direction == "in" { (row.who.as_str(), "a node") } else { ("a node", row.who.as_str()) };
        let without = if row.optional == "no" { "nothing works" } else { &row.optional };
        let protocol = if row.protocol == "TCP" { String::new() } else { format!(" ({})", row.protocol) };
        let (name, port, speaks, tls, setting) = (&row.name, &row.port, &row.speaks, &row.tls, &row.setting);
        let _ = writeln!(
            text,
            "| `{name}` | {from} | {to} | {port}{protocol} | {speaks} | {tls} | {without} | {setting} |"
        );
    }
    documents::assert_holds("connections.md", "connections", &format!("{text}\n"));
}

#[test]
fn the_notes_say_what_to_do_next() {
    let notes = &case("default").notes;
    for needed in ["helm --namespace callback test prod", "GES-MASTER-KEY", "Nothing leads in from outside"] {
        assert!(notes.contains(needed), "{needed} is not in {notes}");
    }
    assert!(!notes.contains("no effect"), "{notes}");
    assert!(case("all-on").notes.contains("ingressext: ges.example.com, callback.example.com"));
}
