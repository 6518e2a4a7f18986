//! Where the service is reached: what the last entries said in `replyTo`, kept in a file for the next start.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Addresses remembered; the one said last comes first.
const MAX: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Addresses {
    known: Mutex<Vec<String>>,
    file: PathBuf,
}

impl Addresses {
    /// With what the file knows, if there is one.
    pub(super) fn open(file: PathBuf) -> Self {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let known = text.lines().filter(|line| !line.is_empty()).take(MAX).map(str::to_owned).collect();
        Self { known: Mutex::new(known), file }
    }

    fn known(&self) -> MutexGuard<'_, Vec<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address to send to; none before the first entry.
    pub(super) fn current(&self) -> Option<String> {
        self.known().first().cloned()
    }

    /// An entry said `address`.
    pub(super) fn said(&self, address: &str) {
        let mut known = self.known();
        if known.first().is_some_and(|first| first == address) {
            return;
        }
        known.retain(|it| it != address);
        known.insert(0, address.to_owned());
        known.truncate(MAX);
        // Lost, it is said again by the next entry.
        let _ = std::fs::write(&self.file, known.join("\n"));
    }

    /// Nobody was reached at `address`: the others come first for now.
    pub(super) fn failed(&self, address: &str) {
        let mut known = self.known();
        if known.first().is_some_and(|first| first == address) {
            known.rotate_left(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_said_comes_first_and_a_failing_one_last() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reply-to");
        let addresses = Addresses::open(file.clone());
        assert_eq!(addresses.current(), None);
        for address in ["http://a", "http://b", "http://a"] {
            addresses.said(address);
        }
        assert_eq!(addresses.current().as_deref(), Some("http://a"));
        addresses.failed("http://b");
        assert_eq!(addresses.current().as_deref(), Some("http://a"), "it was not the one that failed");
        addresses.failed("http://a");
        assert_eq!(addresses.current().as_deref(), Some("http://b"));
        assert_eq!(Addresses::open(file).current().as_deref(), Some("http://a"));
        (0..100).for_each(|number| addresses.said(&format!("http://{number}")));
        assert_eq!(addresses.known().len(), MAX);
    }
}
