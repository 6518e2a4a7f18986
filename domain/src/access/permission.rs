//! What can be allowed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that a role may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Permission {
    /// See callbacks, with masked numbers, and why they wait.
    #[serde(rename = "callbacks.view")]
    CallbacksView,
    /// Cancel callbacks, and take parked ones up again.
    #[serde(rename = "callbacks.edit")]
    CallbacksEdit,
    /// See whole numbers and user data, and so export them.
    #[serde(rename = "callbacks.export")]
    CallbacksExport,
    /// See requests to call in.
    #[serde(rename = "call-ins.view")]
    CallInsView,
    /// Withdraw requests to call in.
    #[serde(rename = "call-ins.edit")]
    CallInsEdit,
    /// See the settings of the tenant with their history, and try hours and number rules.
    #[serde(rename = "settings.view")]
    SettingsView,
    /// Change any settings of the tenant, access included.
    #[serde(rename = "settings.edit")]
    SettingsEdit,
    /// Change capacity rules.
    #[serde(rename = "capacity.edit")]
    CapacityEdit,
    /// Change number rules.
    #[serde(rename = "number-rules.edit")]
    NumberRulesEdit,
    /// Change region rules.
    #[serde(rename = "regions.edit")]
    RegionsEdit,
    /// See what failed, credentials by their fingerprints, webhooks and notifications.
    #[serde(rename = "developer.view")]
    DeveloperView,
    /// Change credentials, and send webhooks and notifications again.
    #[serde(rename = "developer.edit")]
    DeveloperEdit,
    /// Export and erase everything that is kept of a number.
    #[serde(rename = "personal-data")]
    PersonalData,
    /// Read the audit log.
    #[serde(rename = "audit.view")]
    AuditView,
    /// See how the installation is, and its tenants.
    #[serde(rename = "devops.view")]
    DevOpsView,
}

impl Permission {
    /// Every permission, in the order in which they are listed.
    pub const ALL: [Self; 15] = [
        Self::CallbacksView,
        Self::CallbacksEdit,
        Self::CallbacksExport,
        Self::CallInsView,
        Self::CallInsEdit,
        Self::SettingsView,
        Self::SettingsEdit,
        Self::CapacityEdit,
        Self::NumberRulesEdit,
        Self::RegionsEdit,
        Self::DeveloperView,
        Self::DeveloperEdit,
        Self::PersonalData,
        Self::AuditView,
        Self::DevOpsView,
    ];

    /// Its name in documents and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallbacksView => "callbacks.view",
            Self::CallbacksEdit => "callbacks.edit",
            Self::CallbacksExport => "callbacks.export",
            Self::CallInsView => "call-ins.view",
            Self::CallInsEdit => "call-ins.edit",
            Self::SettingsView => "settings.view",
            Self::SettingsEdit => "settings.edit",
            Self::CapacityEdit => "capacity.edit",
            Self::NumberRulesEdit => "number-rules.edit",
            Self::RegionsEdit => "regions.edit",
            Self::DeveloperView => "developer.view",
            Self::DeveloperEdit => "developer.edit",
            Self::PersonalData => "personal-data",
            Self::AuditView => "audit.view",
            Self::DevOpsView => "devops.view",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// No permission at all.
    pub const NONE: Self = Self(0);

    /// Exactly these.
    pub const fn of(mut all: &[Permission]) -> Self {
        let mut bits = 0;
        while let [first, rest @ ..] = all {
            bits |= first.bit();
            all = rest;
        }
        Self(bits)
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it is one of them.
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Each of them, in the order in which they are listed.
    pub fn each(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.has(*permission))
    }
}
