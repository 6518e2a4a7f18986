//! Boards and rules must ask for what the program exports: every metric that they name stands in the published list, every
//! panel says what it shows and in which unit, and promtool can read every expression.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::alerts::{self, promtool};

/// What rules and boards ask of others: Prometheus itself and kube-state-metrics.
const OTHERS: [&str; 3] = ["ALERTS", "kube_pod_container_status_ready", "kube_pod_container_status_restarts_total"];
/// Rules of the product that wait for ever: nothing exports these metrics, so they cannot fire. What gets published has to
/// leave this list.
const NOT_YET: [&str; 1] = ["NEXUS_ACCESS_FAILURE"];

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
    let ours = |word: &&str| ["ges_", "http_", "kube_"].iter().any(|begin| word.starts_with(begin));
    let named = words.filter(|word| ours(word) || word.ends_with("_tolerance") || is_alert_metric(word));
    named
        .map(|word| {
            ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
        })
        .collect()
}

fn is_alert_metric(word: &str) -> bool {
    word.len() > 5 && word.contains('_') && word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
}

/// Every board, by the name of its file.
pub(crate) fn boards() -> Vec<(String, serde_json::Value)> {
    let files = std::fs::read_dir(repository("dashboards")).unwrap().map(|file| file.unwrap().path());
    let boards: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let board = serde_json::from_slice(&std::fs::read(&path).unwrap()).expect("a board is JSON");
            (path.file_name().unwrap().to_string_lossy().into_owned(), board)
        })
        .collect();
    assert!(boards.len() >= 3, "there are boards");
    boards
}

/// The expressions of a board's panels, with its variables as Grafana fills them in.
pub(crate) fn expressions(board: &serde_json::Value) -> Vec<String> {
    let panels = board["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled_in = |text: &str| {
        let text = text.replace("$__range", "1h").replace("$__rate_interval", "5m");
        ["$tenant", "$path", "$instance"].iter().fold(text, |text, variable| text.replace(variable, ".*"))
    };
    targets.map(|target| filled_in(target["expr"].as_str().unwrap())).collect()
}

#[test]
fn every_metric_in_a_rule_is_published_or_waited_for() {
    let (published, recorded) = (published(), alerts::recorded());
    let mut waited_for = BTreeSet::new();
    for expression in alerts::expressions() {
        for metric in metrics_in(&expression) {
            let not_yet = NOT_YET.contains(&metric.as_str());
            assert!(!not_yet || !published.contains(&metric), "{metric} is published: take it off the list");
            let known = published.contains(&metric) || OTHERS.contains(&metric.as_str()) || recorded.contains(&metric);
            assert!(known || not_yet, "`{metric}` of a rule is not in docs/metrics.md: {expression}");
            if not_yet {
                waited_for.insert(metric);
            }
        }
    }
    assert_eq!(waited_for.len(), NOT_YET.len());
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    for (file, board) in boards() {
        let panels = board["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{file}: two panels share an id");
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let title = text(&panel["title"]);
            assert!(text(&panel["description"]).len() > 20, "{file}: {title} is not explained");
            assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{file}: {title} has no unit");
            assert!(
                panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()),
                "{file}: {title} asks nothing"
            );
        }
        assert!(text_of(&board["description"]).len() > 20, "{file} is not explained");
    }
}

fn text_of(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// promtool reads rules, so every expression is made one.
#[test]
fn every_expression_of_a_board_can_be_read() {
    let mut rules = "groups:\n- name: boards\n  rules:\n".to_owned();
    let all: Vec<String> = boards().iter().flat_map(|(_, board)| expressions(board)).collect();
    assert!(all.len() > 60, "{} expressions", all.len());
    for (number, expression) in all.iter().enumerate() {
        rules += &format!("  - record: board:{number}\n    expr: {}\n", serde_json::to_string(expression).unwrap());
    }
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), rules).unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()]).unwrap();
}

#[test]
fn every_metric_on_a_board_is_published() {
    let published = published();
    let mut shown = BTreeSet::new();
    for (file, board) in boards() {
        let mut found = Vec::new();
        queries(&board, &mut found);
        assert!(!found.is_empty(), "{file} asks for nothing");
        for query in found {
            for metric in metrics_in(&query) {
                let known = published.contains(&metric) || OTHERS.contains(&metric.as_str());
                assert!(known, "{file}: `{metric}` is not in docs/metrics.md");
                shown.insert(metric);
            }
        }
    }
    for needed in [
        "ges_supervisor_restarts_total",
        "ges_actors",
        "ges_mailbox_depth",
        "ges_actor_handle_seconds",
        "ges_callbacks_taken_over_total",
        "ges_promises_total",
        "ges_callbacks_created",
        "ges_push_notifications_sent",
        "GES_HEALTH",
        "ges_http_request_duration_seconds",
    ] {
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
