//! What a flow engine asks about callbacks, beside its signals.

use async_trait::async_trait;
use thiserror::Error;

use super::{Details, StoreError, Unserved};
use crate::callback::Callback;
use crate::ids::{CallbackId, QueueName, TenantId};
use crate::user_data::AttachError;

/// What a flow engine asks of the service.
#[async_trait]
pub trait FlowDesk: Send + Sync {
    /// A callback as it is stored, with everything that came with it.
    async fn callback(&self, tenant: TenantId, id: CallbackId) -> Result<FlowView, Unserved>;

    /// Lays members over the user data of a callback by the rules of [`crate::user_data::attach`]. `Ok` means it is
    /// durable.
    async fn attach(&self, tenant: TenantId, id: CallbackId, data: String) -> Result<(), UserDataError>;

    /// How many callbacks of a queue are on their way to an agent.
    async fn watermark(&self, tenant: TenantId, queue: &str) -> Result<Watermark, WatermarkError>;
}

/// A callback with everything that came with it.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowView {
    /// The callback.
    pub callback: Callback,
    /// Rare members and user data.
    pub details: Details,
}

/// How full a queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// The queue, by its own name.
    pub queue: QueueName,
    /// Its callbacks.
    pub active: ActiveCallbacks,
}

/// Callbacks of a queue that are on their way to an agent, by state; neither those whose time has not come nor those
/// where customer and agent talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActiveCallbacks {
    /// Waiting in the queue, or being dialled; at most the limit that was asked with.
    pub waiting: u64,
    /// With the customer on the line; at most the limit that was asked with.
    pub routing: u64,
}

/// Why user data was not changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UserDataError {
    /// It cannot be laid over what is there.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Not found, or not done.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// Why nothing was counted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WatermarkError {
    /// The tenant has no such queue.
    #[error("no such queue")]
    UnknownQueue,
    /// Not counted.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// User data as it was read, with what is needed to replace exactly that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserData {
    /// Compact JSON text.
    pub text: Option<String>,
    /// Names what was read; its meaning is the store's own.
    pub stamp: UserDataStamp,
}

/// Names the user data that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserDataStamp(pub Vec<u8>);

/// What became of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// Written.
    Done,
    /// Somebody else was faster: read again.
    Changed,
    /// There is no such callback.
    NotFound,
}

/// Keeps what a flow engine asks about.
#[async_trait]
pub trait FlowStore: Send + Sync {
    /// The user data of a callback; none if there is no such callback.
    async fn user_data(&self, tenant: TenantId, id: CallbackId) -> Result<Option<UserData>, StoreError>;

    /// Replaces the user data of a callback if it is still as it was read. The callback itself does not change.
    async fn replace_user_data(
        &self,
        tenant: TenantId,
        id: CallbackId,
        stamp: UserDataStamp,
        text: Option<String>,
    ) -> Result<Replaced, StoreError>;

    /// Counts the active callbacks of a queue, up to `limit` of each kind: the cost is bounded by it.
    async fn active_callbacks(
        &self,
        tenant: TenantId,
        queue: &QueueName,
        limit: usize,
    ) -> Result<ActiveCallbacks, StoreError>;
}
