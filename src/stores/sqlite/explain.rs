//! What decisions are explained by: judged as the writer judges, by a reader.

use async_trait::async_trait;
use diesel::sql_types::{BigInt, Text};
use domain::ports::{Preview, StoreError};

use super::judge::Judge;
use super::names::QueueKey;
use super::readers::{Reader, not_read};
use super::statement::statements;
use crate::stores::command::Book;
use crate::stores::database::ExplainReads;

statements! {
    WhyParked -> (BigInt, Text) = "SELECT at, reason FROM parked WHERE callback = ? AND tenant = ?";
}

#[async_trait]
impl ExplainReads for Reader {
    async fn foretell(&mut self, book: &Book, key: QueueKey) -> Result<Preview, StoreError> {
        Judge::new(&mut self.connection, book, key).foretell().map_err(not_read)
    }

    async fn parked_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<(i64, String)>, StoreError> {
        self.first::<WhyParked, _>(&[id.into(), tenant.into()])
    }
}
