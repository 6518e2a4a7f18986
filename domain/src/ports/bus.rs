//! What nodes tell each other to be quicker. Everything here may be lost, doubled or late: the store alone is believed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::callback::Live;
use crate::ids::{CallbackId, QueueName, TenantId};
use crate::wait::QueueReport;

/// Something that another node may want to know sooner than the store would tell it.
#[derive(Debug, Clone, PartialEq)]
pub enum Hint {
    /// The row of a callback was changed by a node that does not own it. Lost, the owner finds out by its sweep, or when
    /// its own save meets the new version.
    Changed {
        /// Whose callback.
        tenant: TenantId,
        /// Which.
        id: CallbackId,
    },
    /// Settings or keys were changed. Lost, the next heartbeat tells it.
    SettingsChanged,
    /// Routing reported of an attempt that a session was granted. Lost, other nodes answer −1, and the owner asks after
    /// the attempt.
    Heard {
        /// The callback.
        id: CallbackId,
        /// The attempt.
        attempt: u32,
        /// Where it stands; none if it was only said to be alive.
        live: Option<Live>,
    },
    /// Routing reported how a queue is. Lost, other nodes know of no wait until the next report.
    Reported {
        /// Whose queue.
        tenant: TenantId,
        /// Which.
        queue: QueueName,
        /// How it is.
        report: QueueReport,
    },
}

/// Who is told what other nodes say. Must not wait.
pub type Ear = Box<dyn Fn(Hint) + Send + Sync>;

/// Tells other nodes. Nothing that is promised may depend on it.
pub trait Bus: Send + Sync {
    /// Whether there is a way to other nodes at all, working or not.
    fn reaches_others(&self) -> bool;

    /// Tells every other node, soon. Never waits.
    fn tell(&self, hint: Hint);

    /// From now on `ear` is told what others say. The first one stays.
    fn listen(&self, ear: Ear);
}

/// Without a way to other nodes, or without any.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBus;

impl Bus for NoBus {
    fn reaches_others(&self) -> bool {
        false
    }

    fn tell(&self, _hint: Hint) {}

    fn listen(&self, _ear: Ear) {}
}

/// An answer of a service outside that some node has heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAnswer {
    /// What was answered.
    pub answer: Arc<str>,
    /// How long ago.
    pub age: Duration,
}

/// Keeps answers of services outside for all nodes. What it holds may vanish at any instant.
#[async_trait]
pub trait AnswerCache: Send + Sync {
    /// The answer that is kept under `key`. None also if that cannot be found out at once.
    async fn find(&self, key: &[u8]) -> Option<KnownAnswer>;

    /// Keeps an answer that has just come for `life`, if it can. Never waits.
    fn keep(&self, key: &[u8], answer: Arc<str>, life: Duration);
}

/// Where every node asks for itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAnswerCache;

#[async_trait]
impl AnswerCache for NoAnswerCache {
    async fn find(&self, _key: &[u8]) -> Option<KnownAnswer> {
        None
    }

    fn keep(&self, _key: &[u8], _answer: Arc<str>, _life: Duration) {}
}
