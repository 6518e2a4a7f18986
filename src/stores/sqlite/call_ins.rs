//! The port for call-ins: writes to the combiner, reads to the readers.

mod queries;
mod rows;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{CallInId, TenantId};
use domain::ports::{
    CallInPage, CallInQuery, CallInStore, MatchOutcome, Matching, Opened, Opening, StoreError, Withdrawn,
};

use super::SqliteStore;
use super::callbacks::unexpected;
use super::command::{Command, Outcome};
use crate::stores::call_ins::{MAX_TIDY_STEPS, matched, open_command, opened, withdrawn};
pub(super) use crate::stores::command::call_ins::{CallInCommand, CallInOutcome, Open, Tidy};
pub(super) use crate::stores::rows::{CallInRow, RowKey, call_in as call_in_at, stored_number};
pub(super) use queries::Expired;
pub(super) use rows::LoadCallIn;

impl SqliteStore {
    async fn call_in(&self, command: CallInCommand) -> Result<CallInOutcome, StoreError> {
        match self.combiner.submit(Command::CallIn(Box::new(command))).await? {
            Outcome::CallIn(outcome) => Ok(outcome),
            other => unexpected(&other),
        }
    }

    /// Writes down that requests have expired, and removes ended ones that expired before `ended_before`.
    pub(super) async fn tidy_call_ins(&self, ended_before: DateTime<Utc>, at: DateTime<Utc>) -> Result<(), StoreError> {
        let limit = self.step_rows();
        for _ in 0..MAX_TIDY_STEPS {
            let tidy: Tidy = self.readers.read(move |reader| reader.untidy_call_ins(ended_before, at, limit)).await?;
            if tidy.rows() == 0 {
                break;
            }
            self.call_in(CallInCommand::Tidy(tidy)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl CallInStore for SqliteStore {
    async fn open_call_in(&self, opening: Opening) -> Result<Opened, StoreError> {
        opened(self.call_in(open_command(&opening)?).await?, opening)
    }

    async fn match_call_in(&self, matching: Matching) -> Result<MatchOutcome, StoreError> {
        let at = matching.at;
        matched(self.call_in(CallInCommand::Match(matching)).await?, at)
    }

    async fn cancel_call_in(&self, tenant: TenantId, id: CallInId, at: DateTime<Utc>) -> Result<Withdrawn, StoreError> {
        withdrawn(self.call_in(CallInCommand::Cancel { tenant, id, at }).await?, at)
    }

    async fn call_ins(
        &self,
        tenant: TenantId,
        query: CallInQuery,
        at: DateTime<Utc>,
    ) -> Result<CallInPage, StoreError> {
        self.readers.read_for(tenant, move |reader| reader.call_ins(tenant, &query, at)).await
    }
}
