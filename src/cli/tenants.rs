//! `ges apply`, `diff`, `export`, `tenants` and `schema`: tenants as code, also beside a running service, which
//! hears of a change within 2 s.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::document::Node;
use domain::ids::TenantId;
use domain::ports::ApplyError;

use super::Failure;
use crate::provisioning::sources::{self, Draft, Mistake};
use crate::provisioning::{FromProcess, Order, Plan, Provisioning, ProvisioningError, count, yaml};

/// Entries of a history that are shown.
const SHOWN_REVISIONS: usize = 20;

/// Which documents.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ges apply -f tenant.yaml\n  ges apply -f tenants/            every document of a folder\n  ges apply --csv settings.csv --tenant demo"
)]
pub struct Documents {
    /// Documents of tenants, YAML or JSON; a folder for all in it, - for standard input; may be given more than once
    #[arg(short, long = "file", value_name = "FILE", required_unless_present = "csv", conflicts_with = "csv")]
    pub files: Vec<PathBuf>,
    /// CALLBACK_SETTINGS as a table: a row per queue
    #[arg(long, value_name = "FILE", requires = "tenant")]
    pub csv: Option<PathBuf>,
    /// Whose queues the table is about
    #[arg(long, value_name = "NAME", requires = "csv")]
    pub tenant: Option<String>,
}

/// What to write out.
#[derive(Debug, Args)]
pub struct Export {
    /// Name of the tenant
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub tenant: String,
    /// Where to write it; standard output if it is not given
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The queues as a table instead of the document
    #[arg(long, conflicts_with = "revision")]
    pub csv: bool,
    /// What the document said in that revision
    #[arg(long, value_name = "NUMBER")]
    pub revision: Option<u64>,
    /// Everything that is kept of this phone number instead, as JSON; - reads it from standard input
    #[arg(long, value_name = "PHONE", conflicts_with_all = ["csv", "revision"], allow_hyphen_values = true)]
    pub number: Option<String>,
}

/// What can be asked about tenants.
#[derive(Debug, Subcommand)]
pub enum TenantsCommand {
    /// List all tenants (the default)
    List,
    /// Show who changed the document of a tenant, and when
    History {
        /// Name of the tenant
        #[arg(long, value_name = "NAME", default_value = "demo")]
        tenant: String,
    },
}

/// Applies documents; what to print.
///
/// # Errors
/// Everything that is wrong with them, or the store failed. Nothing was changed then.
pub async fn apply(documents: &Documents, provisioning: &Provisioning) -> Result<String, Failure> {
    let plans = plans(documents, provisioning, true).await?;
    let told: Vec<_> = plans.iter().map(|plan| (plan.name.clone(), described(plan))).collect();
    let applied = provisioning.apply(plans).await.map_err(|error| match error {
        ApplyError::Conflict { .. } | ApplyError::KeysChanged => {
            Failure::Unusable(format!("{error}: nothing was applied; look at `ges diff` and apply again"))
        }
        other => Failure::unusable(&other),
    })?;
    let lines = told.into_iter().zip(applied).map(|((name, told), applied)| {
        let revision = applied.revision;
        if told.is_empty() {
            format!("{name}: nothing to change, revision {revision}")
        } else {
            format!("{name}: revision {revision}\n{told}")
        }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// What documents would change; whether that is anything.
///
/// # Errors
/// As [`apply`].
pub async fn diff(documents: &Documents, provisioning: &Provisioning) -> Result<(String, bool), Failure> {
    let plans = plans(documents, provisioning, false).await?;
    let differs = plans.iter().any(|plan| !plan.differences.is_empty());
    let lines = plans.iter().map(|plan| {
        let known = plan.revision.map_or_else(|| "a new tenant".to_owned(), |revision| format!("revision {revision}"));
        let told = described(plan);
        if told.is_empty() {
            format!("{}: the same as {known}", plan.name)
        } else {
            format!("{}: differs from {known}\n{told}", plan.name)
        }
    });
    Ok((lines.collect::<Vec<_>>().join("\n"), differs))
}

fn described(plan: &Plan) -> String {
    let differences = plan.differences.iter().map(|difference| format!("  {difference}"));
    let remarks = plan.remarks.iter().map(|remark| format!("  ! {remark}"));
    differences.chain(remarks).collect::<Vec<_>>().join("\n")
}

async fn plans(documents: &Documents, provisioning: &Provisioning, live: bool) -> Result<Vec<Plan>, Failure> {
    let actor = std::env::var("USER").map_or_else(|_| "ges".to_owned(), |user| format!("ges ({user})"));
    let actor: String = actor.chars().filter(|letter| !letter.is_control()).take(100).collect();
    let order = Order { actor: &actor, source: &FromProcess, ask_providers: live };
    if let Some(file) = &documents.csv {
        let name = documents.tenant.as_deref().unwrap_or_default();
        return plan_of_table(file, name, provisioning, &order).await.map(|plan| vec![plan]);
    }
    let sources = sources::read_files(&documents.files).map_err(|error| Failure::unusable(&error))?;
    let drafts = sources::merge(sources).map_err(|mistakes| told(&mistakes))?;
    plan_all(drafts, provisioning, &order).await
}

async fn plan_all(
    drafts: BTreeMap<String, Draft>,
    provisioning: &Provisioning,
    order: &Order<'_>,
) -> Result<Vec<Plan>, Failure> {
    let (mut plans, mut mistakes) = (Vec::new(), Vec::new());
    for draft in drafts.into_values() {
        match provisioning.plan(draft.root.clone(), order).await {
            Ok(plan) => plans.push(plan),
            Err(ProvisioningError::Mistakes(found)) => {
                mistakes.extend(found.into_iter().map(|error| draft.locate(error)));
            }
            Err(error) => return Err(Failure::unusable(&error)),
        }
    }
    if mistakes.is_empty() { Ok(plans) } else { Err(told(&mistakes)) }
}

async fn plan_of_table(
    file: &PathBuf,
    name: &str,
    provisioning: &Provisioning,
    order: &Order<'_>,
) -> Result<Plan, Failure> {
    let sources = sources::read_files(std::slice::from_ref(file)).map_err(|error| Failure::unusable(&error))?;
    let source = sources.first().ok_or_else(|| Failure::Unusable("there is no table".to_owned()))?;
    let tenant = tenant(provisioning, name).await?;
    provisioning.plan_csv(tenant, &source.text, order).await.map_err(|error| match error {
        ProvisioningError::Mistakes(mistakes) => {
            let located = mistakes.into_iter().map(|error| Mistake { file: source.name.clone(), error });
            told(&located.collect::<Vec<_>>())
        }
        other => Failure::unusable(&other),
    })
}

/// Everything that is wrong, a line each.
fn told(mistakes: &[Mistake]) -> Failure {
    let mut text = format!("{}, nothing was applied", count(mistakes.len()));
    for Mistake { file, error } in mistakes {
        let _ = write!(text, "\n  {file}: {error}");
    }
    Failure::Unusable(text)
}

async fn tenant(provisioning: &Provisioning, name: &str) -> Result<TenantId, Failure> {
    let found = provisioning.find(name).await.map_err(|error| Failure::unusable(&error))?;
    found.ok_or_else(|| Failure::Unusable(format!("there is no tenant {name:?}; `ges tenants` lists them")))
}

/// The document of a tenant, or its queues as a table. Printed if no file is named; else what to print is where it
/// went.
///
/// # Errors
/// There is no such tenant, the store failed, or the file cannot be written.
pub async fn export(wanted: &Export, provisioning: &Provisioning) -> Result<String, Failure> {
    let tenant = tenant(provisioning, &wanted.tenant).await?;
    let text = if wanted.csv {
        provisioning.export_csv(tenant, |_| true).await.map_err(|error| Failure::unusable(&error))?.1
    } else {
        let exported = match wanted.revision {
            Some(revision) => provisioning.export_revision(tenant, revision).await,
            None => provisioning.export(tenant).await.map(|(_, node)| node),
        };
        as_yaml(&exported.map_err(|error| Failure::unusable(&error))?)?
    };
    match &wanted.output {
        None => Ok(text.trim_end().to_owned()),
        Some(path) => {
            fs::write(path, text)
                .map_err(|error| Failure::Unusable(format!("cannot write {}: {error}", path.display())))?;
            Ok(format!("{} is in {}", wanted.tenant, path.display()))
        }
    }
}

fn as_yaml(node: &Node) -> Result<String, Failure> {
    let text = yaml(node).map_err(Failure::Unusable)?;
    Ok(format!("# yaml-language-server: $schema=tenant.schema.json\n{text}"))
}

/// What was asked about tenants.
///
/// # Errors
/// There is no such tenant, or the store failed.
pub async fn tenants(command: &TenantsCommand, provisioning: &Provisioning) -> Result<String, Failure> {
    match command {
        TenantsCommand::List => list(provisioning).await,
        TenantsCommand::History { tenant: name } => history(name, provisioning).await,
    }
}

async fn list(provisioning: &Provisioning) -> Result<String, Failure> {
    let mut text = format!("{:<36}  {:>8}  {:>6}  NAME", "ID", "REVISION", "QUEUES");
    for tenant in provisioning.list().await.map_err(|error| Failure::unusable(&error))? {
        let _ = write!(text, "\n{}  {:>8}  {:>6}  {}", tenant.id, tenant.revision, tenant.queues, tenant.name);
    }
    Ok(text)
}

async fn history(name: &str, provisioning: &Provisioning) -> Result<String, Failure> {
    let tenant = tenant(provisioning, name).await?;
    let revisions = provisioning.revisions(tenant, SHOWN_REVISIONS).await.map_err(|error| Failure::unusable(&error))?;
    let mut text = format!("{:>8}  {:<20}  BY", "REVISION", "AT");
    for entry in revisions {
        let _ = write!(text, "\n{:>8}  {}  {}", entry.revision, entry.at.format("%Y-%m-%d %H:%M:%SZ"), entry.actor);
    }
    Ok(text)
}

/// The JSON Schema of documents.
///
/// # Errors
/// It cannot be written, which never happens.
pub fn schema() -> Result<String, Failure> {
    serde_json::to_string_pretty(&domain::tenant::json_schema()).map_err(|error| Failure::unusable(&error))
}
