//! Values of statements that have the same columns in every store, in the order of these.

use domain::audit::Entry;
use domain::erasure::{Counts, Search};
use domain::happening::Kind;
use domain::keys::ApiKey;
use domain::ports::{Credential, Erasing, Settle};

use super::rows::settings::scope_bits;
use super::rows::{millis, stored};

/// A value as one store's statements take it.
pub(in crate::stores) trait Value<'a>:
    From<i64> + From<Option<i64>> + From<&'a str> + From<&'a [u8]> + Sized
{
}

impl<'a, V> Value<'a> for V where V: From<i64> + From<Option<i64>> + From<&'a str> + From<&'a [u8]> {}

/// `tenant, seq, at, act, actor, subject, details, hash` of an entry of the audit log.
pub(in crate::stores) fn audit_entry<'a, V: Value<'a>>(tenant: i64, entry: &'a Entry) -> [V; 8] {
    [
        tenant.into(),
        stored(entry.seq).into(),
        millis(entry.at).into(),
        entry.act.as_str().into(),
        entry.actor.as_str().into(),
        entry.subject.as_str().into(),
        entry.details.as_str().into(),
        entry.hash.as_slice().into(),
    ]
}

/// `id, tenant, hash, label, scopes, created_at, revoked_at` of an API key.
pub(in crate::stores) fn api_key<'a, V: Value<'a>>(tenant: i64, id: &'a [u8], key: &'a ApiKey) -> [V; 7] {
    [
        id.into(),
        tenant.into(),
        key.hash.as_slice().into(),
        key.label.as_str().into(),
        scope_bits(&key.scopes).into(),
        millis(key.created_at).into(),
        key.revoked_at.map(millis).into(),
    ]
}

/// `tenant, kind, name, fingerprint, sealed, updated_at` of what is sealed.
pub(in crate::stores) fn sealed<'a, V: Value<'a>>(tenant: i64, credential: &'a Credential, sealed: &'a [u8]) -> [V; 6] {
    [
        tenant.into(),
        credential.kind.name().into(),
        credential.name.as_str().into(),
        credential.fingerprint.as_str().into(),
        sealed.into(),
        millis(credential.updated_at).into(),
    ]
}

/// `tenant, id, fingerprint, actor, begun_at, cancelled` of an erasure that begins.
pub(in crate::stores) fn begun<'a, V: Value<'a>>(tenant: i64, id: &'a [u8], erasing: &'a Erasing) -> [V; 6] {
    [
        tenant.into(),
        id.into(),
        erasing.fingerprint.as_slice().into(),
        erasing.actor.as_str().into(),
        millis(erasing.at).into(),
        stored(erasing.cancelled).into(),
    ]
}

/// What one command has removed, in the order of the table, and the erasure that counts it.
pub(in crate::stores) fn removed<'a, V: Value<'a>>(counts: &Counts, tenant: i64, erasure: &'a [u8]) -> [V; 10] {
    [
        stored(counts.callbacks).into(),
        stored(counts.blinded).into(),
        stored(counts.history).into(),
        stored(counts.details).into(),
        stored(counts.call_ins).into(),
        stored(counts.notices).into(),
        stored(counts.counted_values).into(),
        stored(counts.idempotency_keys).into(),
        tenant.into(),
        erasure.into(),
    ]
}

/// `finished_at, searched_bytes, rewritten, found` of an erasure that ends, and which one it is.
pub(in crate::stores) fn finished<'a, V: Value<'a>>(at: i64, search: Search, tenant: i64, erasure: &'a [u8]) -> [V; 6] {
    [
        at.into(),
        stored(search.bytes).into(),
        i64::from(search.rewritten).into(),
        stored(search.found).into(),
        tenant.into(),
        erasure.into(),
    ]
}

/// `seq, kind, at, note` of what has become of a notification, and the happening that it told of.
pub(in crate::stores) fn told<'a, V: Value<'a>>(seq: i64, tenant: i64, settle: &Settle, note: &'a str) -> [V; 6] {
    [
        seq.into(),
        i64::from(Kind::Push.code()).into(),
        millis(settle.at).into(),
        note.into(),
        tenant.into(),
        stored(settle.key.seq).into(),
    ]
}
