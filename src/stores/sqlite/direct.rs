//! The writer alone, for measuring: the statements and settings of the store without queue, channel or thread.

use std::path::Path;
use std::sync::Arc;

use domain::ports::{Booking, StoreError};

use super::command::Command;
use super::open::{Folder, OpenError};
use super::writer::Writer;
use super::{Faults, Mode, Names};
use crate::stores::combiner::{Entry, Transactions as _};
use crate::stores::packing::packed_book;

/// A writer that is called instead of asked.
pub struct DirectWriter {
    writer: Writer,
}

impl DirectWriter {
    /// Opens the database in `data_dir`, making it if it is not there.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(data_dir: &Path) -> Result<Self, DirectError> {
        let folder = Folder::open(data_dir, Mode::Command)?;
        folder.migrate()?;
        let names = Arc::<Names>::default();
        let writer = Writer::new(folder.connect_writer()?, names, folder.wal(), Arc::<Faults>::default());
        Ok(Self { writer })
    }

    /// Commits `bookings` in transactions of `batch` on the calling thread.
    ///
    /// # Errors
    /// The first thing that fails; earlier batches stay.
    pub fn commit(&mut self, bookings: Vec<Booking>, batch: usize) -> Result<(), DirectError> {
        let mut entries = Vec::with_capacity(batch);
        let mut bookings = bookings.into_iter().peekable();
        while let Some(booking) = bookings.next() {
            entries.push(Entry::unheard(Command::Book(Box::new(packed_book(booking)?))));
            if entries.len() >= batch || bookings.peek().is_none() {
                self.writer.run(&entries).map_err(|error| DirectError::Batch(format!("{error:?}")))?;
                entries.clear();
            }
        }
        Ok(())
    }
}

/// Why bookings could not be committed.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// The folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A booking that cannot be stored.
    #[error(transparent)]
    Booking(#[from] StoreError),
    /// A batch.
    #[error("a batch was not committed: {0}")]
    Batch(String),
}
