//! The write by which somebody ends a callback that is not his.

use chrono::{DateTime, Utc};

use super::Change;
use crate::callback::{Callback, Canceller, Effect, Input, StepError};
use crate::slots::Grid;

impl Change {
    /// The end of a callback, for whoever does not own it; none if there is nothing to save. What is left to do about it
    /// is left to its owner, and nobody is told of it yet.
    ///
    /// # Errors
    /// [`StepError::NotCancellable`] if it is too late for that.
    pub(crate) fn cancelling(before: &Callback, by: Canceller, now: DateTime<Utc>) -> Result<Option<Self>, StepError> {
        let mut callback = before.clone();
        let effects = callback.step(Input::Cancel(by), now)?;
        let effects = callback.leave_to_owner(effects, now);
        let Some(Effect::Save(saving)) = effects.into_iter().next() else { return Ok(None) };
        Ok(Some(Self {
            callback,
            from: before.state,
            expected_version: before.version,
            expected_owner: None,
            saving,
            // It takes no place.
            slot_capacity: 0,
            grid: Grid::default(),
            at: now,
            announcement: None,
        }))
    }
}
