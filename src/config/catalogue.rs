//! Every name that can be set, with its description: for the documentation, for warnings and for the file.

use std::fmt::Write as _;

use super::kinds::Kind;
use super::parts::{
    Choices, Data, Database, Gws, Limits, Listeners, Log, MasterKeySetting, Outward, Redis, Sim, Telemetry, Voice,
};
use super::reader::{Reader, service_link};

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
        Log::settings(),
        Telemetry::settings(),
        MasterKeySetting::settings(),
    ]
    .concat()
}

/// What a name that this version cannot honour does to the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The start is refused: going on without it would break a promise (no encryption).
    Refused,
    /// It only describes something that is refused or absent, and has no effect.
    NoEffect,
}

/// Names of the product and of later versions, so that they are not taken for mistypings.
pub const RESERVED: &[(&str, Reserved)] = &[
    ("GES_GWS_ENV", Reserved::NoEffect),
    ("GES_GWS_CONF", Reserved::NoEffect),
    ("GES_GWS_PUBLIC_AUTH", Reserved::NoEffect),
    ("GES_AUTHENTICATION_CLIENT_ID", Reserved::NoEffect),
    ("GES_AUTHENTICATION_CLIENT_PASSWORD", Reserved::NoEffect),
    ("GES_AUTHENTICATION_CLIENT_SECRET", Reserved::NoEffect),
    ("GES_DEVOPS_ACCESS_GROUPS", Reserved::NoEffect),
    ("GES_DECRYPT_PASSWORD", Reserved::NoEffect),
    ("GES_TLS_CERT", Reserved::Refused),
    ("GES_TLS_KEY", Reserved::Refused),
];

/// Refuses what is set and cannot be honoured.
pub(super) fn refuse_reserved(reader: &mut Reader<'_>) {
    for (name, what) in RESERVED {
        let Some(text) = reader.text(name) else { continue };
        if let Some(rule) = service_link(name, text) {
            reader.refuse(name, &rule);
        } else if *what == Reserved::Refused {
            reader.refuse(name, NO_TLS);
        }
    }
}

const NO_TLS: &str =
    "TLS on the listeners is not in this version; put a proxy that ends TLS in front, and leave this unset";

/// Every name there is, of this version and reserved.
pub(super) fn known_names() -> impl Iterator<Item = &'static str> {
    settings().into_iter().map(|setting| setting.name).chain(RESERVED.iter().map(|(name, _)| *name))
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
