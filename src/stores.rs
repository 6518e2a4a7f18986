//! Stores: where everything a customer was ever told is kept.
//!
//! Two things are shared by every store: the [`combiner`], which makes one transaction of the writes that
//! wait at the same time, and the packing of user data. [`sqlite`] is the store of the embedded mode: one
//! file, nothing to install.

pub mod combiner;
pub mod sqlite;
mod user_data;

/// The hash of the audit log's chain, the same in every store.
pub fn audit_digest(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}
