//! Who is told of a happening: the settings say it, and the devices that a booking named.

use chrono::{DateTime, Utc};

use crate::callback::Callback;
use crate::happening::{Announcement, Kind, OwedPush};
use crate::push::PushEvent;
use crate::tenant::Tenant;

/// Who is told of a happening, as far as the settings alone say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    kind: Kind,
    endpoints: Vec<String>,
    in_feed: bool,
    /// Customers are told, as long as it is worth it: until then.
    push_until: Option<DateTime<Utc>>,
}

impl Audience {
    /// What has to be written because this happened to a callback; none if nobody is told.
    pub fn announcement(&self, after: &Callback) -> Option<Announcement> {
        let push = self.push_until.filter(|_| after.devices.targets > 0);
        let push = push.map(|expires_at| OwedPush { targets: after.devices.targets, expires_at });
        let wanted = self.in_feed || !self.endpoints.is_empty() || push.is_some();
        wanted.then(|| Announcement { kind: self.kind, endpoints: self.endpoints.clone(), push })
    }
}

impl Tenant {
    /// What has to be written because this happened to a callback; none if nobody is told, and most tenants tell
    /// nobody.
    pub fn announce(&self, kind: Kind, after: &Callback, now: DateTime<Utc>) -> Option<Announcement> {
        let event = PushEvent::of(kind, after.state, after.originated.is_some());
        let mut audience = self.audience(kind, event, now);
        if kind == Kind::TurnCame {
            // Whatever the tenant has chosen: without it nobody would ever call.
            audience.push_until = after.originated.and_then(|originated| originated.until);
        }
        audience.announcement(after)
    }

    /// Who is told if a waiting callback ends because another is booked in its place; none if nobody is.
    pub fn audience_of_replacement(&self, now: DateTime<Utc>) -> Option<Audience> {
        let audience = self.audience(Kind::Cancelled, Some(PushEvent::CallbackCancelled), now);
        let anybody = audience.in_feed || !audience.endpoints.is_empty() || audience.push_until.is_some();
        anybody.then_some(audience)
    }

    fn audience(&self, kind: Kind, event: Option<PushEvent>, now: DateTime<Utc>) -> Audience {
        let told = event.filter(|event| self.push.events.contains(event));
        Audience {
            kind,
            endpoints: self.endpoints_told_of(kind),
            in_feed: self.event_feed.enabled,
            push_until: told.map(|event| now + event.valid_for()),
        }
    }

    /// The endpoints that a happening of this kind is owed to.
    pub fn endpoints_told_of(&self, kind: Kind) -> Vec<String> {
        let told = self.webhooks.iter().filter(|(_, endpoint)| endpoint.wants(kind));
        told.map(|(name, _)| name.clone()).collect()
    }
}
