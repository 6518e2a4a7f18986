//! Opening the data folder: everything that can be wrong with it is found before anything is changed.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::migration::MigrationSource;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel::{Connection as _, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use thiserror::Error;
use tokio::time::Instant;

use super::Mode;
use super::erasure::Files;
use super::statement::{first, rows, statements};
use crate::stores::schema;

/// The steps that this program knows.
pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The database's name in the data folder.
pub const DATABASE_FILE: &str = "ges.db";
const LOCK_FILE: &str = "ges.lock";

/// Bytes 68 to 71 of the file: `GESc`. Tells our database from any other.
const APPLICATION_ID: i32 = 0x4745_5363;

/// 8 kB pages hold three packed records of 10 kB user data where 4 kB pages hold one and waste the rest.
const PAGE_BYTES: u32 = 8192;

/// How long a CLI command waits for another process that is bringing the schema up to date.
const MIGRATION_WAIT: Duration = Duration::from_secs(5);

/// Why a data folder cannot be used. Nothing in it was changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder cannot be made, or nothing can be written in it.
    #[error("cannot write in the data folder `{}`", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder's name is not UTF-8, which SQLite needs.
    #[error("the name of the data folder `{}` is not UTF-8", path.display())]
    NotText {
        /// The folder.
        path: PathBuf,
    },
    /// Another process serves from this folder.
    #[error("the data folder `{}` is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Some other file has the database's name.
    #[error("`{}` is not a database of this program", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// It was our database and cannot be read any more.
    #[error("the database `{}` is damaged: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// A newer program has changed it such that older ones cannot use it any more.
    #[error("the database `{}` is newer than this program: it has the unknown migration {migration}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The first step that is not known.
        migration: String,
    },
    /// The setting that makes commits durable did not hold.
    #[error("the database `{}` cannot be written durably: {what}", path.display())]
    NotDurable {
        /// The file.
        path: PathBuf,
        /// Which setting.
        what: String,
    },
    /// The schema could not be brought up to date; the step was rolled back.
    #[error("cannot migrate the database `{}`: {what}", path.display())]
    Migration {
        /// The file.
        path: PathBuf,
        /// Which step and why.
        what: String,
    },
    /// The database cannot be opened for another reason.
    #[error("cannot open the database `{}`: {what}", path.display())]
    Connect {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// The system gave no thread.
    #[error("cannot start the threads of the store")]
    Threads(#[source] io::Error),
}

statements! {
    SchemaVersion -> (BigInt) = "SELECT schema_version FROM pragma_schema_version";
    Tables -> (Text) = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = '__diesel_schema_migrations'";
    Applied -> (Text) = "SELECT version FROM __diesel_schema_migrations ORDER BY version";
    Needs -> (Text) = "SELECT needs FROM installation";
    Synchronous -> (BigInt) = "SELECT synchronous FROM pragma_synchronous";
    JournalMode -> (Text) = "SELECT journal_mode FROM pragma_journal_mode";
}

/// A data folder that may be used, locked for its life if it is to be served from.
pub(super) struct Folder {
    pub(super) database: PathBuf,
    url: String,
    lock: Option<File>,
    lock_path: PathBuf,
    path: PathBuf,
}

impl Folder {
    /// Makes the folder if it is not there, locks it, and looks at the database without changing it.
    pub(super) fn open(path: &Path, mode: Mode) -> Result<Self, OpenError> {
        let not_writable = |source| OpenError::NotWritable { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(not_writable)?;
        let not_writable = |source| OpenError::NotWritable { path: path.clone(), source };
        let database = path.join(DATABASE_FILE);
        let url = database.to_str().ok_or_else(|| OpenError::NotText { path: path.clone() })?.to_owned();
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(not_writable)?;
        let lock_path = path.join(LOCK_FILE);
        let lock = open_lock(&lock_path).map_err(not_writable)?;
        let lock = match mode {
            Mode::Serve => match lock.try_lock() {
                Ok(()) => Some(lock),
                Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path }),
                Err(TryLockError::Error(source)) => return Err(OpenError::NotWritable { path, source }),
            },
            Mode::Command => None,
        };
        let folder = Self { database, url, lock, lock_path, path };
        folder.check_header()?;
        Ok(folder)
    }

    pub(super) fn wal(&self) -> PathBuf {
        self.path.join(format!("{DATABASE_FILE}-wal"))
    }

    /// Where the files are that an erasure looks through.
    pub(super) fn files(&self) -> Files {
        Files { database: self.database.clone(), url: self.url.clone() }
    }

    /// Judges the file by its first bytes, so that a foreign file is not even opened as a database.
    fn check_header(&self) -> Result<(), OpenError> {
        let not_ours = || OpenError::NotOurs { path: self.database.clone() };
        let mut header = [0; 100];
        let mut file = match File::open(&self.database) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(OpenError::NotWritable { path: self.path.clone(), source }),
        };
        let length = file.metadata().map_err(|_| not_ours())?.len();
        if length == 0 {
            // A start that was cut off before its first write.
            return Ok(());
        }
        file.read_exact(&mut header).map_err(|_| not_ours())?;
        let ours =
            header.starts_with(b"SQLite format 3\0") && header.get(68..72) == Some(&APPLICATION_ID.to_be_bytes());
        if ours { Ok(()) } else { Err(not_ours()) }
    }

    fn connect_to(&self, url: &str) -> Result<SqliteConnection, OpenError> {
        let mut connection = SqliteConnection::establish(url).map_err(|error| self.connect_error(&error))?;
        let busy = format!("PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}");
        connection.batch_execute(&busy).map_err(|error| self.connect_error(&error))?;
        Ok(connection)
    }

    fn connect_error(&self, error: &dyn std::error::Error) -> OpenError {
        OpenError::Connect { path: self.database.clone(), what: error.to_string() }
    }

    fn corrupt(&self, error: &dyn std::error::Error) -> OpenError {
        OpenError::Corrupt { path: self.database.clone(), what: error.to_string() }
    }

    /// Steps that have been applied and are not known, and steps that are known and not applied, found
    /// through a connection that cannot write.
    fn compare_schema(&self) -> Result<Vec<String>, OpenError> {
        let known = self.known_migrations()?;
        if std::fs::metadata(&self.database).map(|file| file.len()).unwrap_or_default() == 0 {
            return Ok(known.into_iter().collect());
        }
        let mut url = read_only_url(&self.url);
        if !self.wal().exists() {
            // Nobody has it open, so nothing can change: SQLite need not even make its side files.
            url.push_str("&immutable=1");
        }
        let mut connection = self.connect_to(&url)?;
        first::<SchemaVersion, (i64,)>(&mut connection, &[]).map_err(|error| self.corrupt(&error))?;
        let tables: Vec<(String,)> = rows::<Tables, _>(&mut connection, &[]).map_err(|error| self.corrupt(&error))?;
        let applied: Vec<(String,)> = if tables.is_empty() {
            Vec::new()
        } else {
            rows::<Applied, _>(&mut connection, &[]).map_err(|error| self.corrupt(&error))?
        };
        let applied: BTreeSet<String> = applied.into_iter().map(|(version,)| version).collect();
        let needs: Option<(String,)> = if applied.contains(schema::SAYS_WHAT_IT_NEEDS) {
            first::<Needs, _>(&mut connection, &[]).map_err(|error| self.corrupt(&error))?
        } else {
            None
        };
        let needs = needs.as_ref().map(|(needs,)| needs.as_str());
        let newer = |migration| OpenError::Newer { path: self.database.clone(), migration };
        schema::pending(&known, &applied, needs).map_err(newer)
    }

    fn known_migrations(&self) -> Result<BTreeSet<String>, OpenError> {
        let known = MigrationSource::<Sqlite>::migrations(&MIGRATIONS)
            .map_err(|error| OpenError::Migration { path: self.database.clone(), what: error.to_string() })?;
        Ok(known.iter().map(|migration| migration.name().version().to_string()).collect())
    }

    /// Brings the schema up to date; the steps that were taken. A command takes the lock while it does so.
    pub(super) fn migrate(&self) -> Result<Vec<String>, OpenError> {
        if self.compare_schema()?.is_empty() {
            return Ok(Vec::new());
        }
        let lock = if self.lock.is_none() { Some(self.wait_for_lock()?) } else { None };
        let pending = self.compare_schema()?;
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connect_to(&self.url)?;
        // The first three count only while the file is empty; on an older database they change nothing.
        // INCREMENTAL lets the purge give space back in small steps.
        let settings = format!(
            "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; \
             PRAGMA application_id = {APPLICATION_ID}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA secure_delete = ON;"
        );
        connection.batch_execute(&settings).map_err(|error| self.connect_error(&error))?;
        connection
            .run_pending_migrations(MIGRATIONS)
            .map_err(|error| OpenError::Migration { path: self.database.clone(), what: error.to_string() })?;
        drop(connection);
        drop(lock);
        Ok(pending)
    }

    fn wait_for_lock(&self) -> Result<File, OpenError> {
        let not_writable = |source| OpenError::NotWritable { path: self.path.clone(), source };
        let lock = open_lock(&self.lock_path).map_err(not_writable)?;
        let began = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if began.elapsed() < MIGRATION_WAIT => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: self.path.clone() }),
                Err(TryLockError::Error(source)) => return Err(not_writable(source)),
            }
        }
    }

    /// The connection that writes. That its commits are durable is read back, not believed.
    pub(super) fn connect_writer(&self) -> Result<SqliteConnection, OpenError> {
        let mut connection = self.connect_to(&self.url)?;
        let corrupt = |error: diesel::result::Error| self.corrupt(&error);
        connection.batch_execute(WRITER_SETTINGS).map_err(corrupt)?;
        let synchronous: Option<(i64,)> = first::<Synchronous, _>(&mut connection, &[]).map_err(corrupt)?;
        let journal: Option<(String,)> = first::<JournalMode, _>(&mut connection, &[]).map_err(corrupt)?;
        let what = match (synchronous, journal) {
            (Some((synchronous,)), _) if synchronous < SYNCHRONOUS_FULL => "synchronous is not FULL",
            (_, Some((mode,))) if mode != "wal" => "its file system has no write-ahead log",
            (Some(_), Some(_)) => return Ok(connection),
            _ => "its settings cannot be read",
        };
        Err(OpenError::NotDurable { path: self.database.clone(), what: what.to_owned() })
    }

    /// A connection that only reads.
    pub(super) fn connect_reader(&self) -> Result<SqliteConnection, OpenError> {
        let mut connection = self.connect_to(&self.url)?;
        connection.batch_execute(READER_SETTINGS).map_err(|error| self.corrupt(&error))?;
        Ok(connection)
    }

    /// A connection that only reads, and never waits for a lock.
    pub(super) fn connect_in_place(&self) -> Result<SqliteConnection, OpenError> {
        let mut connection = self.connect_reader()?;
        connection.batch_execute(IN_PLACE_SETTINGS).map_err(|error| self.corrupt(&error))?;
        Ok(connection)
    }

    /// The connection of heartbeats and probes.
    pub(super) fn connect_keeper(&self) -> Result<SqliteConnection, OpenError> {
        let mut connection = self.connect_to(&self.url)?;
        connection.batch_execute(KEEPER_SETTINGS).map_err(|error| self.corrupt(&error))?;
        Ok(connection)
    }
}

/// How long a statement waits for another writer: a heartbeat or a CLI command, both short.
const BUSY_TIMEOUT_MS: u32 = 1_000;

const SYNCHRONOUS_FULL: i64 = 2;

/// `secure_delete` overwrites what is deleted, also in pages that are given back: nothing that was purged or erased is
/// found by reading the file. `journal_size_limit` cuts the log after a checkpoint; checkpoints come each 2,000 pages (16 MB), so that
/// their two syncs are shared by many batches. The cache is an upper bound of 16 MB.
const WRITER_SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; \
    PRAGMA checkpoint_fullfsync = ON; PRAGMA secure_delete = ON; PRAGMA foreign_keys = OFF; \
    PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 67108864";

const READER_SETTINGS: &str =
    "PRAGMA query_only = ON; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192";

/// On top of those of readers.
const IN_PLACE_SETTINGS: &str = "PRAGMA busy_timeout = 0; PRAGMA cache_size = -2048";

/// Heartbeats alone would let the log of an idle node grow, so this connection checkpoints too.
const KEEPER_SETTINGS: &str = "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -256; \
    PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 67108864";

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)
}

/// The URL form of a path, which takes parameters.
fn read_only_url(path: &str) -> String {
    let mut url = "file:".to_owned();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => url.push(char::from(byte)),
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url.push_str("?mode=ro");
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_in_urls() {
        assert_eq!(read_only_url("/a b/ü?#.db"), "file:/a%20b/%C3%BC%3F%23.db?mode=ro");
    }

    #[test]
    fn every_migration_goes_down_and_up_again() {
        let mut connection = SqliteConnection::establish(":memory:").unwrap();
        let schema = |connection: &mut SqliteConnection| {
            statements! {
                Schema -> (Text) = "SELECT name || coalesce(sql, '') FROM sqlite_master
                    WHERE name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' ORDER BY name";
            }
            rows::<Schema, (String,)>(connection, &[]).unwrap()
        };
        let steps = connection.run_pending_migrations(MIGRATIONS).unwrap().len();
        let full = schema(&mut connection);
        assert!(full.len() > 10, "tables and indexes: {full:?}");
        assert_eq!(connection.revert_all_migrations(MIGRATIONS).unwrap().len(), steps);
        assert!(schema(&mut connection).is_empty());
        connection.run_pending_migrations(MIGRATIONS).unwrap();
        assert_eq!(schema(&mut connection), full);
    }
}
