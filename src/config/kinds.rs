//! What a value may be: each kind reads a text and can say what it allows.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use domain::network::Network;

use super::secret::Secret;

/// Reads one setting.
pub(super) trait Kind {
    /// What a good text becomes.
    type Value;

    /// Whether the value must not be shown, not even in documentation of an installation.
    const SECRET: bool = false;

    /// The value, or none if the text is not allowed.
    fn read(&self, text: &str) -> Option<Self::Value>;

    /// What is allowed, as the end of the sentence "allowed is …".
    fn allowed(&self) -> String;
}

/// Values of one kind that are separated by commas; what stands empty between two is passed over. None if a value is
/// not allowed, or if there are more than `max`.
pub(super) fn listed<K: Kind>(text: &str, kind: &K, max: usize) -> Option<Vec<K::Value>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let values: Option<Vec<_>> = parts.map(|part| kind.read(part)).collect();
    values.filter(|values| values.len() <= max)
}

/// A whole number in a range, written in decimal digits.
pub(super) struct Whole<T> {
    min: u64,
    max: u64,
    to: PhantomData<T>,
}

/// A whole number from `min` to `max`.
pub(super) const fn whole<T>(min: u64, max: u64) -> Whole<T> {
    Whole { min, max, to: PhantomData }
}

impl<T: TryFrom<u64>> Kind for Whole<T> {
    type Value = T;

    fn read(&self, text: &str) -> Option<T> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = text.parse().ok().filter(|_| digits)?;
        (self.min..=self.max).contains(&number).then(|| T::try_from(number).ok())?
    }

    fn allowed(&self) -> String {
        format!("a whole number from {} to {}", grouped(self.min), grouped(self.max))
    }
}

/// A span of time in whole seconds.
pub(super) struct Seconds(pub(super) u64, pub(super) u64);

impl Kind for Seconds {
    type Value = Duration;

    fn read(&self, text: &str) -> Option<Duration> {
        whole::<u64>(self.0, self.1).read(text).map(Duration::from_secs)
    }

    fn allowed(&self) -> String {
        whole::<u64>(self.0, self.1).allowed()
    }
}

/// A number with an optional fraction.
pub(super) struct Decimal(pub(super) f64, pub(super) f64);

impl Kind for Decimal {
    type Value = f64;

    fn read(&self, text: &str) -> Option<f64> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        text.parse().ok().filter(|number| plain && (self.0..=self.1).contains(number))
    }

    fn allowed(&self) -> String {
        format!("a number from {} to {}", self.0, self.1)
    }
}

/// One of a few words, in any case.
pub(super) struct OneOf<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy> Kind for OneOf<T> {
    type Value = T;

    fn read(&self, text: &str) -> Option<T> {
        self.0.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
    }

    fn allowed(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| format!("`{word}`")).collect();
        match words.split_last() {
            Some((only, [])) => format!("{only}, the only one in this version"),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

/// On or off.
pub(super) const SWITCH: OneOf<bool> = OneOf(&[
    ("true", true),
    ("false", false),
    ("yes", true),
    ("no", false),
    ("on", true),
    ("off", false),
    ("1", true),
    ("0", false),
]);

/// An IP address.
pub(super) struct Address;

impl Kind for Address {
    type Value = IpAddr;

    fn read(&self, text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    fn allowed(&self) -> String {
        "an IPv4 or IPv6 address without a port, such as `127.0.0.1`, `0.0.0.0` or `::1`".to_owned()
    }
}

/// A folder; whether it is there and can be used is seen when it is used.
pub(super) struct Folder;

impl Kind for Folder {
    type Value = PathBuf;

    fn read(&self, text: &str) -> Option<PathBuf> {
        (text.len() <= 4096 && !text.contains('\0')).then(|| PathBuf::from(text))
    }

    fn allowed(&self) -> String {
        "a path of up to 4,096 bytes".to_owned()
    }
}

/// A file; whether it is there and can be used is seen when it is read.
pub(super) struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;

    /// Several lines are what belongs into the file.
    fn read(&self, text: &str) -> Option<PathBuf> {
        Folder.read(text).filter(|_| !text.contains(char::is_control))
    }

    fn allowed(&self) -> String {
        "the path of a file, of up to 4,096 bytes, and not what is in it".to_owned()
    }
}

/// Files or folders, separated by commas.
pub(super) struct Paths;

impl Paths {
    /// More paths than this are a mistake.
    const MAX: usize = 16;
}

impl Kind for Paths {
    type Value = Vec<PathBuf>;

    fn read(&self, text: &str) -> Option<Vec<PathBuf>> {
        listed(text, &Folder, Self::MAX)
    }

    fn allowed(&self) -> String {
        format!("up to {} paths, separated by commas", Self::MAX)
    }
}

/// Ranges of IP addresses.
pub(super) struct Networks;

impl Networks {
    /// More ranges than this are a mistake.
    const MAX: usize = 64;
}

impl Kind for Networks {
    type Value = Vec<Network>;

    fn read(&self, text: &str) -> Option<Vec<Network>> {
        if text == "none" {
            return Some(Vec::new());
        }
        let networks: Option<Vec<_>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
        networks.filter(|networks| networks.len() <= Self::MAX)
    }

    fn allowed(&self) -> String {
        format!("`none`, or up to {} addresses and ranges such as `10.0.0.0/8`, separated by commas", Self::MAX)
    }
}

/// A short name that is safe in labels, logs and file names.
pub(super) struct Name;

impl Kind for Name {
    type Value = String;

    fn read(&self, text: &str) -> Option<String> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (text.len() <= 63 && text.bytes().all(good)).then(|| text.to_owned())
    }

    fn allowed(&self) -> String {
        "1 to 63 letters, digits, dots, hyphens or underscores".to_owned()
    }
}

/// A secret text of printable ASCII.
pub(super) struct SecretText {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl Kind for SecretText {
    type Value = Secret;
    const SECRET: bool = true;

    fn read(&self, text: &str) -> Option<Secret> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        ((self.min..=self.max).contains(&text.len()) && printable).then(|| Secret::new(text))
    }

    fn allowed(&self) -> String {
        format!("{} to {} printable ASCII characters without spaces", self.min, self.max)
    }
}

/// Where a service is reached over HTTP: scheme, host, perhaps a port and a path. Credentials are refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// None if none was named: `http`, unless whoever uses it knows better.
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
}

impl Url {
    /// The URL without a trailing slash; `scheme` and `port` are put in if it names none.
    pub fn completed(&self, scheme: &str, port: u16) -> String {
        let scheme = self.scheme.as_deref().unwrap_or(scheme);
        format!("{scheme}://{}:{}{}", self.host, self.port.unwrap_or(port), self.path)
    }

    fn parse(text: &str) -> Option<Self> {
        let uri = http::Uri::from_str(text).ok()?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let named_port = authority.as_str().len() > authority.host().len();
        let port = authority.port_u16();
        let plain = uri.query().is_none() && !authority.host().is_empty() && port.is_some() == named_port;
        plain.then(|| Self {
            scheme: Some(scheme.to_owned()),
            host: authority.host().to_owned(),
            port,
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_deref().unwrap_or("http"), self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Any text of one line.
pub(super) struct Line;

impl Kind for Line {
    type Value = String;

    fn read(&self, text: &str) -> Option<String> {
        let good = (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        good.then(|| text.to_owned())
    }

    fn allowed(&self) -> String {
        "1 to 255 characters without control characters".to_owned()
    }
}

/// Texts with commas between them.
pub(super) struct Texts;

impl Kind for Texts {
    type Value = Vec<String>;

    fn read(&self, text: &str) -> Option<Vec<String>> {
        let texts: Vec<String> =
            text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
        let good =
            texts.len() <= 50 && texts.iter().all(|it| it.chars().count() <= 128 && !it.chars().any(char::is_control));
        good.then_some(texts)
    }

    fn allowed(&self) -> String {
        "up to 50 texts of up to 128 characters, with commas between them".to_owned()
    }
}

/// A whole URL.
pub(super) struct WebAddress;

impl Kind for WebAddress {
    type Value = Url;

    fn read(&self, text: &str) -> Option<Url> {
        Url::parse(text)
    }

    fn allowed(&self) -> String {
        "an http or https URL without credentials, such as `http://collector:4318`".to_owned()
    }
}

/// A host, a host with port, or a whole URL.
pub(super) struct HostOrUrl;

impl Kind for HostOrUrl {
    type Value = Url;

    fn read(&self, text: &str) -> Option<Url> {
        if text.contains("://") {
            return Url::parse(text);
        }
        Url::parse(&format!("http://{text}")).map(|url| Url { scheme: None, ..url })
    }

    fn allowed(&self) -> String {
        "a host, host:port or http(s) URL without credentials, such as `ges.internal:3050`".to_owned()
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Only what a person should act on.
    Error,
    /// And what may need one.
    Warn,
    /// And one line per request and per event of the node's life.
    Info,
    /// And decisions.
    Debug,
    /// And every step.
    Trace,
}

impl Level {
    /// The level that a word means, in any case.
    pub fn of(word: &str) -> Option<Self> {
        LEVEL.read(word)
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// The words for levels; the product's FATAL has no counterpart and reads as ERROR.
pub(super) const LEVEL: OneOf<Level> = OneOf(&[
    ("ERROR", Level::Error),
    ("WARN", Level::Warn),
    ("INFO", Level::Info),
    ("DEBUG", Level::Debug),
    ("TRACE", Level::Trace),
    ("FATAL", Level::Error),
]);

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// The words for formats.
pub(super) const LOG_FORMAT: OneOf<LogFormat> = OneOf(&[("json", LogFormat::Json), ("text", LogFormat::Text)]);

/// A number with commas between its thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
