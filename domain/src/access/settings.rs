//! Which access group may do what, as the document of a tenant says it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Permission, Permissions, Role};
use crate::setting::Checks;

/// What access groups of a tenant allow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessSettings {
    /// Access groups by name, at most 200. If the section is there, it is complete: other groups give nothing. Default:
    /// `<tenant> Administrators` are administrators, `<tenant> Supervisors` supervisors, `<tenant> Managers` monitors, and
    /// `Callback Developers` developers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<BTreeMap<String, GroupAccess>>,
    /// Roles of the tenant's own by name, at most 50; beside `administrator`, `supervisor`, `monitor` and `developer`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, OwnRole>,
}

/// What members of one access group may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupAccess {
    /// Names of roles. Without any the group only limits.
    pub roles: Vec<String>,
    /// Lines of business to which its members are limited, as queues name them (`lineOfBusiness`). Who is in several
    /// groups that limit may see what one of them names. Default: the group limits nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines_of_business: Vec<String>,
}

/// A role of a tenant's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnRole {
    /// What it allows. `devops.view` is the operator's to give, and not a tenant's.
    pub permissions: BTreeSet<Permission>,
}

/// Longest name of a group, a role or a line of business.
const MAX_NAME_CHARS: usize = 128;
const MAX_GROUPS: usize = 200;
const MAX_OWN_ROLES: usize = 50;
const MAX_LINES: usize = 100;

impl AccessSettings {
    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        checks.within("groups", self.groups.as_ref().map_or(0, BTreeMap::len), 0..=MAX_GROUPS);
        checks.within("roles", self.roles.len(), 0..=MAX_OWN_ROLES);
        checks.at("groups", |checks| {
            for (name, group) in self.groups.iter().flatten() {
                check_name(name, name, checks);
                checks.at(name, |checks| self.check_group(group, checks));
            }
        });
        checks.at("roles", |checks| {
            for (name, role) in &self.roles {
                check_name(name, name, checks);
                if Role::from_name(name).is_some() {
                    checks.broken(name, None, "is the name of a role that is there already");
                }
                if role.permissions.contains(&Permission::DevOpsView) {
                    checks.broken(name, None, "cannot allow devops.view: that is the operator's to give");
                }
            }
        });
    }

    fn check_group(&self, group: &GroupAccess, checks: &mut Checks) {
        checks.within("roles", group.roles.len(), 0..=super::MAX_ROLES);
        for (place, role) in group.roles.iter().enumerate() {
            if self.permissions_of(role).is_none() {
                let rule = "has to be administrator, supervisor, monitor, developer or a name of access.roles";
                checks.broken(&format!("roles.{place}"), Some(&format!("{role:?}")), rule);
            }
        }
        checks.within("linesOfBusiness", group.lines_of_business.len(), 0..=MAX_LINES);
        for (place, line) in group.lines_of_business.iter().enumerate() {
            check_name(&format!("linesOfBusiness.{place}"), line, checks);
        }
    }

    /// What a role allows within the tenant; none if it has no such role, or the role is not a tenant's to give.
    pub fn permissions_of(&self, role: &str) -> Option<Permissions> {
        match Role::from_name(role) {
            Some(Role::DevOps) => None,
            Some(role) => Some(role.permissions()),
            None => {
                let own = self.roles.get(role)?;
                let allowed: Vec<Permission> =
                    own.permissions.iter().copied().filter(|it| *it != Permission::DevOpsView).collect();
                Some(Permissions::of(&allowed))
            }
        }
    }

    /// What members of a group may do in the tenant of that name; none if the group is not known.
    pub fn group(&self, tenant: &str, name: &str) -> Option<GroupAccess> {
        if let Some(groups) = &self.groups {
            return groups.get(name).cloned();
        }
        let role = match name.strip_prefix(tenant) {
            Some(" Administrators") => Role::Administrator,
            Some(" Supervisors") => Role::Supervisor,
            // What the name stands for is not told anywhere: the least.
            Some(" Managers") => Role::Monitor,
            _ if name == "Callback Developers" => Role::Developer,
            _ => return None,
        };
        Some(GroupAccess { roles: vec![role.name().to_owned()], lines_of_business: Vec::new() })
    }
}

fn check_name(key: &str, name: &str, checks: &mut Checks) {
    if name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        let rule = format!("a name has 1 to {MAX_NAME_CHARS} characters and no control characters");
        checks.broken(key, None, rule);
    }
}
