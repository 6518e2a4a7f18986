//! The port for explaining: judged as the writer judges, by what is read without a lock, and nothing written.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Booking, ExplainStore, Preview, StoreError};

use super::{Database, DatabaseStore, NameReads, id_bytes};
use crate::stores::command::Book;
use crate::stores::names::QueueKey;
use crate::stores::packing::packed_book;
use crate::stores::rows::instant;

/// Stands for a tenant or queue of which nothing was ever kept: no row has this number.
const NOBODY: i64 = 0;

/// What decisions are explained by.
#[async_trait]
pub(in crate::stores) trait ExplainReads: NameReads {
    /// Judges a booking by what is there now.
    async fn foretell(&mut self, book: &Book, key: QueueKey) -> Result<Preview, StoreError>;

    /// Instant and reason.
    async fn parked_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<(i64, String)>, StoreError>;

    async fn preview(&mut self, book: Book) -> Result<Preview, StoreError> {
        let tenant = book.callback.tenant;
        let key = match self.queue_key(tenant, &book.callback.queue).await? {
            Some(key) => key,
            None => QueueKey { tenant: self.tenant_key(tenant).await?.unwrap_or(NOBODY), queue: NOBODY },
        };
        self.foretell(&book, key).await
    }

    async fn why_parked(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
    ) -> Result<Option<(DateTime<Utc>, String)>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(None) };
        let found = self.parked_row(key, id_bytes(&id.as_uuid())).await?;
        found.map(|(at, reason)| Ok((instant(at)?, reason))).transpose()
    }
}

#[async_trait]
impl<D: Database> ExplainStore for DatabaseStore<D> {
    async fn preview(&self, booking: Booking) -> Result<Preview, StoreError> {
        let book = packed_book(booking)?;
        self.database.read(Some(book.callback.tenant), move |reader| reader.preview(book)).await
    }

    async fn why_parked(
        &self,
        tenant: TenantId,
        id: CallbackId,
    ) -> Result<Option<(DateTime<Utc>, String)>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.why_parked(tenant, id)).await
    }
}
