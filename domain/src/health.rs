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
