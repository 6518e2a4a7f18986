//! What is handed to operators: the compose file, and the script that brings up the same with plain processes. The script
//! is run for real, and what its processes were told is held beside what the compose file tells its containers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::http::Client;
use crate::harness::{api, poll};

/// A database, three Redis, two nodes, an engine and a balancer, on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(60);
const COMPOSE: &str = "deploy/compose.yaml";
/// What runs once in containers, and before everything else in the script.
const ONCE: &str = "tenant";

fn compose() -> Value {
    serde_saphyr::from_str(&fs::read_to_string(COMPOSE).unwrap()).expect("the compose file is YAML")
}

fn services(compose: &Value) -> &serde_json::Map<String, Value> {
    compose["services"].as_object().expect("there are services")
}

/// Members of an object, or items of a list.
fn names(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(items) => items.iter().map(|item| item.as_str().unwrap().to_owned()).collect(),
        _ => BTreeSet::new(),
    }
}

/// Lines `NAME=value`.
fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.split(['\n', '\0']).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What a container of `service` finds in its environment.
fn told_in_container(service: &Value) -> BTreeMap<String, String> {
    let mut told = match service["env_file"].as_str() {
        Some(file) => variables(&fs::read_to_string(Path::new("deploy").join(file)).unwrap()),
        None => BTreeMap::new(),
    };
    for (name, value) in service["environment"].as_object().into_iter().flatten() {
        told.insert(name.clone(), value.as_str().expect("a text").to_owned());
    }
    told
}

/// The script while it runs.
struct Cluster {
    script: Child,
    folder: PathBuf,
    /// Where it was told to put its folder, and its output.
    around: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let around = TempDir::with_prefix("ges-deployment-").unwrap();
        // The database may run as somebody else, who has to come through.
        let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(around.path(), open).unwrap();
        let output = fs::File::create(around.path().join("output")).unwrap();
        let script = Command::new("scripts/cluster")
            .env("CLUSTER_PROGRAM", env!("CARGO_BIN_EXE_ges"))
            .envs([("EXTERNAL_PORT", "0"), ("INTERNAL_PORT", "0")])
            .env("TMPDIR", around.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut cluster = Self { script, folder: PathBuf::new(), around };
        poll::until("everything is up", UP_WITHIN, || {
            assert!(cluster.script.try_wait().unwrap().is_none(), "{}", cluster.output());
            cluster.output().contains("Ctrl-C").then_some(())
        });
        let folders = fs::read_dir(cluster.around.path()).unwrap().map(|entry| entry.unwrap().path());
        cluster.folder = folders.into_iter().find(|path| path.is_dir()).expect("the script has a folder");
        cluster
    }

    fn output(&self) -> String {
        fs::read_to_string(self.around.path().join("output")).unwrap_or_default()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// By service and its port in the compose file: the port here.
    fn ports(&self) -> BTreeMap<(String, String), u16> {
        let text = self.read("addresses");
        let one = |line: &str| {
            let [service, there, here] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            ((service.to_owned(), there.to_owned()), here.parse().unwrap())
        };
        text.lines().map(one).collect()
    }

    fn at(&self, service: &str, port: &str) -> SocketAddr {
        ([127, 0, 0, 1], self.ports()[&(service.to_owned(), port.to_owned())]).into()
    }

    /// The processes that it has started, by service.
    fn processes(&self) -> BTreeMap<String, u32> {
        let files = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "pid"));
        let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let first_line = |text: String| text.lines().next().unwrap().parse().unwrap();
        let mut found: BTreeMap<_, _> =
            files.map(|path| (name(&path), first_line(fs::read_to_string(&path).unwrap()))).collect();
        found.insert("postgres".to_owned(), first_line(self.read("postgres/data/postmaster.pid")));
        found
    }

    /// What the compose file says, as it is said here: other hosts, ports and folders.
    fn here(&self, name: &str, value: &str, told: &BTreeMap<String, String>, node: &str) -> String {
        let port_name = name.replace("_HOST", "_PORT");
        match name {
            "GES_CONFIG_FOLDERS" => self.folder.join("secrets").to_str().unwrap().to_owned(),
            "GES_INTERNAL_URL" => format!("http://{}", self.at("balancer", value.rsplit(':').next().unwrap())),
            "GES_BIND_ADDRESS" => "127.0.0.1".to_owned(),
            "GES_EXTERNAL_PORT" | "GES_INTERNAL_PORT" => self.at(node, value).port().to_string(),
            _ if name.ends_with("_HOST") => {
                // The port beside it says that the host is a service that listens there.
                self.at(value, &told[&port_name]).ip().to_string()
            }
            _ if name.ends_with("_PORT") => {
                let host = &told[&name.replace("_PORT", "_HOST")];
                self.at(host, value).port().to_string()
            }
            _ => value.to_owned(),
        }
    }

    /// Books through the balancer until the answer is heard, and waits for the end.
    fn serve_one(&self, number: usize) {
        let key = self.read("secrets/DEMO-API-KEY").trim_end().to_owned();
        let mut client = Client::new(self.at("balancer", "2050")).with_header("X-API-Key", &key);
        let body = api::booking(&format!("+1416555{number:04}"), None);
        let id: Uuid = poll::until("a booking is answered 200", SOON, || {
            let answer = api::create(&mut client, Some(&format!("key-{number}")), &body).ok()?;
            (answer.status == 200).then(|| api::id_of(&answer).unwrap())
        });
        let reason = poll::until("the callback ends", SOON, || {
            let data = api::retrieve(&mut client, id).ok()?.json()["data"].clone();
            (data["callbackState"] == "COMPLETED").then(|| data["callbackReason"].clone())
        });
        assert_eq!(reason, "AGENT_CONNECTED");
    }

    /// What is still there.
    fn left(&self, ports: &BTreeMap<(String, String), u16>, processes: &BTreeMap<String, u32>) -> Vec<String> {
        let folder = self.folder.exists().then(|| self.folder.display().to_string());
        let alive = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
        let listens = |port: &u16| TcpStream::connect_timeout(&([127, 0, 0, 1], *port).into(), SOON).is_ok();
        let processes = processes.iter().filter(|(_, pid)| alive(pid)).map(|(name, pid)| format!("{name} ({pid})"));
        let ports = ports.iter().filter(|(_, port)| listens(port)).map(|((name, _), port)| format!("{name}:{port}"));
        folder.into_iter().chain(processes).chain(ports).collect()
    }

    /// Asks the script to end, as Ctrl-C does, and says what is still there then.
    fn stop(&mut self) -> Vec<String> {
        let (ports, processes) = (self.ports(), self.processes());
        signal("TERM", self.script.id());
        let ended = poll::try_until(SOON, || self.script.try_wait().unwrap());
        assert!(ended.is_some(), "the script has not ended: {}", self.output());
        // A process that has ended is there until its parent, which may be the first of all, has heard of it.
        let mut left = Vec::new();
        poll::try_until(SOON, || {
            left = self.left(&ports, &processes);
            left.is_empty().then_some(())
        });
        left
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.output());
        }
        if self.script.try_wait().unwrap().is_none() {
            signal("TERM", self.script.id());
        }
        drop(self.script.wait());
    }
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status().unwrap();
    assert!(sent.success(), "{process} is not there");
}

/// What a process was told, and its arguments after the program.
fn told_to_process(process: u32) -> (BTreeMap<String, String>, Vec<String>) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).unwrap();
    let arguments = read("cmdline").split_terminator('\0').skip(1).map(str::to_owned).collect();
    (variables(&read("environ")), arguments)
}

/// Two nodes are told the same in containers as here, but for where things are.
fn assert_the_same(cluster: &Cluster, compose: &Value) {
    let processes = cluster.processes();
    let mut expected = names(&compose["services"]);
    assert!(expected.remove(ONCE));
    assert_eq!(processes.keys().cloned().collect::<BTreeSet<_>>(), expected, "the same services");
    for service in ["node-1", "node-2", "ors"] {
        let in_container = told_in_container(&compose["services"][service]);
        let here: BTreeMap<_, _> = in_container
            .iter()
            .map(|(name, value)| (name.clone(), cluster.here(name, value, &in_container, service)))
            .collect();
        let (told, arguments) = told_to_process(processes[service]);
        assert_eq!(told, here, "what {service} is told");
        let command = compose["services"][service]["command"].as_array().unwrap();
        assert_eq!(Value::from(arguments[0].clone()), command[0], "what {service} runs");
        assert_eq!(arguments.len(), command.len());
    }
    let ports = compose["services"]["balancer"]["ports"].as_array().unwrap();
    for (port, (_, there)) in ports.iter().zip(cluster.ports().into_keys().filter(|(name, _)| name == "balancer")) {
        let name = if there == "2050" { "EXTERNAL_PORT" } else { "INTERNAL_PORT" };
        assert_eq!(port.as_str().unwrap(), format!("127.0.0.1:${{{name}:-{there}}}:{there}"));
        let script = fs::read_to_string("scripts/cluster").unwrap();
        assert!(script.contains(&format!("{name}=${{{name}:-{there}}}")), "the same port by default");
    }
}

#[test]
fn the_script_brings_up_what_the_compose_file_says_and_leaves_nothing_behind() {
    let mut cluster = Cluster::start();
    assert_the_same(&cluster, &compose());
    for port in ["2050", "3050"] {
        assert!(cluster.output().contains(&cluster.at("balancer", port).to_string()), "the addresses are printed");
    }
    cluster.serve_one(2_000);
    let first = cluster.processes()["node-1"];
    signal("KILL", first);
    cluster.serve_one(2_001);
    let nodes = Client::new(cluster.at("balancer", "3050")).get("/ges/v1/health/detail").unwrap().json();
    assert_eq!(nodes["node"], "node-2", "the one that is left answers inside, too");
    assert_eq!(cluster.stop(), Vec::<String>::new());
}

#[test]
fn what_the_compose_file_names_is_there() {
    let compose = compose();
    let made = TempDir::new().unwrap();
    let folder = made.path().join("secrets");
    assert!(Command::new("deploy/cluster/secrets").arg(&folder).status().unwrap().success());
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), names(&compose["secrets"]), "the secrets that the script makes");
    let key = fs::read(folder.join("GES-MASTER-KEY")).unwrap();
    assert!(Command::new("deploy/cluster/secrets").arg(&folder).status().unwrap().success());
    assert_eq!(fs::read(folder.join("GES-MASTER-KEY")).unwrap(), key, "what is there is kept");

    for (name, service) in services(&compose) {
        assert!(names(&service["secrets"]).is_subset(&names(&compose["secrets"])), "secrets of {name}");
        assert!(names(&service["depends_on"]).is_subset(&names(&compose["services"])), "what {name} waits for");
        let long_lived = service["restart"] == "unless-stopped";
        assert_eq!(long_lived, name != ONCE, "{name} is started again");
        assert!(service["healthcheck"].is_object() || !long_lived || name == "ors", "the health of {name} is known");
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            let is_there = match from.strip_prefix("./") {
                Some(file) => Path::new("deploy").join(file).exists(),
                None => compose["volumes"].as_object().unwrap().contains_key(from),
            };
            assert!(is_there, "{from} of {name}");
        }
    }

    let template = fs::read_to_string("deploy/cluster/balancer.conf.template").unwrap();
    let wanted = template.split("${").skip(1).map(|rest| rest.split('}').next().unwrap().to_owned());
    assert_eq!(wanted.collect::<BTreeSet<_>>(), names(&compose["services"]["balancer"]["environment"]));
}
