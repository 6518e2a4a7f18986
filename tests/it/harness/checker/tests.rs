//! The checker itself: a sound run passes, and every breach that is planted is found under its name. Without
//! this a checker that finds nothing would prove nothing.

use std::collections::BTreeSet;

use super::*;
use crate::harness::journal::What;

const NOW: i64 = 1_900_000_000_000;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn entry(at: i64, event: What, callback: Uuid, attempt: u32) -> Entry {
    let session = matches!(event, What::Accepted).then(|| format!("s{attempt}"));
    Entry { at, event, callback, attempt, session }
}

fn step(version: i64, state: &'static str) -> Step {
    Step { version, state, implied: Vec::new() }
}

fn row(state: &'static str, reason: Option<&str>, version: i64, attempt: u32) -> Row {
    Row {
        state,
        reason: reason.map(str::to_owned),
        version,
        attempt,
        queue: 1,
        phone: 1,
        desired_time: NOW - 10_000,
        start_at: NOW - 10_000,
        slot: None,
        wake_at: None,
        parked: None,
    }
}

/// Three lives: connected in its second attempt, because the first session died in a kill; cancelled while
/// queued; still waiting for its time, with a place in a slot.
fn sound() -> Facts {
    let mut facts = Facts { kills: vec![NOW - 8_000], read_at: NOW, ..Facts::default() };
    let (connected, cancelled, waiting) = (id(1), id(2), id(3));
    for (id, key) in [(connected, Some("k1")), (connected, Some("k1")), (cancelled, None), (waiting, Some("k3"))] {
        facts.creations.push(Creation { id, key: key.map(str::to_owned) });
    }
    facts.cancellations = vec![cancelled];
    facts.journal = vec![
        entry(NOW - 9_900, What::Entered, connected, 1),
        entry(NOW - 9_800, What::Accepted, connected, 1),
        entry(NOW - 7_000, What::Entered, connected, 2),
        entry(NOW - 6_900, What::Accepted, connected, 2),
        entry(NOW - 6_000, What::Dialled, connected, 2),
        entry(NOW - 5_000, What::Processing, connected, 2),
        entry(NOW - 4_000, What::Ended, connected, 2),
        entry(NOW - 9_000, What::Entered, cancelled, 1),
        entry(NOW - 8_900, What::Closed, cancelled, 1),
    ];
    facts.rows.insert(connected, row("COMPLETED", Some("AGENT_CONNECTED"), 5, 2));
    facts.rows.insert(cancelled, row("COMPLETED", Some("CANCELLED"), 2, 1));
    let later = NOW + 600_000;
    let held = Row {
        slot: Some(later),
        wake_at: Some(later),
        start_at: later,
        desired_time: later,
        ..row("SCHEDULED", None, 1, 0)
    };
    facts.rows.insert(waiting, held);
    facts.slots.insert((1, later), 1);
    let life = ["QUEUED", "QUEUED", "ROUTING", "PROCESSING", "COMPLETED"];
    facts.history.insert(connected, (1..).zip(life).map(|(version, state)| step(version, state)).collect());
    facts.history.insert(cancelled, vec![step(1, "QUEUED"), step(2, "COMPLETED")]);
    facts.history.insert(waiting, vec![step(1, "SCHEDULED")]);
    facts.sightings = vec![
        saw(connected, NOW - 5_000, "PROCESSING", None),
        saw(connected, NOW, "COMPLETED", Some("AGENT_CONNECTED")),
    ];
    facts
}

fn saw(id: Uuid, at: i64, state: &str, reason: Option<&str>) -> Sighting {
    Sighting { id, asked_at: at, answered_at: at + 5, seen: Some((state.to_owned(), reason.map(str::to_owned))) }
}

/// Breaks a sound run in one way and returns the names of the invariants that noticed.
fn noticed(breach: impl FnOnce(&mut Facts)) -> BTreeSet<&'static str> {
    let mut facts = sound();
    breach(&mut facts);
    check(&facts).into_iter().map(|violation| violation.invariant).collect()
}

#[test]
fn a_sound_run_passes() {
    assert_eq!(check(&sound()), []);
}

type Breach = fn(&mut Facts);

/// Every way to break a run that we know, and the invariant that must notice it.
const PLANTED: &[(&str, Breach)] = &[
    ("accepted is kept", |facts| facts.creations.push(Creation { id: id(9), key: None })),
    ("accepted is kept", |facts| facts.rows.get_mut(&id(3)).unwrap().start_at = NOW - 1),
    ("accepted is kept", |facts| facts.rows.get_mut(&id(1)).unwrap().reason = None),
    ("accepted is kept", |facts| facts.sightings.push(Sighting { seen: None, ..saw(id(1), NOW, "", None) })),
    ("same key, same booking", |facts| facts.creations.push(Creation { id: id(2), key: Some("k1".into()) })),
    ("same key, same booking", |facts| facts.creations.push(Creation { id: id(2), key: None })),
    ("a cancel that was confirmed is kept", |facts| facts.cancellations.push(id(1))),
    ("a cancel that was confirmed is kept", |facts| facts.cancellations.push(id(3))),
    ("what a client saw never goes back", |facts| facts.sightings.push(saw(id(1), NOW + 10, "QUEUED", None))),
    ("what a client saw never goes back", |facts| {
        facts.sightings.push(saw(id(1), NOW + 10, "COMPLETED", Some("CANCELLED")));
    }),
    ("one hand-over per attempt", |facts| facts.journal.push(entry(NOW, What::Entered, id(1), 2))),
    ("one hand-over per attempt", |facts| facts.torn_lines = 2),
    ("one session per attempt", |facts| {
        facts.journal.push(Entry { session: Some("other".into()), ..entry(NOW, What::Accepted, id(1), 2) });
    }),
    ("no attempt beside another", |facts| facts.kills.clear()),
    ("nobody is called again after talking", |facts| facts.journal.push(entry(NOW, What::Dialled, id(1), 3))),
    ("nothing enters a closed register", |facts| facts.journal.push(entry(NOW, What::Dialled, id(2), 1))),
    ("nothing enters a closed register", |facts| facts.journal.push(entry(NOW, What::Entered, id(2), 2))),
    ("never early", |facts| facts.rows.get_mut(&id(1)).unwrap().start_at = NOW),
    ("never early", |facts| facts.rows.get_mut(&id(1)).unwrap().desired_time = NOW),
    ("saved before handed over", |facts| facts.rows.get_mut(&id(1)).unwrap().attempt = 1),
    ("saved before handed over", |facts| facts.journal.push(entry(NOW, What::Entered, id(9), 1))),
    ("connected means connected", |facts| facts.journal.retain(|entry| entry.event != What::Processing)),
    ("states move along the arrows only", |facts| facts.history.get_mut(&id(1)).unwrap()[1].state = "COMPLETED"),
    ("states move along the arrows only", |facts| facts.history.get_mut(&id(1)).unwrap()[2].state = "QUEUED"),
    ("states move along the arrows only", |facts| {
        facts.history.get_mut(&id(1)).unwrap()[2].implied = vec!["PROCESSING"]
    }),
    ("states move along the arrows only", |facts| facts.rows.get_mut(&id(3)).unwrap().state = "QUEUED"),
    ("states move along the arrows only", |facts| facts.history.get_mut(&id(2)).unwrap()[0].state = "ROUTING"),
    ("history has no gaps", |facts| drop(facts.history.get_mut(&id(1)).unwrap().remove(1))),
    ("history has no gaps", |facts| facts.rows.get_mut(&id(2)).unwrap().version = 3),
    ("history has no gaps", |facts| drop(facts.history.remove(&id(2)))),
    ("no place is lost or doubled", |facts| facts.slots.clear()),
    ("no place is lost or doubled", |facts| facts.holds.extend([((1, NOW), 1)])),
    ("no place is lost or doubled", |facts| facts.rows.get_mut(&id(3)).unwrap().slot = None),
    ("no place is lost or doubled", |facts| facts.rows.get_mut(&id(1)).unwrap().slot = Some(NOW)),
    ("no slot is oversold", |facts| {
        let another = facts.rows[&id(3)].clone();
        facts.rows.insert(id(4), another);
        facts.capacities.insert(1, 1);
    }),
    ("nothing after an erasure", |facts| facts.erased.push(Erased { phone: 1, ids: vec![], at: NOW })),
    ("nothing after an erasure", |facts| {
        facts.erased.push(Erased { phone: 2, ids: vec![id(1)], at: NOW - 6_001 });
    }),
    ("no tenant sees another", |facts| facts.strangers.push((id(1), 200))),
    ("the depth of a queue adds up", |facts| facts.depths.extend([(1, 1)])),
    ("the depth of a queue adds up", |facts| facts.rows.get_mut(&id(3)).unwrap().state = "ROUTING"),
    ("nothing rests", |facts| facts.rows.get_mut(&id(1)).unwrap().wake_at = Some(NOW - OVERDUE_MS - 1)),
    ("nothing rests", |facts| facts.rows.get_mut(&id(3)).unwrap().wake_at = None),
];

#[test]
fn every_planted_breach_is_noticed() {
    for (number, (invariant, breach)) in PLANTED.iter().enumerate() {
        let noticed = noticed(*breach);
        assert!(noticed.contains(invariant), "breach {number} of `{invariant}` was not noticed, only {noticed:?}");
    }
}

#[test]
fn every_invariant_is_broken_by_some_planted_breach() {
    let planted: BTreeSet<&str> = PLANTED.iter().map(|(invariant, _)| *invariant).collect();
    let known: BTreeSet<&str> = INVARIANTS.iter().map(|(invariant, _)| *invariant).collect();
    assert_eq!(planted, known);
}

#[test]
fn what_may_be_is_not_called_a_breach() {
    // A skipped state is fine if it is noted as implied; so is a dial retry, and a parked callback.
    let skipped = noticed(|facts| {
        let steps = facts.history.get_mut(&id(2)).unwrap();
        steps[1].implied = vec!["ROUTING", "QUEUED"];
    });
    assert_eq!(skipped, BTreeSet::new());
    let parked = noticed(|facts| {
        let row = facts.rows.get_mut(&id(3)).unwrap();
        (row.parked, row.wake_at, row.start_at) = (Some("unreadable".into()), None, NOW - 1);
    });
    assert_eq!(parked, BTreeSet::new());
    let entered_again = noticed(|facts| {
        facts.journal.push(entry(NOW, What::Entered, id(1), 2));
        facts.registers_lost.push(NOW - 10);
    });
    assert_eq!(entered_again, BTreeSet::new(), "the register was lost");
    let erased = noticed(|facts| {
        facts.rows.remove(&id(2));
        facts.history.remove(&id(2));
        facts.erased.push(Erased { phone: 2, ids: vec![id(2)], at: NOW });
        facts.strangers.push((id(1), 404));
    });
    assert_eq!(erased, BTreeSet::new());
    // Two questions under way at once may be answered in any order.
    let crossed = noticed(|facts| {
        facts.sightings.push(Sighting { asked_at: NOW - 6_000, ..saw(id(1), NOW + 10, "QUEUED", None) });
    });
    assert_eq!(crossed, BTreeSet::new());
}
