//! Tables of the handbook's page on tenants, as the code has them.

use std::fmt::Write as _;

use domain::document::fields;
use domain::queue::QueueSettings;
use domain::queue::product::{self, ROUTING_OPTIONS};
use domain::tenant::json_schema;
use serde_json::Value;

/// Every setting of a queue: our key, the product's names, what it means with its range, and its default.
pub fn queue_keys() -> String {
    let schema = json_schema();
    let mut table = "| key | the product's name | meaning | default |\n| --- | --- | --- | --- |\n".to_owned();
    for key in fields::<QueueSettings>() {
        let property = schema.pointer(&format!("/$defs/QueueSettings/properties/{key}"));
        let names = product::names_of(key).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let description = property.and_then(|it| it.get("description")).and_then(Value::as_str).unwrap_or_default();
        let default = property.and_then(|it| it.get("default"));
        let default = default.filter(|it| !it.is_null()).map(|it| format!("`{it}`")).unwrap_or_default();
        let _ = writeln!(table, "| `{key}` | {names} | {} | {default} |", meaning(description));
    }
    table
}

/// The description in one line, without the product's names, which have a column, and without the default.
fn meaning(description: &str) -> String {
    let line = description.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = match line.split_once(": ") {
        Some((names, rest)) if names.starts_with('`') => rest.to_owned(),
        _ => line,
    };
    let line = line.split(" Default ").next().unwrap_or_default();
    let mut letters = line.chars();
    let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    capital.replace('|', "\\|")
}

/// Every option that is passed on to routing.
pub fn routing_options() -> String {
    let names: Vec<_> = ROUTING_OPTIONS.iter().map(|name| format!("`{name}`")).collect();
    format!("{}\n", names.join(", "))
}
