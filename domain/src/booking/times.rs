//! The rules about when: pauses, the least lead, the time before closing, and whether a slot serves its callbacks.

use chrono::Duration;

use super::Facts;
use crate::ports::SubmitError;
use crate::slots;

/// The queue takes callbacks at all for the time being.
pub(super) fn not_paused(facts: &Facts<'_>) -> Result<(), SubmitError> {
    if facts.settings.paused { Err(SubmitError::Paused) } else { Ok(()) }
}

/// A scheduled callback leaves the queue the time that it wants.
pub(super) fn not_too_soon(facts: &Facts<'_>) -> Result<(), SubmitError> {
    let lead_seconds = facts.settings.min_lead_seconds;
    let earliest = facts.now + Duration::seconds(lead_seconds.into());
    match facts.scheduled {
        Some(wanted) if wanted < earliest => Err(SubmitError::TooSoon { earliest, lead_seconds }),
        _ => Ok(()),
    }
}

/// A callback for now comes early enough before the queue closes. While it is closed, that is another rule.
pub(super) fn not_closing(facts: &Facts<'_>) -> Result<(), SubmitError> {
    let blackout_seconds = facts.settings.immediate_blackout_seconds;
    let hours = &facts.settings.hours;
    if facts.scheduled.is_some() || blackout_seconds == 0 || !hours.is_open(facts.now) {
        return Ok(());
    }
    let blackout = Duration::seconds(blackout_seconds.into());
    match hours.closes_at(facts.now).filter(|closes_at| *closes_at - facts.now <= blackout) {
        Some(closes_at) => Err(SubmitError::ClosesSoon { closes_at, blackout_seconds }),
        None => Ok(()),
    }
}

/// If that was asked for, the wait as known now ends before the slot does. An unknown wait is none.
pub(super) fn likely_in_slot(facts: &Facts<'_>) -> Result<(), SubmitError> {
    let (Some(wanted), true) = (facts.scheduled, facts.always_check_capacity) else { return Ok(()) };
    let wait_seconds = facts.outlook.wait_seconds.unwrap_or_default().max(0);
    let served_at = facts.now + Duration::seconds(wait_seconds.into());
    let slot_end = slots::next_slot(facts.settings, wanted);
    if wait_seconds == 0 || served_at < slot_end {
        return Ok(());
    }
    let first = slots::slot_start(facts.settings, served_at);
    Err(SubmitError::SlotUnlikely { wait_seconds, slot_end, first, proposals: Vec::new() })
}
