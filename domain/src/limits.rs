//! Limits of a tenant as a whole: how many requests it may make, and how a node counts them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::Checks;

/// How much a tenant may ask of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantLimits {
    /// Public requests per second in the long run, 1 to 1,000,000. Default 1,000,000: none.
    pub requests_per_second: u32,
    /// Requests that may come at once, 1 to 1,000,000. Default as many as pass in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { requests_per_second: Self::MAX, burst: None }
    }
}

/// A rate as a client is told of it: so many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests.
    pub requests: u64,
    /// Seconds, from 1.
    pub seconds: u64,
}

impl TenantLimits {
    /// Most requests per second, and largest burst.
    pub const MAX: u32 = 1_000_000;

    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        checks.within("requestsPerSecond", self.requests_per_second, 1..=Self::MAX);
        checks.within("burst", self.burst(), 1..=Self::MAX);
    }

    /// Whether there is a limit at all.
    pub const fn is_limited(&self) -> bool {
        self.requests_per_second < Self::MAX
    }

    /// Requests that may come at once.
    pub fn burst(&self) -> u32 {
        self.burst.unwrap_or(self.requests_per_second)
    }

    /// The rate over the time in which a burst is made up for, in whole seconds.
    pub fn quota(&self) -> Quota {
        let rate = u64::from(self.requests_per_second.max(1));
        let seconds = u64::from(self.burst()).div_ceil(rate).max(1);
        Quota { requests: rate * seconds, seconds }
    }
}

/// Where a tenant stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How long to wait until the next request passes; none if this one does.
    pub wait: Option<Duration>,
    /// Requests that would pass at once now.
    pub left: u32,
    /// Until as many would pass at once as there can be.
    pub whole_in: Duration,
}

/// Counts the requests of a tenant on one node, which is given its share of the tenant's limits. It is a token
/// bucket, kept as the one instant at which it will be full again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    /// In nanoseconds times requests per second, so that nothing is ever rounded.
    full_at: u128,
}

const NANOS: u128 = 1_000_000_000;

impl Bucket {
    /// Counts a request at `now` (on a clock that never goes back, from any beginning) if there is room for it.
    /// `nodes` is how many share the limits.
    pub fn take(&mut self, limits: &TenantLimits, nodes: u32, now: Duration) -> Standing {
        let rate = u128::from(limits.requests_per_second.max(1));
        let nodes = nodes.max(1);
        let one = NANOS * u128::from(nodes);
        // A share never vanishes: each node lets at least one through.
        let burst = u128::from((limits.burst() / nodes).max(1));
        let now = now.as_nanos() * rate;
        let full_at = self.full_at.max(now);
        let room = (burst * one).saturating_sub(full_at - now);
        let wait = (room < one).then(|| nanos((one - room).div_ceil(rate)));
        if wait.is_none() {
            self.full_at = full_at + one;
        }
        let owed = self.full_at.saturating_sub(now);
        let left = (burst * one).saturating_sub(owed) / one;
        Standing { wait, left: u32::try_from(left).unwrap_or(u32::MAX), whole_in: nanos(owed.div_ceil(rate)) }
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(requests_per_second: u32, burst: u32) -> TenantLimits {
        TenantLimits { requests_per_second, burst: Some(burst) }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let limits = limits(10, 5);
        let mut bucket = Bucket::default();
        let at = Duration::from_secs(100);
        let left: Vec<_> = (0..5).map(|_| bucket.take(&limits, 1, at).left).collect();
        assert_eq!(left, [4, 3, 2, 1, 0]);
        let refused = bucket.take(&limits, 1, at);
        assert_eq!((refused.wait, refused.left), (Some(Duration::from_millis(100)), 0));
        assert_eq!(refused.whole_in, Duration::from_millis(500));
        let early = bucket.take(&limits, 1, at + Duration::from_millis(99));
        assert_eq!(early.wait, Some(Duration::from_millis(1)));
        let passed = bucket.take(&limits, 1, at + Duration::from_millis(100));
        assert_eq!((passed.wait, passed.left, passed.whole_in), (None, 0, Duration::from_millis(500)));
        let rested = bucket.take(&limits, 1, at + Duration::from_secs(60));
        assert_eq!((rested.wait, rested.left, rested.whole_in), (None, 4, Duration::from_millis(100)));
    }

    #[test]
    fn nodes_share_a_limit() {
        let limits = limits(10, 6);
        let passed = |nodes: u32| {
            let mut bucket = Bucket::default();
            // Ten seconds with a request each millisecond.
            (0..10_000).filter(|ms| bucket.take(&limits, nodes, Duration::from_millis(*ms)).wait.is_none()).count()
        };
        assert_eq!([1, 2, 5].map(passed), [105, 52, 20]);
        assert_eq!(Bucket::default().take(&limits, 50, Duration::ZERO).wait, None, "a share of less than one is one");
    }

    #[test]
    fn a_quota_is_the_rate_over_the_time_of_a_burst() {
        let quota = |rate, burst| {
            let Quota { requests, seconds } = limits(rate, burst).quota();
            (requests, seconds)
        };
        assert_eq!([quota(10, 50), quota(10, 51), quota(100, 5), quota(1, 1)], [(50, 5), (60, 6), (100, 1), (1, 1)]);
        assert!(!TenantLimits::default().is_limited() && limits(999_999, 1).is_limited());
        let plain = TenantLimits { requests_per_second: 20, burst: None };
        assert_eq!((plain.burst(), plain.quota()), (20, Quota { requests: 20, seconds: 1 }));
    }

    proptest! {
        #[test]
        fn never_more_than_a_burst_and_the_rate(
            rate in 1u32..=TenantLimits::MAX, burst in 1u32..=1_000, pauses in prop::collection::vec(0u64..2_000_000, 1..300),
        ) {
            let limits = limits(rate, burst);
            let mut bucket = Bucket::default();
            let (mut now, mut passed) = (Duration::from_secs(7), 0_u64);
            let begin = now;
            for pause in pauses {
                now += Duration::from_micros(pause);
                let standing = bucket.take(&limits, 1, now);
                passed += u64::from(standing.wait.is_none());
                let most = u64::from(burst) + u64::try_from((now - begin).as_nanos() * u128::from(rate) / NANOS).unwrap();
                prop_assert!(passed <= most);
                prop_assert!(standing.left < burst || standing.wait.is_some());
                if let Some(wait) = standing.wait {
                    // The wait that is told is the right one, to the nanosecond.
                    let mut early = bucket;
                    let just = Duration::from_nanos(1);
                    prop_assert!(wait < just || early.take(&limits, 1, now + wait - just).wait.is_some());
                    let mut later = bucket;
                    prop_assert!(later.take(&limits, 1, now + wait).wait.is_none());
                }
            }
        }
    }
}
