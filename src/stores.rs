//! Stores: where everything a customer was ever told is kept.
//!
//! Two things are shared by every store: the [`combiner`], which makes one transaction of the writes that
//! wait at the same time, and the packing of user data. [`sqlite`] is the store of the embedded mode: one
//! file, nothing to install.

pub mod combiner;
pub mod sqlite;
mod user_data;
