//! What routing wrote down about attempts: nobody may be called twice, early, or after a cancel.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Facts;
use crate::harness::journal::{Entry, What};

fn by_callback(facts: &Facts) -> BTreeMap<Uuid, Vec<&Entry>> {
    let mut all: BTreeMap<Uuid, Vec<&Entry>> = BTreeMap::new();
    for entry in &facts.journal {
        all.entry(entry.callback).or_default().push(entry);
    }
    all
}

/// Applies `judge` to the journal of every callback.
fn judge_each(facts: &Facts, judge: impl Fn(Uuid, &[&Entry]) -> Option<String>) -> Vec<String> {
    by_callback(facts).into_iter().filter_map(|(id, entries)| judge(id, &entries)).collect()
}

/// Whether the registers that keep an attempt from entering twice were lost after `from` and not after `to`.
fn registers_lost(facts: &Facts, from: i64, to: i64) -> bool {
    facts.registers_lost.iter().any(|at| (from..=to).contains(at))
}

/// An attempt enters once, unless its register was lost meanwhile: then it is the fence that counts. Lines that a kill tore must be fewer than the kills.
pub(super) fn one_hand_over_per_attempt(facts: &Facts) -> Vec<String> {
    let mut found = judge_each(facts, |id, entries| {
        let mut seen: BTreeMap<u32, i64> = BTreeMap::new();
        let entered = entries.iter().filter(|entry| entry.event == What::Entered);
        let again = entered.into_iter().find(|entry| {
            let before = seen.insert(entry.attempt, entry.at);
            before.is_some_and(|before| !registers_lost(facts, before, entry.at))
        })?;
        Some(format!("attempt {} of {id} entered twice", again.attempt))
    });
    if facts.torn_lines > facts.kills.len() {
        found.push(format!("{} lines of the journal are torn after {} kills", facts.torn_lines, facts.kills.len()));
    }
    found
}

/// An attempt is granted to one session only.
pub(super) fn one_session_per_attempt(facts: &Facts) -> Vec<String> {
    judge_each(facts, |id, entries| {
        let mut granted: BTreeMap<u32, &Option<String>> = BTreeMap::new();
        let accepted = entries.iter().filter(|entry| entry.event == What::Accepted);
        let mut others =
            accepted.filter(|entry| *granted.entry(entry.attempt).or_insert(&entry.session) != &entry.session);
        others.next().map(|entry| format!("attempt {} of {id} was granted to two sessions", entry.attempt))
    })
}

/// Before a session is let in, every session of an earlier attempt is over: it ended, its register was
/// closed, or the process that it lived in was killed.
pub(super) fn no_attempt_beside_another(facts: &Facts) -> Vec<String> {
    judge_each(facts, |id, entries| {
        let mut running: Option<&Entry> = None;
        for entry in entries {
            match entry.event {
                What::Accepted => {
                    if let Some(other) = running
                        && other.attempt != entry.attempt
                        && !facts.kills.iter().any(|kill| (other.at..=entry.at).contains(kill))
                    {
                        return Some(format!("attempts {} and {} of {id} ran at once", other.attempt, entry.attempt));
                    }
                    running = Some(entry);
                }
                What::Ended if running.is_some_and(|other| other.attempt == entry.attempt) => running = None,
                What::Closed => running = None,
                _ => {}
            }
        }
        None
    })
}

/// After agent and customer talked, no other attempt is let in or dials.
pub(super) fn nobody_called_after_talking(facts: &Facts) -> Vec<String> {
    judge_each(facts, |id, entries| {
        let talked = entries.iter().position(|entry| entry.event == What::Processing)?;
        let attempt = entries[talked].attempt;
        let calls = |entry: &&&Entry| matches!(entry.event, What::Accepted | What::Dialled | What::Processing);
        let again = entries[talked..].iter().filter(calls).find(|entry| entry.attempt != attempt)?;
        Some(format!("{id} talked in attempt {attempt} and was called again in attempt {}", again.attempt))
    })
}

/// After the register of a callback was closed, nothing of it enters, rings or talks.
pub(super) fn nothing_after_closed(facts: &Facts) -> Vec<String> {
    judge_each(facts, |id, entries| {
        let closed = entries.iter().position(|entry| entry.event == What::Closed)?;
        let acts = |entry: &&&Entry| match entry.event {
            What::Dialled | What::Processing => true,
            What::Entered => !registers_lost(facts, entries[closed].at, entry.at),
            _ => false,
        };
        let act = entries[closed..].iter().find(acts)?;
        Some(format!("{:?} of {id} after its register was closed", act.event))
    })
}

/// No attempt enters before the start instant, and no phone rings before the desired time.
pub(super) fn never_early(facts: &Facts) -> Vec<String> {
    judge_each(facts, |id, entries| {
        let row = facts.rows.get(&id)?;
        let early = entries.iter().find(|entry| match entry.event {
            What::Entered => entry.at < row.start_at,
            What::Dialled => entry.at < row.desired_time,
            _ => false,
        })?;
        Some(format!(
            "{:?} of {id} at {}, wanted at {}, start at {}",
            early.event, early.at, row.desired_time, row.start_at
        ))
    })
}

/// What entered had been stored before: the row knows the attempt.
pub(super) fn saved_before_handed_over(facts: &Facts) -> Vec<String> {
    judge_each(facts, |id, entries| {
        let highest = entries.iter().filter(|entry| entry.event == What::Entered).map(|entry| entry.attempt).max()?;
        match facts.rows.get(&id) {
            None if facts.is_erased(&id) => None,
            None => Some(format!("{id} entered and is not stored")),
            Some(row) if row.attempt < highest => {
                Some(format!("attempt {highest} of {id} entered, but its row knows only attempt {}", row.attempt))
            }
            Some(_) => None,
        }
    })
}

/// Who is said to have been connected to an agent was.
pub(super) fn connected_means_connected(facts: &Facts) -> Vec<String> {
    let talked: BTreeSet<Uuid> =
        facts.journal.iter().filter(|entry| entry.event == What::Processing).map(|entry| entry.callback).collect();
    let connected = facts.rows.iter().filter(|(_, row)| row.reason.as_deref() == Some("AGENT_CONNECTED"));
    let wrong = connected.filter(|(id, _)| !talked.contains(*id));
    wrong.map(|(id, _)| format!("{id} ended as connected, but nobody talked")).collect()
}
