//! Events and their delivery, as the door asks about them. Reading needs no actor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::callback::{PushTarget, State};
use domain::happening::{About, CallbackNews, Happening, HappeningId, Kind};
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::notices::{Detail, Outcome, Sent};
use domain::ports::{
    EndpointView, FeedFrom, FeedPage, Message, NewsDesk, NewsError, NoticeQuery, NoticeView, Push, PushContent,
    RecoverFrom, Recovered, Renew, StoreError, Stretch, Unserved,
};
use domain::tenant::Tenant;
use domain::webhooks::WebhookEndpoint;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::Desk;
use crate::node::Node;

/// How long the store may take.
const STORE_DEADLINE: Duration = Duration::from_secs(5);
/// How long sending something by hand may take.
const SEND_DEADLINE: Duration = Duration::from_secs(25);
/// A waiting reader looks again after this, for what other nodes have written.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Readers of one tenant, and of all, that wait at the same time; one more is answered at once.
const WAITING_OF_TENANT: usize = 16;
const WAITING: usize = 256;
/// Happenings that one call of recover looks at, and how many at once.
const RECOVERED: usize = 10_000;
const RECOVERED_AT_ONCE: usize = 500;

/// Who waits for the feed.
#[derive(Debug, Default)]
pub(crate) struct WaitingReaders(Arc<Mutex<HashMap<TenantId, usize>>>);

/// The place of one waiting reader.
struct WaitingPlace {
    tenant: TenantId,
    readers: Arc<Mutex<HashMap<TenantId, usize>>>,
}

fn lock(readers: &Mutex<HashMap<TenantId, usize>>) -> MutexGuard<'_, HashMap<TenantId, usize>> {
    readers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WaitingReaders {
    fn take(&self, tenant: TenantId) -> Option<WaitingPlace> {
        let mut readers = lock(&self.0);
        let all: usize = readers.values().sum();
        let own = readers.entry(tenant).or_default();
        if *own >= WAITING_OF_TENANT || all >= WAITING {
            return None;
        }
        *own += 1;
        Some(WaitingPlace { tenant, readers: self.0.clone() })
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        let mut readers = lock(&self.readers);
        if let Some(own) = readers.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                readers.remove(&self.tenant);
            }
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self(match error {
            StoreError::PerhapsDone(_) => Unserved::Perhaps,
            StoreError::NotDone(_) => Unserved::Busy,
            StoreError::Unreadable(why) => {
                tracing::error!(why, "events cannot be read");
                Unserved::Busy
            }
        })
    }
}

/// A store's error on its way to the door.
struct Refused(Unserved);

impl From<Refused> for NewsError {
    fn from(Refused(why): Refused) -> Self {
        Self::Unserved(why)
    }
}

/// What the store says, within its deadline. `late` is what its silence means.
async fn ask<T>(answer: impl Future<Output = Result<T, StoreError>>, late: Unserved) -> Result<T, NewsError> {
    let answer = timeout(STORE_DEADLINE, answer).await.map_err(|_| NewsError::Unserved(late))?;
    Ok(answer.map_err(Refused::from)?)
}

impl Desk {
    async fn stretch(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Stretch, NewsError> {
        ask(self.node.ports.notices.happenings(tenant, after, limit), Unserved::Busy).await
    }

    /// What lies behind `after`, waiting until something does, or until the deadline.
    async fn wait_for_news(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
        deadline: Instant,
    ) -> Result<Stretch, NewsError> {
        let mut news = self.node.news.subscribe();
        let mut stretch = self.stretch(tenant, after, limit).await?;
        let Some(_place) = self.node.waiting_readers.take(tenant) else { return Ok(stretch) };
        while stretch.happenings.is_empty() && Instant::now() < deadline && !self.node.is_draining() {
            let until = deadline.min(Instant::now() + LOOK_AGAIN);
            // Closed never: the sender is the node's.
            let _ = timeout_at(until, news.changed()).await;
            stretch = self.stretch(tenant, after, limit).await?;
        }
        Ok(stretch)
    }

    async fn send(&self, sending: impl Future<Output = Sent>) -> Sent {
        timeout(SEND_DEADLINE, sending).await.unwrap_or_else(|_| Sent::new(Outcome::Perhaps, Detail::NoAnswer))
    }

    fn renewed(&self, messages: u64) {
        if messages > 0 {
            self.node.announced();
        }
    }
}

/// The endpoint with that name, if it is to be sent anything.
fn endpoint<'a>(tenant: &'a Tenant, name: &str) -> Result<&'a WebhookEndpoint, NewsError> {
    let endpoint = tenant.webhooks.get(name).ok_or(NewsError::NotFound)?;
    if endpoint.disabled { Err(NewsError::Disabled) } else { Ok(endpoint) }
}

#[async_trait]
impl NewsDesk for Desk {
    async fn feed(
        &self,
        tenant: TenantId,
        from: FeedFrom,
        limit: usize,
        wait: Duration,
    ) -> Result<FeedPage, NewsError> {
        let settings = self.settings(tenant)?;
        if !settings.event_feed.enabled {
            return Err(NewsError::SwitchedOff);
        }
        let deadline = Instant::now() + wait;
        let (after, stretch) = match from {
            FeedFrom::End => {
                let stretch = self.stretch(tenant, u64::MAX, 0).await?;
                (stretch.last, stretch)
            }
            FeedFrom::Start => (0, self.stretch(tenant, 0, limit).await?),
            // A place that was never given out would wait for ever.
            FeedFrom::After(after) => {
                let stretch = self.wait_for_news(tenant, after, limit, deadline).await?;
                (after.min(stretch.last), stretch)
            }
        };
        let next = stretch.happenings.last().map_or(after, |last| last.seq);
        Ok(FeedPage {
            phone_number: settings.event_feed.phone_number,
            more: next < stretch.last && from != FeedFrom::End,
            missed: matches!(from, FeedFrom::After(after) if after + 1 < stretch.first_kept),
            happenings: stretch.happenings,
            next,
        })
    }

    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointView>, NewsError> {
        let settings = self.settings(tenant)?;
        let mut records = ask(self.node.ports.notices.endpoints(tenant), Unserved::Busy).await?;
        let mut views: Vec<_> = settings
            .webhooks
            .iter()
            .map(|(name, endpoint)| EndpointView {
                name: name.clone(),
                url: Some(endpoint.url.clone()),
                disabled: endpoint.disabled,
                record: records.iter().find(|record| record.name == *name).cloned(),
            })
            .collect();
        records.retain(|record| !settings.webhooks.contains_key(&record.name));
        views.extend(records.into_iter().map(|record| EndpointView {
            name: record.name.clone(),
            url: None,
            disabled: true,
            record: Some(record),
        }));
        Ok(views)
    }

    async fn notices(&self, tenant: TenantId, query: NoticeQuery, limit: usize) -> Result<Vec<NoticeView>, NewsError> {
        ask(self.node.ports.notices.notices(tenant, query, limit), Unserved::Busy).await
    }

    async fn resend(&self, tenant: TenantId, name: &str, happening: HappeningId) -> Result<(), NewsError> {
        let settings = self.settings(tenant)?;
        endpoint(&settings, name)?;
        let seq = happening.seq_in(tenant).filter(|seq| *seq > 0).ok_or(NewsError::NotFound)?;
        let stretch = self.stretch(tenant, seq - 1, 1).await?;
        if stretch.happenings.first().is_none_or(|first| first.seq != seq) {
            return Err(NewsError::NotFound);
        }
        let renew =
            Renew { tenant, endpoint: name.to_owned(), seqs: vec![seq], delivered_too: true, at: self.node.now() };
        let renewed = ask(self.node.ports.notices.renew(renew), Unserved::Perhaps).await?;
        self.renewed(renewed);
        Ok(())
    }

    async fn recover(&self, tenant: TenantId, name: &str, from: RecoverFrom) -> Result<Recovered, NewsError> {
        let settings = self.settings(tenant)?;
        let wants = endpoint(&settings, name)?;
        let mut until = match from {
            RecoverFrom::Since(since) => ask(self.node.ports.notices.place_at(tenant, since), Unserved::Busy).await?,
            RecoverFrom::After(after) => after,
        };
        let (mut messages, mut looked_at, mut complete) = (0, 0, false);
        while looked_at < RECOVERED && !complete {
            let stretch = self.stretch(tenant, until, RECOVERED_AT_ONCE).await?;
            looked_at += stretch.happenings.len();
            complete = stretch.happenings.len() < RECOVERED_AT_ONCE;
            until = stretch.happenings.last().map_or(until, |last| last.seq);
            let wanted = stretch.happenings.iter().filter(|happening| wants.wants(happening.kind));
            let seqs: Vec<u64> = wanted.map(|happening| happening.seq).collect();
            let at = self.node.now();
            let renew = Renew { tenant, endpoint: name.to_owned(), seqs, delivered_too: false, at };
            let renewed = ask(self.node.ports.notices.renew(renew), Unserved::Perhaps).await;
            messages += renewed?;
        }
        self.renewed(messages);
        Ok(Recovered { messages, until, complete })
    }

    async fn enable(&self, tenant: TenantId, name: &str) -> Result<bool, NewsError> {
        let settings = self.settings(tenant)?;
        settings.webhooks.get(name).ok_or(NewsError::NotFound)?;
        ask(self.node.ports.notices.enable_endpoint(tenant, name), Unserved::Perhaps).await
    }

    async fn send_example(&self, tenant: TenantId, name: &str, kind: Kind) -> Result<Sent, NewsError> {
        let settings = self.settings(tenant)?;
        let endpoint = endpoint(&settings, name)?;
        let message = Message {
            tenant,
            url: endpoint.url.clone(),
            secrets: endpoint.secrets(),
            id: format!("example_{}", Uuid::new_v4()),
            at: self.node.now(),
            happening: example(&self.node, &settings, kind, name),
            phone_number: false,
        };
        Ok(self.send(self.node.ports.courier.message(message)).await)
    }

    async fn publish(
        &self,
        tenant: TenantId,
        target: PushTarget,
        notification: String,
        validate_only: bool,
    ) -> Result<Sent, NewsError> {
        let settings = self.settings(tenant)?;
        let push = Push {
            tenant,
            id: format!("published_{}", Uuid::new_v4()),
            target,
            content: PushContent::Given(notification),
            at: self.node.now(),
            expires_at: None,
            validate_only,
        };
        Ok(self.send(self.node.ports.courier.push(&settings.push, push)).await)
    }
}

/// A happening that never was: place 0 of the feed.
fn example(node: &Node, tenant: &Tenant, kind: Kind, endpoint: &str) -> Happening {
    let now = node.now();
    let queue = tenant.queues.keys().next().cloned().or_else(|| QueueName::new("example").ok());
    let about = match queue {
        Some(queue) if kind != Kind::EndpointDisabled => About::Callback(CallbackNews {
            id: CallbackId::generate(now),
            queue,
            version: 1,
            state: State::Queued,
            passed: Vec::new(),
            reason: None,
            push: None,
            phone: None,
        }),
        _ => About::Endpoint { name: endpoint.to_owned() },
    };
    Happening { tenant: tenant.id, seq: 0, kind, at: now, about }
}
