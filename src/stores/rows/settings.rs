//! Rows of tenants, their credentials and their API keys, to the domain's types.

use domain::ids::{ApiKeyId, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::ports::{Credential, StoreError};
use domain::secret::CredentialKind;
use domain::tenant::{Tenant, TenantDocument};
use uuid::Uuid;

use super::{instant, unreadable};

/// Id, tenant, hash, label, scopes, made, revoked.
pub(in crate::stores) type KeyRow = (Vec<u8>, Vec<u8>, Vec<u8>, String, i64, i64, Option<i64>);

/// A tenant, as its settings resolve.
pub(in crate::stores) fn tenant(id: &[u8], name: &str, settings: &str) -> Result<Tenant, StoreError> {
    let id = tenant_id(id)?;
    let document: TenantDocument = serde_json::from_str(settings)
        .map_err(|error| unreadable(&format!("the settings of tenant {name}, column {}", error.column())))?;
    document.resolve(id).map_err(|errors| {
        let first = errors.first().map(|error| error.path.as_str()).unwrap_or_default();
        unreadable(&format!("the settings of tenant {name}, {first}"))
    })
}

/// The id of a tenant.
pub(in crate::stores) fn tenant_id(bytes: &[u8]) -> Result<TenantId, StoreError> {
    Uuid::from_slice(bytes).map(TenantId::from_uuid).map_err(|_| unreadable("the id of a tenant is no UUID"))
}

/// A document as it was written.
pub(in crate::stores) fn document(text: &str) -> Result<TenantDocument, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| unreadable(&format!("the settings of a tenant, column {}", error.column())))
}

/// Makes a key of its row.
pub(in crate::stores) fn api_key(row: KeyRow) -> Result<ApiKey, StoreError> {
    let (id, tenant, hash, label, scopes, created_at, revoked_at) = row;
    let id = Uuid::from_slice(&id).map_err(|_| unreadable("the id of an API key is no UUID"))?;
    Ok(ApiKey {
        id: ApiKeyId::from_uuid(id),
        tenant: tenant_id(&tenant)?,
        hash: hash.try_into().map_err(|_| unreadable("the hash of an API key has not 32 bytes"))?,
        label,
        scopes: Scope::ALL.into_iter().filter(|scope| scopes & i64::from(scope.bit()) != 0).collect(),
        created_at: instant(created_at)?,
        revoked_at: revoked_at.map(instant).transpose()?,
    })
}

/// What a key may do, as stored.
pub(in crate::stores) fn scope_bits(scopes: &[Scope]) -> i64 {
    i64::from(scopes.iter().fold(0, |bits, scope| bits | scope.bit()))
}

/// Kind, name, fingerprint, instant of the change.
pub(in crate::stores) type CredentialRow = (String, String, String, i64);

/// Makes a credential of its row.
pub(in crate::stores) fn credential(row: CredentialRow) -> Result<Credential, StoreError> {
    let (kind, name, fingerprint, updated_at) = row;
    let kind = CredentialKind::from_name(&kind).ok_or_else(|| unreadable("a kind of credentials is not known"))?;
    Ok(Credential { kind, name, fingerprint, updated_at: instant(updated_at)? })
}
