//! Reads settings one by one and remembers everything that is wrong.

use std::collections::BTreeMap;
use std::fmt;

use super::kinds::Kind;
use super::sources::{Origin, Value};

/// One thing that is wrong, told without the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting or the place, such as `GES_LOG_LEVEL` or the path of a file.
    pub name: String,
    /// Where the value came from, if there is one.
    pub origin: Option<Origin>,
    /// What is wrong and what is allowed; readable after "name: ".
    pub rule: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} (from {origin}): {}", self.name, self.rule),
            None => write!(f, "{}: {}", self.name, self.rule),
        }
    }
}

/// Names that end so hold a host or a port, where Kubernetes' service links put `tcp://…`.
const LINKED: [&str; 3] = ["_HOST", "_PORT", "_URL"];

pub(super) struct Reader<'a> {
    values: &'a BTreeMap<String, Value>,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(values: &'a BTreeMap<String, Value>, mistakes: &'a mut Vec<Mistake>) -> Self {
        Self { values, mistakes }
    }

    /// The text of a setting; an empty one counts as not set.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).map(|value| value.text.as_str()).filter(|text| !text.is_empty())
    }

    /// A setting that always has a value. None if what is set cannot be read; that is noted.
    pub(super) fn value<K: Kind>(&mut self, name: &'static str, kind: &K, default: &str) -> Option<K::Value> {
        match self.text(name) {
            Some(text) => self.checked(name, kind, text),
            None => kind.read(default),
        }
    }

    /// A setting that may be absent. None if what is set cannot be read; that is noted.
    pub(super) fn optional<K: Kind>(&mut self, name: &'static str, kind: &K) -> Option<Option<K::Value>> {
        match self.text(name) {
            Some(text) => self.checked(name, kind, text).map(Some),
            None => Some(None),
        }
    }

    fn checked<K: Kind>(&mut self, name: &'static str, kind: &K, text: &str) -> Option<K::Value> {
        let value = kind.read(text);
        if value.is_none() {
            match service_link(name, text) {
                Some(rule) => self.refuse(name, &rule),
                None => self.refuse(name, &format!("{} is not allowed; allowed is {}", shape(text), kind.allowed())),
            }
        }
        value
    }

    /// Notes that a setting cannot be used, and why.
    pub(super) fn refuse(&mut self, name: &str, rule: &str) {
        let origin = self.values.get(name).map(|value| value.origin.clone());
        self.mistakes.push(Mistake { name: name.to_owned(), origin, rule: rule.to_owned() });
    }
}

/// The explanation of a `tcp://` value where a host or a port belongs.
pub(super) fn service_link(name: &str, text: &str) -> Option<String> {
    let linked = text.starts_with("tcp://") && LINKED.iter().any(|end| name.ends_with(end));
    linked.then(|| {
        "a tcp:// address was put here by Kubernetes' service links, because a service in the namespace has this \
         name; set enableServiceLinks: false in the pod, or name the value in the pod's own environment"
            .to_owned()
    })
}

/// What kind of text it is, without giving it away.
pub fn shape(text: &str) -> String {
    let count = text.chars().count();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let characters = if count == 1 { "1 character".to_owned() } else { format!("{count} characters") };
    if digits(text) {
        return format!("a whole number of {count} digit{}", if count == 1 { "" } else { "s" });
    }
    if text.strip_prefix('-').is_some_and(digits) {
        return "a negative number".to_owned();
    }
    if text.split_once('.').is_some_and(|(whole, fraction)| digits(whole) && digits(fraction)) {
        return "a decimal number".to_owned();
    }
    if let Some((scheme, _)) = text.split_once("://")
        && ["http", "https", "tcp"].contains(&scheme)
    {
        return format!("a {scheme} address of {characters}");
    }
    let note = if text.chars().any(char::is_whitespace) {
        " with spaces"
    } else if !text.is_ascii() {
        " beyond ASCII"
    } else {
        ""
    };
    format!("a text of {characters}{note}")
}
