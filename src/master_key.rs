//! The one key that an operator keeps, which opens the root key, and files that only their owner can read.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::root_key::RootKey;
use crate::seal::{Seal, SealError};

/// Name of the key file of the embedded mode, in its data folder.
pub const FILE_NAME: &str = "master.key";
/// Longest secret file that is read, in bytes.
const LONGEST: u64 = 4_096;
/// How a root key is sealed. The first byte of what is stored.
const FORMAT: u8 = 1;

/// What the key is derived for that seals the root key. The text is part of it: it never changes.
const CONTEXT: &str = "ges 2026-11 root key";

/// The master key. Never prints.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// From its 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the key file in `data_dir`. If there is none, makes it, but only for a `fresh` folder: with
    /// another key than before every API key would silently stop working.
    ///
    /// # Errors
    /// [`SecretFileError`].
    pub fn read_or_create(data_dir: &Path, fresh: bool) -> Result<Self, SecretFileError> {
        let path = data_dir.join(FILE_NAME);
        if !fresh && !path.exists() {
            return Err(SecretFileError::Lost { path });
        }
        let text = read_or_create_secret_file(&path, || {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
            Ok(STANDARD.encode(bytes))
        })?;
        let bytes = STANDARD.decode(&text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(SecretFileError::NotAKey { path })
    }

    /// Seals a root key.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn seal(&self, root: &RootKey) -> Result<Vec<u8>, SealError> {
        Ok([&[FORMAT], self.sealer()?.seal(&[FORMAT], root.reveal())?.as_slice()].concat())
    }

    /// A root key; none if it was sealed under another key, or is damaged.
    ///
    /// # Errors
    /// [`SealError`], which cannot happen with keys of this length.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Option<RootKey>, SealError> {
        let Some((&FORMAT, sealed)) = sealed.split_first() else { return Ok(None) };
        let opened = self.sealer()?.open(&[FORMAT], sealed);
        Ok(opened.and_then(|bytes| bytes.try_into().ok()).map(RootKey::new))
    }

    /// The root key of databases that were made before it was kept in them.
    pub(crate) const fn as_root(&self) -> RootKey {
        RootKey::new(self.0)
    }

    fn sealer(&self) -> Result<Seal, SealError> {
        Seal::new(&blake3::derive_key(CONTEXT, &self.0))
    }
}

/// The master key, and others that may have sealed what it shall open.
#[derive(Debug, Clone)]
pub struct MasterKeys {
    /// Seals from now on.
    pub current: MasterKey,
    /// Those open only.
    pub old: Vec<MasterKey>,
}

impl From<MasterKey> for MasterKeys {
    fn from(current: MasterKey) -> Self {
        Self { current, old: Vec::new() }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// A secret file that cannot be used.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// Reading.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Writing.
    #[error("cannot write {path}", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is gone.
    #[error("{path} is gone, and API keys were made with it: restore it, or set GES_MASTER_KEY", path = .path.display())]
    Lost {
        /// The file.
        path: PathBuf,
    },
    /// Its content.
    #[error("{path} does not hold 32 bytes in base64", path = .path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
}

/// The text of a secret file without surrounding blanks. A file that is not there is made with what `make`
/// gives: complete and on disk before it has its name, readable by its owner alone.
///
/// # Errors
/// [`SecretFileError::Read`] and [`SecretFileError::Write`].
pub fn read_or_create_secret_file(
    path: &Path,
    make: impl FnOnce() -> io::Result<String>,
) -> Result<String, SecretFileError> {
    match read(path) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(SecretFileError::Read { path: path.into(), source }),
    }
    let created = make().and_then(|secret| create(path, &secret).map(|()| secret));
    match created {
        Ok(secret) => Ok(secret),
        // Another process was faster: its secret counts.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(path).map_err(|source| SecretFileError::Read { path: path.into(), source })
        }
        Err(source) => Err(SecretFileError::Write { path: path.into(), source }),
    }
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than a secret can be"));
    }
    fs::read_to_string(path).map(|text| text.trim().to_owned())
}

fn create(path: &Path, secret: &str) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    // A link fails where a rename would silently replace what another process has just made.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = MasterKey::read_or_create(folder.path(), true).unwrap();
        let again = MasterKey::read_or_create(folder.path(), true).unwrap();
        assert_eq!(first.0, again.0);
        let mode = fs::metadata(folder.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_lost_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(MasterKey::read_or_create(folder.path(), false), Err(SecretFileError::Lost { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_root_key_opens_under_its_master_key_only() {
        let (master, root) = (MasterKey::new([7; 32]), RootKey::new([1; 32]));
        let sealed = master.seal(&root).unwrap();
        assert_eq!(master.open(&sealed), Ok(Some(root)));
        assert_eq!(MasterKey::new([8; 32]).open(&sealed), Ok(None));
        for damaged in [&sealed[..20], &[2], &[]] {
            assert_eq!(master.open(damaged), Ok(None));
        }
        assert_eq!(format!("{master:?}"), "MasterKey(…)");
    }

    #[test]
    fn a_damaged_key_file_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "short").unwrap();
        assert!(matches!(MasterKey::read_or_create(folder.path(), true), Err(SecretFileError::NotAKey { .. })));
        assert_eq!(fs::read_to_string(folder.path().join(FILE_NAME)).unwrap(), "short");
    }
}
