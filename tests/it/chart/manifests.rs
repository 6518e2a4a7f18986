//! What is in the manifests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ALLOWED, case, cases, rendered};

fn names() -> Vec<String> {
    cases().iter().map(|case| case["name"].as_str().unwrap().to_owned()).collect()
}

fn kinds(name: &str) -> BTreeSet<&str> {
    case(name).objects.iter().map(|manifest| manifest.object["kind"].as_str().unwrap()).collect()
}

#[test]
fn every_case_is_valid_for_kubernetes() {
    for name in names() {
        assert_eq!(case(&name).invalid, Vec::<String>::new(), "{name}");
    }
    let lint = &rendered().lint;
    assert_eq!(lint["errors"], json!([]), "{lint}");
    let worse = |message: &&Value| message["severity"].as_i64() > Some(1);
    assert_eq!(lint["messages"].as_array().unwrap().iter().find(worse), None, "{lint}");
}

#[test]
fn what_is_on_is_there_and_what_is_off_is_not() {
    let everything = [
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Ingress",
        "Job",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "Secret",
        "Service",
        "ServiceMonitor",
    ];
    assert_eq!(kinds("all-on"), BTreeSet::from(everything));
    assert_eq!(kinds("all-off"), BTreeSet::from(["ConfigMap", "Deployment", "Pod", "Service"]));
    assert_eq!(
        kinds("default"),
        BTreeSet::from(["ConfigMap", "Deployment", "Job", "Pod", "PodDisruptionBudget", "Service"])
    );
    assert!(kinds("operator").contains("PrometheusRule"));
    assert_eq!(case("all-on").of_kind("Pod").len(), 3, "health, a callback, a call-in");
}

#[test]
fn custom_resources_have_the_form_of_the_operator() {
    let monitor = case("all-on").only("ServiceMonitor");
    assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    assert_eq!(monitor["spec"]["endpoints"], json!([{"port": "http-internal", "path": "/metrics", "interval": "30s"}]));
    let chosen = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let service = case("all-on").only("Service");
    assert!(chosen.iter().all(|(name, value)| service["metadata"]["labels"][name] == *value), "{chosen:?}");
    let rule = case("operator").only("PrometheusRule");
    assert_eq!(rule["apiVersion"], "monitoring.coreos.com/v1");
    // Without the operator the service says where to scrape.
    let annotations = &case("aks").only("Service")["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], "3050");
    assert_eq!(case("aks").of_kind("ServiceMonitor").len(), 0);
}

#[test]
fn only_the_allowed_paths_are_exposed() {
    let own =
        ["reschedule", "recreate", "holds", "holds/release"].map(|name| format!("/engagement/v3/callbacks/{name}"));
    for name in names() {
        let mut allowed: BTreeSet<String> = ALLOWED.map(str::to_owned).into();
        if name == "all-on" {
            // It asks for them.
            allowed.extend(own.clone());
            allowed.insert("/engagement/v3/events".to_owned());
        }
        for ingress in case(&name).of_kind("Ingress") {
            for rule in ingress["spec"]["rules"].as_array().unwrap() {
                assert!(rule["host"].as_str().is_some_and(|host| !host.is_empty()), "{name}: for every host");
                for path in rule["http"]["paths"].as_array().unwrap() {
                    assert!(allowed.contains(path["path"].as_str().unwrap()), "{name}: {path}");
                    let backend = &path["backend"]["service"];
                    assert_eq!(
                        backend["port"],
                        json!({"name": "http-external"}),
                        "{name}: the internal listener is inside"
                    );
                }
            }
            assert!(ingress["spec"].get("defaultBackend").is_none(), "{name}");
        }
        for service in case(&name).of_kind("Service") {
            assert_eq!(service["spec"]["type"], "ClusterIP", "{name}");
        }
    }
}

#[test]
fn the_ingress_outside_has_every_allowed_path_and_the_one_inside_the_interface() {
    let paths = |name: &str| -> Vec<(String, String)> {
        let ingress =
            case("both-ingresses").of_kind("Ingress").into_iter().find(|it| it["metadata"]["name"] == name).unwrap();
        let text = |path: &Value, member: &str| path[member].as_str().unwrap().to_owned();
        let paths = ingress["spec"]["rules"][0]["http"]["paths"].as_array().unwrap();
        paths.iter().map(|path| (text(path, "path"), text(path, "pathType"))).collect()
    };
    // A path that ends with a slash is the beginning of others; the rest are whole.
    let kind = |path: &str| if path.ends_with('/') { "Prefix" } else { "Exact" }.to_owned();
    assert_eq!(paths("ges-prod-ext"), ALLOWED.map(|path| (path.to_owned(), kind(path))));
    assert_eq!(paths("ges-prod-int"), [("/ges/".to_owned(), "Prefix".to_owned())]);
}

#[test]
fn the_products_spellings_mean_the_same() {
    let (guide, published) = (case("guide"), case("published"));
    assert_eq!(guide.objects, published.objects);
    let settings = guide.settings();
    // Of what is spelled differently, and of what is in quotes or a template.
    for (name, value) in [
        ("GES_DEVOPS_ACCESS_GROUPS", "Operations"),
        ("GES_LOG_MAX_LEN", "4096"),
        ("GES_CONFIG_FOLDERS", "/secrets-infra,/secrets-ors"),
        ("GES_INTERNAL_URL", "callback.callback"),
        ("GES_ORS_REDIS_LOCATION", "redis-ors.voice:6379"),
        ("GES_EXTERNAL_PORT", "3005"),
        ("GES_DB_SECURE", "true"),
        ("GES_REDIS_SECURE", "false"),
    ] {
        assert_eq!(settings.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(guide.of_template("configmap.yaml")["metadata"]["name"], "callback-prod-configmap");
    let pod = &guide.only("Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "registry.example.com/genesys/ges:0.1.0");
    assert_eq!(pod["priorityClassName"], "high");
    let listed = json!([{"configMapRef": {"name": "callback-prod-configmap"}}]);
    assert_eq!(pod["containers"][0]["envFrom"], listed, "once, although it is named again");
    let scaler = guide.only("HorizontalPodAutoscaler");
    assert_eq!((&scaler["spec"]["minReplicas"], &scaler["spec"]["maxReplicas"]), (&json!(3), &json!(6)));
    assert!(guide.only("Deployment")["spec"].get("replicas").is_none(), "the scaler says how many");
    assert_eq!(guide.only("PodDisruptionBudget")["spec"]["minAvailable"], 2);
    assert!(guide.objects.iter().any(|manifest| manifest.template.starts_with("grafana/")));
    assert!(
        published.notes.contains("no effect: ges.ambassador, ges.configMap.env.azureDeployment"),
        "{}",
        published.notes
    );
}

#[test]
fn pods_have_nothing_that_they_do_not_need() {
    for name in names() {
        for (template, pod) in case(&name).pods() {
            let place = format!("{name}: {template}");
            assert_eq!(pod["enableServiceLinks"], false, "{place}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{place}");
            let security = &pod["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{place}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{place}");
            let ids = ["runAsUser", "runAsGroup", "fsGroup"].map(|id| &security[id]);
            let chosen = if name == "openshift" {
                [Value::Null, json!(0), Value::Null]
            } else {
                [500, 500, 500].map(Value::from)
            };
            assert_eq!(ids.map(Clone::clone), chosen, "{place}");
            let [container] = pod["containers"].as_array().unwrap().as_slice() else {
                panic!("{place}: one container")
            };
            let none = json!({"drop": ["ALL"]});
            let bare = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": none});
            assert_eq!(container["securityContext"], bare, "{place}");
            for amounts in ["requests", "limits"] {
                assert!(container["resources"][amounts]["memory"].is_string(), "{place}: {amounts}");
            }
        }
    }
}

#[test]
fn only_a_simulator_has_a_place_to_write_to() {
    let spec = |name: &str| case(name).only("Deployment")["spec"]["template"]["spec"].clone();
    let pod = spec("all-off");
    assert_eq!(pod["containers"][0]["volumeMounts"], json!([{"name": "data", "mountPath": "/data"}]));
    assert_eq!(pod["volumes"], json!([{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}]));
    assert_eq!(case("all-off").settings()["GES_DATA_DIR"], "/data");
    for name in ["default", "all-on"] {
        assert!(!spec(name).to_string().contains("emptyDir") && !case(name).settings().contains_key("GES_DATA_DIR"));
        let mounts = spec(name)["containers"][0]["volumeMounts"].as_array().unwrap().clone();
        assert!(mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
    }
}

#[test]
fn nodes_are_two_spread_probed_and_drained() {
    let spec = &case("default").only("Deployment")["spec"];
    assert_eq!(spec["replicas"], 2);
    let pod = &spec["template"]["spec"];
    let spread: Vec<_> =
        pod["topologySpreadConstraints"].as_array().unwrap().iter().map(|one| &one["topologyKey"]).collect();
    assert_eq!(spread, ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]);
    let node = &pod["containers"][0];
    for (probe, path) in [("startupProbe", "live"), ("livenessProbe", "live"), ("readinessProbe", "ready")] {
        assert_eq!(node[probe]["httpGet"], json!({"path": format!("/ges/v1/health/{path}"), "port": "internal"}));
    }
    assert_eq!(node["lifecycle"]["preStop"], json!({"sleep": {"seconds": 5}}));
    // It waits, drains for five seconds, and then answers what is in flight, which takes half a minute at most.
    assert!(pod["terminationGracePeriodSeconds"].as_i64() >= Some(5 + 5 + 30));
    let name = &node["env"][0];
    assert_eq!(
        (&name["name"], &name["valueFrom"]["fieldRef"]["fieldPath"]),
        (&json!("GES_NODE_NAME"), &json!("metadata.name"))
    );
    assert_eq!(case("budget").only("PodDisruptionBudget")["spec"]["maxUnavailable"], "50%");
    assert!(case("budget").only("PodDisruptionBudget")["spec"].get("minAvailable").is_none());
    // Jobs and tests are no nodes: nobody is sent there.
    let chosen = case("default").only("Service")["spec"]["selector"].as_object().unwrap();
    let labels = &case("default").only("Job")["spec"]["template"]["metadata"]["labels"];
    assert!(chosen.iter().any(|(name, value)| labels[name] != *value), "{labels}");
}

#[test]
fn whoever_talks_to_listeners_with_a_certificate_speaks_tls() {
    let tls = case("tls");
    let settings = tls.settings();
    assert_eq!(["GES_TLS_CERT", "GES_TLS_KEY"].map(|name| settings[name].as_str()), ["/tls/tls.crt", "/tls/tls.key"]);
    let pod = &tls.only("Deployment")["spec"]["template"]["spec"];
    let node = &pod["containers"][0];
    let mount = json!({"name": "listener-tls", "mountPath": "/tls", "readOnly": true});
    assert!(node["volumeMounts"].as_array().unwrap().contains(&mount));
    let volume = json!({"name": "listener-tls", "secret": {"secretName": "ges-tls"}});
    assert!(pod["volumes"].as_array().unwrap().contains(&volume));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(node[probe]["httpGet"]["scheme"], "HTTPS", "{probe}");
    }
    let ports = tls.only("Service")["spec"]["ports"].as_array().unwrap();
    assert!(ports.len() == 3 && ports.iter().all(|port| port["appProtocol"] == "https"), "{ports:?}");
    let backend = "nginx.ingress.kubernetes.io/backend-protocol";
    assert_eq!(tls.only("Ingress")["metadata"]["annotations"], json!({backend: "HTTPS"}));
    let trust = json!({"serverName": "ges.callback", "ca": {"secret": {"name": "ges-tls", "key": "ca.crt"}}});
    let endpoint = &tls.only("ServiceMonitor")["spec"]["endpoints"][0];
    assert_eq!((&endpoint["scheme"], &endpoint["tlsConfig"]), (&json!("https"), &trust));
    // Tests see the authority and not the key; the migration sees nothing.
    let items = json!([{"key": "ca.crt", "path": "ca.crt"}]);
    for test in tls.of_kind("Pod") {
        let container = &test["spec"]["containers"][0];
        let variable = |name: &str| {
            let all = container["env"].as_array().unwrap();
            all.iter().find(|it| it["name"] == name).unwrap()["value"].clone()
        };
        let told = ["BASE", "INTERNAL", "CURL_CA_BUNDLE"].map(variable);
        assert_eq!(told, ["https://ges.callback:80", "https://ges.callback:8080", "/tls/ca.crt"]);
        assert_eq!(test["spec"]["volumes"][0]["secret"], json!({"secretName": "ges-tls", "items": items}));
        assert_eq!(container["volumeMounts"][0]["mountPath"], "/tls");
    }
    assert_eq!(tls.of_kind("Pod").len(), 3);
    assert!(!tls.only("Job").to_string().contains("tls"));
    assert!(tls.notes.contains("the secret ges-tls, which has to be good for ges.callback"), "{}", tls.notes);
}

#[test]
fn a_certificate_of_a_public_authority_needs_no_trust_of_its_own() {
    let public = case("tls-of-a-public-authority");
    let annotations = &public.only("Service")["metadata"]["annotations"];
    assert_eq!(
        (&annotations["prometheus.io/scheme"], &annotations["prometheus.io/scrape"]),
        (&json!("https"), &json!("true"))
    );
    let own = &public.only("Ingress")["metadata"]["annotations"]["nginx.ingress.kubernetes.io/backend-protocol"];
    assert_eq!(own, "GRPCS", "what is asked for counts");
    let test = public.only("Pod");
    assert_eq!(test["spec"]["containers"][0]["env"][0]["value"], "https://ges.example.com:80");
    assert!(test["spec"].get("volumes").is_none() && !test.to_string().contains("CURL_CA_BUNDLE"));
    // Without a certificate nothing of it is there.
    for name in ["default", "all-on"] {
        for object in &case(name).objects {
            let text = object.object.to_string();
            let told =
                ["HTTPS", "appProtocol", "listener-tls", "CURL_CA_BUNDLE", "GES_TLS"].map(|it| text.contains(it));
            assert_eq!(told, [false; 5], "{name}: {}", object.template);
        }
    }
}

#[test]
fn the_migration_comes_first_and_alone_has_its_owners_credentials() {
    let job = case("all-on").only("Job");
    assert_eq!(job["metadata"]["annotations"]["helm.sh/hook"], "pre-install,pre-upgrade");
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["args"], json!(["migrate"]));
    // No config map is there yet.
    assert!(pod["containers"][0].get("envFrom").is_none());
    let variables: BTreeMap<&str, &Value> = pod["containers"][0]["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), &one["value"]))
        .collect();
    assert_eq!(variables["GES_CONFIG_FOLDERS"], "/secrets-migration,/secrets-infra,/secrets-ors,/secrets-gws");
    let holds = |pod: &Value| pod["volumes"].to_string().contains("ges-secrets-migration");
    assert!(holds(pod));
    for (template, other) in case("all-on").pods() {
        assert_eq!(holds(other), template == "migration.yaml", "{template}");
    }
    let migration = &case("default").only("Job")["spec"]["template"]["spec"]["volumes"];
    assert_eq!(migration, &case("default").only("Deployment")["spec"]["template"]["spec"]["volumes"]);
}

#[test]
fn secrets_come_from_drivers_as_well_and_never_into_the_config_map() {
    for name in ["gke", "aks"] {
        let pod = &case(name).only("Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["volumes"][0]["csi"]["volumeAttributes"]["secretProviderClass"], "ges", "{name}");
        assert_eq!(pod["containers"][0]["volumeMounts"][0]["mountPath"], "/secrets");
        assert_eq!(pod["serviceAccountName"], "ges");
        assert_eq!(case(name).settings()["GES_CONFIG_FOLDERS"], "/secrets");
    }
    let secret = case("all-on").only("Secret");
    assert_eq!(secret["stringData"], json!({"GES_DECRYPT_PASSWORD": "only-for-looking"}));
    assert!(!case("all-on").settings().contains_key("GES_DECRYPT_PASSWORD"));
    let listed = &case("all-on").only("Deployment")["spec"]["template"]["spec"]["containers"][0]["envFrom"];
    assert_eq!(listed.as_array().unwrap().len(), 3, "{listed}");
}
