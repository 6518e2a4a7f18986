//! The section `keys` of a document against the API keys that there are.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::document::Node;
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::{ApiKey, DeclaredKey, KeyHash};
use domain::ports::KeyChange;
use domain::secret::SecretRef;

use super::diff::Difference;
use super::secrets::{self, Intake as Secrets};
use super::{ProvisioningError, export};
use crate::front_door::hash_key;

/// The name of the section.
pub(super) const SECTION: &str = "keys";
/// Characters of a key that somebody else has made. The shortest that is recommended is a UUID.
const KEY_CHARS: std::ops::RangeInclusive<usize> = 20..=255;

/// What names a key without telling it: the beginning of its keyed hash.
fn fingerprint(hash: &KeyHash) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Keys as a document has them. Labels that are empty or there twice get the beginning of the id.
pub(super) fn declared(keys: &[ApiKey]) -> BTreeMap<String, DeclaredKey> {
    let mut declared = BTreeMap::new();
    for key in keys {
        let id: String = key.id.to_string().chars().take(8).collect();
        let label = match key.label.trim() {
            "" => format!("key {id}"),
            label if declared.contains_key(label) => format!("{} {id}", label.chars().take(90).collect::<String>()),
            label => label.to_owned(),
        };
        let sealed = SecretRef::Sealed(fingerprint(&key.hash));
        declared.insert(label, DeclaredKey { scopes: key.scopes.clone(), key: sealed });
    }
    declared
}

/// What becomes of the keys of a tenant.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) changes: Vec<KeyChange>,
    /// What the document itself does not tell: keys that go because it does not name them.
    pub(super) told: Vec<Difference>,
}

/// Takes in the keys of one document.
pub(super) struct Intake<'a> {
    pub(super) known: &'a [ApiKey],
    pub(super) tenant: TenantId,
    pub(super) now: DateTime<Utc>,
}

impl Intake<'_> {
    /// The document with its keys sealed, and what becomes of them. Without the section nothing does.
    pub(super) fn keys(
        &self,
        mut document: Node,
        secrets: &mut Secrets<'_>,
    ) -> Result<(Node, Keys), ProvisioningError> {
        let mut keys = Keys::default();
        let Some(section) = document.get(SECTION) else { return Ok((document, keys)) };
        let declared: BTreeMap<String, DeclaredKey> = serde_json::from_str(&export::text(section)).unwrap_or_default();
        let mut named = BTreeSet::new();
        for (label, declared) in declared {
            let path = format!("{SECTION}.{label}.key");
            let Some((hash, known)) = self.find(&path, &declared.key, secrets) else { continue };
            keys.changes.extend(self.change(&label, &declared, hash, known));
            named.extend(known.map(|key| key.id));
            if let Some(entry) = document.get_mut(SECTION).and_then(|section| section.get_mut(&label)) {
                entry.put("key", secrets::sealed(fingerprint(&hash)));
            }
        }
        for key in self.known.iter().filter(|key| self.is_ours(key) && !named.contains(&key.id)) {
            keys.changes.push(KeyChange::Revoke(key.id));
            let (path, before) = (format!("{SECTION}.{}", key.label), Some(format!("in use, {}", key.id)));
            keys.told.push(Difference { path, before, after: None });
        }
        Ok((document, keys))
    }

    fn is_ours(&self, key: &ApiKey) -> bool {
        key.tenant == self.tenant && key.revoked_at.is_none()
    }

    /// The hash of a key and what is known of it; none if there is a mistake, which is noted.
    fn find(&self, path: &str, key: &SecretRef, secrets: &mut Secrets<'_>) -> Option<(KeyHash, Option<&ApiKey>)> {
        if let SecretRef::Sealed(wanted) = key {
            let known = self.known.iter().find(|key| self.is_ours(key) && fingerprint(&key.hash) == *wanted);
            if known.is_none() {
                secrets.broken(path, "this tenant has no key of that fingerprint in use");
            }
            return known.map(|key| (key.hash, Some(key)));
        }
        let text = secrets.read(path, key)?;
        let text = text.reveal();
        if !KEY_CHARS.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let (least, most) = (KEY_CHARS.start(), KEY_CHARS.end());
            secrets.broken(path, format!("a key has {least} to {most} letters, digits and signs"));
            return None;
        }
        let hash = hash_key(&secrets.provisioning().hashing_key, text);
        match self.known.iter().find(|key| key.hash == hash) {
            Some(key) if key.tenant != self.tenant => secrets.broken(path, "is taken already"),
            Some(key) if key.revoked_at.is_some() => secrets.broken(path, "was revoked, which cannot be undone"),
            known => return Some((hash, known)),
        }
        None
    }

    fn change(&self, label: &str, declared: &DeclaredKey, hash: KeyHash, known: Option<&ApiKey>) -> Option<KeyChange> {
        let mut scopes = declared.scopes.clone();
        scopes.sort_unstable();
        scopes.dedup();
        let label = label.to_owned();
        match known {
            Some(key) if key.label == label && key.scopes == scopes => None,
            Some(key) => Some(KeyChange::Change { id: key.id, label, scopes }),
            None => Some(KeyChange::Add(ApiKey {
                id: ApiKeyId::generate(),
                tenant: self.tenant,
                hash,
                label,
                scopes,
                created_at: self.now,
                revoked_at: None,
            })),
        }
    }
}
