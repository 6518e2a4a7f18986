//! A replacement of user data as the writer takes it.

use domain::ids::{CallbackId, TenantId};

/// A replacement of packed user data.
pub(in crate::stores) struct ReplaceUserData {
    pub(in crate::stores) tenant: TenantId,
    pub(in crate::stores) id: CallbackId,
    /// What has to be there, packed; empty for nothing.
    pub(in crate::stores) before: Vec<u8>,
    pub(in crate::stores) after: Option<Vec<u8>>,
}

impl ReplaceUserData {
    pub(in crate::stores) fn bytes(&self) -> usize {
        size_of::<Self>() + self.before.len() + self.after.as_ref().map_or(0, Vec::len)
    }
}
