//! The tables of roles and operations as the handbook shows them.

use std::fmt::Write as _;

use super::routes::{About, Admits, RULES};
use super::{Permission, Role};

const fn mark(yes: bool) -> &'static str {
    if yes { "yes" } else { "–" }
}

/// What each role allows.
pub fn roles_markdown() -> String {
    let names = Role::ALL.map(Role::name).join(" | ");
    let mut text = format!("\n| permission | {names} |\n| --- |{}\n", " --- |".repeat(Role::ALL.len()));
    for permission in Permission::ALL {
        let cells = Role::ALL.map(|role| mark(role.permissions().has(permission)));
        let _ = writeln!(text, "| `{}` | {} |", permission.name(), cells.join(" | "));
    }
    text.push('\n');
    text
}

/// Whom each operation is for.
pub fn permissions_markdown() -> String {
    let mut text = "\n| operation | for | about |\n| --- | --- | --- |\n".to_owned();
    for rule in RULES {
        let whom = match rule.admits {
            Admits::Everybody => "everybody".to_owned(),
            Admits::Users => "every user".to_owned(),
            Admits::Holders(permission) => format!("`{}`", permission.name()),
            Admits::Machines => "no user".to_owned(),
        };
        let about = match rule.about {
            About::Queues => "queues".to_owned(),
            About::Tenant(why) => format!("the whole tenant: {}", why.reason()),
            About::Neither => "–".to_owned(),
            About::Installation => "the installation".to_owned(),
        };
        let route = rule.section.map_or_else(|| rule.route.to_owned(), |it| rule.route.replace("{section}", it));
        let _ = writeln!(text, "| `{} {route}` | {whom} | {about} |", rule.method);
    }
    text.push('\n');
    text
}
