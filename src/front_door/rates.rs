//! How much each tenant may ask of this node: its rate, and its share of the requests that are served at once.
//!
//! Both are judged as soon as the caller is known and before anything of a body is read, so a tenant that asks too
//! much costs a look into two maps. No tenant waits here: it is let in or refused at once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::event::Event;
use domain::ids::TenantId;
use domain::limits::{Bucket, Quota, Standing, TenantLimits};
use domain::tenant::Tenant;
use domain::throttle;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use super::error::{Kind, Problem};
use super::guard::Context;
use super::keys::Caller;
use super::router::Shared;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What the door knows of a tenant beside its keys.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: TenantLimits,
    /// Requests so far, as far as they still count.
    bucket: Mutex<Bucket>,
    /// Headers whose values some queue counts.
    counted_headers: Vec<HeaderName>,
}

impl Gate {
    pub(crate) fn new(tenant: &Tenant) -> Self {
        Self { limits: tenant.limits.clone(), bucket: Mutex::default(), counted_headers: counted_headers(tenant) }
    }

    /// Whether it stays as it is under these settings, so that what was counted stays too.
    pub(crate) fn is_for(&self, tenant: &Tenant) -> bool {
        self.limits == tenant.limits && self.counted_headers == counted_headers(tenant)
    }

    /// Counts a request `now` (since any beginning); none if the tenant has no limit. `nodes` share the limit.
    fn count(&self, nodes: u32, now: Duration) -> Option<Rate> {
        if !self.limits.is_limited() {
            return None;
        }
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Rate { quota: self.limits.quota(), standing: bucket.take(&self.limits, nodes, now) })
    }
}

fn counted_headers(tenant: &Tenant) -> Vec<HeaderName> {
    let counting = tenant.queues.values().filter(|queue| queue.throttle_headers);
    let parameters = counting.flat_map(|queue| queue.throttle_parameters.iter());
    let named = parameters.filter(|parameter| throttle::is_header(parameter));
    let mut names: Vec<_> = named.filter_map(|name| HeaderName::try_from(name.as_str()).ok()).collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}

/// A tenant's rate, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    quota: Quota,
    standing: Standing,
}

impl Rate {
    /// The two headers of draft-ietf-httpapi-ratelimit-headers-10. `r` requests pass at once, and in `t` seconds it will
    /// be as many as there can be.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let Quota { requests, seconds } = self.quota;
        let whole_in = whole_seconds(self.standing.whole_in);
        let policy = HeaderValue::try_from(format!("\"tenant\";q={requests};w={seconds}"));
        let limit = HeaderValue::try_from(format!("\"tenant\";r={};t={whole_in}", self.standing.left));
        // Digits and quotes are valid everywhere.
        if let (Ok(policy), Ok(limit)) = (policy, limit) {
            headers.insert(POLICY, policy);
            headers.insert(LIMIT, limit);
        }
    }
}

/// Seconds, rounded up: who waits so long has waited long enough.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Lets a request of a known caller in, or refuses it. Its share comes back with the end of the request.
pub(crate) fn let_in(shared: &Shared, context: &Context, caller: &Caller) -> Result<(), Problem> {
    let keys = &shared.door.keys;
    if let Some(gate) = keys.gate(caller.tenant)
        && let Some(rate) = gate.count(keys.nodes(), keys.age())
    {
        context.is_rated(rate);
        if let Some(wait) = rate.standing.wait {
            shared.door.observer.note(Event::OverRate { tenant: caller.tenant_name.clone() });
            let limit = gate.limits.requests_per_second;
            let rule = format!("The limit of {limit} requests per second is reached.");
            let seconds = u32::try_from(whole_seconds(wait).max(1)).unwrap_or(u32::MAX);
            return Err(Problem::new(Kind::Throttled, rule).after(seconds));
        }
    }
    match shared.shares.try_take(&caller.tenant_name, 1) {
        Some(share) => {
            context.holds(share);
            Ok(())
        }
        None => {
            shared.door.observer.note(Event::OverShare { tenant: caller.tenant_name.clone() });
            Err(Problem::shed())
        }
    }
}

/// The headers of a booking that a queue of the tenant may count, by name.
pub(crate) fn counted(shared: &Shared, tenant: TenantId, headers: &HeaderMap) -> Vec<(String, String)> {
    let Some(gate) = shared.door.keys.gate(tenant) else { return Vec::new() };
    let found = gate.counted_headers.iter().filter_map(|name| Some((name, headers.get(name)?)));
    found
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes().trim_ascii()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}
