//! What is known of contact centres, and what a client may ask of one that is no more.

use crate::ids::ContactCenterId;

/// Whether a contact centre is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes requests; also if nothing is known of it.
    Served,
    /// It is known to be no more: nothing new is taken, what was promised is kept.
    Withdrawn,
}

/// Knows the contact centres as the environment service last listed them. Must not wait.
pub trait ContactCenters: Send + Sync {
    /// Whether it is served.
    fn standing(&self, center: ContactCenterId) -> Standing;

    /// Whether any of them allows web pages of another origin.
    fn any_origins(&self) -> bool;

    /// Whether it allows web pages of `origin`.
    fn allows(&self, center: ContactCenterId, origin: &str) -> bool;
}

/// Nobody lists contact centres.
pub struct NoContactCenters;

impl ContactCenters for NoContactCenters {
    fn standing(&self, _: ContactCenterId) -> Standing {
        Standing::Served
    }

    fn any_origins(&self) -> bool {
        false
    }

    fn allows(&self, _: ContactCenterId, _: &str) -> bool {
        false
    }
}
