//! The files after an erasure: the write-ahead log is emptied and cut, and the database is looked through.
//!
//! `secure_delete` overwrites what is deleted. What it does not reach are copies: when SQLite builds a page anew, to
//! share its rows out among more pages, the bytes of those that have moved stay in the free space of the page, and
//! nobody can find them any more but by reading the file. So that space is read, page by page. If something of what was
//! erased is in it, the database is written anew, which takes nothing along but what it holds.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, SqliteConnection};
use domain::erasure::Search;
use domain::numbers::PhoneNumber;
use domain::ports::StoreError;

use super::super::rows::stored;
use super::super::statement::{first, statements};

/// Tries to empty the log, or to write the database anew; each waits a while for readers and writers.
const TRIES: u32 = 10;

/// `temp_store` is that of the system: the new database is first built beside the old one, in a file without a name.
const SETTINGS: &str = "PRAGMA busy_timeout = 2000; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; \
    PRAGMA cache_size = -8192; PRAGMA journal_size_limit = 0";

/// Largest page of a database, in bytes.
const MAX_PAGE_BYTES: usize = 65_536;

statements! {
    EmptyLog -> (BigInt, BigInt, BigInt) = "PRAGMA wal_checkpoint(TRUNCATE)";
}

/// Where the files are.
#[derive(Debug, Clone)]
pub(in crate::stores::sqlite) struct Files {
    pub(in crate::stores::sqlite) database: PathBuf,
    pub(in crate::stores::sqlite) url: String,
}

/// How a column holds the digits of a number: without leading zero bytes, in as many bytes as SQLite has a form for.
pub(super) fn number(phone: PhoneNumber) -> Vec<u8> {
    let digits = stored(phone.digits());
    let bytes = digits.to_be_bytes();
    let length = match digits {
        ..=0x7F_FFFF => 3,
        0x80_0000..=0x7FFF_FFFF => 4,
        0x8000_0000..=0x7FFF_FFFF_FFFF => 6,
        _ => 8,
    };
    bytes.get(bytes.len() - length..).unwrap_or_default().to_vec()
}

impl Files {
    /// Nothing of the traces is in the files afterwards. Without a list of them the database is written anew.
    ///
    /// # Errors
    /// `NotDone` if others keep the files busy; it may be tried again.
    pub(super) fn scrub(&self, traces: Option<&[Vec<u8>]>) -> Result<Search, StoreError> {
        let mut connection = SqliteConnection::establish(&self.url).map_err(|error| not_done(&error))?;
        connection.batch_execute(SETTINGS).map_err(|error| not_done(&error))?;
        empty_log(&mut connection)?;
        let (bytes, found) = match traces {
            Some(traces) => self.look_through(traces)?,
            None => (0, 1),
        };
        if found == 0 {
            return Ok(Search { bytes, rewritten: false, found });
        }
        write_anew(&mut connection)?;
        empty_log(&mut connection)?;
        let (bytes, found) = self.look_through(traces.unwrap_or_default())?;
        Ok(Search { bytes, rewritten: true, found })
    }

    /// Bytes of the database, and how often a trace stands in the free space of its pages.
    fn look_through(&self, traces: &[Vec<u8>]) -> Result<(u64, u64), StoreError> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(&self.database).map_err(|error| not_done(&error))?);
        let mut page = vec![0; MAX_PAGE_BYTES];
        let head = page.get_mut(..100).unwrap_or_default();
        let read = file.read_exact(head);
        if read.is_err() {
            return Ok((0, 0));
        }
        let length = match head.get(16..18).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes) {
            Some(1) => MAX_PAGE_BYTES,
            Some(length) => usize::from(length),
            None => return Ok((0, 0)),
        };
        page.truncate(length);
        let (mut bytes, mut found, mut start) = (0, 0, 100);
        while read_page(&mut file, page.get_mut(start..).unwrap_or_default()).map_err(|error| not_done(&error))? {
            bytes += length as u64;
            for space in [free_space(&page, start)].into_iter().chain(free_blocks(&page, start)) {
                found += traces.iter().map(|trace| occurrences(space, trace)).sum::<u64>();
            }
            start = 0;
        }
        Ok((bytes, found))
    }
}

/// Whether there was a whole page left.
fn read_page(file: &mut impl Read, page: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(page) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A number of two bytes; 0 beyond the page.
fn word(page: &[u8], at: usize) -> usize {
    let bytes = page.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, |bytes| usize::from(u16::from_be_bytes(bytes)))
}

/// How long the head of a page with rows is; none of any other page. It stands at `start`.
fn head_bytes(page: &[u8], start: usize) -> Option<usize> {
    match page.get(start) {
        Some(2 | 5) => Some(12),
        Some(10 | 13) => Some(8),
        _ => None,
    }
}

/// The space between the list of a page's rows and the rows themselves.
fn free_space(page: &[u8], start: usize) -> &[u8] {
    let Some(head) = head_bytes(page, start) else { return &[] };
    let rows_from = match word(page, start + 5) {
        0 => MAX_PAGE_BYTES,
        from => from,
    };
    page.get(start + head + 2 * word(page, start + 3)..rows_from).unwrap_or_default()
}

/// The places of deleted rows between others, which `secure_delete` has overwritten unless a program without it deleted
/// them. Each begins with where the next one is and how long it is itself.
fn free_blocks(page: &[u8], start: usize) -> impl Iterator<Item = &[u8]> {
    let mut at = head_bytes(page, start).map_or(0, |_| word(page, start + 1));
    std::iter::from_fn(move || {
        let here = Some(at).filter(|at| *at > 0)?;
        let next = word(page, here);
        // They stand in order: whatever does not is damaged, and ends it.
        at = if next > here { next } else { 0 };
        page.get(here + 4..here + word(page, here + 2).max(4))
    })
}

fn occurrences(space: &[u8], trace: &[u8]) -> u64 {
    // Most of it is zeros, and pages are small: the first byte is looked for, and then the rest compared.
    let Some((first, rest)) = trace.split_first() else { return 0 };
    let mut count = 0;
    let mut left = space;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = left.get(at + 1..).unwrap_or_default();
        count += u64::from(left.starts_with(rest));
    }
    count
}

fn empty_log(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let row: Result<Option<(i64, i64, i64)>, _> = first::<EmptyLog, _>(connection, &[]);
        match row {
            Ok(Some((0, _, _))) => return Ok(()),
            Ok(_) => {}
            Err(error) if is_busy(&error) => {}
            Err(error) => return Err(not_done(&error)),
        }
    }
    Err(StoreError::NotDone("others keep the write-ahead log busy".to_owned()))
}

fn write_anew(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        match connection.batch_execute("VACUUM") {
            Ok(()) => return Ok(()),
            Err(error) if is_busy(&error) => {}
            Err(error) => return Err(not_done(&error)),
        }
    }
    Err(StoreError::NotDone("others keep the database busy".to_owned()))
}

fn is_busy(error: &diesel::result::Error) -> bool {
    let text = error.to_string();
    text.contains("is locked") || text.contains("busy")
}

fn not_done(error: &dyn std::error::Error) -> StoreError {
    StoreError::NotDone(error.to_string())
}

#[cfg(test)]
mod tests;
