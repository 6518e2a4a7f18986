//! The journal: what the simulator promised, one JSON line each, so that a start stays idempotent by
//! (callback, attempt) across `kill -9`, and so that tests can count hand-overs from the outside.
//!
//! A line is handed to the operating system by one `write` before anything that it tells of can be noticed.
//! That survives the end of the process, not a power cut: the simulator is not the store. The last line may
//! be torn; opening cuts it off. Nothing here is a phone number or user data.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use domain::ids::{CallbackId, QueueName, SessionId, TenantId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::script::{Outcome, usual_dials};

/// A journal longer than this is compacted when it is opened, in bytes.
const COMPACT_ABOVE_BYTES: u64 = 64 << 20;
/// What compaction forgets: finished callbacks whose last line is older, in milliseconds.
pub(super) const FORGET_AFTER_MS: i64 = 15 * 86_400_000;
/// No line that we write comes near this, in bytes.
const MAX_LINE_BYTES: usize = 8192;

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalEvent {
    /// The attempt is in the register: this is the hand-over.
    Entered,
    /// The attempt was granted to the session.
    Accepted,
    /// The simulator refused the attempt, on purpose.
    Refused,
    /// The customer's phone begins to ring.
    Dialled,
    /// Agent and customer talk.
    Processing,
    /// The session is over; `reason` says why.
    Ended,
    /// The register is closed: no attempt enters any more.
    Closed,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// When, by the clock of the service, in milliseconds since 1970.
    pub at: i64,
    /// What happened.
    pub event: JournalEvent,
    /// Whose callback.
    pub tenant: TenantId,
    /// The callback.
    pub callback: CallbackId,
    /// The attempt; 0 in `closed` if none had been seen.
    pub attempt: u32,
    /// The session, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Why, in `ended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In `entered`: what is needed to invite the flow again after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) invited: Option<Invited>,
}

/// The part of an invitation that the flow needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invited {
    pub(super) queue: QueueName,
    /// No dial before this, in milliseconds since 1970.
    pub(super) desired: i64,
    /// The end of the callback's life, in milliseconds since 1970.
    pub(super) not_after: i64,
    pub(super) outcome: Outcome,
    /// Dials before a busy or silent customer is given up.
    #[serde(default = "usual_dials")]
    pub(super) dials: u8,
    /// The customer calls in and is not dialled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) calls_in: bool,
}

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("cannot {action} the journal {path}")]
    Io {
        /// `open`, `read`, `shorten` or `compact`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// A line that is not the last makes no sense. Nothing was changed.
    #[error("line {line} of the journal {path} cannot be read")]
    Unreadable {
        /// From 1.
        line: u64,
        /// The file.
        path: PathBuf,
    },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// Bytes of whole lines; a write that failed half-way is cut back to this.
    len: u64,
    torn: bool,
}

impl Journal {
    /// Its name in the data folder.
    pub const FILE_NAME: &str = "routing.journal";

    /// Reads a journal in the order of its lines, without touching it. A torn last line is left out; a
    /// journal that does not exist is empty.
    ///
    /// # Errors
    /// [`JournalError`] if the file cannot be read, or if a line before the last is unreadable.
    pub fn read(path: &Path) -> Result<Vec<JournalEntry>, JournalError> {
        let mut entries = Vec::new();
        match File::open(path) {
            Ok(file) => {
                scan(&file, path, |entry, _| entries.push(entry))?;
                Ok(entries)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(entries),
            Err(source) => Err(failed("open", path)(source)),
        }
    }

    /// Opens a journal for writing, cuts a torn last line off, shows every whole line to `each`, and
    /// compacts the file if it is longer than 64 MB; the long one stays beside it as `….1`.
    pub(super) fn open(path: &Path, now_ms: i64, each: impl FnMut(JournalEntry)) -> Result<Self, JournalError> {
        Self::open_above(path, COMPACT_ABOVE_BYTES, now_ms, each)
    }

    fn open_above(
        path: &Path,
        compact_above_bytes: u64,
        now_ms: i64,
        mut each: impl FnMut(JournalEntry),
    ) -> Result<Self, JournalError> {
        if let Some(folder) = path.parent() {
            // In cluster mode nothing else is kept in it.
            std::fs::create_dir_all(folder).map_err(failed("open", path))?;
        }
        let mut file = options().open(path).map_err(failed("open", path))?;
        let size = file.metadata().map_err(failed("read", path))?.len();
        let mut summaries = Summaries::new();
        let mut len = scan(&file, path, |entry, _| {
            if size > compact_above_bytes {
                summaries.entry(entry.callback).or_insert(Summary::EMPTY).read(&entry);
            }
            each(entry);
        })?;
        if size > len {
            file.set_len(len).map_err(failed("shorten", path))?;
        }
        if len > compact_above_bytes {
            compact(&file, path, &summaries, now_ms)?;
            file = options().open(path).map_err(failed("open", path))?;
            len = file.metadata().map_err(failed("read", path))?.len();
        }
        file.seek(SeekFrom::End(0)).map_err(failed("read", path))?;
        Ok(Self { file, len, torn: false })
    }

    /// One whose every write fails, as on a full disk.
    #[cfg(test)]
    pub(super) fn on_full_disk() -> Self {
        Self { file: OpenOptions::new().write(true).open("/dev/full").unwrap(), len: 0, torn: false }
    }

    /// Appends whole lines by one write. After an error nothing of them is in the journal.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.len)?;
            self.torn = false;
        }
        if let Err(error) = self.file.write_all(lines) {
            self.torn = self.file.set_len(self.len).is_err();
            return Err(error);
        }
        self.len += lines.len() as u64;
        Ok(())
    }
}

/// Adds one line to `lines`.
pub(super) fn encode(lines: &mut Vec<u8>, entry: &JournalEntry) {
    let before = lines.len();
    match serde_json::to_writer(&mut *lines, entry) {
        Ok(()) => lines.push(b'\n'),
        // Writing plain text into memory does not fail; half a line must not stay if it ever does.
        Err(_) => lines.truncate(before),
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> JournalError {
    move |source| JournalError::Io { action, path: path.to_owned(), source }
}

/// Shows every whole line with its text; returns the bytes they take. A line without its end is torn.
fn scan(file: &File, path: &Path, mut each: impl FnMut(JournalEntry, &[u8])) -> Result<u64, JournalError> {
    let mut reader = BufReader::with_capacity(1 << 18, file);
    reader.seek(SeekFrom::Start(0)).map_err(failed("read", path))?;
    let (mut len, mut line, mut text) = (0, 0, Vec::new());
    loop {
        text.clear();
        let limit = MAX_LINE_BYTES as u64;
        let read = (&mut reader).take(limit).read_until(b'\n', &mut text).map_err(failed("read", path))?;
        line += 1;
        if text.last() != Some(&b'\n') {
            let whole = read < MAX_LINE_BYTES;
            return if whole { Ok(len) } else { Err(JournalError::Unreadable { line, path: path.to_owned() }) };
        }
        let entry =
            serde_json::from_slice(&text).map_err(|_| JournalError::Unreadable { line, path: path.to_owned() })?;
        each(entry, &text);
        len += read as u64;
    }
}

/// What a callback's lines come to.
struct Summary {
    /// The highest attempt.
    attempt: u32,
    /// Time of the last line about that attempt.
    last: i64,
    /// Time of the last line at all.
    newest: i64,
    /// No attempt is open.
    finished: bool,
}

type Summaries = HashMap<CallbackId, Summary>;

impl Summary {
    const EMPTY: Self = Self { attempt: 0, last: 0, newest: 0, finished: true };

    fn read(&mut self, entry: &JournalEntry) {
        self.newest = entry.at;
        // Closing says nothing about the attempt: people may go on talking.
        if entry.event != JournalEvent::Closed && entry.attempt >= self.attempt {
            self.attempt = entry.attempt;
            self.last = entry.at;
            self.finished = matches!(entry.event, JournalEvent::Ended | JournalEvent::Refused);
        }
    }

    fn keeps(&self, entry: &JournalEntry, now_ms: i64) -> bool {
        let counts = !self.finished || self.newest > now_ms - FORGET_AFTER_MS;
        let of_highest = entry.attempt == self.attempt && (!self.finished || entry.at == self.last);
        counts && (of_highest || entry.event == JournalEvent::Closed)
    }
}

/// Replaces the journal by a short one: of unfinished attempts every line, of finished ones the last, and
/// nothing of those that are older than 15 days.
fn compact(file: &File, path: &Path, summaries: &Summaries, now_ms: i64) -> Result<(), JournalError> {
    let short = path.with_added_extension("tmp");
    let old = path.with_added_extension("1");
    let mut out = BufWriter::new(File::create(&short).map_err(failed("compact", path))?);
    let mut outcome = Ok(());
    scan(file, path, |entry, text| {
        let keeps = summaries.get(&entry.callback).is_some_and(|summary| summary.keeps(&entry, now_ms));
        if keeps && outcome.is_ok() {
            outcome = out.write_all(text);
        }
    })?;
    outcome.and_then(|()| out.flush()).map_err(failed("compact", path))?;
    let finish = || -> io::Result<()> {
        out.get_ref().sync_all()?;
        // A second name first: at no instant is there no journal under its name.
        match std::fs::remove_file(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::hard_link(path, &old)?,
        }
        std::fs::rename(&short, path)
    };
    finish().map_err(failed("compact", path))
}

#[cfg(test)]
mod tests;
