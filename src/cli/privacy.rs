//! `ges erase`, `ges export --number` and `ges audit`: what is kept of a number, and who did what. Also beside a running
//! service, in short transactions.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use clap::{Args, Subcommand};
use domain::audit::Link;
use domain::ids::TenantId;
use domain::numbers::{PhoneNumber, Region};
use domain::ports::StoreError;

use super::Failure;
use crate::privacy::{AuditDocument, Privacy, PrivacyError, ReceiptDocument, Unfinished, number};

/// Who acts on the command line, as the audit log tells it.
pub(super) const ACTOR: &str = "ges";

/// Receipts and entries that are printed.
const SHOWN: usize = 1_000;

/// Longest number that is read from standard input, in bytes.
const MAX_INPUT_BYTES: u64 = 256;

/// What to erase.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ges erase --tenant demo -            read the number from standard input: it is in no history of a shell\n  ges erase --tenant demo --cancel +14165550107\n  ges erase --tenant demo --list       receipts of all erasures"
)]
pub struct Erase {
    /// The phone number, or - to read it from standard input
    #[arg(value_name = "NUMBER", required_unless_present = "list", allow_hyphen_values = true)]
    pub number: Option<String>,
    /// Name of the tenant
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub tenant: String,
    /// Cancel callbacks of the number that have not ended; without it nothing is erased then
    #[arg(long)]
    pub cancel: bool,
    /// List the receipts of all erasures instead
    #[arg(long, conflicts_with_all = ["number", "cancel"])]
    pub list: bool,
}

/// What can be asked of the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Print the entries that are kept, oldest first
    List {
        /// Name of the tenant
        #[arg(long, value_name = "NAME", default_value = "demo")]
        tenant: String,
        /// Only entries behind this number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
    },
    /// Follow the chain of hashes and name the first broken entry; exit code 1 if there is one
    Verify {
        /// Name of the tenant
        #[arg(long, value_name = "NAME", default_value = "demo")]
        tenant: String,
        /// A hash that was noted elsewhere, such as in the log of the service: also finds a cut end and a new chain
        #[arg(long, value_name = "SEQ:HASH", value_parser = noted)]
        head: Option<Link>,
    },
}

fn noted(text: &str) -> Result<Link, String> {
    let rule = || "a number, a colon and 64 hexadecimal digits".to_owned();
    let (seq, hash) = text.split_once(':').ok_or_else(rule)?;
    let hash = blake3::Hash::from_hex(hash).map_err(|_| rule())?;
    Ok(Link { seq: seq.parse().map_err(|_| rule())?, hash: *hash.as_bytes() })
}

async fn tenant(privacy: &Privacy, name: &str) -> Result<TenantId, Failure> {
    let found = privacy.find(name).await.map_err(|error| failure(&error))?;
    found.ok_or_else(|| Failure::Unusable(format!("there is no tenant {name:?}; `ges tenants` lists them")))
}

/// The number as it was typed, or as standard input has it.
fn phone(typed: &str) -> Result<PhoneNumber, Failure> {
    let mut text = typed.to_owned();
    if typed == "-" {
        text.clear();
        let read = std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut text);
        read.map_err(|_| Failure::Unusable("standard input cannot be read".to_owned()))?;
    }
    number(text.trim(), Region::US).map_err(|_| Failure::Unusable("that is no phone number".to_owned()))
}

/// Erases a number; the receipt.
///
/// # Errors
/// The number has callbacks that have not ended, or the store failed.
pub async fn erase(wanted: &Erase, privacy: &Privacy) -> Result<String, Failure> {
    let tenant = tenant(privacy, &wanted.tenant).await?;
    let Some(typed) = &wanted.number else { return list(tenant, privacy).await };
    let unfinished = if wanted.cancel { Unfinished::Cancel } else { Unfinished::Refuse };
    let receipt = privacy.erase(tenant, phone(typed)?, unfinished, ACTOR).await.map_err(|error| match error {
        PrivacyError::Unfinished(_) => Failure::Unusable(format!("{error}; --cancel cancels them first")),
        other => Failure::unusable(&other),
    })?;
    json(&ReceiptDocument::from(receipt))
}

async fn list(tenant: TenantId, privacy: &Privacy) -> Result<String, Failure> {
    let receipts = privacy.receipts(tenant, None, SHOWN).await.map_err(|error| failure(&error))?;
    json(&receipts.into_iter().map(ReceiptDocument::from).collect::<Vec<_>>())
}

/// Everything that is kept of a number, as one JSON document.
///
/// # Errors
/// There is no such tenant, or the store failed.
pub async fn export(name: &str, typed: &str, privacy: &Privacy) -> Result<String, Failure> {
    let (tenant, phone) = (tenant(privacy, name).await?, phone(typed)?);
    let page = async |cursor: Option<&str>| {
        privacy.export(tenant, phone, cursor, ACTOR).await.map_err(|error| Failure::unusable(&error))
    };
    let mut document = page(None).await?;
    while let Some(cursor) = document.next_cursor().map(str::to_owned) {
        document.append(page(Some(&cursor)).await?);
    }
    json(&document)
}

/// Writes what is kept of a number into a file that only its owner can read, if one is named; what to print.
///
/// # Errors
/// The file cannot be written.
pub fn written(text: String, path: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = path else { return Ok(text) };
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::Unusable(format!("cannot write {}: {error}", path.display())))?;
    Ok(format!("it is in {}", path.display()))
}

/// What was asked of the audit log; whether its chain is whole.
///
/// # Errors
/// There is no such tenant, or the store failed.
pub async fn audit(command: &AuditCommand, privacy: &Privacy) -> Result<(String, bool), Failure> {
    match command {
        AuditCommand::List { tenant: name, after } => {
            let tenant = tenant(privacy, name).await?;
            let page = privacy.audit(tenant, *after, SHOWN).await.map_err(|error| failure(&error))?;
            Ok((json(&AuditDocument::from(page))?, true))
        }
        AuditCommand::Verify { tenant: name, head } => {
            let tenant = tenant(privacy, name).await?;
            let verdict = privacy.verify(tenant, *head).await.map_err(|error| failure(&error))?;
            Ok(match verdict.result {
                Ok(end) => {
                    let hash = blake3::Hash::from_bytes(end.hash).to_hex();
                    let (entries, head) = (verdict.entries, end.seq);
                    (format!("{name}: {entries} entries, the chain is whole\nhead {head}:{hash}"), true)
                }
                Err(broken) => (format!("{name}: {broken}; {} entries before it are good", verdict.entries), false),
            })
        }
    }
}

fn json(document: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(document).map_err(|error| Failure::unusable(&error))
}

fn failure(error: &StoreError) -> Failure {
    Failure::unusable(error)
}
