//! Boards must show what the program exports: every metric that a board names stands in the published list.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn repository(path: &str) -> PathBuf {
    Path::new(".").join(path)
}

/// Words in backticks at the beginning of a row of a table: the names that `docs/metrics.md` publishes.
fn published() -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository("docs/metrics.md")).expect("the list of metrics is published");
    let name = |line: &str| line.strip_prefix("| `")?.split(['`', '{']).next().map(str::to_owned);
    text.lines().filter_map(name).collect()
}

/// Every query of a board, wherever it stands in it.
fn queries(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if name == "expr" || name == "query" => found.push(text.to_owned()),
                    _ => queries(member, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

/// The metrics that a PromQL expression names. A word is one if it begins as ours do and does not stand within
/// braces or brackets, where the labels and ranges are.
fn metrics_in(query: &str) -> BTreeSet<String> {
    let mut rest = String::new();
    let mut depth = 0_u32;
    for letter in query.chars() {
        match letter {
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                rest.push(' ');
            }
            _ if depth == 0 => rest.push(letter),
            _ => {}
        }
    }
    let words = rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let named = words.filter(|word| word.starts_with("ges_") || word.starts_with("http_") || is_alert_metric(word));
    named
        .map(|word| {
            ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
        })
        .collect()
}

fn is_alert_metric(word: &str) -> bool {
    word.len() > 5 && word.contains('_') && word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
}

#[test]
fn every_metric_on_a_board_is_published() {
    let published = published();
    let mut shown = BTreeSet::new();
    for file in std::fs::read_dir(repository("dashboards")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let board: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).expect("a board is JSON");
        let mut found = Vec::new();
        queries(&board, &mut found);
        assert!(!found.is_empty(), "{} asks for nothing", path.display());
        for query in found {
            for metric in metrics_in(&query) {
                assert!(published.contains(&metric), "{}: `{metric}` is not in docs/metrics.md", path.display());
                shown.insert(metric);
            }
        }
    }
    for needed in ["ges_supervisor_restarts_total", "ges_actors", "ges_mailbox_depth", "ges_actor_handle_seconds"] {
        assert!(shown.contains(needed), "no board shows {needed}");
    }
}

#[test]
fn metrics_are_told_from_labels_and_functions() {
    let query = "histogram_quantile(0.99, sum by (le, kind) (rate(ges_x_seconds_bucket{kind=\"ges_no\"}[5m]))) + UNCAUGHT_EXCEPTION";
    let named: Vec<String> = metrics_in(query).into_iter().collect();
    assert_eq!(named, ["UNCAUGHT_EXCEPTION", "ges_x_seconds"]);
    assert_eq!(metrics_in("label_values(ges_actors, kind)").into_iter().collect::<Vec<_>>(), ["ges_actors"]);
}
