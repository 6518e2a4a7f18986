use std::path::{Path, PathBuf};

use super::*;
use crate::provisioning::sources::{Source, merge, parse, read_files};

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned(), folder: PathBuf::from("/etc/ges") }
}

fn told(sources: Vec<Source>) -> Vec<String> {
    let mistakes = merge(sources).unwrap_err();
    mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.file, mistake.error)).collect()
}

#[test]
fn yaml_and_json_say_the_same_and_texts_stay_texts() {
    let json =
        parse(r#"{"tenant": "acme", "a": ["NO", "on", "0123", "1e3", "~"], "b": 1, "c": true, "d": null}"#).unwrap();
    let yaml = parse("tenant: acme\na: [NO, on, \"0123\", \"1e3\", \"~\"]\nb: 1\nc: true\nd: ~\n").unwrap();
    assert_eq!(json, yaml);
    assert_eq!(parse("{tenant: acme, b: 1}\n").unwrap(), parse("tenant: acme\nb: 1\n").unwrap());
    assert_eq!(parse("a: &x {b: 1}\nc: *x\n").unwrap(), parse("{a: {b: 1}, c: {b: 1}}").unwrap());
}

#[test]
fn a_text_that_is_neither_is_told_by_its_place_alone() {
    for text in ["a: [planted", "a: \"planted\nb: 1", "a: planted: b"] {
        let told = parse(text).unwrap_err();
        assert!(told.starts_with("line ") && !told.contains("planted"), "{told}");
    }
    // A bomb of references ends before the memory does.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let items = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{items}]\n"));
    }
    assert!(parse(&bomb).is_err());
}

#[test]
fn files_of_a_tenant_become_one_document() {
    let drafts = merge(vec![
        source("a.yaml", "format: 1\ntenant: acme\nqueues: {support: {}}\n"),
        source("b.yaml", "format: 1\ntenant: acme\nqueues: {sales: {}}\nlimits: {burst: 5}\n"),
        source("c.yaml", "tenant: other\nlimits: {burst: 6}\n"),
    ])
    .unwrap();
    let acme = parse("format: 1\ntenant: acme\nqueues: {support: {}, sales: {}}\nlimits: {burst: 5}\n").unwrap();
    assert_eq!((drafts.len(), &drafts["acme"].root), (2, &acme));
    for (path, file) in [
        ("queues.sales.ttlSeconds", "b.yaml"),
        ("queues.support", "a.yaml"),
        ("limits.burst", "b.yaml"),
        ("captcha", "a.yaml"),
    ] {
        let error = SettingError { path: path.to_owned(), value: None, rule: "is wrong".to_owned() };
        assert_eq!(drafts["acme"].locate(error).file, file, "{path}");
    }
}

#[test]
fn a_key_in_two_files_is_a_mistake_that_names_both() {
    assert_eq!(
        told(vec![
            source("a.yaml", "tenant: acme\nqueues: {support: {}}\ncorsOrigins: []\nlimits: {burst: 5}\n"),
            source(
                "b.yaml",
                "tenant: acme\nqueues: {support: {}}\ncorsOrigins: []\nlimits: {requestsPerSecond: 5, burst: 5}\nformat: 1\n"
            ),
            source("c.yaml", "tenant: acme\nformat: 2\nlimits: 7\n"),
        ]),
        [
            "b.yaml: queues.support: stands in a.yaml too",
            "b.yaml: corsOrigins: stands in a.yaml too",
            "b.yaml: limits.burst: stands in a.yaml too",
            "c.yaml: format: stands in b.yaml too",
            "c.yaml: limits: stands in a.yaml too",
        ]
    );
    assert_eq!(
        told(vec![source("a.yaml", "queues: {}"), source("b.yaml", "[]"), source("c.yaml", "a: [")]),
        [
            "a.yaml: tenant: has to be the name of the tenant",
            "b.yaml: the document: has to be an object",
            "c.yaml: the document: line 1, column 4: cannot be read as YAML or JSON",
        ]
    );
}

#[test]
fn a_key_twice_in_one_file_is_told_by_whoever_reads_it() {
    let drafts =
        merge(vec![source("a.yaml", "tenant: acme\nlimits: {}\nlimits: {}\nqueues: {a: {}, a: {}}\n")]).unwrap();
    let mistakes = domain::tenant::read(drafts["acme"].root.clone()).unwrap_err();
    let told: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["limits: stands there twice", "queues.a: stands there twice"]);
}

#[test]
fn names_of_files_begin_where_the_document_is() {
    let text = "tenant: acme\npush: {fcm: {file: keys/fcm.json}}\nkeys: {web: {key: {file: /abs}}}\nregionRules: {file: [file]}\n";
    let drafts = merge(vec![source("a.yaml", text)]).unwrap();
    let root = &drafts["acme"].root;
    let at = |path: &str| root.at(&path.split('.').map(str::to_owned).collect::<Vec<_>>()).cloned();
    assert_eq!(at("push.fcm.file"), Some(Node::text("/etc/ges/keys/fcm.json")));
    assert_eq!(at("keys.web.key.file"), Some(Node::text("/abs")));
    assert_eq!(at("regionRules.file.0"), Some(Node::text("file")));
}

#[test]
fn a_folder_stands_for_its_documents() {
    let folder = TempDir::new().unwrap();
    for (name, text) in [("b.yaml", "b: 1"), ("a.yml", "a: 1"), ("c.json", "{}"), ("notes.txt", "x"), (".hidden", "x")]
    {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let read = read_files(&[folder.path().to_owned()]).unwrap();
    let names: Vec<_> =
        read.iter().map(|source| Path::new(&source.name).file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.yml", "b.yaml", "c.json"]);
    assert!(read.iter().all(|source| source.folder == folder.path()));
    let empty = TempDir::new().unwrap();
    assert!(read_files(&[empty.path().to_owned()]).unwrap_err().to_string().starts_with("there is no document in"));
    assert!(read_files(&[folder.path().join("gone.yaml")]).unwrap_err().to_string().starts_with("cannot read"));
}
