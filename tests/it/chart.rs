//! The Helm chart, rendered by Helm's own engine and held against Kubernetes' own schemas.
//!
//! All cases are rendered once, in one process of Python (`tests/chart/render.py`), and the tests look at what came out.

mod manifests;
mod refused;
mod running;
mod shipped;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Value, json};

const CHART: &str = "deploy/helm/ges";
/// The oldest version that knows every field that the chart writes for it, and the newest that there are schemas of.
const KUBERNETES: [&str; 2] = ["1.30", "1.37"];
const ALLOWED: [&str; 10] = [
    "/ges/",
    "/engagement/v3/callbacks/create",
    "/engagement/v3/callbacks/cancel",
    "/engagement/v3/callbacks/retrieve",
    "/engagement/v3/callbacks/availability/",
    "/engagement/v3/callbacks/queue-status/",
    "/engagement/v3/callbacks/open-for/",
    "/engagement/v3/estimated-wait-time",
    "/engagement/v3/call-in/requests/create",
    "/engagement/v3/statistics/operations/get-statistic-ex",
];

/// What became of one case.
#[derive(Debug, Deserialize)]
struct Rendered {
    objects: Vec<Manifest>,
    notes: String,
    /// What Kubernetes' schemas have against it.
    invalid: Vec<String>,
    /// The message, if nothing was rendered.
    refused: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Manifest {
    /// Path below `templates`.
    template: String,
    object: Value,
}

#[derive(Debug, Deserialize)]
struct Answer {
    cases: BTreeMap<String, Rendered>,
    lint: Value,
    metadata: Value,
}

impl Rendered {
    fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().map(|manifest| &manifest.object).filter(|object| object["kind"] == kind).collect()
    }

    fn only(&self, kind: &str) -> &Value {
        match self.of_kind(kind).as_slice() {
            [one] => one,
            other => panic!("{} objects of kind {kind}", other.len()),
        }
    }

    fn of_template(&self, template: &str) -> &Value {
        &self.objects.iter().find(|manifest| manifest.template == template).expect(template).object
    }

    /// Names and values of the config map of settings.
    fn settings(&self) -> BTreeMap<String, String> {
        serde_json::from_value(self.of_template("configmap.yaml")["data"].clone()).unwrap()
    }

    /// Every pod that the chart makes, by the template that it stands in.
    fn pods(&self) -> Vec<(&str, &Value)> {
        self.objects
            .iter()
            .filter_map(|manifest| {
                let pod = match manifest.object["kind"].as_str()? {
                    "Deployment" | "Job" => &manifest.object["spec"]["template"]["spec"],
                    "Pod" => &manifest.object["spec"],
                    _ => return None,
                };
                Some((manifest.template.as_str(), pod))
            })
            .collect()
    }
}

/// Cases that have to render: values files, and what is set beside them.
fn cases() -> Vec<Value> {
    let example = |name: &str| json!({"name": name, "values": [format!("deploy/helm/examples/{name}.yaml")]});
    let fixture = |name: &str| json!({"name": name, "values": [format!("tests/fixtures/chart/{name}.yaml")]});
    let set = |name: &str, set: Value| json!({"name": name, "set": set});
    vec![
        json!({"name": "default"}),
        json!({"name": "base", "values": [format!("{CHART}/ges-base-values.yaml")]}),
        example("openshift"),
        example("gke"),
        example("aks"),
        example("all-on"),
        example("all-off"),
        fixture("guide"),
        fixture("published"),
        set("policies", json!({"ges": {"ingress": {"networkPolicies": {"enabled": true}}}})),
        set("budget", json!({"ges": {"podDisruptionBudget": {"strategy": {"maxUnavailable": "50%"}}}})),
        set(
            "both-ingresses",
            json!({"ges": {"ingress": {
            "ingressint": {"enabled": true, "hosts": ["inside.example.com"]},
            "ingressext": {"enabled": true, "hosts": ["outside.example.com"]}}}}),
        ),
        set(
            "tls",
            json!({"ges": {
            "tls": {"secretName": "ges-tls"},
            "tests": {"apiKeySecret": {"name": "key"}, "serviceName": "support", "callInGroup": "mobile"},
            "ingress": {"ingressext": {"enabled": true, "hosts": ["outside.example.com"]}},
            "monitoring": {"prometheus": {"enabled": true}}}}),
        ),
        set(
            "tls-of-a-public-authority",
            json!({"ges": {
            "tls": {"secretName": "ges-tls", "caKey": "", "serverName": "ges.example.com"},
            "ingress": {"ingressext": {
                "enabled": true, "hosts": ["outside.example.com"],
                "annotations": {"nginx.ingress.kubernetes.io/backend-protocol": "GRPCS"}}},
            "monitoring": {"prometheus": {"enabled": true, "use_service_monitor": false}}}}),
        ),
        set(
            "operator",
            json!({"ges": {"monitoring": {"prometheus": {"alerts": {"enabled": true, "kind": "PrometheusRule"}}}}}),
        ),
    ]
}

/// Everything, rendered once for all tests of this process.
fn rendered() -> &'static Answer {
    static ANSWER: OnceLock<Answer> = OnceLock::new();
    ANSWER.get_or_init(|| {
        let mut all = cases();
        all.extend(refused::cases());
        render(&json!({"chart": CHART, "kubernetes": KUBERNETES, "cases": all}))
    })
}

fn case(name: &str) -> &'static Rendered {
    let rendered = rendered().cases.get(name).unwrap_or_else(|| panic!("no case {name}"));
    assert_eq!(rendered.refused, None, "{name}");
    rendered
}

fn render(wanted: &Value) -> Answer {
    let python = std::env::var("CHART_PYTHON").expect("scripts/test names the interpreter that has Helm's engine");
    let mut child = Command::new(python)
        .arg("tests/chart/render.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter runs");
    // Less than a pipe holds, so nobody waits for anybody.
    child.stdin.take().unwrap().write_all(wanted.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).expect("it answers in JSON")
}
