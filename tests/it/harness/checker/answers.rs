//! What clients were told must be true, and stay true.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Facts, Sighting};

/// Every callback that was confirmed has a row, and the row has ended or waits for a reason with a name.
pub(super) fn accepted_is_kept(facts: &Facts) -> Vec<String> {
    let judge = |id: &Uuid| {
        let Some(row) = facts.rows.get(id) else { return Some(format!("{id} was confirmed and is not stored")) };
        let waits_for_its_time = row.state == "SCHEDULED" && row.start_at > facts.read_at;
        let ended = row.state == "COMPLETED" && row.reason.is_some();
        let explained = ended || waits_for_its_time || row.parked.is_some();
        (!explained).then(|| {
            format!(
                "{id} is {} (reason {:?}, version {}, attempt {}, due for {} ms) and waits for nothing that has a name",
                row.state,
                row.reason,
                row.version,
                row.attempt,
                facts.read_at - row.start_at
            )
        })
    };
    let lost = facts.sightings.iter().filter(|sighting| sighting.seen.is_none() && !facts.is_erased(&sighting.id));
    let denied = lost.map(|sighting| format!("{} was confirmed and then answered 404", sighting.id));
    let kept = facts.creations.iter().filter(|creation| !facts.is_erased(&creation.id));
    kept.filter_map(|creation| judge(&creation.id)).chain(denied).collect()
}

/// One key names one booking, and a booking without a repeated key is a new one.
pub(super) fn same_key_same_booking(facts: &Facts) -> Vec<String> {
    let mut by_key: BTreeMap<&str, Uuid> = BTreeMap::new();
    let mut key_of: BTreeMap<Uuid, Option<&str>> = BTreeMap::new();
    let mut found = Vec::new();
    for creation in &facts.creations {
        let key = creation.key.as_deref();
        if let Some(key) = key
            && *by_key.entry(key).or_insert(creation.id) != creation.id
        {
            found.push(format!("key {key} was answered with {} and {}", by_key[key], creation.id));
        }
        match key_of.insert(creation.id, key) {
            Some(before) if before != key || key.is_none() => {
                found.push(format!("{} was given to two different bookings", creation.id));
            }
            _ => {}
        }
    }
    found
}

/// Who was told that a callback is cancelled is not called.
pub(super) fn cancelled_stays_cancelled(facts: &Facts) -> Vec<String> {
    let ended_otherwise = |id: &&Uuid| {
        facts.rows.get(id).is_none_or(|row| row.state != "COMPLETED" || row.reason.as_deref() != Some("CANCELLED"))
    };
    let wrong = facts.cancellations.iter().filter(|id| !facts.is_erased(id)).filter(ended_otherwise);
    wrong.map(|id| format!("{id} was confirmed as cancelled, and is {:?}", facts.rows.get(id))).collect()
}

/// How far a life has come. QUEUED and ROUTING may follow each other both ways.
fn progress(state: &str) -> u8 {
    match state {
        "SCHEDULED" => 0,
        "QUEUED" | "ROUTING" => 1,
        "PROCESSING" => 2,
        _ => 3,
    }
}

/// An answer never shows an earlier part of a life than an answer that had come before it was asked for.
pub(super) fn never_seen_going_back(facts: &Facts) -> Vec<String> {
    let mut by_id: BTreeMap<Uuid, Vec<&Sighting>> = BTreeMap::new();
    for sighting in &facts.sightings {
        by_id.entry(sighting.id).or_default().push(sighting);
    }
    let mut found = Vec::new();
    for (id, mut sightings) in by_id {
        sightings.sort_by_key(|sighting| sighting.answered_at);
        let contradicted = sightings.iter().enumerate().find_map(|(index, before)| {
            // Only what was asked for after this answer is surely later than it.
            let later = sightings[index..].iter().filter(|after| after.asked_at > before.answered_at);
            later.filter_map(|after| contradiction(before, after)).next()
        });
        found.extend(contradicted.map(|what| format!("{id} was seen as {what}")));
    }
    found
}

fn contradiction(before: &Sighting, after: &Sighting) -> Option<String> {
    let ((earlier, why), (later, other_why)) = (before.seen.as_ref()?, after.seen.as_ref()?);
    let went_back = progress(later) < progress(earlier);
    let ended_anew = earlier == "COMPLETED" && why != other_why;
    (went_back || ended_anew).then(|| format!("{earlier} {why:?} and afterwards as {later} {other_why:?}"))
}
