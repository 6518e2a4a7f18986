//! API keys: what a key allows, and how it is known without being kept.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{ApiKeyId, TenantId};
use crate::secret::SecretRef;
use crate::setting::Checks;

/// Longest label of a key, in characters.
pub const MAX_LABEL_CHARS: usize = 100;

/// A key as the document of its tenant has it, under its label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeclaredKey {
    /// What it allows; everything if it is left out.
    #[serde(default = "every_scope")]
    pub scopes: Vec<Scope>,
    /// The key, taken in when the document is applied; `sealed` for one that is known already.
    pub key: SecretRef,
}

fn every_scope() -> Vec<Scope> {
    Scope::ALL.to_vec()
}

impl DeclaredKey {
    /// Notes every rule that the document breaks; `label` is the name that it stands under.
    pub fn check(&self, label: &str, checks: &mut Checks) {
        if label.is_empty() || label.chars().count() > MAX_LABEL_CHARS || label.chars().any(char::is_control) {
            let rule = format!("a label has 1 to {MAX_LABEL_CHARS} characters and no control characters");
            checks.broken("", None, rule);
        }
        checks.within("scopes", self.scopes.len(), 1..=Scope::ALL.len());
    }
}

/// What a key may do; one scope per family of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Create, cancel and reschedule callbacks.
    CallbacksWrite,
    /// Retrieve callbacks.
    CallbacksRead,
    /// Ask for free times, opening and whether a queue takes callbacks.
    AvailabilityRead,
    /// Ask for expected waits.
    WaitsRead,
    /// Ask for a number to call.
    CallInsWrite,
    /// Ask the statistics service.
    StatisticsRead,
    /// Read the feed of events.
    EventsRead,
}

impl Scope {
    /// Every scope, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::CallbacksWrite,
        Self::CallbacksRead,
        Self::AvailabilityRead,
        Self::WaitsRead,
        Self::CallInsWrite,
        Self::StatisticsRead,
        Self::EventsRead,
    ];

    /// The name used on the command line and in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallbacksWrite => "callbacks-write",
            Self::CallbacksRead => "callbacks-read",
            Self::AvailabilityRead => "availability-read",
            Self::WaitsRead => "waits-read",
            Self::CallInsWrite => "call-ins-write",
            Self::StatisticsRead => "statistics-read",
            Self::EventsRead => "events-read",
        }
    }

    /// The scope with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// One bit per scope, for storage.
    pub const fn bit(self) -> u32 {
        match self {
            Self::CallbacksWrite => 1,
            Self::CallbacksRead => 2,
            Self::AvailabilityRead => 4,
            Self::WaitsRead => 8,
            Self::CallInsWrite => 16,
            Self::StatisticsRead => 32,
            Self::EventsRead => 64,
        }
    }
}

/// Keyed hash of a key (32 bytes). The key itself is shown once and never kept.
pub type KeyHash = [u8; 32];

/// One API key of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key in lists and when it is revoked.
    pub id: ApiKeyId,
    /// Whose key it is.
    pub tenant: TenantId,
    /// Keyed hash under the installation's master key.
    pub hash: KeyHash,
    /// What a person calls it, up to 100 characters.
    pub label: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it is refused, if it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Whether the key may be used for `scope` now.
    pub fn allows(&self, scope: Scope) -> bool {
        self.revoked_at.is_none() && self.scopes.contains(&scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_names_and_bits_of_their_own() {
        for (place, scope) in Scope::ALL.into_iter().enumerate() {
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name(), "documents use the same name");
            assert_eq!(scope.bit(), 1 << place);
        }
        assert_eq!(Scope::from_name("callbacks"), None);
    }

    #[test]
    fn a_revoked_key_allows_nothing() {
        let at = DateTime::UNIX_EPOCH;
        let key = ApiKey {
            id: ApiKeyId::generate(),
            tenant: TenantId::from_name("demo"),
            hash: [0; 32],
            label: String::new(),
            scopes: vec![Scope::CallbacksRead],
            created_at: at,
            revoked_at: None,
        };
        assert!(key.allows(Scope::CallbacksRead) && !key.allows(Scope::CallbacksWrite));
        let revoked = ApiKey { revoked_at: Some(at), ..key };
        assert!(!revoked.allows(Scope::CallbacksRead));
    }
}
