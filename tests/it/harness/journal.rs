//! The simulator's journal as a file: what routing itself wrote down about every attempt. Read here by hand
//! and not with the program's own reader, because it is evidence about the program.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use uuid::Uuid;

/// One line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Entry {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) event: What,
    pub(crate) callback: Uuid,
    #[serde(default)]
    pub(crate) attempt: u32,
    #[serde(default)]
    pub(crate) session: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// The attempt was handed over.
    Entered,
    /// A session of it was let in.
    Accepted,
    /// It was turned away.
    Refused,
    /// The customer's phone rings.
    Dialled,
    /// Agent and customer talk.
    Processing,
    /// The session is over.
    Ended,
    /// Nothing of this callback may enter any more.
    Closed,
    /// Anything that this reader has no rule for.
    #[serde(other)]
    Other,
}

/// Where it is: the only journal in the data folder.
pub(crate) fn path(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data).unwrap().map(|file| file.unwrap().path());
    let journals: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "journal")).collect();
    let [journal] = &journals[..] else { panic!("not one journal: {journals:?}") };
    journal.clone()
}

/// Reads the journal.
///
/// Returns its entries, and the number of lines that are torn: a kill in the middle of a write can leave one.
pub(crate) fn read(data: &Path) -> (Vec<Entry>, usize) {
    let bytes = std::fs::read(path(data)).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter(|line| !line.is_empty());
    let (mut entries, mut torn) = (Vec::new(), 0);
    for line in lines {
        match serde_json::from_str(line) {
            Ok(entry) => entries.push(entry),
            Err(_) => torn += 1,
        }
    }
    (entries, torn)
}
