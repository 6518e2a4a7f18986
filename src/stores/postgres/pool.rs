//! Connections for reads: a pool with a limit, where nobody waits for ever.

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use domain::ports::StoreError;

use super::connect::Dialer;
use super::errors::SqlError;
use super::names::Names;
use super::statement::{Bind, Connection, FromRow, Text, first, rows};

/// The longest that a read waits for a connection.
const CHECKOUT_DEADLINE: Duration = Duration::from_secs(1);

impl Manager for Dialer {
    type Type = Connection;
    type Error = SqlError;

    async fn create(&self) -> Result<Connection, SqlError> {
        self.dial().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<SqlError> {
        if connection.is_dead() { Err(RecycleError::message("the connection is closed")) } else { Ok(()) }
    }
}

/// Hands out connections.
#[derive(Clone)]
pub(super) struct Readers {
    pool: Pool<Dialer>,
    names: Arc<Names>,
}

/// A connection for reads, and the names known so far. Goes back to the pool when it is dropped.
pub(in crate::stores) struct Reader {
    pub(super) connection: Object<Dialer>,
    pub(super) names: Arc<Names>,
}

impl Readers {
    /// At most `size` connections, made when they are needed.
    pub(super) fn new(dialer: Dialer, size: usize, names: Arc<Names>) -> Result<Self, String> {
        let pool = Pool::builder(dialer)
            .max_size(size.clamp(1, 100))
            .wait_timeout(Some(CHECKOUT_DEADLINE))
            .create_timeout(Some(CHECKOUT_DEADLINE * 2))
            .recycle_timeout(Some(CHECKOUT_DEADLINE))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { pool, names })
    }

    /// A connection. What it reads was committed when it is asked: there are no snapshots across statements.
    ///
    /// # Errors
    /// `NotDone` if none comes free in time, or the database cannot be reached.
    pub(super) async fn reader(&self) -> Result<Reader, StoreError> {
        let connection = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => StoreError::from(error),
            PoolError::Timeout(_) => StoreError::NotDone("no connection for reads came free in time".to_owned()),
            other => StoreError::NotDone(other.to_string()),
        })?;
        Ok(Reader { connection, names: self.names.clone() })
    }
}

impl Reader {
    /// All rows of a query.
    pub(super) async fn rows<T: Text, U: FromRow>(&mut self, binds: &[Bind<'_>]) -> Result<Vec<U>, StoreError> {
        Ok(rows::<T, U>(&self.connection, binds).await?)
    }

    /// The first row of a query, if it has one.
    pub(super) async fn first<T: Text, U: FromRow>(&mut self, binds: &[Bind<'_>]) -> Result<Option<U>, StoreError> {
        Ok(first::<T, U>(&self.connection, binds).await?)
    }
}
