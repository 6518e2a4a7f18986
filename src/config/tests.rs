use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// Reads the configuration from these variables only.
fn load(environment: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    load_with(environment, None)
}

fn load_with(environment: &[(&str, &str)], file: Option<&Path>) -> Result<Loaded, Mistakes> {
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Config::load(Sources { environment, file: file.map(PathBuf::from) })
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn nothing_set_is_the_embedded_service() {
    let Loaded { config, warnings } = load(&[]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.listeners.external().to_string(), "127.0.0.1:2050");
    assert_eq!(config.listeners.internal().to_string(), "127.0.0.1:3050");
    assert_eq!(config.data.data_dir, PathBuf::from("ges-data"));
    assert_eq!(config.limits.request_timeout, Duration::from_secs(30));
    assert_eq!(config.log.level, Level::Info);
    assert_eq!(config.log.max_len_bytes, 2048);
    assert_eq!(config.log.format, None);
    assert_eq!(config.keys.master_key, None);
}

#[test]
fn every_default_is_allowed_by_its_own_rule() {
    for setting in settings().iter().filter(|setting| !setting.default.is_empty()) {
        let read = load(&[(setting.name, setting.default)]);
        assert!(read.is_ok(), "{}: {}", setting.name, read.unwrap_err());
    }
}

#[test]
fn proxies_that_are_trusted_are_addresses_and_ranges() {
    let proxies = |text| load(&[("GES_TRUSTED_PROXIES", text)]).map(|loaded| loaded.config.users.trusted_proxies.len());
    assert_eq!((proxies("none"), proxies("192.0.2.1"), proxies("10.0.0.0/8, fc00::/7")), (Ok(0), Ok(1), Ok(2)));
    for wrong in ["10.0.0.0/33", "proxy.example", "10.0.0.0/8,", "none,10.0.0.0/8"] {
        assert!(proxies(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_empty_value_counts_as_not_set() {
    let empty: Vec<_> = settings().iter().map(|setting| (setting.name, "")).collect();
    assert_eq!(load(&empty).unwrap().config, load(&[]).unwrap().config);
}

#[test]
fn all_mistakes_are_told_at_once_by_name_shape_and_rule() {
    let Mistakes(mistakes) = load(&[
        ("GES_EXTERNAL_PORT", "99999"),
        ("GES_BIND_ADDRESS", "localhost"),
        ("GES_LOG_LEVEL", "LOUD"),
        ("GES_SIM_SPEED", "1e3"),
        ("GES_MASTER_KEY", "planted-secret"),
        ("GES_NODE_METRICS", "perhaps"),
        ("GES_INTERNAL_TOKEN", "short-planted"),
    ])
    .unwrap_err();
    let told: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    GES_BIND_ADDRESS (from the environment): a text of 9 characters is not allowed; allowed is an IPv4 or IPv6 address without a port, such as `127.0.0.1`, `0.0.0.0` or `::1`
    GES_EXTERNAL_PORT (from the environment): a whole number of 5 digits is not allowed; allowed is a whole number from 0 to 65,535
    GES_INTERNAL_TOKEN (from the environment): a text of 13 characters is not allowed; allowed is 16 to 512 printable ASCII characters without spaces
    GES_SIM_SPEED (from the environment): a text of 3 characters is not allowed; allowed is a number from 0.01 to 10000
    GES_LOG_LEVEL (from the environment): a text of 4 characters is not allowed; allowed is `ERROR`, `WARN`, `INFO`, `DEBUG`, `TRACE` or `FATAL`
    GES_NODE_METRICS (from the environment): a text of 7 characters is not allowed; allowed is `true`, `false`, `yes`, `no`, `on`, `off`, `1` or `0`
    GES_MASTER_KEY (from the environment): a text of 14 characters is not allowed; allowed is 32 bytes in base64 (43 characters, or 44 with padding), such as `openssl rand -base64 32` prints
    ");
}

#[test]
fn secrets_never_print() {
    let key = "cGxhbnRlZC1wbGFudGVkLXBsYW50ZWQtcGxhbnRlZCE=";
    let Loaded { config, .. } = load(&[
        ("GES_MASTER_KEY", key),
        ("GES_MASTER_KEY_OLD", key),
        ("GES_INTERNAL_TOKEN", "planted-internal-token"),
        ("GES_DEMO_API_KEY", "planted-demo-api-key"),
        ("GES_VOICE_REDIS_ORS_STREAM", r#"{"password":"planted-password"}"#),
        ("GES_DB_PASSWORD", "planted-database-password"),
        ("GES_REDIS_CACHEKEY", "planted-cache-key"),
    ])
    .unwrap();
    let shown = config.redacted();
    assert!(!shown.contains("planted") && !shown.contains(key) && !shown.contains("112, 108"), "{shown}");
    assert_eq!(shown.matches("(set)").count(), 7, "{shown}");
    assert_eq!(config.keys.master_key.unwrap().reveal(), b"planted-planted-planted-planted!");
    assert_eq!(config.data.demo_api_key.unwrap().reveal(), "planted-demo-api-key");
}

#[test]
fn lists_are_read_up_to_their_limit_and_refused_whole() {
    let files = |text: &str| load(&[("GES_CA_FILES", text)]).map(|loaded| loaded.config.outward.ca_files);
    assert_eq!(files(" /a, /b,,/c ,").unwrap(), ["/a", "/b", "/c"].map(PathBuf::from));
    assert_eq!(files(&["/a"; 16].join(",")).unwrap().len(), 16);
    assert!(files(&["/a"; 17].join(",")).is_err());
    let keys =
        |text: &str| load(&[("GES_MASTER_KEY_OLD", text)]).map(|loaded| loaded.config.keys.old_master_keys.len());
    let key = "cGxhbnRlZC1wbGFudGVkLXBsYW50ZWQtcGxhbnRlZCE=";
    assert_eq!(keys(&[key; 8].join(" , ")).unwrap(), 8);
    assert!(keys(&[key; 9].join(",")).is_err());
    assert!(keys(&format!("{key},short")).is_err());
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_certificate_counts_with_its_key_and_shows_nothing_of_it() {
    let (cert, key) = (fixture("server.pem"), fixture("server.key"));
    let tls = [("GES_TLS_CERT", cert.as_str()), ("GES_TLS_KEY", key.as_str())];
    let config = load(&tls).unwrap().config;
    assert_eq!(config.certificate.as_ref().unwrap().certified().cert.len(), 1);
    assert_eq!(config, load(&tls).unwrap().config);
    assert_ne!(config, load(&[]).unwrap().config);
    let shown = config.redacted();
    let secret = fs::read_to_string(&key).unwrap();
    assert!(secret.lines().filter(|line| line.len() > 20).all(|line| !shown.contains(line)), "{shown}");
    assert!(shown.contains("certificate: Some(\n        (set),\n    ),"), "{shown}");
    // Whoever names no scheme reaches the internal listener as it speaks.
    let bound = "0.0.0.0:4000".parse().unwrap();
    assert_eq!(config.listeners.internal_url(bound), "https://127.0.0.1:4000");
    for (named, completed) in
        [("ges.ges", "https://ges.ges:4000"), ("http://balancer", "http://balancer:4000"), ("a:1/x/", "https://a:1/x")]
    {
        let Loaded { config, warnings } = load(&[tls.as_slice(), &[("GES_INTERNAL_URL", named)]].concat()).unwrap();
        assert_eq!(config.listeners.internal_url(bound), completed);
        assert_eq!(warnings.len(), usize::from(named.starts_with("http:")), "{warnings:?}");
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_by_the_setting_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, text: &str| written(folder.path(), name, text).display().to_string();
    let pem = |label: &str, base64: &str| format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n");
    let (cert, key, ca) = (fixture("server.pem"), fixture("server.key"), fixture("ca.pem"));
    let content = fs::read_to_string(&key).unwrap();
    let nowhere = folder.path().join("nowhere").display().to_string();
    let long = made("long", &"x".repeat(70_000));
    let no_x509 = made("no-x509", &pem("CERTIFICATE", "AAAA"));
    let torn = made("torn", "-----BEGIN CERTIFICATE-----\nplanted");
    let no_key = made("no-key", &pem("PRIVATE KEY", "cGxhbnRlZA=="));
    let locked = made("locked", &pem("ENCRYPTED PRIVATE KEY", "cGxhbnRlZA=="));
    let cases: [(&str, &str, &str, &str); 13] = [
        (&cert, "", "GES_TLS_KEY ", "set both"),
        ("", &key, "GES_TLS_CERT ", "set both"),
        (&nowhere, &key, "GES_TLS_CERT ", "cannot be read"),
        (&cert, &nowhere, "GES_TLS_KEY ", "cannot be read"),
        (&long, &key, "GES_TLS_CERT ", "longer than 65536 bytes"),
        (&key, &key, "GES_TLS_CERT ", "no certificates in PEM form"),
        (&torn, &key, "GES_TLS_CERT ", "no certificates in PEM form"),
        (&no_x509, &key, "GES_TLS_CERT ", "X.509"),
        (&cert, &cert, "GES_TLS_KEY ", "no private key in PEM form"),
        (&cert, &locked, "GES_TLS_KEY ", "without a password"),
        (&cert, &no_key, "GES_TLS_KEY ", "ECDSA (P-256 or P-384)"),
        (&ca, &key, "GES_TLS_KEY ", "not that of the first certificate of GES_TLS_CERT"),
        // What belongs into the file.
        (&cert, &content, "GES_TLS_KEY ", "the path of a file"),
    ];
    for (cert, key, name, rule) in cases {
        let Mistakes(mistakes) = load(&[("GES_TLS_CERT", cert), ("GES_TLS_KEY", key)]).unwrap_err();
        let told = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.starts_with(name) && told.contains(rule) && mistakes.len() == 1, "{name}{rule}: {told}");
        let secret = content.lines().nth(2).unwrap();
        assert!(!told.contains("planted") && !told.contains("cGxhb") && !told.contains(secret), "{told}");
    }
    let both = load(&[("GES_TLS_CERT", &nowhere), ("GES_TLS_KEY", &nowhere)]).unwrap_err();
    assert_eq!(both.0.len(), 2, "both are told at once: {both}");
}

#[test]
fn users_who_log_in_elsewhere_need_a_provider_and_a_way_back() {
    let told = |values: &[(&'static str, &'static str)]| load(values).unwrap_err().to_string();
    let public = ("GES_PUBLIC_URL", "https://ges.example.com");
    for auth in ["gws", "oidc"] {
        assert!(told(&[("GES_AUTH", auth), public]).contains("GES_AUTH"), "{auth}");
    }
    let oidc = [("GES_AUTH", "oidc"), ("GES_OIDC_ISSUER", "https://id.example.com"), ("GES_OIDC_CLIENT_ID", "ges")];
    assert!(told(&oidc).contains("GES_PUBLIC_URL"));
    let users = load(&[oidc.as_slice(), &[public, ("GES_DEVOPS_ACCESS_GROUPS", "Ops, Platform")]].concat());
    let users = users.unwrap().config.users;
    assert_eq!(users.devops_access_groups, ["Ops", "Platform"]);
    assert!(users.cookies_are_secure(false));
    let embedded = load(&[]).unwrap().config.users;
    assert!(!embedded.cookies_are_secure(false) && embedded.cookies_are_secure(true));
    assert_eq!(embedded.devops_access_groups.len(), 3);
    assert!(!load(&[("GES_SECURE_COOKIES", "no")]).unwrap().config.users.cookies_are_secure(true));
}

#[test]
fn a_node_of_a_cluster_needs_a_name_the_shared_key_and_an_engine() {
    let host = ("GES_DB_HOST", "db");
    let told = load(&[host]).unwrap_err().to_string();
    for name in ["GES_NODE_NAME", "GES_MASTER_KEY", "GES_ROUTING"] {
        assert!(told.contains(name), "{name} is missing in {told}");
    }
    let key = ("GES_MASTER_KEY", "cGxhbnRlZC1wbGFudGVkLXBsYW50ZWQtcGxhbnRlZCE=");
    let node = [host, ("GES_NODE_NAME", "ges-0"), key];
    let with = |more: (&'static str, &'static str)| load(&[node.as_slice(), &[more]].concat()).unwrap().config;
    assert_eq!(with(("GES_ROUTING", "simulator")).routing(), Routing::Simulator);
    assert_eq!(with(("GES_VMCS_REDIS_HOST", "redis.voice")).routing(), Routing::Stream);
    assert_eq!(load(&[]).unwrap().config.routing(), Routing::Simulator);
    let settings = with(("GES_ROUTING", "simulator")).database;
    assert_eq!(
        (settings.port, settings.name.as_str(), settings.user.as_str(), settings.secure),
        (5432, "ges", "ges", false)
    );
}

#[test]
fn a_stream_needs_an_address_and_an_address_without_it_is_named() {
    let stream = ("GES_ROUTING", "stream");
    let told = load(&[stream]).unwrap_err().to_string();
    assert!(told.contains("GES_ROUTING") && told.contains("GES_VMCS_REDIS_HOST"), "{told}");
    for address in [("GES_VMCS_REDIS_HOST", "redis.voice"), ("GES_ORS_REDIS_LOCATION", "10.0.0.1:6379")] {
        assert_eq!(load(&[stream, address]).unwrap().warnings, Vec::<String>::new());
    }
    let warnings = load(&[("GES_VMCS_REDIS_HOST", "redis.voice")]).unwrap().warnings;
    assert_eq!(warnings, ["GES_VMCS_REDIS_HOST has no effect: GES_ROUTING is not stream"]);
}

#[test]
fn the_redis_of_the_nodes_goes_with_several_nodes_and_is_a_cluster_or_has_sentinels() {
    let host = ("GES_REDIS_HOST", "redis.ges");
    let warnings = load(&[host]).unwrap().warnings;
    assert_eq!(warnings, ["GES_REDIS_HOST has no effect: there is one node without GES_DB_HOST"]);
    let both = [host, ("GES_REDIS_CLUSTER", "true"), ("GES_REDIS_SENTINEL", "mymaster")];
    assert!(load(&both).unwrap_err().to_string().contains("GES_REDIS_SENTINEL"));
    assert!(load(&[("GES_REDIS_SENTINEL", "true")]).unwrap_err().to_string().contains("the name that the sentinels"));
}

#[test]
fn unknown_names_warn_with_the_nearest_and_never_fail() {
    let warnings = load(&[("GES_LOG_LEVLE", "x"), ("GES_COMPLETELY_ELSE", "y"), ("PATH", "z")]).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "GES_COMPLETELY_ELSE (from the environment) is not a known setting and has no effect",
            "GES_LOG_LEVLE (from the environment) is not a known setting and has no effect; did you mean GES_LOG_LEVEL?",
        ]
    );
}

#[test]
fn service_links_are_explained() {
    for name in ["GES_INTERNAL_PORT", "GES_INTERNAL_URL", "GES_DB_HOST", "GES_REDIS_PORT"] {
        let text = load(&[(name, "tcp://10.0.0.1:6379")]).unwrap_err().to_string();
        assert!(text.contains("service links") && !text.contains("10.0.0.1"), "{text}");
    }
    let warnings = load(&[("GES_PORT", "tcp://10.0.0.1:80")]).unwrap().warnings;
    assert!(warnings[0].contains("service links"), "{warnings:?}");
}

#[test]
fn environment_goes_before_folders_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    written(&first, "GES-SIM-SEED", "11\n");
    written(&second, "GES-SIM-SEED", "12");
    written(&second, "LOG-LEVEL", "WARN\r\n");
    written(&second, "DATA-DIR", "from-folder");
    written(&second, ".hidden", "x");
    let yaml = format!(
        "config_folders: {},{}\ndata_dir: from-file\nsim:\n  seed: 13\n  agents: 0042\nlog:\n  level: DEBUG\n",
        first.display(),
        second.display()
    );
    let file = written(folder.path(), "ges.yaml", &yaml);
    let Loaded { config, warnings } = load_with(&[("GES_DATA_DIR", "from-environment")], Some(&file)).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.data.data_dir, PathBuf::from("from-environment"));
    assert_eq!(config.sim.seed, 11);
    assert_eq!(config.log.level, Level::Warn);
    assert_eq!(config.sim.agents, 42);
}

#[test]
fn a_file_tells_its_mistakes_beside_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let file =
        written(folder.path(), "ges.yaml", "log:\n  level: [a]\n  max_len: 1\nlgo: x\ndb_host: y\nsim:\n  speeed: 2\n");
    let told = load_with(&[("GES_EXTERNAL_PORT", "x")], Some(&file)).unwrap_err().to_string();
    assert!(told.starts_with("the configuration has 3 mistakes:"), "{told}");
    for part in
        ["log.level (", "log.max_len of the configuration file): a whole number of 1 digit", "GES_EXTERNAL_PORT"]
    {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    fs::write(&file, "lgo: x\ndb_host: y\nsim:\n  speeed: 2\n").unwrap();
    let warnings = load_with(&[], Some(&file)).unwrap().warnings;
    assert!(warnings.iter().any(|line| line.contains("did you mean db.host?")), "{warnings:?}");
    assert!(warnings.iter().any(|line| line.contains("did you mean sim.speed?")), "{warnings:?}");
    assert_eq!(warnings.len(), 3);
}

#[test]
fn files_and_folders_that_cannot_be_read_are_mistakes() {
    let told = load_with(&[("GES_CONFIG_FOLDERS", "/nowhere/at/all")], Some(Path::new("/nowhere.yaml"))).unwrap_err();
    assert_eq!(told.0.len(), 2, "{told}");
}

#[test]
fn two_listeners_need_two_ports_unless_both_are_free() {
    assert!(load(&[("GES_EXTERNAL_PORT", "3050")]).is_err());
    assert!(load(&[("GES_EXTERNAL_PORT", "0"), ("GES_INTERNAL_PORT", "0")]).is_ok());
}

#[test]
fn the_internal_url_is_completed() {
    let bound = "0.0.0.0:4000".parse().unwrap();
    let url = |text| load(&[("GES_INTERNAL_URL", text)]).map(|loaded| loaded.config.listeners.internal_url(bound));
    assert_eq!(load(&[]).unwrap().config.listeners.internal_url(bound), "http://127.0.0.1:4000");
    assert_eq!(url("ges.ges").unwrap(), "http://ges.ges:4000");
    assert_eq!(url("ges:80").unwrap(), "http://ges:80");
    assert_eq!(url("https://ges.example/inner/").unwrap(), "https://ges.example:4000/inner");
    for bad in ["ftp://x", "http://user:pass@host", "a b", "http://", "ges:http", "http://h?x=1"] {
        assert!(url(bad).is_err(), "{bad}");
    }
}

#[test]
fn names_map_to_keys_of_the_file() {
    let pairs = [
        ("GES_LOG_MAX_LEN", "log.max_len"),
        ("GES_VMCS_REDIS_HOST", "vmcs.redis_host"),
        ("GES_DATA_DIR", "data_dir"),
        ("GES_DB_HOST", "db.host"),
        ("GES_OTLP_ENDPOINT", "otlp_endpoint"),
    ];
    for (name, key) in pairs {
        assert_eq!(file_key(name), key);
    }
}

#[test]
fn shapes_give_nothing_away() {
    let cases = [
        ("12", "a whole number of 2 digits"),
        ("-3", "a negative number"),
        ("1.5", "a decimal number"),
        ("tcp://1.2.3.4:5", "a tcp address of 15 characters"),
        ("a b", "a text of 3 characters with spaces"),
        ("ä", "a text of 1 character beyond ASCII"),
    ];
    for (text, expected) in cases {
        assert_eq!(shape(text), expected);
    }
}
