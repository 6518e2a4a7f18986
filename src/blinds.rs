//! What is kept of values that only have to be recognised: keyed hashes, 16 bytes each.

use std::fmt;

use domain::ids::TenantId;
use domain::ports::Blinds;

/// Blinds under a key of the installation.
#[derive(Clone)]
pub struct KeyedBlinds([u8; 32]);

impl KeyedBlinds {
    /// `sub_key` is the installation's key for this use.
    pub const fn new(sub_key: [u8; 32]) -> Self {
        Self(sub_key)
    }
}

impl Blinds for KeyedBlinds {
    fn blind(&self, tenant: TenantId, parameter: &str, value: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(tenant.as_uuid().as_bytes());
        // With its length, so that no parameter can run over into the value.
        hasher.update(&(parameter.len() as u64).to_le_bytes()).update(parameter.as_bytes()).update(value);
        let mut blinded = [0; 16];
        hasher.finalize_xof().fill(&mut blinded);
        blinded
    }
}

impl fmt::Debug for KeyedBlinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedBlinds(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_counts_and_nothing_runs_over() {
        let blinds = KeyedBlinds::new([1; 32]);
        let (a, b) = (TenantId::from_name("a"), TenantId::from_name("b"));
        let blinded = blinds.blind(a, "phone", b"1");
        assert_eq!(blinds.blind(a, "phone", b"1"), blinded);
        let others = [
            blinds.blind(b, "phone", b"1"),
            blinds.blind(a, "phone", b"2"),
            blinds.blind(a, "phon", b"e1"),
            KeyedBlinds::new([2; 32]).blind(a, "phone", b"1"),
        ];
        assert!(!others.contains(&blinded));
        assert_eq!(format!("{blinds:?}"), "KeyedBlinds(…)");
    }
}
