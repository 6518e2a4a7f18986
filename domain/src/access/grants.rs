//! From what is known of a user to what the user may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Lines, Permission, Permissions, Role, TenantAccess};

/// What is known of a user: by whoever knows the user, and kept with the session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Membership {
    /// Access groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Roles that the user has without a group: those of a local account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Lines of business to which the user is limited beside those of the groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// Roles in the user's own object in the configuration (section `ges` or `gms`), as before there were groups for it.
    /// While the section is there it alone counts, whatever the groups say, also if it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annex_roles: Option<Vec<String>>,
}

/// Access groups whose members look after the installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlatformGroups(pub BTreeSet<String>);

/// What a user may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// Names of the roles, sorted.
    pub roles: BTreeSet<String>,
    /// In the user's own tenant.
    own: Permissions,
    /// In every tenant.
    everywhere: Permissions,
    lines: Lines,
}

/// How far a permission reaches in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The queues that it is about.
    pub lines: Lines,
    /// Whether it holds for every tenant.
    pub everywhere: bool,
}

impl Grants {
    /// What follows from a membership in the user's own tenant. Who is known and has no role may do nothing.
    pub fn of(membership: &Membership, tenant: &TenantAccess, platform: &PlatformGroups) -> Self {
        let mut grants =
            Self { roles: BTreeSet::new(), own: Permissions::NONE, everywhere: Permissions::NONE, lines: Lines::Every };
        if membership.groups.iter().any(|group| platform.0.contains(group)) {
            grants.add_devops();
        }
        let mut lines: Option<BTreeSet<String>> = None;
        let mut limit = |named: &[String]| {
            if !named.is_empty() {
                lines.get_or_insert_default().extend(named.iter().cloned());
            }
        };
        limit(&membership.lines);
        for group in &membership.groups {
            let Some(access) = tenant.settings().group(&tenant.name, group) else { continue };
            // A limit holds even where the annex speaks about roles.
            limit(&access.lines_of_business);
            if membership.annex_roles.is_none() {
                access.roles.iter().for_each(|role| grants.add(role, tenant));
            }
        }
        match &membership.annex_roles {
            Some(roles) => roles.iter().for_each(|role| grants.add(role, tenant)),
            None => {
                for role in &membership.roles {
                    match Role::from_name(role) {
                        Some(Role::DevOps) => grants.add_devops(),
                        _ => grants.add(role, tenant),
                    }
                }
            }
        }
        grants.lines = lines.map_or(Lines::Every, Lines::Only);
        grants
    }

    fn add(&mut self, role: &str, tenant: &TenantAccess) {
        let Some(permissions) = tenant.settings().permissions_of(role) else { return };
        self.own = self.own.and(permissions);
        self.roles.insert(Role::from_name(role).map_or_else(|| role.to_owned(), |role| role.name().to_owned()));
    }

    fn add_devops(&mut self) {
        self.everywhere = self.everywhere.and(Role::DevOps.permissions());
        self.roles.insert(Role::DevOps.name().to_owned());
    }

    /// How far `permission` reaches in a tenant, which is the user's own one or another; none if it does not.
    pub fn scope(&self, permission: Permission, own_tenant: bool) -> Option<Scope> {
        if self.everywhere.has(permission) {
            return Some(Scope { lines: Lines::Every, everywhere: true });
        }
        let allowed = own_tenant && self.own.has(permission);
        allowed.then(|| Scope { lines: self.lines.clone(), everywhere: false })
    }

    /// Whether the user has any business in tenants other than the own one.
    pub fn reach_everywhere(&self) -> bool {
        self.everywhere != Permissions::NONE
    }

    /// Everything that is allowed in the own tenant.
    pub const fn permissions(&self) -> Permissions {
        self.own.and(self.everywhere)
    }

    /// The queues of the own tenant that are seen.
    pub const fn lines(&self) -> &Lines {
        &self.lines
    }
}
