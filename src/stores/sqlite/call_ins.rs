//! The port for call-ins: packing and drawing on the caller's thread, writes to the combiner, reads to the readers.

mod command;
mod queries;
mod rows;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::call_in::{CallIn, Criteria, Criterion, DRAWS, State};
use domain::ids::{CallInId, TenantId};
use domain::ports::{
    CallInPage, CallInQuery, CallInStore, MatchOutcome, Matched, Matching, Opened, Opening, StoreError, Withdrawn, Won,
};

use super::SqliteStore;
use super::callbacks::{unexpected, unpacked};
use super::command::{Command, Outcome};
use crate::stores::user_data::pack;
pub(super) use command::{CallInCommand, CallInOutcome, Open, Tidy};
pub(super) use queries::Expired;
pub(super) use rows::{CallInRow, LoadCallIn, RowKey, call_in as call_in_at, stored_number};

/// Steps of expired and old requests in one purge.
const MAX_TIDY_STEPS: usize = 40;

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

/// Random words of the operating system's generator.
fn drawn() -> Result<[u64; DRAWS], StoreError> {
    let mut bytes = [[0; 8]; DRAWS];
    getrandom::fill(bytes.as_flattened_mut())
        .map_err(|error| StoreError::NotDone(format!("no random numbers: {error}")))?;
    Ok(bytes.map(u64::from_ne_bytes))
}

/// The request that was kept, as it was asked for and with what it was given.
fn kept(opening: Opening, number: u64, code: Option<u32>) -> CallIn {
    CallIn {
        id: opening.id,
        group: opening.group,
        number: domain::numbers::PhoneNumber::from_digits(number),
        code,
        caller: opening.caller,
        callback: opening.callback,
        created_at: opening.at,
        expires_at: opening.at + opening.settings.expiry,
        ended_at: None,
        state: State::Waiting,
        criteria: Criteria::NONE,
    }
}

#[async_trait]
impl CallInStore for SqliteStore {
    async fn open_call_in(&self, opening: Opening) -> Result<Opened, StoreError> {
        let open = Open {
            opening: Opening { user_data: None, ..opening.clone() },
            user_data: opening.user_data.as_deref().map(pack),
            draws: drawn()?,
        };
        let at = opening.at;
        match self.call_in(CallInCommand::Open(open)).await? {
            CallInOutcome::Opened { number, code } => Ok(Opened::New(kept(opening, number, code))),
            CallInOutcome::Known(Some((row, _))) => Ok(Opened::Existing(rows::call_in(row, at)?)),
            CallInOutcome::Known(None) => Ok(Opened::Gone),
            CallInOutcome::KeyReused => Ok(Opened::KeyReused),
            CallInOutcome::NothingFree => Ok(Opened::NothingFree),
            other => unexpected(&Outcome::CallIn(other)),
        }
    }

    async fn match_call_in(&self, matching: Matching) -> Result<MatchOutcome, StoreError> {
        let at = matching.at;
        match self.call_in(CallInCommand::Match(matching)).await? {
            CallInOutcome::Known(Some((row, packed))) => {
                let user_data = packed.as_deref().map(unpacked).transpose()?;
                let won = Won { call_in: rows::call_in(row, at)?, user_data };
                Ok(MatchOutcome::Answer(Matched::Won(Box::new(won))))
            }
            CallInOutcome::Known(None) => Ok(MatchOutcome::Gone),
            CallInOutcome::Nobody { dnis_waits } => {
                let criteria = Criteria::NONE.with(Criterion::Dnis, dnis_waits);
                Ok(MatchOutcome::Answer(Matched::Nobody(criteria)))
            }
            CallInOutcome::KeyReused => Ok(MatchOutcome::KeyReused),
            other => unexpected(&Outcome::CallIn(other)),
        }
    }

    async fn cancel_call_in(&self, tenant: TenantId, id: CallInId, at: DateTime<Utc>) -> Result<Withdrawn, StoreError> {
        match self.call_in(CallInCommand::Cancel { tenant, id, at }).await? {
            CallInOutcome::Withdrawn => Ok(Withdrawn::Done),
            CallInOutcome::Known(Some((row, _))) => match rows::call_in(row, at)?.state {
                State::Cancelled => Ok(Withdrawn::Done),
                other => Ok(Withdrawn::NotWaiting(other)),
            },
            CallInOutcome::Known(None) => Ok(Withdrawn::NotFound),
            other => unexpected(&Outcome::CallIn(other)),
        }
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
