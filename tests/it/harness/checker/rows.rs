//! What the database holds must be a possible life, and complete.

use std::collections::BTreeMap;

use super::Facts;

/// The arrows of a callback's life, written down here once more on purpose: the program has its own table.
const ARROWS: [(&str, &str); 8] = [
    ("SCHEDULED", "QUEUED"),
    ("QUEUED", "ROUTING"),
    ("ROUTING", "PROCESSING"),
    ("PROCESSING", "COMPLETED"),
    ("ROUTING", "QUEUED"),
    ("SCHEDULED", "COMPLETED"),
    ("QUEUED", "COMPLETED"),
    ("ROUTING", "COMPLETED"),
];

/// From version to version a callback stays where it is or moves along arrows; COMPLETED is final.
pub(super) fn states_follow_arrows(facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    for (id, steps) in &facts.history {
        let mut at: Option<&str> = None;
        for step in steps {
            for &next in step.implied.iter().chain([&step.state]) {
                if let Some(before) = at
                    && before != next
                    && !ARROWS.contains(&(before, next))
                {
                    found.push(format!("{id} went from {before} to {next} in version {}", step.version));
                }
                at = Some(next);
            }
        }
        match (steps.first(), at, facts.rows.get(id)) {
            (Some(first), _, _) if !["SCHEDULED", "QUEUED"].contains(&first.state) => {
                found.push(format!("{id} was born as {}", first.state));
            }
            (_, Some(last), Some(row)) if last != row.state => {
                found.push(format!("{id} is {} but its history ends in {last}", row.state));
            }
            _ => {}
        }
    }
    found
}

/// Versions count 1, 2, 3 … up to the row's own.
pub(super) fn history_has_no_gaps(facts: &Facts) -> Vec<String> {
    let judge = |(id, row): (&uuid::Uuid, &super::Row)| {
        let versions: Vec<i64> = facts.history.get(id).into_iter().flatten().map(|step| step.version).collect();
        let whole = versions == (1..=row.version).collect::<Vec<_>>();
        (!whole).then(|| format!("{id} has version {} and history of {versions:?}", row.version))
    };
    facts.rows.iter().filter_map(judge).collect()
}

/// What a slot counts is what bookings and holds have of it.
pub(super) fn places_add_up(facts: &Facts) -> Vec<String> {
    let mut held: BTreeMap<(i64, i64), i64> = facts.holds.clone();
    for row in facts.rows.values() {
        if let Some(slot) = row.slot {
            *held.entry((row.queue, slot)).or_default() += 1;
        }
    }
    let slots = held.keys().chain(facts.slots.keys()).collect::<std::collections::BTreeSet<_>>();
    let count = |places: &BTreeMap<(i64, i64), i64>, slot| places.get(slot).copied().unwrap_or_default();
    let wrong = slots.into_iter().filter(|slot| count(&held, slot) != count(&facts.slots, slot));
    wrong
        .map(|slot| {
            let (counted, held) = (count(&facts.slots, slot), count(&held, slot));
            format!("slot {} of queue {} counts {counted} places, {held} are taken", slot.1, slot.0)
        })
        .collect()
}

/// No more callbacks have a place in a slot than it has places.
pub(super) fn no_slot_is_oversold(facts: &Facts) -> Vec<String> {
    let mut taken: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for row in facts.rows.values() {
        if let Some(slot) = row.slot {
            *taken.entry((row.queue, slot)).or_default() += 1;
        }
    }
    let places = |queue| facts.capacities.get(queue).copied().unwrap_or(i64::MAX);
    let wrong = taken.iter().filter(|((queue, _), taken)| **taken > places(queue));
    wrong.map(|((queue, slot), taken)| format!("slot {slot} of queue {queue} was sold {taken} times")).collect()
}

/// What counts as the depth of a queue is how many of its callbacks are active.
pub(super) fn depths_add_up(facts: &Facts) -> Vec<String> {
    let mut active: BTreeMap<i64, i64> = facts.depths.keys().map(|queue| (*queue, 0)).collect();
    for row in facts.rows.values() {
        *active.entry(row.queue).or_default() += i64::from(["QUEUED", "ROUTING", "PROCESSING"].contains(&row.state));
    }
    let counted = |queue| facts.depths.get(queue).copied().unwrap_or_default();
    let wrong = active.iter().filter(|(queue, active)| counted(queue) != **active);
    wrong
        .map(|(queue, active)| format!("queue {queue} counts {} active callbacks, {active} are", counted(queue)))
        .collect()
}

/// No work is overdue, and what has not ended has an instant at which somebody looks, unless it is parked.
pub(super) fn nothing_rests(facts: &Facts) -> Vec<String> {
    let judge = |(id, row): (&uuid::Uuid, &super::Row)| match row.wake_at {
        _ if row.parked.is_some() => None,
        Some(at) if at + super::OVERDUE_MS < facts.read_at => {
            Some(format!("{id} ({}) is overdue by {} s", row.state, (facts.read_at - at) / 1000))
        }
        None if row.state != "COMPLETED" => Some(format!("nobody will ever look at {id} ({})", row.state)),
        _ => None,
    };
    facts.rows.iter().filter_map(judge).collect()
}
