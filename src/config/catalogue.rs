//! Every name that can be set, with its description: for the documentation, for warnings and for the file.

use std::fmt::Write as _;

use super::kinds::Kind;
use super::parts::{
    Choices, Data, Database, Gws, Limits, Listeners, Log, MasterKeySetting, Outward, Redis, Sim, Telemetry, UserAccess,
    Voice,
};

/// One setting as it is documented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Title of its part.
    pub part: &'static str,
    /// `GES_…`.
    pub name: &'static str,
    /// What is allowed.
    pub allowed: String,
    /// What counts when nothing is set; empty for settings that may be absent.
    pub default: &'static str,
    /// Whether it must not be shown.
    pub secret: bool,
    /// What it does, its unit, what too small and too large bring about.
    pub text: String,
}

pub(super) fn describe<K: Kind>(
    part: &'static str,
    name: &'static str,
    kind: &K,
    default: Option<&'static str>,
    text: &str,
) -> Setting {
    let default = default.unwrap_or_default();
    Setting { part, name, allowed: kind.allowed(), default, secret: K::SECRET, text: text.trim().to_owned() }
}

/// Every setting of this version, in the order of the documentation.
pub fn settings() -> Vec<Setting> {
    [
        Listeners::settings(),
        Data::settings(),
        Database::settings(),
        Redis::settings(),
        Choices::settings(),
        Voice::settings(),
        Sim::settings(),
        Limits::settings(),
        Outward::settings(),
        Gws::settings(),
        UserAccess::settings(),
        Log::settings(),
        Telemetry::settings(),
        MasterKeySetting::settings(),
    ]
    .concat()
}

/// Every name there is.
pub(super) fn known_names() -> impl Iterator<Item = &'static str> {
    settings().into_iter().map(|setting| setting.name)
}

/// The sections of the configuration file.
const SECTIONS: [&str; 7] = ["db", "redis", "vmcs", "ors", "gws", "sim", "log"];

/// The key of a setting in the configuration file: `GES_LOG_MAX_LEN` is `log.max_len`, `GES_DATA_DIR` is `data_dir`.
pub fn file_key(name: &str) -> String {
    let key = name.strip_prefix("GES_").unwrap_or(name).to_ascii_lowercase();
    match key.split_once('_') {
        Some((section, rest)) if SECTIONS.contains(&section) => format!("{section}.{rest}"),
        _ => key,
    }
}

/// The table of settings, as it stands in `docs/configuration.md`.
pub fn markdown() -> String {
    let mut text = String::new();
    let mut part = "";
    for setting in settings() {
        if setting.part != part {
            part = setting.part;
            let _ = write!(
                text,
                "\n### {part}\n\n| name, key in the file | allowed | default | meaning |\n| --- | --- | --- | --- |\n"
            );
        }
        let default = match setting.default {
            "" => "–".to_owned(),
            default => format!("`{default}`"),
        };
        let secret = if setting.secret { " Secret." } else { "" };
        let _ = writeln!(
            text,
            "| `{}`<br>`{}` | {} | {default} | {}{secret} |",
            setting.name,
            file_key(setting.name),
            setting.allowed,
            setting.text
        );
    }
    text
}
