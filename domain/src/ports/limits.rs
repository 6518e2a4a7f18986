//! What the counted rules need from outside.

use crate::ids::TenantId;

/// Makes of a value what can be kept to recognise it and says nothing about it.
pub trait Blinds: Send + Sync {
    /// Always the same for the same three; different in another tenant or for another parameter. Without the
    /// installation's key nothing leads from it to the value, not even trying all values there are.
    fn blind(&self, tenant: TenantId, parameter: &str, value: &[u8]) -> [u8; 16];
}
