//! Finding callbacks: names are read by the settings in memory, the rest is the store's. No actor takes part.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::ids::{QueueName, TenantId};
use domain::numbers::{PhoneNumber, Region};
use domain::ports::{Found, Named, SearchDesk, SearchError};
use domain::search::Search;
use domain::tenant::Tenant;

use super::Desk;

/// Meanings of one number that are looked for. A text means something else in few regions.
const MAX_MEANINGS: usize = 8;

#[async_trait]
impl SearchDesk for Desk {
    async fn search(&self, tenant: TenantId, named: Named, search: Search) -> Result<Found, SearchError> {
        let settings = self.settings(tenant)?;
        let queues = queues(&settings, &named);
        let phones = match &named.phone_number {
            None => BTreeSet::new(),
            Some(text) => meanings(&settings, &queues, text),
        };
        if named.phone_number.is_some() && phones.is_empty() {
            return Err(SearchError::NotANumber);
        }
        if !named.queues.is_empty() && queues.is_empty() {
            // Names that no queue can have.
            return Ok(Found::default());
        }
        let search = Search { queues, phones, ..search };
        Ok(self.read("callbacks that are searched for", self.node.ports.search.search(tenant, search)).await?)
    }
}

/// The queues that are named: by the settings, or as they are written.
fn queues(settings: &Tenant, named: &Named) -> BTreeSet<QueueName> {
    let queue = |name: &String| match settings.queue(name) {
        Some((queue, _)) => Some(queue.clone()),
        None => QueueName::new(name).ok(),
    };
    named.queues.iter().filter_map(queue).collect()
}

/// What a number means in the regions of queues; of all queues, if none is named.
fn meanings(settings: &Tenant, queues: &BTreeSet<QueueName>, text: &str) -> BTreeSet<PhoneNumber> {
    let mut meanings = BTreeSet::new();
    for (name, queue) in &settings.queues {
        if meanings.len() >= MAX_MEANINGS {
            break;
        }
        if queues.is_empty() || queues.contains(name) {
            meanings.extend(queue.number_terms().read(text).ok());
        }
    }
    if meanings.is_empty() {
        // Its queue may be gone; without one, only a number with its country means something.
        let whole = text.trim_start().starts_with('+');
        meanings.extend(PhoneNumber::parse(text, Region::US).ok().filter(|_| whole));
    }
    meanings
}
