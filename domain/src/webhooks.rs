//! Webhooks: where a tenant hears of happenings, and how often it is tried.

use chrono::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::happening::Kind;
use crate::secret::SecretRef;
use crate::setting::Checks;

/// One endpoint of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookEndpoint {
    /// Where events are posted; `https`, or `http` on this machine.
    pub url: String,
    /// Key of the signature: `whsec_` and 24 to 64 bytes in base64.
    pub secret: SecretRef,
    /// The key before, while receivers change over: every message is then signed with both. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret: Option<SecretRef>,
    /// Types of events that are posted. Default all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Kind>,
    /// Whether events tell the phone number. Default false.
    #[serde(default)]
    pub phone_number: bool,
    /// Switched off: what happens meanwhile is not owed, and can be recovered later. Default false.
    #[serde(default)]
    pub disabled: bool,
}

impl WebhookEndpoint {
    /// Most endpoints of a tenant.
    pub const MAX_ENDPOINTS: usize = 20;

    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        check_address(checks, "url", &self.url);
    }

    /// Whether it is told of such a thing.
    pub fn wants(&self, kind: Kind) -> bool {
        !self.disabled && (self.events.is_empty() || self.events.contains(&kind))
    }

    /// The keys that messages are signed with.
    pub fn secrets(&self) -> Vec<SecretRef> {
        std::iter::once(&self.secret).chain(&self.previous_secret).cloned().collect()
    }
}

/// Pauses after the first, second … try of a message. One more failure, and it is given up.
pub const LADDER: [Duration; 7] = [
    Duration::seconds(5),
    Duration::minutes(5),
    Duration::minutes(30),
    Duration::hours(2),
    Duration::hours(5),
    Duration::hours(10),
    Duration::hours(10),
];

/// An endpoint that has failed for so long, without one success, is switched off.
pub const FAILING_MAX: Duration = Duration::hours(120);

/// Longest address in characters.
const MAX_ADDRESS_CHARS: usize = 2_048;

/// An address that we call by ourselves: `https`, or `http` on the machine itself, without user and password.
pub(crate) fn check_address(checks: &mut Checks, key: &str, url: &str) {
    if !is_address(url) {
        let rule = "has to be an https address of at most 2048 characters without user and password (http only for \
                    localhost, 127.0.0.1 and [::1])";
        checks.broken(key, Some(&url), rule);
    }
}

fn is_address(url: &str) -> bool {
    let rest = match url.split_once("://") {
        Some(("https", rest)) => rest,
        Some(("http", rest)) if is_loopback(host(rest)) => rest,
        _ => return false,
    };
    let authority = authority(rest);
    let plain = url.chars().all(|letter| letter.is_ascii_graphic() && !r#""<>\^`{|}"#.contains(letter));
    plain && url.len() <= MAX_ADDRESS_CHARS && !host(rest).is_empty() && !authority.contains('@')
}

fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn host(rest: &str) -> &str {
    let authority = authority(rest);
    match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_or_of_this_machine() {
        for good in [
            "https://hooks.example.com/ges?x=1",
            "https://10.0.0.1:8443",
            "https://[2001:db8::1]/x",
            "http://localhost:9000/x",
            "http://127.0.0.1/x",
            "http://[::1]:80/x",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "https:///x",
            "hooks.example.com",
            "http://hooks.example.com",
            "http://localhost.example.com/",
            "http://127.0.0.1@example.com/",
            "https://user:word@example.com/",
            "ftp://localhost/",
            "https://a b.example.com/",
            "https://exam\nple.com/",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(!is_address(&format!("https://example.com/{}", "x".repeat(MAX_ADDRESS_CHARS))));
    }

    #[test]
    fn an_endpoint_is_told_what_it_asks_for() {
        let mut endpoint: WebhookEndpoint =
            serde_json::from_str(r#"{"url": "https://example.com", "secret": {"env": "X"}}"#).unwrap();
        assert!(Kind::ALL.into_iter().all(|kind| endpoint.wants(kind)));
        endpoint.events = vec![Kind::Completed];
        assert!(endpoint.wants(Kind::Completed) && !endpoint.wants(Kind::Queued));
        endpoint.disabled = true;
        assert!(!endpoint.wants(Kind::Completed));
    }

    #[test]
    fn the_ladder_ends_after_a_good_day() {
        assert_eq!(LADDER.iter().sum::<Duration>(), Duration::seconds(27 * 3600 + 35 * 60 + 5));
    }
}
