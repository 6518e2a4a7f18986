//! The rest of the world: routing, the door's key ring, observer, clock, probes and connectors.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use thiserror::Error;

use super::Details;
use crate::callback::{Again, Live};
use crate::event::Event;
use crate::ids::{CallbackId, QueueName, SessionId, TenantId};
use crate::keys::ApiKey;
use crate::numbers::PhoneNumber;
use crate::queue::CallOptions;
use crate::tenant::Tenant;
use crate::wait::QueueReport;

/// An invitation to begin one attempt. Where [`Routing::again`] says so, repeating it is harmless: routing enters an
/// attempt once, and only if it is higher than any it has seen of the callback and the register is not closed.
#[derive(Debug, Clone, PartialEq)]
pub struct Invitation {
    /// Whose callback.
    pub tenant: TenantId,
    /// The callback.
    pub id: CallbackId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The end of the callback's life.
    pub not_after: DateTime<Utc>,
    /// Queue of the service.
    pub queue: QueueName,
    /// Whom to ring.
    pub phone: PhoneNumber,
    /// No dial before this.
    pub desired_time: DateTime<Utc>,
    /// How the call is to be made.
    pub call: CallOptions,
    /// Rare members and user data.
    pub details: Details,
}

/// How a call to routing failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoutingError {
    /// Routing answered that it will not.
    #[error("routing refused: {0}")]
    Refused(String),
    /// It surely did not arrive.
    #[error("routing not reached: {0}")]
    NotDone(String),
    /// It may have arrived.
    #[error("routing did not answer: {0}")]
    Perhaps(String),
}

/// Names an attempt to ask after, or to end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttemptRef {
    /// Whose callback.
    pub tenant: TenantId,
    /// The callback.
    pub id: CallbackId,
    /// The attempt.
    pub attempt: u32,
    /// The session that was granted it, if one was.
    pub session: Option<SessionId>,
}

/// How far an end goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Nothing may enter any more, and what works on the callback is to end.
    Everything,
    /// Nothing may enter any more. Agent and customer talk, as far as is known, and are left to it.
    AllButTalk,
}

/// Finds agents and rings customers. What it finds comes back through [`super::Inbox`].
#[async_trait]
pub trait Routing: Send + Sync {
    /// Invites. `Ok` means the attempt is entered, or had been.
    async fn start(&self, invitation: Invitation) -> Result<(), RoutingError>;

    /// What a start that is sent again comes to.
    fn again(&self) -> Again {
        Again::EntersOnce
    }

    /// Closes the register of a callback whose last attempt is named: no attempt of it can enter any more; its session
    /// ends unless an agent and the customer already talk.
    async fn close(&self, attempt: AttemptRef, closing: Closing) -> Result<(), RoutingError>;

    /// Asks after up to 500 attempts; each answer is a signal `alive`, `ended` or `unknown`.
    async fn ping(&self, attempts: Vec<AttemptRef>) -> Result<(), RoutingError>;

    /// Expected wait of a queue in seconds, without callbacks submitted ahead of their time; none if it is
    /// unknown or older than 2 minutes.
    fn expected_wait(&self, tenant: TenantId, queue: &QueueName) -> Option<i32>;

    /// What is known of a queue; none if nothing is, or if it is older than 2 minutes.
    fn queue_report(&self, tenant: TenantId, queue: &QueueName) -> Option<QueueReport>;

    /// Where a callback stands now, if routing can say so without being asked over a wire.
    fn live(&self, id: CallbackId) -> Option<Live>;
}

/// Tells the time of the database: what promises are judged by.
pub trait Clock: Send + Sync {
    /// Now. Never ahead of the database's own clock.
    fn now(&self) -> DateTime<Utc>;

    /// Takes in what a heartbeat read.
    fn observe(&self, _database_now: DateTime<Utc>) {}

    /// How far the clock on this machine's wall is ahead of this one. It decides nothing.
    fn skew(&self) -> TimeDelta {
        TimeDelta::zero()
    }
}

/// Holds what the door needs to know a caller. The tree fills it at the start and whenever the epoch of the
/// settings rises, so that a revoked key is refused within 2 s.
pub trait KeyRing: Send + Sync {
    /// Replaces everything that was known.
    fn replace(&self, tenants: &[Tenant], keys: Vec<ApiKey>);

    /// So many nodes live and share the limits of the tenants. Told with every heartbeat.
    fn share_among(&self, nodes: u32);
}

/// Hears facts. Must not wait.
pub trait Observer: Send + Sync {
    /// One fact.
    fn note(&self, event: Event);
}

/// One dependency that can be asked whether it answers.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Stable name, such as `database`.
    fn name(&self) -> &'static str;

    /// Whether nothing can be accepted without it.
    fn required(&self) -> bool;

    /// Asks once, within 5 s. The text says what is wrong, without secrets.
    async fn check(&self) -> Result<(), String>;
}

/// A client with a life of its own, run by a connector actor: opened, watched, closed, opened again.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Stable name, such as `routing`.
    fn name(&self) -> &'static str;

    /// Opens the client. The adapter keeps it where its other ports find it.
    async fn open(&self) -> Result<(), String>;

    /// Whether it still works; an error means it is closed and opened anew.
    async fn check(&self) -> Result<(), String>;

    /// Closes it. Never fails: what cannot be closed is dropped.
    async fn close(&self);

    /// The pause until an open client wants to be looked after again.
    fn pause(&self) -> Duration {
        Duration::from_secs(15)
    }
}
