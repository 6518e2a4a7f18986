//! Ends callbacks before their number is erased: through the tree where one runs, else straight in the store, as any
//! node may apply an input to a callback that it does not own.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::{Canceller, State};
use domain::erasure::ended;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{CallbackStore, CancelError, Desk, SaveError, SettingsStore, StoreError, Unserved};
use thiserror::Error;

/// How often a step is tried that somebody else was faster with.
const ROUNDS: usize = 8;

/// Why a callback was not ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndError {
    /// Agent and customer talk.
    #[error("agent and customer talk")]
    Talking,
    /// Not done, or not known.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// Ends callbacks as an operator does.
#[async_trait]
pub trait Ender: Send + Sync {
    /// `Ok` once it has ended, by this or before.
    async fn end(&self, tenant: TenantId, id: CallbackId, now: DateTime<Utc>) -> Result<(), EndError>;
}

/// Through the tree.
pub struct DeskEnder(pub Arc<dyn Desk>);

#[async_trait]
impl Ender for DeskEnder {
    async fn end(&self, tenant: TenantId, id: CallbackId, _: DateTime<Utc>) -> Result<(), EndError> {
        match self.0.cancel(tenant, id, Canceller::Admin).await {
            Ok(()) | Err(CancelError::NotCancellable(State::Completed) | CancelError::Unserved(Unserved::NotFound)) => {
                Ok(())
            }
            Err(CancelError::NotCancellable(_)) => Err(EndError::Talking),
            Err(CancelError::Unserved(unserved)) => Err(unserved.into()),
        }
    }
}

/// Straight in the store: whoever owns the callback finds it due and tells routing.
pub struct StoreEnder {
    /// Where callbacks are.
    pub callbacks: Arc<dyn CallbackStore>,
    /// Whom the tenant wants to be told.
    pub settings: Arc<dyn SettingsStore>,
}

#[async_trait]
impl Ender for StoreEnder {
    async fn end(&self, tenant: TenantId, id: CallbackId, now: DateTime<Utc>) -> Result<(), EndError> {
        let tenants = self.settings.tenants().await.map_err(unserved)?;
        let settings = tenants.into_iter().find(|known| known.id == tenant).ok_or(Unserved::NotFound)?;
        for _ in 0..ROUNDS {
            let Some(before) = self.callbacks.load(tenant, id).await.map_err(unserved)? else { return Ok(()) };
            let Some(change) = ended(&before, &settings, now).map_err(|_| EndError::Talking)? else { return Ok(()) };
            match self.callbacks.save(change).await {
                Ok(()) | Err(SaveError::NotFound) => return Ok(()),
                Err(SaveError::Conflict | SaveError::SlotFull) => {}
                Err(SaveError::Store(error)) => return Err(unserved(error).into()),
            }
        }
        Err(Unserved::Busy.into())
    }
}

fn unserved(error: StoreError) -> Unserved {
    match error {
        StoreError::PerhapsDone(_) => Unserved::Perhaps,
        StoreError::NotDone(_) | StoreError::Unreadable(_) => Unserved::Busy,
    }
}
