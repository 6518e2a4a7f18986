//! What is watched, and what was told. Bounded, whatever happens.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Alarm, AlarmKind, Alert, Change, Occurrence, Resource};

/// Resources that are watched at once, over all types. What happens to others is counted for the node.
pub const MAX_WATCHED: usize = 1_000;

/// Alerts that are kept; older ones go first.
pub const MAX_ALERTS: usize = 1_000;

/// Every alarm and alert of this node.
#[derive(Debug, Default)]
pub struct AlarmBoard {
    watched: BTreeMap<(AlarmKind, Resource), Watch>,
    /// Oldest first.
    alerts: VecDeque<Alert>,
    incidents: u64,
}

/// What is known of one type and one resource.
#[derive(Debug)]
struct Watch {
    incident: u64,
    since: DateTime<Utc>,
    last: DateTime<Utc>,
    occurrences: u64,
    period: DateTime<Utc>,
    /// In the period that runs.
    count: u32,
    /// Periods in a row that were over what is tolerated, up to the one that runs.
    over: u32,
    /// The same for those within.
    within: u32,
    exceeds_since: Option<DateTime<Utc>>,
    /// When the alerts that count now began, and how many they are.
    told: Option<(DateTime<Utc>, u32)>,
    held_back: u64,
}

/// Whole times that `length` goes into what has passed since `from`.
fn periods(from: DateTime<Utc>, now: DateTime<Utc>, length: Duration) -> u32 {
    let passed = (now - from).to_std().unwrap_or_default().as_millis();
    u32::try_from(passed / length.as_millis().max(1)).unwrap_or(u32::MAX)
}

fn after(from: DateTime<Utc>, length: Duration, times: u32) -> DateTime<Utc> {
    let milliseconds = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).saturating_mul(times.into());
    from.checked_add_signed(TimeDelta::milliseconds(milliseconds)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Watch {
    fn new(incident: u64, now: DateTime<Utc>) -> Self {
        Self {
            incident,
            since: now,
            last: now,
            occurrences: 0,
            period: now,
            count: 0,
            over: 0,
            within: 0,
            exceeds_since: None,
            told: None,
            held_back: 0,
        }
    }

    /// Closes the periods that are over. Whether the alarm has ended with one of them.
    fn advance(&mut self, kind: AlarmKind, now: DateTime<Utc>) -> bool {
        let tolerance = kind.rule().tolerance;
        let closed = periods(self.period, now, tolerance.time);
        if closed == 0 {
            return false;
        }
        if self.count > tolerance.max {
            self.over = self.over.saturating_add(1);
            self.within = closed - 1;
        } else {
            self.within = self.within.saturating_add(closed);
        }
        if self.within > 0 {
            self.over = 0;
        }
        self.count = 0;
        self.period = after(self.period, tolerance.time, closed);
        self.within >= tolerance.periods && self.exceeds_since.take().is_some()
    }

    /// Nothing is left to say of it.
    fn has_rested(&self, kind: AlarmKind, now: DateTime<Utc>) -> bool {
        let rule = kind.rule();
        let throttled = self.told.is_some_and(|(began, _)| periods(began, now, rule.throttle.time) == 0);
        self.exceeds_since.is_none() && self.count == 0 && self.within >= rule.tolerance.periods && !throttled
    }

    /// Counts. Whether the alarm stands from now on.
    fn happened(&mut self, kind: AlarmKind, times: u32, now: DateTime<Utc>) -> bool {
        let tolerance = kind.rule().tolerance;
        (self.last, self.count) = (now, self.count.saturating_add(times));
        self.occurrences = self.occurrences.saturating_add(times.into());
        if self.count <= tolerance.max {
            return false;
        }
        let stands = self.over.saturating_add(1) >= tolerance.periods;
        stands && self.exceeds_since.is_none() && {
            self.exceeds_since = Some(now);
            true
        }
    }

    /// Whether this occurrence is told; what was held back before it.
    fn tells(&mut self, kind: AlarmKind, times: u32, now: DateTime<Utc>) -> Option<u64> {
        let throttle = kind.rule().throttle;
        let running = self.told.filter(|(began, _)| periods(*began, now, throttle.time) == 0);
        let (began, told) = running.unwrap_or((now, 0));
        if told >= throttle.max {
            self.held_back = self.held_back.saturating_add(times.into());
            return None;
        }
        self.told = Some((began, told + 1));
        // Several at once are one alert.
        let before = std::mem::take(&mut self.held_back);
        Some(before.saturating_add(u64::from(times).saturating_sub(1)))
    }

    fn alarm(&self, kind: AlarmKind, resource: &Resource) -> Alarm {
        Alarm {
            kind,
            resource: resource.clone(),
            incident: self.incident,
            since: self.since,
            last: self.last,
            occurrences: self.occurrences,
            exceeds_since: self.exceeds_since,
        }
    }
}

impl AlarmBoard {
    /// Takes in what was noticed at `now`. What changes is said once.
    pub fn note(&mut self, occurrence: Occurrence, now: DateTime<Utc>) -> Option<Change> {
        match occurrence {
            Occurrence::Happened(_, _, 0) => None,
            Occurrence::Happened(kind, resource, times) => self.happened(kind, resource, times, now),
            Occurrence::Well(kind, resource) => {
                let (key, mut watch) = self.watched.remove_entry(&(kind, resource))?;
                let alarm = watch.alarm(kind, &key.1);
                watch.exceeds_since.take().map(|_| Change::Ended(alarm))
            }
        }
    }

    fn happened(&mut self, kind: AlarmKind, resource: Resource, times: u32, now: DateTime<Utc>) -> Option<Change> {
        let mut key = (kind, resource);
        if self.watched.len() >= MAX_WATCHED && !self.watched.contains_key(&key) {
            // One more of each type.
            key.1 = Resource::Node;
        }
        let incidents = &mut self.incidents;
        let watch = self.watched.entry(key.clone()).or_insert_with(|| {
            *incidents += 1;
            Watch::new(*incidents, now)
        });
        // An alarm that ended unnoticed and stands again goes on.
        let ended = watch.advance(kind, now);
        let began = watch.happened(kind, times, now);
        let (incident, alarm) = (watch.incident, watch.alarm(kind, &key.1));
        if let Some(held_back) = watch.tells(kind, times, now) {
            self.alerts.push_back(Alert { kind, resource: key.1, at: now, incident, held_back });
            if self.alerts.len() > MAX_ALERTS {
                self.alerts.pop_front();
            }
        }
        match (ended, began) {
            (false, true) => Some(Change::Began(alarm)),
            (true, false) => Some(Change::Ended(alarm)),
            _ => None,
        }
    }

    /// Lets time pass: alarms that have ended, and nothing is kept of what has rested.
    pub fn tick(&mut self, now: DateTime<Utc>) -> Vec<Change> {
        let mut ended = Vec::new();
        self.watched.retain(|(kind, resource), watch| {
            let alarm = watch.alarm(*kind, resource);
            if watch.advance(*kind, now) {
                ended.push(Change::Ended(alarm));
            }
            !watch.has_rested(*kind, now)
        });
        ended
    }

    /// What has happened and has not rested, as of the last tick; what exceeds its tolerance first.
    pub fn alarms(&self) -> Vec<Alarm> {
        let mut alarms: Vec<_> = self.watched.iter().map(|((kind, at), watch)| watch.alarm(*kind, at)).collect();
        alarms.sort_by_key(|alarm| (alarm.exceeds_since.is_none(), alarm.kind.rule().severity));
        alarms
    }

    /// Alerts, newest first.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().rev()
    }
}
