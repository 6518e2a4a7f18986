//! Where values come from, and which one counts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use domain::nearest::nearest;

use super::catalogue::{file_key, known_names};
use super::file::{self, Node};
use super::kinds::{Kind as _, Paths};
use super::reader::{Mistake, service_link};

/// Longest secret file; the product's largest is a small JSON document.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Most files read from one folder of secrets.
const MAX_SECRETS: usize = 256;

/// What a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Names and values; names that do not begin with `GES_` are not looked at.
    pub environment: Vec<(OsString, OsString)>,
    /// The file named by `--config`.
    pub file: Option<PathBuf>,
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the environment.
    Environment,
    /// In a file of a folder of secrets.
    SecretFile(PathBuf),
    /// In the configuration file, under this key.
    File(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("the environment"),
            Self::SecretFile(path) => write!(f, "the secret file {}", path.display()),
            Self::File(key) => write!(f, "{key} of the configuration file"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) origin: Origin,
}

#[derive(Default)]
pub(super) struct Gathered {
    pub(super) values: BTreeMap<String, Value>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<String>,
}

/// Collects every value under its `GES_` name; the first source that has a text wins.
pub(super) fn gather(sources: Sources) -> Gathered {
    let mut gathered = Gathered::default();
    gathered.take_environment(sources.environment);
    // The file comes last, but may name the folders that go before it.
    let from_file = sources.file.map(|path| gathered.read_file(&path)).unwrap_or_default();
    let folders =
        gathered.text("GES_CONFIG_FOLDERS").or_else(|| from_file.get("GES_CONFIG_FOLDERS").map(|v| v.text.clone()));
    for folder in folders.and_then(|text| Paths.read(&text)).unwrap_or_default() {
        gathered.take_folder(&folder);
    }
    for (name, value) in from_file {
        gathered.offer(name, value);
    }
    gathered.warn_of_unknown();
    gathered
}

impl Gathered {
    fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|value| value.text.clone()).filter(|text| !text.is_empty())
    }

    fn offer(&mut self, name: String, value: Value) {
        let free = self.values.get(&name).is_none_or(|there| there.text.is_empty());
        if free {
            self.values.insert(name, value);
        }
    }

    fn mistake(&mut self, name: impl Into<String>, rule: impl Into<String>) {
        self.mistakes.push(Mistake { name: name.into(), origin: None, rule: rule.into() });
    }

    fn take_environment(&mut self, environment: Vec<(OsString, OsString)>) {
        for (name, text) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with("GES_")).map(str::to_owned) else { continue };
            match text.into_string() {
                Ok(text) => self.offer(name, Value { text, origin: Origin::Environment }),
                Err(_) => self.mistake(format!("{name} (from the environment)"), "the value is not UTF-8 text"),
            }
        }
    }

    fn take_folder(&mut self, folder: &Path) {
        let shown = folder.display();
        let mut paths = Vec::new();
        match fs::read_dir(folder) {
            Err(error) => {
                return self.mistake("GES_CONFIG_FOLDERS", format!("cannot read the folder {shown}: {error}"));
            }
            // Kubernetes keeps the true files in hidden folders and links to them.
            Ok(entries) => paths.extend(entries.flatten().map(|entry| entry.path()).filter(|path| is_secret(path))),
        }
        paths.sort();
        if paths.len() > MAX_SECRETS {
            return self
                .mistake("GES_CONFIG_FOLDERS", format!("the folder {shown} holds more than {MAX_SECRETS} files"));
        }
        for path in paths {
            let Some(name) = path.file_name().and_then(|name| name.to_str()).map(secret_name) else { continue };
            match read_bounded(&path, MAX_SECRET_BYTES) {
                Ok(text) => {
                    let text = text.trim_end_matches(['\r', '\n']).to_owned();
                    self.offer(name, Value { text, origin: Origin::SecretFile(path) });
                }
                Err(why) => self.mistake(format!("the secret file {}", path.display()), why),
            }
        }
    }

    fn read_file(&mut self, path: &Path) -> BTreeMap<String, Value> {
        let place = format!("the configuration file {}", path.display());
        let entries = match read_bounded(path, file::MAX_BYTES).and_then(|yaml| file::parse(&yaml)) {
            Ok(entries) => entries,
            Err(why) => {
                self.mistake(place, why);
                return BTreeMap::new();
            }
        };
        let names: BTreeMap<String, &'static str> = known_names().map(|name| (file_key(name), name)).collect();
        let mut values = BTreeMap::new();
        for ((section, key), node) in entries {
            let key = section.map_or_else(|| key.clone(), |section| format!("{section}.{key}"));
            match (names.get(&key), node) {
                (Some(name), Node::Text(text)) => {
                    values.insert((*name).to_owned(), Value { text, origin: Origin::File(key) });
                }
                (_, Node::Nothing) => {}
                (_, Node::Misplaced) => {
                    self.mistake(
                        format!("{key} ({place})"),
                        "a list or a deeper mapping stands where a single value belongs",
                    );
                }
                (None, Node::Text(_)) => {
                    let hint = hint(&key, names.keys().map(String::as_str));
                    self.warnings.push(format!("{key} in {place} is not a known key and has no effect{hint}"));
                }
            }
        }
        values
    }

    fn warn_of_unknown(&mut self) {
        let known: Vec<_> = known_names().collect();
        for (name, value) in &self.values {
            if known.contains(&name.as_str()) {
                continue;
            }
            let why = match service_link(name, &value.text) {
                Some(_) => "; Kubernetes' service links made it".to_owned(),
                None => hint(name, known.iter().copied()),
            };
            self.warnings.push(format!("{name} (from {}) is not a known setting and has no effect{why}", value.origin));
        }
    }
}

fn hint<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(unknown, known).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

fn is_secret(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.is_file()
}

/// The setting that a secret file is about: `DB-USER` is `GES_DB_USER`, `GES-MASTER-KEY` is `GES_MASTER_KEY`.
fn secret_name(file: &str) -> String {
    let name = file.to_ascii_uppercase().replace('-', "_");
    if name.starts_with("GES_") { name } else { format!("GES_{name}") }
}

/// A file as text, if it is not longer than it should be.
pub(super) fn read_bounded(path: &Path, max_bytes: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(max_bytes + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(length) if u64::try_from(length).unwrap_or(u64::MAX) > max_bytes => {
            Err(format!("is longer than {max_bytes} bytes"))
        }
        Ok(_) => String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned()),
    }
}
