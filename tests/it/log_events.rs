//! The events of the log are a contract: the page lists every one from INFO up, as it stands in the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::documents;

/// Levels that the contract is about, most important first.
const LEVELS: [&str; 3] = ["error", "warn", "info"];
/// What serves. Commands beside the service tell people, not machines.
const ROOTS: [&str; 3] = ["src", "actors/src", "domain/src"];
const LEFT_OUT: [&str; 5] = ["tests", "testing", "bench", "simulate_ors", "drill"];

/// Level and message to the fields that come with it.
type Events = BTreeMap<(usize, String), BTreeSet<String>>;

fn is_left_out(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| LEFT_OUT.iter().any(|name| stem == *name))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if is_left_out(&path) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// What stands between the parentheses, which open before `text`, cut at commas outside of all others.
fn arguments(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for character in text.chars() {
        let last = all.last_mut().unwrap();
        if quoted {
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
            last.push(character);
            continue;
        }
        match character {
            ')' if depth == 0 => return all,
            ',' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '"' => quoted = true,
            _ => {}
        }
        last.push(character);
    }
    panic!("an event does not end: {}", &text[..text.len().min(80)]);
}

/// A text as the compiler reads it, without its quotes.
fn literal(argument: &str) -> Option<String> {
    let inside = argument.strip_prefix('"')?.strip_suffix('"')?;
    let mut lines = inside.split("\\\n");
    let first = lines.next()?.to_owned();
    Some(lines.fold(first, |text, line| text + line.trim_start()).replace("\\\"", "\""))
}

/// `%error`, `?why` and `tenant.id = self.tenant` are named so.
fn field(argument: &str) -> Option<String> {
    let name = argument.split_once(" = ").map_or(argument, |(name, _)| name);
    let name = name.trim_start_matches(['%', '?', '&']);
    let good = name.chars().all(|character| character.is_ascii_alphanumeric() || "._".contains(character));
    (good && !name.is_empty()).then(|| name.to_owned())
}

fn read(text: &str, events: &mut Events) {
    // Tests stand at the end of a file.
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    for (level, word) in LEVELS.iter().enumerate() {
        for part in text.split(&format!("tracing::{word}!(")).skip(1) {
            let arguments: Vec<String> = arguments(part).iter().map(|it| it.trim().to_owned()).collect();
            let at = arguments.iter().position(|it| it.starts_with('"')).unwrap_or_else(|| panic!("{arguments:?}"));
            let message = literal(&arguments[at]).unwrap();
            let fields = arguments[..at].iter().map(|it| field(it).unwrap_or_else(|| panic!("no field: {it}")));
            events.entry((level, message)).or_default().extend(fields);
        }
    }
}

fn events() -> Events {
    let mut files = Vec::new();
    ROOTS.iter().for_each(|root| collect(Path::new(root), &mut files));
    let mut events = Events::new();
    files.iter().for_each(|file| read(&fs::read_to_string(file).unwrap(), &mut events));
    events
}

fn markdown(events: &Events) -> String {
    let mut text = "| level | message | fields of its own |\n| --- | --- | --- |\n".to_owned();
    for ((level, message), fields) in events {
        let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        let fields = if fields.is_empty() { "–".to_owned() } else { fields.join(", ") };
        let _ = writeln!(text, "| `{}` | {message} | {fields} |", LEVELS[*level].to_uppercase());
    }
    text
}

#[test]
fn the_page_lists_every_event_as_the_code_has_it() {
    let events = events();
    assert!(events.len() > 50, "{events:?}");
    documents::assert_holds("logging.md", "events", &markdown(&events));
}

#[test]
fn events_are_read_as_they_are_written() {
    let source = r#"
        tracing::warn!(tenant.id = %self.of(1, "a,b"), error = %text, ?why, "it \
            fails: {}", cause(2));
        tracing::info!("done");
        #[cfg(test)]
mod tests {
        tracing::info!("not meant");
    "#;
    let mut found = Events::new();
    read(source, &mut found);
    let fields = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let expected = Events::from([
        ((1, "it fails: {}".to_owned()), fields(&["error", "tenant.id", "why"])),
        ((2, "done".to_owned()), fields(&[])),
    ]);
    assert_eq!(found, expected);
}
