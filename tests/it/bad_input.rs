//! What the program cannot work with: one clear line, exit code 2, and nothing touched.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::harness::service::{Folder, Options, Service, run_to_end};

/// The file that only says that somebody is there.
const LOCK: &str = "ges.lock";

fn serve(folder: &Folder, options: &Options) -> Output {
    run_to_end(folder, options, &["serve"])
}

/// Exit code 2 and one line for people that holds `words`. The log may say it too, as one of its own lines.
fn assert_one_clear_line(output: &Output, words: &[&str]) {
    let (log, text) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{log}{text}");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "not one line:\n{text}");
    for word in words {
        assert!(lines[0].to_lowercase().contains(word), "the line does not say `{word}`: {text}");
    }
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "not a log line: {line}");
    }
}

/// Every file of a folder that holds data, with what is in it. SQLite leaves an index and an empty log beside
/// a database that was opened for reading alone.
fn contents(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(files) = std::fs::read_dir(data) else { return BTreeMap::new() };
    let files = files.map(|file| file.unwrap().path());
    let read = |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap());
    let holds_data = |(name, bytes): &(String, Vec<u8>)| {
        name != LOCK && !name.ends_with("-shm") && !(name.ends_with("-wal") && bytes.is_empty())
    };
    files.map(read).filter(holds_data).collect()
}

fn assert_untouched(before: &BTreeMap<String, Vec<u8>>, folder: &Folder) {
    let after = contents(&folder.data());
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    let touched: Vec<&String> = before.keys().chain(after.keys()).filter(differs).collect();
    assert_eq!(touched, Vec::<&String>::new(), "something was touched");
}

/// A data folder that a service has worked in and left.
fn used_folder() -> Folder {
    let mut service = Service::start(Options::fast());
    assert!(service.sigterm().success());
    service.folder().clone()
}

#[test]
fn a_data_folder_that_cannot_be_made_is_refused() {
    // Not by permissions: these tests may run as root, who has them all. Nothing can be made below a file.
    let folder = Folder::new();
    std::fs::write(folder.beside("file"), "").unwrap();
    let path = folder.beside("file").join("data");
    let output = serve(&folder, &Options::default().with("GES_DATA_DIR", path.display()));
    assert_one_clear_line(&output, &[&path.display().to_string().to_lowercase()]);
    assert_eq!(std::fs::read(folder.beside("file")).unwrap(), b"");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_refused() {
    let folder = Folder::new();
    let output = serve(&folder, &Options::default().with("GES_DATA_DIR", "/proc/self"));
    assert_one_clear_line(&output, &["/proc/self"]);
}

#[test]
fn a_port_in_use_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for name in ["GES_EXTERNAL_PORT", "GES_INTERNAL_PORT"] {
        let output = serve(&Folder::new(), &Options::default().with(name, port));
        assert_one_clear_line(&output, &[&format!("127.0.0.1:{port}"), "in use"]);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_kept() {
    let folder = Folder::new();
    std::fs::create_dir(folder.data()).unwrap();
    std::fs::write(folder.data().join("ges.db"), "my diary, of which there is no other copy\n".repeat(500)).unwrap();
    let before = contents(&folder.data());
    assert_one_clear_line(&serve(&folder, &Options::default()), &["ges.db"]);
    assert_eq!(before.keys().collect::<Vec<_>>(), ["ges.db"]);
    assert_untouched(&before, &folder);
}

#[test]
fn a_damaged_database_is_refused_and_kept() {
    let folder = used_folder();
    let file = folder.data().join("ges.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[..64].fill(b'x');
    std::fs::write(&file, bytes).unwrap();
    let before = contents(&folder.data());
    assert_one_clear_line(&serve(&folder, &Options::default()), &["ges.db"]);
    assert_untouched(&before, &folder);
}

#[test]
fn the_database_of_another_program_is_refused_and_kept() {
    let folder = Folder::new();
    std::fs::create_dir(folder.data()).unwrap();
    let file = folder.data().join("ges.db");
    let mut connection = SqliteConnection::establish(&file.display().to_string()).unwrap();
    connection.batch_execute("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')").unwrap();
    drop(connection);
    let before = contents(&folder.data());
    assert_one_clear_line(&serve(&folder, &Options::default()), &["ges.db"]);
    assert_untouched(&before, &folder);
}

#[test]
fn a_newer_database_is_refused_and_kept() {
    let folder = used_folder();
    let file = folder.data().join("ges.db");
    let mut connection = SqliteConnection::establish(&file.display().to_string()).unwrap();
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000');
        UPDATE installation SET needs = '99991231000000'";
    connection.batch_execute(newer).unwrap();
    drop(connection);
    let before = contents(&folder.data());
    assert_one_clear_line(&serve(&folder, &Options::default()), &["ges.db", "newer"]);
    assert_untouched(&before, &folder);
}

/// A shared database may come back, and is waited for; a file does not.
#[test]
fn a_file_that_takes_no_key_ends_the_start() {
    let folder = Folder::embedded();
    assert!(run_to_end(&folder, &Options::default(), &["migrate"]).status.success());
    let mut connection = SqliteConnection::establish(&folder.data().join("ges.db").display().to_string()).unwrap();
    let refusing = "CREATE TRIGGER refusing BEFORE UPDATE OF root_key ON installation
        BEGIN SELECT RAISE(ABORT, 'nothing is written here'); END";
    connection.batch_execute(refusing).unwrap();
    drop(connection);
    assert_one_clear_line(&serve(&folder, &Options::default()), &["root key", "nothing is written here"]);
}

#[test]
fn a_file_without_certificate_authorities_is_refused() {
    let folder = Folder::new();
    let path = folder.beside("authorities.pem");
    for (content, why) in [(None, "no such file"), (Some("-----BEGIN NOTHING-----"), "no pem certificate")] {
        content.inspect(|content| std::fs::write(&path, content).unwrap());
        let output = serve(&folder, &Options::default().with("GES_CA_FILES", path.display()));
        assert_one_clear_line(&output, &["ges_ca_files", "authorities.pem", why]);
    }
    assert_eq!(contents(&folder.data()), BTreeMap::new(), "something was made before the file was read");
}

#[test]
fn a_second_service_on_the_same_data_is_refused() {
    let service = Service::start(Options::fast());
    assert_one_clear_line(&serve(service.folder(), &Options::default()), &["in use"]);
}

#[test]
fn every_wrong_setting_is_named_at_once() {
    let folder = Folder::new();
    let options =
        Options::default().with("GES_EXTERNAL_PORT", "many").with("GES_SIM_SPEED", "-1").with("GES_LOG_LEVEL", "LOUD");
    let output = serve(&folder, &options);
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for name in ["GES_EXTERNAL_PORT", "GES_SIM_SPEED", "GES_LOG_LEVEL"] {
        assert!(text.contains(name), "{name} is not named:\n{text}");
    }
    assert_eq!(contents(&folder.data()), BTreeMap::new(), "something was made before the settings were read");
}
