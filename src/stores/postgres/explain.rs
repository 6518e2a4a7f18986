//! What decisions are explained by: judged as the writer judges, by what is looked at without a lock.

use async_trait::async_trait;
use domain::ports::{Preview, StoreError};

use super::names::QueueKey;
use super::pool::Reader;
use super::reading::look_at;
use super::statement::statements;
use super::view::Reading;
use crate::stores::command::Book;
use crate::stores::database::ExplainReads;
use crate::stores::judge::Judge;

statements! {
    WhyParked = "SELECT at, reason FROM parked WHERE callback = ? AND tenant = ?";
}

#[async_trait]
impl ExplainReads for Reader {
    async fn foretell(&mut self, book: &Book, key: QueueKey) -> Result<Preview, StoreError> {
        let (view, keys) = look_at(&mut self.connection, book, key).await?;
        let mut reading = Reading { view: &view, keys: &keys };
        Ok(Judge::new(&mut reading, book, key).foretell()?)
    }

    async fn parked_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<(i64, String)>, StoreError> {
        self.first::<WhyParked, _>(&[id.into(), tenant.into()]).await
    }
}
