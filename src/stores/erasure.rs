//! What is kept of a number, as rows, and the bounded steps that remove it: the same in every store.

use std::collections::HashSet;

use domain::audit::Act;
use domain::callback::State;
use domain::erasure::{Counts, Receipt};
use domain::ids::CallbackId;
use domain::ports::{EraseError, Erasing, HeldCallIn, HeldCallback, HeldRecords, NewEntry, StoreError};

use super::command::erasure::{Begun, RemoveRows};
use super::rows::stored;

/// Entries of history that are told of one callback.
pub(super) const MAX_HISTORY: usize = 1_000;

/// Rounds of looking and removing. One is enough unless a number has more callbacks than are remembered at once.
pub(super) const MAX_ROUNDS: usize = 50;

/// Rows that one read looks through: some ten milliseconds.
pub(super) const STRETCH: i64 = 20_000;

/// Behind every id.
pub(super) const END_OF_IDS: &[u8] = &[0xFF; 17];

/// Callbacks of a number that are remembered at once.
const MAX_CALLBACKS: usize = 20_000;

/// Call-ins of a number that are looked for at once.
pub(super) const MAX_CALL_INS: i64 = 20_000;

/// Id, state, wake-up, details.
pub(super) type CallbackOf = (Vec<u8>, i64, Option<i64>, Option<i64>);

/// A callback of a number.
#[derive(Debug, Clone)]
pub(super) struct FoundCallback {
    pub(super) id: CallbackId,
    pub(super) state: State,
    pub(super) settled: bool,
    pub(super) details: Option<i64>,
}

/// A call-in of a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FoundCallIn {
    pub(super) id: Vec<u8>,
    pub(super) details: Option<i64>,
}

/// What is kept of a number.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldRows {
    /// The number of the tenant.
    pub(super) tenant: i64,
    pub(super) callbacks: Vec<FoundCallback>,
    pub(super) call_ins: Vec<FoundCallIn>,
    /// Queue and end of the day.
    pub(super) values: Vec<(i64, i64)>,
    /// Row numbers.
    pub(super) keys: Vec<i64>,
}

/// What one read has found, and where the next one goes on.
pub(super) struct Stretch<T, K> {
    pub(super) found: Vec<T>,
    pub(super) next: Option<K>,
}

impl HeldRows {
    /// There may be more.
    pub(super) fn is_full(&self) -> bool {
        self.callbacks.len() >= MAX_CALLBACKS
    }

    /// Everything that an idempotency key can have made.
    pub(super) fn ids(&self) -> HashSet<Vec<u8>> {
        let callbacks = self.callbacks.iter().map(|it| it.id.as_uuid().as_bytes().to_vec());
        callbacks.chain(self.call_ins.iter().map(|it| it.id.clone())).collect()
    }

    /// The rows of rare members and user data.
    pub(super) fn details(&self) -> Vec<i64> {
        let callbacks = self.callbacks.iter().filter_map(|it| it.details);
        callbacks.chain(self.call_ins.iter().filter_map(|it| it.details)).collect()
    }

    /// How many rows that is.
    pub(super) fn count(&self) -> u64 {
        (self.callbacks.len() + self.call_ins.len() + self.values.len() + self.keys.len()) as u64
    }

    /// The same, if all of it has ended.
    pub(super) fn erasable(self) -> Result<Self, EraseError> {
        match self.callbacks.iter().filter(|it| it.state != State::Completed).count() {
            0 => Ok(self),
            count => Err(EraseError::Unfinished(count as u64)),
        }
    }

    /// What is told of it.
    pub(super) fn records(&self, call_ins: Vec<HeldCallIn>) -> HeldRecords {
        let callback = |it: &FoundCallback| HeldCallback { id: it.id, state: it.state, settled: it.settled };
        HeldRecords {
            callbacks: self.callbacks.iter().map(callback).collect(),
            call_ins,
            counted_values: self.values.len() as u64,
            idempotency_keys: self.keys.len() as u64,
        }
    }

    /// What removes it, in commands of at most so many rows. Answers under keys come before what they name, so that
    /// whoever goes on after a crash still finds them.
    pub(super) fn steps(&self, erasing: &Erasing, begun: &Begun, rows: usize) -> Vec<RemoveRows> {
        let empty = RemoveRows {
            erasure: (erasing.tenant, begun.id),
            phone: stored(erasing.phone.digits()),
            counted_as: erasing.counted_as,
            values: Vec::new(),
            keys: Vec::new(),
            call_ins: Vec::new(),
            callbacks: Vec::new(),
        };
        let mut steps = Vec::new();
        for values in self.values.chunks(rows) {
            steps.push(RemoveRows { values: values.to_vec(), ..empty.clone() });
        }
        for keys in self.keys.chunks(rows) {
            steps.push(RemoveRows { keys: keys.to_vec(), ..empty.clone() });
        }
        for call_ins in self.call_ins.chunks(rows) {
            let call_ins = call_ins.iter().map(|it| it.id.clone()).collect();
            steps.push(RemoveRows { call_ins, ..empty.clone() });
        }
        for callbacks in self.callbacks.chunks(rows) {
            let callbacks = callbacks.iter().map(|it| it.id).collect();
            steps.push(RemoveRows { callbacks, ..empty.clone() });
        }
        steps
    }
}

/// There is more than the rounds of one erasure take.
pub(super) fn too_much() -> StoreError {
    StoreError::NotDone("there is more than one erasure can remove".to_owned())
}

/// What stands in the audit log of an erasure that is done.
pub(super) fn act(receipt: &Receipt) -> NewEntry {
    let Counts { callbacks, blinded, call_ins, .. } = receipt.counts;
    NewEntry {
        at: receipt.finished_at.unwrap_or(receipt.begun_at),
        act: Act::NumberErased,
        actor: receipt.actor.clone(),
        subject: receipt.id.to_string(),
        details: format!("callbacks {callbacks}, blinded {blinded}, callIns {call_ins}"),
    }
}
