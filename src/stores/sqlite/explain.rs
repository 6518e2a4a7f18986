//! The port for explaining: judged as the writer judges, by a reader, and nothing written.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Text};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Booking, ExplainStore, Preview, StoreError};

use super::SqliteStore;
use super::callbacks::packed_book;
use super::command::Book;
use super::judge::Judge;
use super::names::QueueKey;
use super::readers::{Reader, not_read};
use super::rows::instant;
use super::statement::{first, statements};

statements! {
    WhyParked -> (BigInt, Text) = "SELECT at, reason FROM parked WHERE callback = ? AND tenant = ?";
}

/// Stands for a tenant or queue of which nothing was ever kept: no row has this number.
const NOBODY: i64 = 0;

impl Reader {
    fn preview(&mut self, book: &Book) -> Result<Preview, StoreError> {
        let key = self.key_of(book)?;
        Judge::new(&mut self.connection, book, key).foretell().map_err(not_read)
    }

    fn key_of(&mut self, book: &Book) -> Result<QueueKey, StoreError> {
        let (tenant, queue) = (book.callback.tenant, &book.callback.queue);
        if let Some(key) = self.names.queue(&mut self.connection, tenant, queue).map_err(not_read)? {
            return Ok(key);
        }
        let tenant = self.names.tenant(&mut self.connection, tenant).map_err(not_read)?;
        Ok(QueueKey { tenant: tenant.unwrap_or(NOBODY), queue: NOBODY })
    }

    fn why_parked(&mut self, tenant: TenantId, id: CallbackId) -> Result<Option<(DateTime<Utc>, String)>, StoreError> {
        let Some(tenant) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else { return Ok(None) };
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), tenant.into()];
        let found: Option<(i64, String)> = first::<WhyParked, _>(&mut self.connection, &binds).map_err(not_read)?;
        found.map(|(at, reason)| Ok((instant(at)?, reason))).transpose()
    }
}

#[async_trait]
impl ExplainStore for SqliteStore {
    async fn preview(&self, booking: Booking) -> Result<Preview, StoreError> {
        let book = packed_book(booking)?;
        self.readers.read_for(book.callback.tenant, move |reader| reader.preview(&book)).await
    }

    async fn why_parked(
        &self,
        tenant: TenantId,
        id: CallbackId,
    ) -> Result<Option<(DateTime<Utc>, String)>, StoreError> {
        self.readers.read_for(tenant, move |reader| reader.why_parked(tenant, id)).await
    }
}
