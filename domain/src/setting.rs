//! Checking a settings document: every rule that it breaks, with the path and the value, all at once.

use std::fmt;
use std::ops::RangeInclusive;

/// Longest text of a setting, in characters.
pub const MAX_TEXT_CHARS: usize = 255;

/// A rule that a settings document breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingError {
    /// Where, from the top of the document: `queues.support.slotCapacity`.
    pub path: String,
    /// What stands there, shortened; none for secrets and for what is missing.
    pub value: Option<String>,
    /// What is allowed, as the end of a sentence: `has to be 0 to 1000000`.
    pub rule: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.path.is_empty() { "the document" } else { &self.path };
        write!(f, "{place}: {}", self.rule)?;
        match &self.value {
            // Some rules say themselves what they were given.
            Some(value) if !self.rule.ends_with(&format!("not {value}")) => write!(f, ", not {value}"),
            _ => Ok(()),
        }
    }
}

/// Collects what is wrong while a document is walked through.
#[derive(Debug, Default)]
pub struct Checks {
    path: Vec<String>,
    errors: Vec<SettingError>,
}

impl Checks {
    /// Checks what stands at `key` below the present place.
    pub fn at<T>(&mut self, key: impl Into<String>, check: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.into());
        let result = check(self);
        self.path.pop();
        result
    }

    /// Notes what was noted elsewhere about the same document.
    pub fn append(&mut self, other: Self) {
        self.errors.extend(other.errors);
    }

    /// Notes a broken rule at `key` below the present place.
    pub fn broken(&mut self, key: &str, value: Option<&dyn fmt::Display>, rule: impl Into<String>) {
        let path = self.path.iter().map(String::as_str).chain([key]).filter(|part| !part.is_empty());
        let path = path.collect::<Vec<_>>().join(".");
        let value = value.map(|value| value.to_string().chars().take(MAX_SHOWN_CHARS).collect());
        self.errors.push(SettingError { path, value, rule: rule.into() });
    }

    /// A number has to lie in a range.
    pub fn within<T: PartialOrd + fmt::Display>(&mut self, key: &str, value: T, allowed: RangeInclusive<T>) {
        if !allowed.contains(&value) {
            self.broken(key, Some(&value), format!("has to be {} to {}", allowed.start(), allowed.end()));
        }
    }

    /// A text, if it is there, has to say something in a line.
    pub fn line(&mut self, key: &str, text: Option<&str>) {
        let good = |text: &str| {
            !text.trim().is_empty() && text.chars().count() <= MAX_TEXT_CHARS && !text.chars().any(char::is_control)
        };
        if let Some(text) = text.filter(|text| !good(text)) {
            let shown = format!("{text:?}");
            let rule = format!("has to be 1 to {MAX_TEXT_CHARS} characters without control characters, or left out");
            self.broken(key, Some(&shown), rule);
        }
    }

    /// A URL, if it is there, has to be one that can be called: `http` or `https`, a host, no credentials.
    pub fn url(&mut self, key: &str, text: Option<&str>) {
        let good = |text: &str| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = !authority.is_empty() && !authority.starts_with(':') && !authority.contains('@');
            host && text.len() <= MAX_URL_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(text) = text.filter(|text| !good(text)) {
            // It may hold credentials: only what it should be is told.
            let shown = format!("a text of {} characters", text.chars().count());
            self.broken(key, Some(&shown), "has to be an http or https URL without credentials");
        }
    }

    /// Everything that was noted, in the order of the document; nothing if it can be used.
    pub fn into_errors(self) -> Vec<SettingError> {
        self.errors
    }
}

/// Longest URL.
pub const MAX_URL_BYTES: usize = 2_048;

/// How much of a value is repeated.
const MAX_SHOWN_CHARS: usize = 64;
