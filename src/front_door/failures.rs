//! Calls of tenants that failed, so that whoever has a correlation id can be told what was wrong: for a day, in
//! the memory of the node that answered. What is kept of a call is what it was answered, and nothing that it sent.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::CorrelationId;

/// How long a failure is kept.
const KEPT_FOR: TimeDelta = TimeDelta::hours(24);
/// Failures that are kept of one tenant, and of all together: some 150 bytes each.
const MAX_OF_TENANT: usize = 10_000;
const MAX_IN_ALL: usize = 100_000;

/// One call that failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) corr_id: CorrelationId,
    pub(crate) at: DateTime<Utc>,
    pub(crate) method: &'static str,
    /// The template of its route.
    pub(crate) route: &'static str,
    /// HTTP status.
    pub(crate) status: u16,
    /// Code in the envelope.
    pub(crate) code: u16,
    /// What the caller was told.
    pub(crate) message: Cow<'static, str>,
}

/// The failures of every tenant, by its name.
#[derive(Default)]
pub struct Failures(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    by_tenant: HashMap<Arc<str>, VecDeque<Failure>>,
    in_all: usize,
}

impl Failures {
    pub(crate) fn note(&self, tenant: &Arc<str>, failure: Failure) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = failure.at - KEPT_FOR;
        let list = lists.by_tenant.entry(Arc::clone(tenant)).or_default();
        let before = list.len();
        while list.front().is_some_and(|first| first.at <= oldest) || list.len() >= MAX_OF_TENANT {
            list.pop_front();
        }
        list.push_back(failure);
        let after = list.len();
        lists.in_all = lists.in_all + after - before;
        while lists.in_all > MAX_IN_ALL {
            // Whoever fails most pays for it.
            let Some(longest) = lists.by_tenant.values_mut().max_by_key(|list| list.len()) else { break };
            longest.pop_front();
            lists.in_all -= 1;
        }
    }

    /// The failures of a tenant, newest first, of one correlation id or of all; at most `limit`.
    pub(crate) fn of(
        &self,
        tenant: &str,
        corr_id: Option<CorrelationId>,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Vec<Failure> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let list = lists.by_tenant.get(tenant).into_iter().flatten().rev();
        let kept = list.take_while(|failure| failure.at > now - KEPT_FOR);
        kept.filter(|failure| corr_id.is_none_or(|id| id == failure.corr_id)).take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(second: i64) -> Failure {
        Failure {
            corr_id: CorrelationId::generate(),
            at: DateTime::from_timestamp(second, 0).unwrap(),
            method: "POST",
            route: "/engagement/v3/callbacks/create",
            status: 400,
            code: 501,
            message: "phoneNumber is required.".into(),
        }
    }

    fn seconds(failures: &Failures, tenant: &str, now: i64) -> Vec<i64> {
        let now = DateTime::from_timestamp(now, 0).unwrap();
        failures.of(tenant, None, usize::MAX, now).iter().map(|failure| failure.at.timestamp()).collect()
    }

    #[test]
    fn they_are_told_newest_first_for_a_day_to_their_tenant() {
        let (failures, tenant) = (Failures::default(), Arc::from("acme"));
        let wanted = failure(3);
        for failure in [failure(1), failure(2), wanted.clone(), failure(86_401)] {
            failures.note(&tenant, failure);
        }
        assert_eq!(seconds(&failures, "acme", 86_401), [86_401, 3, 2]);
        assert_eq!(seconds(&failures, "acme", 86_403), [86_401]);
        assert_eq!(seconds(&failures, "other", 3), Vec::<i64>::new());
        let now = DateTime::from_timestamp(86_402, 0).unwrap();
        assert_eq!(failures.of("acme", Some(wanted.corr_id), 10, now), [wanted]);
        assert_eq!(failures.of("acme", None, 1, now).len(), 1);
    }

    #[test]
    fn they_are_bounded_for_each_tenant_and_for_all() {
        let failures = Failures::default();
        let noisy: Vec<Arc<str>> = (0..12).map(|n| Arc::from(format!("noisy {n}"))).collect();
        let quiet: Arc<str> = Arc::from("quiet");
        failures.note(&quiet, failure(0));
        for second in 0..12_000 {
            failures.note(&noisy[0], failure(second));
        }
        assert_eq!(seconds(&failures, "noisy 0", 0).len(), MAX_OF_TENANT);
        for tenant in &noisy {
            for second in 0..10_000 {
                failures.note(tenant, failure(second));
            }
        }
        let lists = failures.0.lock().unwrap();
        assert_eq!(lists.in_all, MAX_IN_ALL);
        assert_eq!(lists.by_tenant.values().map(VecDeque::len).sum::<usize>(), MAX_IN_ALL);
        assert_eq!(lists.by_tenant["quiet"].len(), 1, "who fails seldom keeps what there is");
    }
}
