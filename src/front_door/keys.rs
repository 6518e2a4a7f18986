//! Who a caller is: API keys, looked up by a keyed hash. A key itself is kept nowhere; looking up its hash in
//! a map takes the same time for every wrong key, because nobody without the hashing key can steer the hash.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::access::TenantAccess;
use domain::cors;
use domain::ids::{ApiKeyId, ContactCenterId, TenantId};
use domain::keys::{ApiKey, KeyHash, Scope};
use domain::ports::{self, ContactCenters, NoContactCenters, Standing};
use domain::tenant::Tenant;
use tokio::time::Instant;

use super::rates::Gate;
use crate::testing::{self, Rule};

/// Characters of a generated key: 256 bits in letters and digits.
const KEY_CHARS: usize = 43;

/// Letters and digits, so that a key survives every shell and every double click.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The keyed hash under which a key is stored and looked up. `sub_key` is the installation's hashing key.
pub fn hash_key(sub_key: &[u8; 32], text: &str) -> KeyHash {
    hash_bytes(sub_key, text.as_bytes())
}

fn hash_bytes(sub_key: &[u8; 32], presented: &[u8]) -> KeyHash {
    *blake3::keyed_hash(sub_key, presented).as_bytes()
}

/// A new random key of 43 letters and digits.
///
/// # Errors
/// The operating system has no random numbers.
pub fn generate_key() -> Result<String, getrandom::Error> {
    let mut key = String::with_capacity(KEY_CHARS);
    let mut random = [0_u8; 64];
    while key.len() < KEY_CHARS {
        getrandom::fill(&mut random)?;
        // Values from 62 up are thrown away: folding them in would make some letters likelier than others.
        let letters = random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        key.extend(letters.take(KEY_CHARS - key.len()).map(|letter| char::from(*letter)));
    }
    Ok(key)
}

/// Whoever presented a key that is known and not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Which key it was.
    pub key: ApiKeyId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Name of the tenant, for metrics and logs.
    pub tenant_name: Arc<str>,
    /// What a person calls it.
    pub label: Arc<str>,
    scopes: u32,
}

impl Caller {
    /// Names of what the key may be used for.
    pub fn scope_names(&self) -> Vec<&'static str> {
        Scope::ALL.into_iter().filter(|scope| self.allows(*scope)).map(Scope::name).collect()
    }

    /// Whether the key may be used for `scope`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes & scope.bit() != 0
    }
}

/// Every key that opens the door, replaced as a whole when the settings change.
pub struct KeyRing {
    sub_key: [u8; 32],
    centers: Arc<dyn ContactCenters>,
    known: ArcSwap<Known>,
    /// Living nodes, this one included.
    nodes: AtomicU32,
    began: Instant,
}

#[derive(Default)]
struct Known {
    callers: HashMap<KeyHash, Arc<Caller>>,
    tenants: HashMap<TenantId, Arc<str>>,
    gates: HashMap<TenantId, Arc<Gate>>,
    access: HashMap<TenantId, Arc<TenantAccess>>,
    /// Of tenants that allow any.
    origins: HashMap<TenantId, Vec<String>>,
    centers: HashMap<TenantId, ContactCenterId>,
}

impl KeyRing {
    /// An empty ring. `sub_key` is the hashing key derived from the installation's master key.
    pub fn new(sub_key: [u8; 32]) -> Self {
        let centers = Arc::new(NoContactCenters);
        Self { sub_key, centers, known: ArcSwap::default(), nodes: AtomicU32::new(1), began: Instant::now() }
    }

    /// Asks `centers` which contact centres are served, and for the origins of tenants that name none.
    #[must_use]
    pub fn among(self, centers: Arc<dyn ContactCenters>) -> Self {
        Self { centers, ..self }
    }

    /// Who presented this key; none if it is unknown or revoked.
    pub fn find(&self, presented: &str) -> Option<Arc<Caller>> {
        self.find_bytes(presented.as_bytes())
    }

    /// As [`Self::find`], for a header that need not be text.
    pub(crate) fn find_bytes(&self, presented: &[u8]) -> Option<Arc<Caller>> {
        let known = self.known.load();
        let found = known.callers.get(&hash_bytes(&self.sub_key, presented))?;
        if testing::is_broken(Rule::Tenant) {
            return known.callers.values().min_by_key(|caller| &caller.tenant_name).cloned();
        }
        Some(Arc::clone(found))
    }

    /// The tenant that an internal caller or a provider of users names: by its id, its name, or its contact centre as
    /// far as no two say that it is theirs.
    pub(crate) fn tenant(&self, named: &str) -> Option<(TenantId, Arc<str>)> {
        let known = self.known.load();
        let by_id = named.parse().ok().and_then(|id| known.tenants.get_key_value(&id));
        let by_name = || known.tenants.iter().find(|(_, name)| name.as_ref() == named);
        let by_center = || {
            let center: ContactCenterId = named.parse().ok()?;
            let mut claiming = known.centers.iter().filter(|(_, of)| **of == center);
            let (tenant, _) = claiming.next().filter(|_| claiming.next().is_none())?;
            known.tenants.get_key_value(tenant)
        };
        let found = by_id.or_else(by_name).or_else(by_center);
        found.map(|(id, name)| (*id, Arc::clone(name)))
    }

    /// What the door knows of a tenant.
    pub(crate) fn gate(&self, id: TenantId) -> Option<Arc<Gate>> {
        self.known.load().gates.get(&id).cloned()
    }

    /// The id of the tenant that is named so, as [`Self::tenant`] finds it.
    pub(crate) fn tenant_id(&self, named: &str) -> Option<TenantId> {
        self.tenant(named).map(|(id, _)| id)
    }

    /// What users of a tenant are judged by; none if there is no such tenant.
    pub(crate) fn access(&self, id: TenantId) -> Option<Arc<TenantAccess>> {
        self.known.load().access.get(&id).cloned()
    }

    /// Living nodes that share the limits of the tenants, from 1.
    pub(crate) fn nodes(&self) -> u32 {
        self.nodes.load(Ordering::Relaxed).max(1)
    }

    /// The clock of the rates: time since the ring was made.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether any tenant allows any web page of another origin.
    pub(crate) fn any_origins(&self) -> bool {
        !self.known.load().origins.is_empty() || self.centers.any_origins()
    }

    /// Whether any tenant allows pages of `origin`.
    pub(crate) fn anybody_allows(&self, origin: &str) -> bool {
        let known = self.known.load();
        known.origins.values().any(|origins| cors::allows(origins, origin))
            || known.centers.keys().any(|tenant| self.center_allows(&known, *tenant, origin))
    }

    /// Whether a tenant allows pages of `origin`.
    pub(crate) fn allows(&self, tenant: TenantId, origin: &str) -> bool {
        let known = self.known.load();
        let own = known.origins.get(&tenant).is_some_and(|origins| cors::allows(origins, origin));
        own || self.center_allows(&known, tenant, origin)
    }

    /// What the contact centre allows counts only where its tenant lists nothing.
    fn center_allows(&self, known: &Known, tenant: TenantId, origin: &str) -> bool {
        let center = known.centers.get(&tenant).filter(|_| !known.origins.contains_key(&tenant));
        center.is_some_and(|center| self.centers.allows(*center, origin))
    }

    /// Whether a tenant's contact centre is no more.
    pub(crate) fn is_withdrawn(&self, tenant: TenantId) -> bool {
        let center = self.known.load().centers.get(&tenant).copied();
        center.is_some_and(|center| self.centers.standing(center) == Standing::Withdrawn)
    }

    /// The name of a tenant.
    pub(crate) fn tenant_name(&self, id: TenantId) -> Option<Arc<str>> {
        self.known.load().tenants.get(&id).cloned()
    }
}

impl ports::KeyRing for KeyRing {
    /// Keys of unknown tenants and revoked keys are left out: they open nothing.
    fn replace(&self, tenants: &[Tenant], keys: Vec<ApiKey>) {
        let known = self.known.load();
        // Whoever has used its rate up has not got a new one by a change of something else.
        let gate = |tenant: &Tenant| {
            let kept = known.gates.get(&tenant.id).filter(|gate| gate.is_for(tenant)).cloned();
            kept.unwrap_or_else(|| Arc::new(Gate::new(tenant)))
        };
        let gates = tenants.iter().map(|tenant| (tenant.id, gate(tenant))).collect();
        let access = tenants.iter().map(|tenant| (tenant.id, Arc::new(TenantAccess::of(tenant)))).collect();
        let origins = tenants.iter().filter(|tenant| !tenant.cors_origins.is_empty());
        let origins = origins.map(|tenant| (tenant.id, tenant.cors_origins.clone())).collect();
        let centers = tenants.iter().filter_map(|tenant| Some((tenant.id, tenant.contact_center?))).collect();
        let tenants: HashMap<_, _> = tenants.iter().map(|tenant| (tenant.id, Arc::clone(&tenant.name))).collect();
        let callers = keys.into_iter().filter(|key| key.revoked_at.is_none()).filter_map(|key| {
            let tenant_name = Arc::clone(tenants.get(&key.tenant)?);
            let scopes = key.scopes.iter().fold(0, |bits, scope| bits | scope.bit());
            let label = key.label.into();
            Some((key.hash, Arc::new(Caller { key: key.id, tenant: key.tenant, tenant_name, label, scopes })))
        });
        let callers = callers.collect();
        self.known.store(Arc::new(Known { callers, tenants, gates, access, origins, centers }));
    }

    fn share_among(&self, nodes: u32) {
        self.nodes.store(nodes, Ordering::Relaxed);
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.known.load().callers.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::limits::TenantLimits;
    use domain::ports::KeyRing as _;

    use domain::tenant::TenantDocument;

    use super::*;

    const SUB_KEY: [u8; 32] = [7; 32];

    fn tenant() -> Tenant {
        TenantDocument::with_queues("demo", []).resolve(TenantId::from_name("demo")).unwrap()
    }

    fn key(text: &str, scopes: &[Scope]) -> ApiKey {
        ApiKey {
            id: ApiKeyId::generate(),
            tenant: TenantId::from_name("demo"),
            hash: hash_key(&SUB_KEY, text),
            label: String::new(),
            scopes: scopes.to_vec(),
            created_at: DateTime::UNIX_EPOCH,
            revoked_at: None,
        }
    }

    #[test]
    fn a_known_key_names_its_tenant_and_scopes() {
        let ring = KeyRing::new(SUB_KEY);
        assert_eq!(ring.find("first"), None);
        ring.replace(&[tenant()], vec![key("first", &[Scope::CallbacksRead])]);
        let caller = ring.find("first").unwrap();
        assert_eq!(caller.tenant_name.as_ref(), "demo");
        assert!(caller.allows(Scope::CallbacksRead) && !caller.allows(Scope::CallbacksWrite));
        assert_eq!(ring.find("First"), None);
    }

    #[test]
    fn revoked_keys_and_keys_of_unknown_tenants_open_nothing() {
        let ring = KeyRing::new(SUB_KEY);
        let revoked = ApiKey { revoked_at: Some(DateTime::UNIX_EPOCH), ..key("revoked", &Scope::ALL) };
        let stray = ApiKey { tenant: TenantId::from_name("gone"), ..key("stray", &Scope::ALL) };
        ring.replace(&[tenant()], vec![revoked, stray, key("good", &Scope::ALL)]);
        assert!(ring.find("revoked").is_none() && ring.find("stray").is_none() && ring.find("good").is_some());
        ring.replace(&[tenant()], vec![]);
        assert!(ring.find("good").is_none());
    }

    #[test]
    fn a_used_up_rate_survives_a_change_of_other_settings() {
        let ring = KeyRing::new(SUB_KEY);
        let with = |requests_per_second| {
            let limits = TenantLimits { requests_per_second, burst: Some(1) };
            let document = TenantDocument { limits, ..TenantDocument::with_queues("demo", []) };
            document.resolve(TenantId::from_name("demo")).unwrap()
        };
        let gate = || ring.gate(TenantId::from_name("demo")).unwrap();
        ring.replace(&[with(1)], vec![]);
        let first = gate();
        ring.replace(&[with(1)], vec![key("new", &Scope::ALL)]);
        assert!(Arc::ptr_eq(&gate(), &first));
        ring.replace(&[with(2)], vec![]);
        assert!(!Arc::ptr_eq(&gate(), &first), "another rate begins anew");
        assert_eq!(ring.nodes(), 1);
        ring.share_among(3);
        assert_eq!(ring.nodes(), 3);
        ring.share_among(0);
        assert_eq!(ring.nodes(), 1, "this one lives");
    }

    #[test]
    fn tenants_are_found_by_id_by_name_and_by_their_contact_centre() {
        let ring = KeyRing::new(SUB_KEY);
        ring.replace(&[tenant()], vec![]);
        let id = TenantId::from_name("demo");
        assert_eq!(ring.tenant("demo"), Some((id, "demo".into())));
        assert_eq!(ring.tenant(&id.to_string()), Some((id, "demo".into())));
        assert_eq!(ring.tenant("other"), None);
    }

    #[test]
    fn a_tenant_is_found_by_the_contact_centre_that_it_alone_says_is_its_own() {
        let ring = KeyRing::new(SUB_KEY);
        let center = ContactCenterId::from_uuid(uuid::Uuid::from_u128(7));
        let of_center = |name: &str| {
            let document = TenantDocument { contact_center_id: Some(center), ..TenantDocument::with_queues(name, []) };
            document.resolve(TenantId::from_name(name)).unwrap()
        };
        ring.replace(&[tenant(), of_center("acme")], vec![]);
        assert_eq!(ring.tenant(&center.to_string()), Some((TenantId::from_name("acme"), "acme".into())));
        ring.replace(&[of_center("mallory"), of_center("acme")], vec![]);
        assert_eq!(ring.tenant(&center.to_string()), None, "who of them it is nobody can say");
    }

    #[test]
    fn generated_keys_are_long_and_differ() {
        let (one, other) = (generate_key().unwrap(), generate_key().unwrap());
        assert_eq!(one.len(), KEY_CHARS);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }

    #[test]
    fn nothing_of_a_ring_prints() {
        assert_eq!(format!("{:?}", KeyRing::new(SUB_KEY)), "KeyRing { keys: 0, .. }");
    }
}
