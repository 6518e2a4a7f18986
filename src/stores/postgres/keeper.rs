//! The connection of heartbeats and of the probe's write: never behind a batch or a read.

use domain::ports::StoreError;
use tokio::sync::{Mutex, MutexGuard};

use super::connect::Dialer;
use super::errors::Sql;
use super::statement::Connection;

/// One connection, made anew when it has died.
pub(super) struct Keeper {
    dialer: Dialer,
    connection: Mutex<Option<Connection>>,
}

/// The connection while somebody uses it.
pub(super) struct Kept<'a>(MutexGuard<'a, Option<Connection>>);

impl Keeper {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self { dialer, connection: Mutex::new(None) }
    }

    /// The connection, alive as far as is known. Whoever uses it runs single statements only: one that is cut off leaves
    /// nothing open.
    pub(super) async fn take(&self) -> Result<Kept<'_>, StoreError> {
        let mut slot = self.connection.lock().await;
        if slot.as_ref().is_none_or(Connection::is_dead) {
            *slot = Some(self.dialer.dial().await?);
        }
        Ok(Kept(slot))
    }
}

impl Kept<'_> {
    /// Hands an answer on. After an error the next user gets a new connection: the server may not be the right one any
    /// more.
    pub(super) fn heard<T>(&mut self, answer: Sql<T>) -> Result<T, StoreError> {
        if answer.is_err() {
            *self.0 = None;
        }
        Ok(answer?)
    }

    /// The connection itself.
    ///
    /// # Errors
    /// If an answer on it was an error.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        self.0.as_mut().ok_or_else(|| StoreError::NotDone("no connection".to_owned()))
    }
}
