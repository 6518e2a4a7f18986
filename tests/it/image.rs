//! The image without an engine for containers: a root folder with exactly its files, in which the program runs as the
//! user of the image. That takes root for `chroot`; others are told so and see the list of files only.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::http::Client;
use crate::harness::postgres::{Server, query};
use crate::harness::redis::Redis;
use crate::harness::{api, free_port, poll};

const USER: u32 = 500;
/// How long the program may take on a busy machine until it is ready, or until it has ended.
const SOON: Duration = Duration::from_secs(60);

struct Image {
    folder: TempDir,
}

impl Image {
    fn make() -> Self {
        let folder = TempDir::with_prefix("ges-image-").unwrap();
        // The way to the root has to be open to its user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let image = Self { folder };
        let status =
            Command::new("deploy/image-root").arg(env!("CARGO_BIN_EXE_ges")).arg(image.root()).status().unwrap();
        assert!(status.success(), "{status}");
        image
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The program in its root, as its user, with nothing of the machine's environment.
    fn run(&self, environment: &[(&str, String)], arguments: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.args([&format!("--userspec={USER}:{USER}"), "--groups="]).arg(self.root()).arg("/ges").args(arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("GES_LOG_FORMAT", "json").env("GES_DRAIN_SECONDS", "0");
        command.envs(environment.iter().map(|(name, value)| (*name, value))).stdin(Stdio::null());
        command
    }
}

/// Paths of all files and folders below `root`.
fn everything(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            if path.symlink_metadata().unwrap().is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// A node in the image. Killed when a test fails.
struct Node {
    child: Child,
    external: SocketAddr,
    internal: SocketAddr,
}

impl Node {
    fn start(image: &Image, environment: &[(&str, String)]) -> Self {
        let (external, internal) = (free_port(), free_port());
        let log = image.folder.path().join("log");
        let mut all = vec![("GES_EXTERNAL_PORT", external.to_string()), ("GES_INTERNAL_PORT", internal.to_string())];
        all.extend_from_slice(environment);
        let output = File::create(&log).unwrap();
        let child = image.run(&all, &["serve"]).stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        let [external, internal] = [external, internal].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut node = Self { child, external, internal };
        let ready = poll::try_until(SOON, || {
            assert!(node.child.try_wait().unwrap().is_none(), "{}", fs::read_to_string(&log).unwrap());
            Client::new(internal).get("/ges/v1/health/ready").is_ok_and(|answer| answer.status == 200).then_some(())
        });
        assert!(ready.is_some(), "{}", fs::read_to_string(&log).unwrap());
        node
    }

    /// Real, effective, saved and file system's user.
    fn users(&self) -> Vec<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        line.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }

    fn end(mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        let ended = poll::try_until(SOON, || self.child.try_wait().unwrap());
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_image_holds_the_program_its_libraries_and_nothing_to_work_with() {
    let image = Image::make();
    let all = everything(&image.root());
    let files: BTreeSet<&str> =
        all.iter().map(String::as_str).filter(|path| !image.root().join(path).is_dir()).collect();
    let (libraries, others): (Vec<&str>, Vec<&str>) = files.iter().partition(|path| path.contains(".so"));
    let expected =
        ["etc/group", "etc/nsswitch.conf", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "ges", "sbom.cdx.json"];
    assert_eq!(others, expected);
    assert!((2..=6).contains(&libraries.len()), "{libraries:?}");
    for path in &all {
        let mode = fs::symlink_metadata(image.root().join(path)).unwrap().mode();
        assert_eq!(mode & 0o022, 0, "{path} can be written by others");
        assert_eq!(mode & 0o6000, 0, "{path} gives another user");
    }
}

#[test]
fn the_bill_of_materials_has_every_crate_of_the_lock_file() {
    let output = Command::new("deploy/sbom").output().unwrap();
    let bill: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(bill["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
    let components = bill["components"].as_array().unwrap();
    let lock = fs::read_to_string("Cargo.lock").unwrap();
    assert_eq!(components.len(), lock.lines().filter(|line| line.starts_with("checksum = ")).count());
    let names: BTreeSet<&str> = components.iter().map(|one| one["purl"].as_str().unwrap()).collect();
    assert_eq!(names.len(), components.len());
    assert!(names.iter().any(|name| name.starts_with("pkg:cargo/ractor@")), "{names:?}");
    assert!(components.iter().all(|one| one["hashes"][0]["content"].as_str().unwrap().len() == 64));
}

#[test]
fn the_program_runs_in_it_as_nobody_and_writes_nothing() {
    if !is_root() {
        println!("skipped: only root can change into the image");
        return;
    }
    let image = Image::make();
    let output = image.run(&[], &["--version"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("ges {}", env!("CARGO_PKG_VERSION")));

    // Engines for containers put this file into every one; the name shows that names are looked up at all.
    fs::write(image.root().join("etc/hosts"), "127.0.0.1 postgres.infra redis.voice\n").unwrap();
    let (server, redis) = (Server::start(&[]), Redis::start());
    query(&server.address("postgres"), "CREATE DATABASE ges");
    let before = everything(&image.root());
    let node = Node::start(
        &image,
        &[
            ("GES_DB_HOST", "postgres.infra".to_owned()),
            ("GES_DB_PORT", server.address("ges").port.to_string()),
            ("GES_NODE_NAME", "one".to_owned()),
            ("GES_MASTER_KEY", STANDARD.encode([7; 32])),
            ("GES_VMCS_REDIS_HOST", "redis.voice".to_owned()),
            ("GES_VMCS_REDIS_PORT", redis.port().to_string()),
        ],
    );
    assert_eq!(node.users(), [USER; 4]);
    assert_eq!(Client::new(node.external).get("/engagement/v3/estimated-wait-time").unwrap().status, 401);
    node.end();
    assert_eq!(everything(&image.root()), before, "a node on PostgreSQL writes no file");
}

#[test]
fn the_embedded_mode_keeps_everything_in_its_volume() {
    if !is_root() {
        println!("skipped: only root can change into the image");
        return;
    }
    let image = Image::make();
    let before = everything(&image.root());
    fs::create_dir(image.root().join("data")).unwrap();
    chown(image.root().join("data"), Some(USER), Some(USER)).unwrap();
    let node = Node::start(&image, &[("GES_DATA_DIR", "/data".to_owned()), ("GES_DEMO_API_KEY", api::KEY.to_owned())]);
    assert_eq!(node.users(), [USER; 4]);
    let answer = api::create(&mut api::client(node.external), None, &api::booking("+14165550100", None)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(Client::new(node.internal).get("/ges/v1/health/detail").unwrap().json()["status"], "UP");
    node.end();
    let outside = everything(&image.root()).into_iter().filter(|path| !path.starts_with("data")).collect();
    assert_eq!(before, outside);
    assert!(image.root().join("data/ges.db").exists());
}
