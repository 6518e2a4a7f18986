//! The port for explaining: judged as the writer judges, by what is looked at without a lock, and nothing written.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Booking, ExplainStore, Preview, StoreError};

use super::PostgresStore;
use super::names::QueueKey;
use super::pool::Reader;
use super::reading::look_at;
use super::statement::{first, statements};
use super::view::Reading;
use crate::stores::command::Book;
use crate::stores::judge::Judge;
use crate::stores::packing::packed_book;
use crate::stores::rows::instant;

statements! {
    WhyParked = "SELECT at, reason FROM parked WHERE callback = ? AND tenant = ?";
}

/// Stands for a tenant or queue of which nothing was ever kept: no row has this number.
const NOBODY: i64 = 0;

impl Reader {
    async fn preview(&mut self, book: &Book) -> Result<Preview, StoreError> {
        let key = self.key_of(book).await?;
        let (view, keys) = look_at(&mut self.connection, book, key).await?;
        let mut reading = Reading { view: &view, keys: &keys };
        Ok(Judge::new(&mut reading, book, key).foretell()?)
    }

    async fn key_of(&mut self, book: &Book) -> Result<QueueKey, StoreError> {
        let (tenant, queue) = (book.callback.tenant, &book.callback.queue);
        if let Some(key) = self.names.queue(&mut self.connection, tenant, queue).await? {
            return Ok(key);
        }
        let tenant = self.tenant_key(tenant).await?;
        Ok(QueueKey { tenant: tenant.unwrap_or(NOBODY), queue: NOBODY })
    }

    async fn why_parked(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
    ) -> Result<Option<(DateTime<Utc>, String)>, StoreError> {
        let Some(tenant) = self.tenant_key(tenant).await? else { return Ok(None) };
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), tenant.into()];
        let found: Option<(i64, String)> = first::<WhyParked, _>(&mut self.connection, &binds).await?;
        found.map(|(at, reason)| Ok((instant(at)?, reason))).transpose()
    }
}

#[async_trait]
impl ExplainStore for PostgresStore {
    async fn preview(&self, booking: Booking) -> Result<Preview, StoreError> {
        let book = packed_book(booking)?;
        self.reader().await?.preview(&book).await
    }

    async fn why_parked(
        &self,
        tenant: TenantId,
        id: CallbackId,
    ) -> Result<Option<(DateTime<Utc>, String)>, StoreError> {
        self.reader().await?.why_parked(tenant, id).await
    }
}
