//! Values that cannot be meant are refused, in words that name the value and what is allowed.

use serde_json::{Value, json};

use super::rendered;

/// A name, what is set, and what the message has to say.
fn mistakes() -> Vec<(&'static str, Value, [&'static str; 2])> {
    let integrations = |what: Value| json!({"ges": {"configMap": {"integrations": what}}});
    let settings = |what: Value| json!({"ges": {"configMap": {"settings": what}}});
    let external = |what: Value| json!({"ges": {"ingress": {"ingressext": what}}});
    vec![
        (
            "level",
            json!({"ges": {"configMap": {"env": {"log": {"level": "LOUD"}}}}}),
            ["/ges/configMap/env/log/level", "'INFO'"],
        ),
        (
            "port",
            json!({"ges": {"configMap": {"env": {"server": {"internal_port": 70_000}}}}}),
            ["internal_port", "65,535"],
        ),
        (
            "quoted port",
            json!({"ges": {"configMap": {"env": {"server": {"external_port": "70000"}}}}}),
            ["external_port", "65535"],
        ),
        ("host with port", integrations(json!({"db": {"host": "postgres:5432"}})), ["db/host", "'postgres:5432'"]),
        (
            "no database",
            integrations(json!({"db": {"host": ""}})),
            ["ges.configMap.integrations.db.host", "PostgreSQL"],
        ),
        (
            "cluster with sentinels",
            integrations(json!({"redis": {"host": "redis", "cluster": true, "sentinel": "primary"}})),
            ["ges.configMap.integrations.redis.sentinel", "no sentinels"],
        ),
        (
            "mistyped",
            integrations(json!({"vmcs": {"redis_hots": "x"}})),
            ["/ges/configMap/integrations/vmcs", "'redis_hots' not allowed"],
        ),
        (
            "password in a URL",
            integrations(json!({"gws": {"auth": "http://me:secret@gws"}})),
            ["gws/auth", "does not match"],
        ),
        ("replicas", json!({"ges": {"deployment": {"replicas": "two"}}}), ["/ges/deployment/replicas", "'two'"]),
        ("no nodes", json!({"ges": {"deployment": {"replicas": 0}}}), ["/ges/deployment/replicas", "want 1"]),
        (
            "switch",
            json!({"ges": {"deployment": {"hpa": {"enabled": "yes"}}}}),
            ["/ges/deployment/hpa/enabled", "'yes'"],
        ),
        (
            "strategy",
            json!({"ges": {"deployment": {"strategy": {"type": "Canary"}}}}),
            ["/ges/deployment/strategy/type", "'RollingUpdate'"],
        ),
        (
            "path",
            external(json!({"paths": ["/metrics"]})),
            ["/ges/ingress/ingressext/paths/0", "'/engagement/v3/callbacks/create'"],
        ),
        ("no host", external(json!({"enabled": true})), ["ges.ingress.ingressext.hosts", "needs a host"]),
        ("service", json!({"ges": {"service": {"type": "LoadBalancer"}}}), ["/ges/service/type", "'ClusterIP'"]),
        ("secret in the config map", settings(json!({"GES_MASTER_KEY": "x"})), ["GES_MASTER_KEY", "secret"]),
        ("value of its own", settings(json!({"GES_EXTERNAL_PORT": 1})), ["GES_EXTERNAL_PORT", "value of its own"]),
        ("certificate", settings(json!({"GES_TLS_CERT": "/x"})), ["GES_TLS_CERT", "value of its own"]),
        ("no setting", settings(json!({"LOG_LEVEL": "INFO"})), ["/ges/configMap/settings", "'LOG_LEVEL' not allowed"]),
        (
            "peer",
            json!({"ges": {"ingress": {"networkPolicies": {"enabled": true, "peers": {"databse": [{}]}}}}}),
            ["databse", "there are clients, engine"],
        ),
        ("mistyped secret", json!({"ges": {"tls": {"secret": "x"}}}), ["/ges/tls", "'secret' not allowed"]),
        (
            "relative folder",
            json!({"ges": {"secrets": {"configFolders": "secrets"}}}),
            ["/ges/secrets/configFolders", "'secrets'"],
        ),
        (
            "mount",
            json!({"ges": {"secrets": {"volumeMounts": {"list": [{"name": "x"}]}}}}),
            ["volumeMounts/list/0", "mountPath"],
        ),
    ]
}

fn name(mistake: &str) -> String {
    format!("refused: {mistake}")
}

pub(super) fn cases() -> Vec<Value> {
    mistakes().into_iter().map(|(mistake, set, _)| json!({"name": name(mistake), "set": set})).collect()
}

#[test]
fn mistakes_are_refused_and_named() {
    for (mistake, _, needed) in mistakes() {
        let message = rendered().cases[&name(mistake)].refused.as_ref().unwrap_or_else(|| panic!("{mistake} is taken"));
        for part in needed {
            assert!(message.contains(part), "{mistake}: {part} is not in {message}");
        }
    }
}
