//! Judges a run by what was written down about it: answers that clients got, the journal that routing kept,
//! and the rows in the database. It never asks the program for its own opinion, so it can find the program
//! wrong. Each invariant is a function from [`Facts`] to violations; [`check`] runs them all.

mod answers;
mod handovers;
mod privacy;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use super::journal::Entry;

/// The oldest work that may be due at the end: anything older rests.
pub(crate) const OVERDUE_MS: i64 = 90_000;

/// Everything that is known about a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Creates that were answered 200, in the order of their answers.
    pub(crate) creations: Vec<Creation>,
    /// Cancels that were answered 200.
    pub(crate) cancellations: Vec<Uuid>,
    /// Retrieves that were answered.
    pub(crate) sightings: Vec<Sighting>,
    /// Instants at which the program was surely dead, in milliseconds since 1970.
    pub(crate) kills: Vec<i64>,
    /// Routing's journal in the order of its lines.
    pub(crate) journal: Vec<Entry>,
    /// Lines of the journal that cannot be read.
    pub(crate) torn_lines: usize,
    /// Callbacks in the database.
    pub(crate) rows: BTreeMap<Uuid, Row>,
    /// Their history, each in the order of versions.
    pub(crate) history: BTreeMap<Uuid, Vec<Step>>,
    /// Places taken per queue (by its number in the database) and slot start.
    pub(crate) slots: BTreeMap<(i64, i64), i64>,
    /// Places held per queue and slot start, whether or not their time is over.
    pub(crate) holds: BTreeMap<(i64, i64), i64>,
    /// Active callbacks per queue, as counted.
    pub(crate) depths: BTreeMap<i64, i64>,
    /// Places that a slot of a queue has; queues that are missing have no end.
    pub(crate) capacities: BTreeMap<i64, i64>,
    /// Instants after which the registers of the stream were surely gone, in milliseconds since 1970.
    pub(crate) registers_lost: Vec<i64>,
    /// Erasures that were answered 200.
    pub(crate) erased: Vec<Erased>,
    /// What was answered to one tenant that named callbacks of another: id and status.
    pub(crate) strangers: Vec<(Uuid, u16)>,
    /// When the database was read, in milliseconds since 1970.
    pub(crate) read_at: i64,
}

impl Facts {
    fn is_erased(&self, id: &Uuid) -> bool {
        self.erased.iter().any(|erased| erased.ids.contains(id))
    }
}

/// A number whose erasure was answered 200.
#[derive(Debug, Clone)]
pub(crate) struct Erased {
    /// Digits of the number.
    pub(crate) phone: i64,
    /// Its callbacks.
    pub(crate) ids: Vec<Uuid>,
    /// When the answer was there.
    pub(crate) at: i64,
}

/// A create that was answered 200.
#[derive(Debug, Clone)]
pub(crate) struct Creation {
    pub(crate) id: Uuid,
    /// The `Idempotency-Key` it was sent with.
    pub(crate) key: Option<String>,
}

/// What a retrieve said.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    pub(crate) id: Uuid,
    /// When the request went out and when its answer was there, in milliseconds since 1970.
    pub(crate) asked_at: i64,
    pub(crate) answered_at: i64,
    /// State and reason; none for a 404.
    pub(crate) seen: Option<(String, Option<String>)>,
}

/// A callback as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) state: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) version: i64,
    pub(crate) attempt: u32,
    pub(crate) queue: i64,
    pub(crate) phone: i64,
    pub(crate) desired_time: i64,
    pub(crate) start_at: i64,
    /// Start of the slot whose place it holds.
    pub(crate) slot: Option<i64>,
    /// When somebody must work on it; nobody must if it is absent.
    pub(crate) wake_at: Option<i64>,
    /// Why it was set aside for an operator.
    pub(crate) parked: Option<String>,
}

/// One version in a callback's history.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) version: i64,
    pub(crate) state: &'static str,
    /// States passed through on the way.
    pub(crate) implied: Vec<&'static str>,
}

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// An invariant: its name, and what finds its breaches.
type Invariant = (&'static str, fn(&Facts) -> Vec<String>);

/// Every invariant.
pub(crate) const INVARIANTS: [Invariant; 20] = [
    ("accepted is kept", answers::accepted_is_kept),
    ("same key, same booking", answers::same_key_same_booking),
    ("a cancel that was confirmed is kept", answers::cancelled_stays_cancelled),
    ("what a client saw never goes back", answers::never_seen_going_back),
    ("one hand-over per attempt", handovers::one_hand_over_per_attempt),
    ("one session per attempt", handovers::one_session_per_attempt),
    ("no attempt beside another", handovers::no_attempt_beside_another),
    ("nobody is called again after talking", handovers::nobody_called_after_talking),
    ("nothing enters a closed register", handovers::nothing_after_closed),
    ("never early", handovers::never_early),
    ("saved before handed over", handovers::saved_before_handed_over),
    ("connected means connected", handovers::connected_means_connected),
    ("states move along the arrows only", rows::states_follow_arrows),
    ("history has no gaps", rows::history_has_no_gaps),
    ("no place is lost or doubled", rows::places_add_up),
    ("no slot is oversold", rows::no_slot_is_oversold),
    ("nothing after an erasure", privacy::nothing_after_an_erasure),
    ("no tenant sees another", privacy::no_tenant_sees_another),
    ("the depth of a queue adds up", rows::depths_add_up),
    ("nothing rests", rows::nothing_rests),
];

/// Every violation of every invariant.
pub(crate) fn check(facts: &Facts) -> Vec<Violation> {
    let judge = |(invariant, find): &Invariant| {
        let invariant = *invariant;
        find(facts).into_iter().map(move |what| Violation { invariant, what }).collect::<Vec<_>>()
    };
    INVARIANTS.iter().flat_map(judge).collect()
}

/// Fails with the first violations of each invariant, if there are any.
pub(crate) fn assert_kept(facts: &Facts) {
    let violations = check(facts);
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut text = String::new();
    for violation in &violations {
        let count = shown.entry(violation.invariant).or_default();
        *count += 1;
        if *count <= 5 {
            text.push_str(&format!("\n  {violation}"));
        }
    }
    assert!(violations.is_empty(), "{} violations, by invariant {shown:?}:{text}", violations.len());
}
