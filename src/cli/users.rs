//! `ges users`: local accounts of the interface, also beside a running service, which hears of it with the next request.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use domain::access::{Account, MAX_ROLES, Membership, Role, UserName};
use domain::audit::Act;
use domain::ports::{AccountStore, Clock, NewEntry, SettingsStore, StoreError};
use domain::secret::Secret;

use super::Failure;
use super::privacy::ACTOR;
use crate::front_door::generate_key;
use crate::users::passwords;

/// Longest input that is read for a password, in bytes.
const MAX_INPUT_BYTES: u64 = 4_096;

/// Most lines of business of an account.
const MAX_LINES: usize = 100;

/// What can be done with local accounts.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// Make an account; its password is read from standard input, or made and printed with --generate
    Add(AddUser),
    /// List accounts
    List,
    /// Change roles and lines of business of an account, and end its sessions
    Change(ChangeUser),
    /// Give an account another password, and end its sessions
    Password(UserPassword),
    /// Let nobody in by an account, and end its sessions; its password is kept
    Lock {
        /// Name of the account
        name: UserName,
    },
    /// Let the user of a locked account in again
    Unlock {
        /// Name of the account
        name: UserName,
    },
    /// Remove an account and end its sessions
    Remove {
        /// Name of the account
        name: UserName,
    },
}

/// Which account to make.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ges users add alice --tenant demo --role administrator --generate")]
pub struct AddUser {
    /// Name of the account, unique in the installation
    pub name: UserName,
    /// Name of the user's tenant
    #[arg(long, default_value = "demo")]
    pub tenant: String,
    /// What it may do
    #[command(flatten)]
    pub may: May,
    /// Make the password and print it, this one time
    #[arg(long)]
    pub generate: bool,
}

/// What an account may do from now on.
#[derive(Debug, Args)]
pub struct ChangeUser {
    /// Name of the account
    pub name: UserName,
    /// What it may do
    #[command(flatten)]
    pub may: May,
}

/// Whose password.
#[derive(Debug, Args)]
pub struct UserPassword {
    /// Name of the account
    pub name: UserName,
    /// Make the password and print it, this one time
    #[arg(long)]
    pub generate: bool,
}

/// What a user may do.
#[derive(Debug, Args)]
pub struct May {
    /// administrator, supervisor, monitor, developer, devops, or a role of the tenant's own; may be given more than once
    #[arg(long = "role", value_name = "ROLE", required = true)]
    pub roles: Vec<String>,
    /// Line of business to which the user is limited; may be given more than once; to none if never given
    #[arg(long = "line", value_name = "LINE")]
    pub lines: Vec<String>,
}

/// The accounts of an installation.
pub struct UserCabinet {
    /// Accounts.
    pub accounts: Arc<dyn AccountStore>,
    /// Tenants.
    pub settings: Arc<dyn SettingsStore>,
}

/// Does what was asked and returns what is to be printed. `read` brings a password from standard input.
///
/// # Errors
/// The store failed, or there is no such tenant, role or account.
pub async fn perform(
    command: UsersCommand,
    cabinet: &UserCabinet,
    clock: &dyn Clock,
    read: &(dyn Fn() -> Result<Secret, Failure> + Sync),
) -> Result<String, Failure> {
    match command {
        UsersCommand::Add(wanted) => add(wanted, cabinet, clock, read).await,
        UsersCommand::List => list(cabinet).await,
        UsersCommand::Change(wanted) => change(wanted, cabinet, clock).await,
        UsersCommand::Password(wanted) => password(wanted, cabinet, clock, read).await,
        UsersCommand::Lock { name } => lock(&name, cabinet, clock).await,
        UsersCommand::Unlock { name } => unlock(&name, cabinet, clock).await,
        UsersCommand::Remove { name } => remove(&name, cabinet, clock).await,
    }
}

/// What was done to an account, for the audit log of its tenant: never a password, nor its hash.
fn entry(act: Act, account: &Account, at: DateTime<Utc>) -> NewEntry {
    let Membership { roles, lines, .. } = &account.membership;
    let details = match act {
        Act::AccountAdded | Act::AccountChanged if lines.is_empty() => format!("roles {}", roles.join(",")),
        Act::AccountAdded | Act::AccountChanged => {
            format!("roles {}; lines of business {}", roles.join(","), lines.join(","))
        }
        _ => String::new(),
    };
    NewEntry { at, act, actor: ACTOR.to_owned(), subject: account.name.to_string(), details }
}

async fn add(
    wanted: AddUser,
    cabinet: &UserCabinet,
    clock: &dyn Clock,
    read: &(dyn Fn() -> Result<Secret, Failure> + Sync),
) -> Result<String, Failure> {
    let tenants = cabinet.settings.tenants().await.map_err(store_failure)?;
    let tenant = tenants.iter().find(|tenant| *tenant.name == *wanted.tenant);
    let tenant = tenant.ok_or_else(|| Failure::Unusable(format!("there is no tenant {:?}", wanted.tenant)))?;
    let membership = wanted.may.membership(&tenant.access)?;
    let (secret, told) = secret(wanted.generate, read)?;
    let password = passwords::hash(&secret).map_err(|error| Failure::unusable(&error))?;
    let name = wanted.name;
    let account = Account { name: name.clone(), tenant: tenant.id, password, membership, created_at: clock.now() };
    let entry = entry(Act::AccountAdded, &account, account.created_at);
    match cabinet.accounts.add_account(account, entry).await.map_err(store_failure)? {
        true => Ok(format!("user     {name}\ntenant   {}{told}", tenant.name)),
        false => Err(Failure::Unusable(format!("there is an account {name} already"))),
    }
}

async fn change(wanted: ChangeUser, cabinet: &UserCabinet, clock: &dyn Clock) -> Result<String, Failure> {
    let account = find(&wanted.name, cabinet).await?;
    let tenants = cabinet.settings.tenants().await.map_err(store_failure)?;
    let tenant = tenants.iter().find(|tenant| tenant.id == account.tenant);
    let tenant = tenant.ok_or_else(|| Failure::Unusable("the tenant of the account is gone".to_owned()))?;
    let membership = wanted.may.membership(&tenant.access)?;
    put(Account { membership, ..account }, Act::AccountChanged, cabinet, clock).await?;
    Ok(format!("{} is changed", wanted.name))
}

async fn password(
    wanted: UserPassword,
    cabinet: &UserCabinet,
    clock: &dyn Clock,
    read: &(dyn Fn() -> Result<Secret, Failure> + Sync),
) -> Result<String, Failure> {
    let account = find(&wanted.name, cabinet).await?;
    let (secret, told) = secret(wanted.generate, read)?;
    let password = passwords::hash(&secret).map_err(|error| Failure::unusable(&error))?;
    let (was_locked, account) = (account.is_locked(), Account { password, ..account });
    let account = if was_locked { account.locked() } else { account };
    put(account, Act::AccountPassword, cabinet, clock).await?;
    Ok(format!("{} has another password{told}", wanted.name))
}

async fn lock(name: &UserName, cabinet: &UserCabinet, clock: &dyn Clock) -> Result<String, Failure> {
    let account = find(name, cabinet).await?;
    if account.is_locked() {
        return Err(Failure::Unusable(format!("{name} is locked already")));
    }
    put(account.locked(), Act::AccountLocked, cabinet, clock).await?;
    Ok(format!("{name} is locked"))
}

async fn unlock(name: &UserName, cabinet: &UserCabinet, clock: &dyn Clock) -> Result<String, Failure> {
    let account = find(name, cabinet).await?;
    if !account.is_locked() {
        return Err(Failure::Unusable(format!("{name} is not locked")));
    }
    put(account.unlocked(), Act::AccountUnlocked, cabinet, clock).await?;
    Ok(format!("{name} can log in again"))
}

async fn remove(name: &UserName, cabinet: &UserCabinet, clock: &dyn Clock) -> Result<String, Failure> {
    let account = find(name, cabinet).await?;
    let entry = entry(Act::AccountRemoved, &account, clock.now());
    match cabinet.accounts.remove_account(account.tenant, name, entry).await.map_err(store_failure)? {
        true => Ok(format!("{name} is removed")),
        false => Err(no_account(name)),
    }
}

async fn put(account: Account, act: Act, cabinet: &UserCabinet, clock: &dyn Clock) -> Result<(), Failure> {
    let (name, entry) = (account.name.clone(), entry(act, &account, clock.now()));
    let changed = cabinet.accounts.change_account(account, entry).await.map_err(store_failure)?;
    if changed { Ok(()) } else { Err(no_account(&name)) }
}

async fn find(name: &UserName, cabinet: &UserCabinet) -> Result<Account, Failure> {
    let found = cabinet.accounts.account(name).await.map_err(store_failure)?;
    found.ok_or_else(|| no_account(name))
}

async fn list(cabinet: &UserCabinet) -> Result<String, Failure> {
    let tenants = cabinet.settings.tenants().await.map_err(store_failure)?;
    let accounts = cabinet.accounts.accounts().await.map_err(store_failure)?;
    let titles = ["NAME", "TENANT", "CREATED", "STATE", "ROLES  LINES OF BUSINESS"];
    let [name, tenant, created, state, roles] = titles;
    let mut text = format!("{name:<24}  {tenant:<20}  {created:<20}  {state:<6}  {roles}");
    for account in accounts {
        let tenant = tenants.iter().find(|tenant| tenant.id == account.tenant);
        let tenant = tenant.map_or_else(|| account.tenant.to_string(), |tenant| tenant.name.to_string());
        let created = account.created_at.format("%Y-%m-%d %H:%M:%SZ");
        let state = if account.is_locked() { "locked" } else { "in use" };
        let (roles, lines) = (account.membership.roles.join(","), account.membership.lines.join(","));
        let _ = write!(text, "\n{:<24}  {tenant:<20}  {created}  {state}  {roles}  {lines}", account.name.as_str());
    }
    Ok(text)
}

impl May {
    fn membership(&self, access: &domain::access::AccessSettings) -> Result<Membership, Failure> {
        if self.roles.len() > MAX_ROLES {
            return Err(Failure::Unusable(format!("an account has at most {MAX_ROLES} roles")));
        }
        if self.lines.len() > MAX_LINES {
            return Err(Failure::Unusable(format!("an account has at most {MAX_LINES} lines of business")));
        }
        for role in &self.roles {
            if Role::from_name(role).is_none() && access.permissions_of(role).is_none() {
                let known = Role::ALL.map(Role::name).join(", ");
                return Err(Failure::Unusable(format!("there is no role {role:?}; there is {known}")));
            }
        }
        let roles =
            self.roles.iter().map(|role| Role::from_name(role).map_or_else(|| role.clone(), |it| it.name().to_owned()));
        Ok(Membership { roles: roles.collect(), lines: self.lines.clone(), ..Membership::default() })
    }
}

/// The password, and what is told of it.
fn secret(generate: bool, read: &(dyn Fn() -> Result<Secret, Failure> + Sync)) -> Result<(Secret, String), Failure> {
    if !generate {
        return Ok((read()?, String::new()));
    }
    let password = generate_key().map_err(|error| Failure::Unusable(error.to_string()))?;
    let told = format!("\npassword {password}\nThis is the only time that the password is shown.");
    Ok((Secret::new(password), told))
}

/// The first line of standard input: never an argument, which other users of the machine could read.
pub(super) fn read_password() -> Result<Secret, Failure> {
    if io::stdin().is_terminal() {
        let _ = write!(io::stderr(), "Password (it is shown as it is typed; --generate makes one): ");
    }
    let mut text = String::new();
    let mut input = io::stdin().lock().take(MAX_INPUT_BYTES);
    input.read_line(&mut text).map_err(|error| Failure::unusable(&error))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

fn no_account(name: &UserName) -> Failure {
    Failure::Unusable(format!("there is no account {name}"))
}

fn store_failure(error: StoreError) -> Failure {
    Failure::unusable(&error)
}
