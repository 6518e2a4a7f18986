//! What all ports ask of the combiner, and what they make of its outcomes.

use chrono::{DateTime, Utc};
use domain::callback::Cause;
use domain::ids::Incarnation;
use domain::ports::{Due, SaveError, StoreError};

use super::callback_reads::Candidate;
use crate::stores::combiner::Combiner;
use crate::stores::command::call_ins::{CallInCommand, CallInOutcome};
use crate::stores::command::erasure::PrivacyCommand;
use crate::stores::command::{Command, Outcome, Own, unexpected};

/// The way to the writer.
pub(super) struct Writes {
    pub(super) combiner: Combiner<Command>,
    /// Rows of one command of background work: what one batch takes of it.
    pub(super) step_rows: usize,
}

impl Writes {
    pub(super) async fn submit(&self, command: Command) -> Result<Outcome, StoreError> {
        self.combiner.submit(command).await
    }

    /// A command that writes a step.
    pub(super) async fn save(&self, command: Command) -> Result<(), SaveError> {
        match self.submit(command).await? {
            Outcome::Saved(result) => result,
            other => Ok(unexpected(&other)?),
        }
    }

    /// A command that tells how many rows it has written.
    pub(super) async fn count(&self, command: Command) -> Result<u64, StoreError> {
        match self.submit(command).await? {
            Outcome::Count(count) => Ok(count),
            other => unexpected(&other),
        }
    }

    /// A command that tells of each of its rows whether it was written.
    pub(super) async fn each(&self, command: Command) -> Result<Vec<bool>, StoreError> {
        match self.submit(command).await? {
            Outcome::Each(each) => Ok(each),
            other => unexpected(&other),
        }
    }

    /// How many rows of such a command were written.
    pub(super) async fn count_each(&self, command: Command) -> Result<u64, StoreError> {
        Ok(self.each(command).await?.into_iter().map(u64::from).sum())
    }

    /// A command about call-ins.
    pub(super) async fn call_in(&self, command: CallInCommand) -> Result<CallInOutcome, StoreError> {
        match self.submit(Command::CallIn(Box::new(command))).await? {
            Outcome::CallIn(outcome) => Ok(outcome),
            other => unexpected(&other),
        }
    }

    /// A command of export, erasure or the audit log.
    pub(super) async fn privacy(&self, command: PrivacyCommand) -> Result<Outcome, StoreError> {
        self.submit(Command::Privacy(Box::new(command))).await
    }

    /// Writes candidates in steps and keeps those that were still as they were read. Once some are written, a
    /// failing step ends the work without an error: the rest is found again.
    pub(super) async fn own(
        &self,
        owner: Incarnation,
        cause: Cause,
        at: DateTime<Utc>,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Due>, StoreError> {
        let mut owned = Vec::with_capacity(candidates.len());
        let mut candidates = candidates.into_iter();
        loop {
            let step: Vec<Candidate> = candidates.by_ref().take(self.step_rows).collect();
            if step.is_empty() {
                return Ok(owned);
            }
            let ids = step.iter().map(|candidate| candidate.due.id).collect();
            let (due, rows): (Vec<Due>, Vec<_>) = step.into_iter().map(|it| (it.due, it.row)).unzip();
            match self.submit(Command::Own(Own { owner, cause, at, ids, rows })).await {
                Ok(Outcome::Each(written)) => owned.extend(written_of(due, written)),
                Ok(other) => return unexpected(&other),
                Err(error) if owned.is_empty() => return Err(error),
                Err(_) => return Ok(owned),
            }
        }
    }
}

/// Those that were written.
pub(super) fn written_of<T>(asked: Vec<T>, written: Vec<bool>) -> impl Iterator<Item = T> {
    asked.into_iter().zip(written).filter(|(_, written)| *written).map(|(it, _)| it)
}
