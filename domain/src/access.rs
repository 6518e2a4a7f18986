//! Who may do what: roles, what each allows, and how far it reaches.
//!
//! Nothing is allowed that is not written down. A user gets roles from access groups (or has them, in a local account);
//! each role allows permissions; [`routes`] says which permission an operation needs. A user may also be limited to lines of
//! business, which are sets of queues.
//!
//! ```text
//!   groups ──▶ roles ──▶ permissions ──▶ operations          membership   what is known of a user
//!      └─────▶ lines of business ──▶ queues                  grants       what follows from it, for one tenant
//! ```

mod grants;
mod guesses;
mod permission;
pub mod routes;
mod session;
mod settings;
mod tables;
mod tenant;

use serde::{Deserialize, Serialize};

pub use grants::{Grants, Membership, PlatformGroups, Scope};
pub use guesses::{Guesses, MAX_NAMES, Patience};
pub use permission::{Permission, Permissions};
pub use session::{
    Account, BadUserName, MAX_ROLES, MAX_USER_CHARS, SESSION_KEPT, Session, SessionLimits, Sitting, TokenHash, UserName,
};
pub use settings::{AccessSettings, GroupAccess, OwnRole};
pub use tables::{permissions_markdown, roles_markdown};
pub use tenant::{Lines, TenantAccess};

/// The roles that there are without any setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs a contact centre.
    Administrator,
    /// Runs its callbacks.
    Supervisor,
    /// Looks on.
    Monitor,
    /// Connects other systems to it.
    Developer,
    /// Looks after the installation: sees everything of every tenant but whole numbers, and changes nothing.
    DevOps,
}

impl Role {
    /// Every role, in the order in which they are listed.
    pub const ALL: [Self; 5] = [Self::Administrator, Self::Supervisor, Self::Monitor, Self::Developer, Self::DevOps];

    /// Its name in documents, on the command line and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Supervisor => "supervisor",
            Self::Monitor => "monitor",
            Self::Developer => "developer",
            Self::DevOps => "devops",
        }
    }

    /// The role of that name, however it is capitalised; also as the product writes it (`Callback Administrator`).
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let name = name.strip_prefix("callback ").unwrap_or(&name);
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What it allows.
    pub const fn permissions(self) -> Permissions {
        use Permission as P;
        match self {
            Self::Administrator => Permissions::of(&[
                P::CallbacksView,
                P::CallbacksEdit,
                P::CallbacksExport,
                P::CallInsView,
                P::CallInsEdit,
                P::SettingsView,
                P::SettingsEdit,
                P::CapacityEdit,
                P::NumberRulesEdit,
                P::RegionsEdit,
                P::DeveloperView,
                P::DeveloperEdit,
                P::PersonalData,
                P::AuditView,
            ]),
            Self::Supervisor => Permissions::of(&[
                P::CallbacksView,
                P::CallbacksEdit,
                P::CallbacksExport,
                P::CallInsView,
                P::CallInsEdit,
                P::SettingsView,
                P::NumberRulesEdit,
            ]),
            Self::Monitor => Permissions::of(&[P::CallbacksView, P::CallInsView]),
            Self::Developer => Permissions::of(&[
                P::CallInsView,
                P::SettingsView,
                P::NumberRulesEdit,
                P::DeveloperView,
                P::DeveloperEdit,
            ]),
            Self::DevOps => {
                Permissions::of(&[P::CallbacksView, P::CallInsView, P::SettingsView, P::DeveloperView, P::DevOpsView])
            }
        }
    }
}

#[cfg(test)]
mod tests;
