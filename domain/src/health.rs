//! Health: what each dependency says, folded into one verdict.

use chrono::{DateTime, Utc};

/// State of one dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependencyStatus {
    /// Answered the last probe.
    Up,
    /// Did not answer, or answered with an error.
    Down,
    /// Not probed yet.
    Unknown,
}

/// Results in a row that it takes to change a status that is known: one answer that got lost is no outage, and one that
/// came through no recovery.
pub const IN_A_ROW: u32 = 2;

/// Makes a status of single results that does not flap. Before anything is known a good result counts at once, a bad one
/// only with the second: clients of a service that starts are not open yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steady {
    /// What counts.
    known: Option<bool>,
    /// Results in a row that say something else.
    contrary: u32,
}

impl Steady {
    /// Takes in whether it answered; what counts now.
    pub fn heard(&mut self, up: bool) -> DependencyStatus {
        self.contrary = if self.known == Some(up) { 0 } else { self.contrary.saturating_add(1) };
        if self.contrary >= IN_A_ROW || (up && self.known.is_none()) {
            (self.known, self.contrary) = (Some(up), 0);
        }
        match self.known {
            Some(true) => DependencyStatus::Up,
            Some(false) => DependencyStatus::Down,
            None => DependencyStatus::Unknown,
        }
    }

    /// Whether the last result said the contrary of what counts: it should be asked again soon.
    pub fn is_in_doubt(&self) -> bool {
        self.contrary > 0
    }
}

/// Verdict over all dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything answers.
    Up,
    /// Something that is not required is down: promises are kept, some functions are reduced.
    Degraded,
    /// A required dependency is down: nothing can be accepted.
    Down,
}

/// What is known of one dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Stable name, such as `database` or `routing`.
    pub name: &'static str,
    /// Last result.
    pub status: DependencyStatus,
    /// Whether the service cannot accept anything without it.
    pub required: bool,
    /// Since when the status has been what it is.
    pub since: DateTime<Utc>,
    /// When it was probed last.
    pub checked_at: DateTime<Utc>,
    /// Why it is down, readable alone, without secrets.
    pub reason: Option<String>,
}

/// Folds the dependencies: a required one that is not up means down, any other degraded.
pub fn verdict<'a>(dependencies: impl IntoIterator<Item = &'a Dependency>) -> Verdict {
    dependencies.into_iter().fold(Verdict::Up, |worst, dependency| {
        match (dependency.status, dependency.required, worst) {
            (DependencyStatus::Up, _, _) | (_, _, Verdict::Down) => worst,
            (_, true, _) => Verdict::Down,
            (_, false, _) => Verdict::Degraded,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(status: DependencyStatus, required: bool) -> Dependency {
        let at = DateTime::UNIX_EPOCH;
        Dependency { name: "x", status, required, since: at, checked_at: at, reason: None }
    }

    #[test]
    fn a_status_changes_with_the_second_result_and_begins_with_a_good_one() {
        // Results, and what counts after each: + is up, - is down, ? is unknown.
        for (results, counts) in [
            ("+", "+"),
            ("-", "?"),
            ("--", "?-"),
            ("-+", "?+"),
            ("+-", "++"),
            ("+--", "++-"),
            ("+-+-+-", "++++++"),
            ("+--+", "++--"),
            ("+--++", "++--+"),
            ("--+-++", "?----+"),
            ("-+-+--", "?++++-"),
        ] {
            let mut steady = Steady::default();
            let told = |status| match status {
                DependencyStatus::Up => '+',
                DependencyStatus::Down => '-',
                DependencyStatus::Unknown => '?',
            };
            let heard: String = results.chars().map(|result| told(steady.heard(result == '+'))).collect();
            assert_eq!(heard, counts, "{results}");
            assert_eq!(steady.is_in_doubt(), results.chars().last() != counts.chars().last(), "{results}");
        }
    }

    #[test]
    fn the_worst_dependency_decides() {
        use DependencyStatus::{Down, Unknown, Up};
        let cases: &[(&[(DependencyStatus, bool)], Verdict)] = &[
            (&[], Verdict::Up),
            (&[(Up, true), (Up, false)], Verdict::Up),
            (&[(Up, true), (Down, false)], Verdict::Degraded),
            (&[(Down, true), (Down, false)], Verdict::Down),
            (&[(Unknown, true)], Verdict::Down),
            (&[(Down, false), (Down, true), (Up, true)], Verdict::Down),
        ];
        for (statuses, expected) in cases {
            let dependencies: Vec<_> = statuses.iter().map(|(s, r)| dependency(*s, *r)).collect();
            assert_eq!(verdict(&dependencies), *expected, "{statuses:?}");
        }
    }
}
