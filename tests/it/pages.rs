//! The handbook as a whole: its index, its links, and the tables that are kept by hand, held against the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ges::config;
use serde_json::Value;

/// Pages of the handbook that stand elsewhere.
const OUTSIDE: [&str; 5] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/README.md"];
const INDEX: &str = "docs/README.md";
/// Folders that the index names as a whole, or by a page that lists the others.
const LISTED_ELSEWHERE: [&str; 3] = ["docs/adr", "docs/runbooks", "docs/transcripts"];
/// How many features there are in the table of what is here.
const FEATURES: u32 = 214;

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All pages in a folder and below.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Lines that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// Targets of the links in a page that lead to the tree.
fn links(text: &str) -> Vec<&str> {
    prose(text)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.contains(' '))
        .collect()
}

/// What a heading is called in links to it.
fn anchor(heading: &str) -> String {
    let written = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    };
    heading.trim().to_lowercase().chars().filter_map(written).collect()
}

fn has_heading(page: &Path, wanted: &str) -> bool {
    prose(&read(page)).filter(|line| line.starts_with('#')).any(|line| anchor(line.trim_start_matches('#')) == wanted)
}

/// The page and the heading, if one is named, that a link on `page` leads to.
fn target<'a>(page: &Path, link: &'a str) -> (PathBuf, Option<&'a str>) {
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
    let beside = page.parent().expect("a page is in a folder");
    (if path.is_empty() { page.to_owned() } else { beside.join(path) }, heading)
}

#[test]
fn every_link_leads_somewhere() {
    let all: Vec<PathBuf> = OUTSIDE.iter().map(PathBuf::from).chain(pages(Path::new("docs"))).collect();
    let (mut followed, mut dead) = (0, Vec::new());
    for page in &all {
        for link in links(&read(page)) {
            let (path, heading) = target(page, link);
            let found = path.exists() && heading.is_none_or(|wanted| has_heading(&path, wanted));
            followed += 1;
            if !found {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    assert!(followed > 200, "{followed}");
}

#[test]
fn every_page_is_in_the_index() {
    let index = read(INDEX);
    let listed: BTreeSet<PathBuf> =
        links(&index).into_iter().filter_map(|link| target(Path::new(INDEX), link).0.canonicalize().ok()).collect();
    for page in pages(Path::new("docs")) {
        let elsewhere = LISTED_ELSEWHERE.iter().any(|folder| page.starts_with(folder));
        if !elsewhere && page != Path::new(INDEX) {
            assert!(listed.contains(&page.canonicalize().unwrap()), "{} is not in {INDEX}", page.display());
        }
    }
    for folder in LISTED_ELSEWHERE {
        assert!(listed.iter().any(|path| path.to_string_lossy().contains(folder)), "{folder} is not in {INDEX}");
    }
}

/// Cells of a row of a table.
fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_start_matches('|').trim_end_matches('|').split('|').map(str::trim).collect()
}

/// Rows of the table with this head.
fn table<'a>(page: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let rows = page.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(cells).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Files are there, and each test that follows a file is in it.
fn assert_proof(row: u32, proof: &str) {
    let mut file = String::new();
    for name in quoted(proof) {
        if name.ends_with(".rs") {
            file = read(name);
        } else {
            assert!(file.contains(&format!("fn {name}(")), "row {row}: no test {name} where the row says");
        }
    }
}

#[test]
fn every_row_of_parity_has_a_proof_or_says_what_is_missing() {
    let page = read("docs/parity.md");
    let mut rows = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let row = cells(line);
        let Ok(number) = row[0].parse::<u32>() else { continue };
        let [_, _, state, proof, missing] = row[..] else { panic!("row {number} has {} cells", row.len()) };
        assert!(rows.insert(number), "row {number} is there twice");
        match state {
            "done" => assert!(!proof.is_empty(), "row {number} has no proof"),
            "partly" => assert!(!proof.is_empty() && !missing.is_empty(), "row {number} is half a row"),
            "later" => assert!(proof.is_empty() && !missing.is_empty(), "row {number} says nothing"),
            other => panic!("row {number} is {other}"),
        }
        assert_proof(number, proof);
    }
    assert_eq!(rows, (1..=FEATURES).collect::<BTreeSet<_>>());
}

/// A value by its path, such as `configMap.env`.
fn at<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(values, |value, name| value.get(name))
}

/// Paths of everything that has no members.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let longer = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(member, &longer, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn known_settings() -> BTreeSet<&'static str> {
    config::settings().into_iter().map(|setting| setting.name).collect()
}

#[test]
fn the_table_of_values_has_every_value_of_the_product_and_says_what_is_true() {
    let page = read("docs/move-from-ges.md");
    let rows = table(&page, "| value | also read | what became of it |");
    let (ours, settings) = (yaml("deploy/helm/ges/values.yaml"), known_settings());
    let mut named = BTreeSet::new();
    for row in &rows {
        let [value, others, became] = row[..] else { panic!("{row:?}") };
        for setting in quoted(became).filter(|name| name.starts_with("GES_")) {
            assert!(settings.contains(setting), "{value}: no setting {setting}");
        }
        // A row without one is about something that the product does not have.
        let Some(value) = quoted(value).next() else { continue };
        assert_eq!(at(&ours["ges"], value).is_none(), became.starts_with("no effect"), "{value}");
        named.extend(quoted(others).chain([value]).map(str::to_owned));
    }
    // Files in both spellings in which the product's values are published.
    for file in ["guide", "published"] {
        let values = yaml(&format!("tests/fixtures/chart/{file}.yaml"));
        let mut paths = Vec::new();
        for (name, group) in values.as_object().unwrap() {
            leaves(group, if name == "ges" { "" } else { name.as_str() }, &mut paths);
        }
        for path in paths {
            let is_named = |name: &String| path == *name || path.starts_with(&format!("{name}."));
            assert!(named.iter().any(is_named), "{path} of {file}.yaml has no row");
        }
    }
    assert!(rows.len() > 70, "{}", rows.len());
}

#[test]
fn the_table_of_secrets_names_the_settings_that_they_are() {
    let page = read("docs/move-from-ges.md");
    let rows = table(&page, "| key | also read | what became of it |");
    let settings = known_settings();
    for row in &rows {
        let [key, others, became] = row[..] else { panic!("{row:?}") };
        for name in quoted(key).chain(quoted(others)) {
            let setting = format!("GES_{}", name.replace('-', "_").to_ascii_uppercase());
            assert!(settings.contains(setting.as_str()), "{name}");
            assert!(quoted(became).any(|it| it == setting), "{name} is {setting}");
        }
    }
    assert_eq!(rows.len(), 6);
}

#[test]
fn release_notes_and_pages_name_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    let changes = read("CHANGELOG.md");
    let headings: Vec<&str> = changes.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let unreleased = headings.iter().position(|heading| *heading == "[Unreleased]");
    assert!(unreleased.is_none_or(|place| place == 0), "what is not released stands first: {headings:?}");
    match headings.iter().find(|heading| **heading != "[Unreleased]") {
        Some(newest) => {
            assert!(newest.starts_with(&format!("[{version}] - ")), "{newest}, and the program is {version}");
        }
        None => assert_eq!(unreleased, Some(0), "there are no release notes"),
    }
    for page in ["docs/install-kubernetes.md", "deploy/Dockerfile"] {
        let text = read(page);
        let tags: Vec<&str> =
            text.split("ges:").skip(1).filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit())).collect();
        assert!(!tags.is_empty(), "{page}");
        for tag in tags {
            let tag = tag.split_whitespace().next().unwrap_or_default();
            assert_eq!(tag, version, "{page} names another image");
        }
    }
}
