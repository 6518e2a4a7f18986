//! One delivery: is it still right to send it, send it, write back what became of it. A task of its own from here to
//! the end, so that an actor that dies takes no delivery with it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use domain::callback::Callback;
use domain::event::{Event, MessageResult};
use domain::happening::{About, CallbackNews, Kind};
use domain::notices::{Claimed, Detail, Ending, LATER, Lane, Outcome, Sent, Verdict, judge_push, judge_webhook};
use domain::ports::{EndpointMood, Message, Push, PushContent, Settle, Settled, StoreError, Told};
use domain::push::PushEvent;
use domain::tenant::Tenant;
use domain::webhooks::LADDER;
use futures::FutureExt;
use tokio::time::timeout;

use crate::node::Node;

/// How long a receiver may take. Longer than the courier's own deadlines.
const SEND_DEADLINE: Duration = Duration::from_secs(25);
/// How long the store may take to tell about a callback.
const READ_DEADLINE: Duration = Duration::from_secs(5);
/// How often writing back is tried, how long each try may take, and the pause between two: within the lease.
const WRITE_TRIES: u32 = 6;
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
const WRITE_AGAIN: Duration = Duration::from_secs(2);

/// How a delivery went.
struct Trial {
    verdict: Verdict,
    detail: Detail,
    mood: EndpointMood,
    /// What a notification said.
    said: Option<PushEvent>,
}

impl Trial {
    /// It was not sent.
    const fn without(verdict: Verdict, detail: Detail) -> Self {
        Self { verdict, detail, mood: EndpointMood::Unknown, said: None }
    }

    const fn dropped() -> Self {
        Self::without(Verdict::Settled(Ending::Dropped), Detail::NotSent)
    }
}

/// Delivers one notice.
pub(super) async fn deliver(node: &Node, notice: Claimed) {
    let Some(entry) = node.directory.find(notice.tenant) else {
        // Its actor is being started again, or the tenant is gone for good.
        let later = Trial::without(Verdict::Later(node.now() + LATER), Detail::NotSent);
        return write_back(node, None, &notice, later).await;
    };
    let tenant = entry.tenant;
    let trial = match &notice.lane {
        Lane::Webhook { endpoint } => message(node, &tenant, &notice, endpoint).await,
        Lane::Push => push(node, &tenant, &notice).await,
    };
    write_back(node, Some(&tenant), &notice, trial).await
}

async fn message(node: &Node, tenant: &Tenant, notice: &Claimed, name: &str) -> Trial {
    let endpoint = tenant.webhooks.get(name).filter(|endpoint| !endpoint.disabled && !notice.lane_disabled);
    let Some(endpoint) = endpoint else { return Trial::dropped() };
    if notice.interrupted && usize::try_from(notice.attempt).is_ok_and(|attempt| attempt > LADDER.len() + 1) {
        // Whoever tries it dies of it.
        return Trial::without(Verdict::Settled(Ending::Failed), Detail::NotSent);
    }
    let message = Message {
        tenant: tenant.id,
        url: endpoint.url.clone(),
        secrets: endpoint.secrets(),
        id: notice.happening.id().to_string(),
        at: node.now(),
        happening: notice.happening.clone(),
        phone_number: endpoint.phone_number,
    };
    let sent = send(node, node.ports.courier.message(message)).await;
    let mood = match (sent.outcome, sent.detail) {
        (Outcome::Done, _) => EndpointMood::Well,
        (_, Detail::Resting) => EndpointMood::Unknown,
        (_, Detail::Status(410)) => EndpointMood::Gone,
        (Outcome::Refused | Outcome::NotDone | Outcome::Perhaps, _) => EndpointMood::Failing,
    };
    // A try that broke off with its process says nothing about the receiver, and costs no rung of the ladder.
    let tries = notice.attempt.saturating_sub(u32::from(notice.interrupted)).max(1);
    let verdict = judge_webhook(tries, &sent, node.now());
    Trial { verdict, detail: sent.detail, mood, said: None }
}

async fn push(node: &Node, tenant: &Tenant, notice: &Claimed) -> Trial {
    let About::Callback(news) = &notice.happening.about else { return Trial::dropped() };
    let now = node.now();
    let later = Trial::without(Verdict::Later(now + LATER), Detail::NotSent);
    if notice.expires_at.is_some_and(|expires_at| now >= expires_at) {
        let said = said(notice.happening.kind, news, None);
        return Trial { said, ..Trial::without(Verdict::Settled(Ending::Expired), Detail::NotSent) };
    }
    let row = match timeout(READ_DEADLINE, node.ports.callbacks.load(tenant.id, news.id)).await {
        Ok(Ok(Some(callback))) => callback,
        Ok(Ok(None)) => return Trial::dropped(),
        Ok(Err(_)) | Err(_) => return later,
    };
    let Some(event) = said(notice.happening.kind, news, Some(&row)) else { return Trial::dropped() };
    let ended = |ending, detail| Trial { said: Some(event), ..Trial::without(Verdict::Settled(ending), detail) };
    if notice.interrupted {
        // Perhaps the customer has seen it. Nobody is told twice.
        return ended(Ending::Perhaps, Detail::NoAnswer);
    }
    if !event.is_warranted(&row) {
        return Trial::dropped();
    }
    let details = match timeout(READ_DEADLINE, node.ports.callbacks.details(tenant.id, news.id)).await {
        Ok(Ok(details)) => details.unwrap_or_default(),
        Ok(Err(_)) | Err(_) => return later,
    };
    let Some(target) = details.options.push_targets.get(usize::from(notice.key.target)) else {
        return ended(Ending::Failed, Detail::NoTarget);
    };
    let push = Push {
        tenant: tenant.id,
        id: format!("{}.{}", notice.happening.id(), notice.key.target),
        target: target.clone(),
        content: PushContent::Callback { event, callback: Box::new(row) },
        at: now,
        expires_at: notice.expires_at,
        validate_only: false,
    };
    let sent = send(node, node.ports.courier.push(&tenant.push, push)).await;
    let verdict = judge_push(notice.attempt, &sent, notice.expires_at, node.now());
    Trial { said: Some(event), ..Trial::without(verdict, sent.detail) }
}

/// What a notification says, by what it was written for.
fn said(kind: Kind, news: &CallbackNews, row: Option<&Callback>) -> Option<PushEvent> {
    PushEvent::of(kind, news.state, row.is_some_and(|row| row.originated.is_some()))
}

/// Waits for the courier. If it panics, nobody knows what it did.
async fn send(node: &Node, sending: impl Future<Output = Sent>) -> Sent {
    match timeout(SEND_DEADLINE, AssertUnwindSafe(sending).catch_unwind()).await {
        Ok(Ok(sent)) => sent,
        Ok(Err(_)) => {
            node.note(Event::PanicCaught);
            tracing::error!("sending a notice panicked");
            Sent::new(Outcome::Perhaps, Detail::NoAnswer)
        }
        Err(_) => Sent::new(Outcome::Perhaps, Detail::NoAnswer),
    }
}

/// Writes back how it went, trying for a while: what cannot be written is found by its lease, and is then sent again
/// if it is a message, and counts as *perhaps* if it is a notification.
async fn write_back(node: &Node, tenant: Option<&Tenant>, notice: &Claimed, trial: Trial) {
    let settle = settlement(node, tenant, notice, &trial);
    for _ in 0..WRITE_TRIES {
        let write = AssertUnwindSafe(node.ports.notices.settle(settle.clone())).catch_unwind();
        match timeout(WRITE_DEADLINE, write).await {
            Ok(Ok(Ok(settled))) => {
                note(node, tenant, &trial, settled);
                if settled.released || settled.disabled || (settled.written && settle.told.is_some()) {
                    node.announced();
                }
                return;
            }
            Ok(Ok(Err(StoreError::Unreadable(why)))) => {
                tracing::error!(why, "what became of a notice cannot be written");
                return;
            }
            Ok(Err(_)) => {
                node.note(Event::PanicCaught);
                tracing::error!("writing back what became of a notice panicked");
                return;
            }
            Ok(Ok(Err(_))) | Err(_) => tokio::time::sleep(WRITE_AGAIN).await,
        }
    }
    tracing::warn!("what became of a notice could not be written");
}

fn settlement(node: &Node, tenant: Option<&Tenant>, notice: &Claimed, trial: &Trial) -> Settle {
    let told = tenant.and_then(|tenant| {
        let Verdict::Settled(ending) = trial.verdict else { return None };
        let (event, result) = (trial.said?, ending.push_result()?);
        let endpoints = tenant.endpoints_told_of(Kind::Push);
        (tenant.event_feed.enabled || !endpoints.is_empty()).then_some(Told { event, result, endpoints })
    });
    let told_of_disabling = match (&notice.lane, trial.mood, tenant) {
        (Lane::Webhook { endpoint }, EndpointMood::Failing | EndpointMood::Gone, Some(tenant)) => {
            let others = tenant.endpoints_told_of(Kind::EndpointDisabled);
            others.into_iter().filter(|name| name != endpoint).collect()
        }
        _ => Vec::new(),
    };
    Settle {
        tenant: notice.tenant,
        key: notice.key,
        owner: node.me,
        attempt: notice.attempt,
        verdict: trial.verdict,
        detail: trial.detail,
        endpoint: trial.mood,
        at: node.now(),
        told,
        told_of_disabling,
    }
}

/// Facts for the observer, once they are durable.
fn note(node: &Node, tenant: Option<&Tenant>, trial: &Trial, settled: Settled) {
    let Some(tenant) = tenant.filter(|_| settled.written) else { return };
    if let (Some(_), Verdict::Settled(ending)) = (trial.said, trial.verdict)
        && let Some(result) = ending.push_result()
    {
        node.note(Event::PushEnded { tenant: tenant.name.clone(), result });
    }
    if trial.mood != EndpointMood::Unknown {
        let result = match trial.verdict {
            Verdict::Settled(Ending::Delivered) => MessageResult::Delivered,
            Verdict::Settled(_) => MessageResult::GivenUp,
            Verdict::Again(_) | Verdict::Later(_) => MessageResult::Failed,
        };
        node.note(Event::MessageTried { tenant: tenant.name.clone(), result });
    }
    if settled.disabled {
        tracing::warn!(tenant.id = %tenant.id, "a webhook endpoint failed for too long and was switched off");
        node.note(Event::EndpointDisabled { tenant: tenant.name.clone() });
    }
}
