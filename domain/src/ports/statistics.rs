//! The port for the statistics service, and the desk's side of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::gws::GwsSettings;
use crate::ids::TenantId;

/// Why there are no statistics. The texts are for operators and hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StatisticsError {
    /// The tenant has registered no credentials, or they cannot be opened.
    #[error("no statistics credentials are registered")]
    NoCredentials,
    /// The service refuses them.
    #[error("the statistics service refuses the registered credentials")]
    CredentialsRefused,
    /// The service will not answer this request.
    #[error("the statistics service refuses the request")]
    RequestRefused,
    /// The service is down, slow, or answers with what is no JSON.
    #[error("the statistics service cannot be asked: {0}")]
    Unavailable(String),
    /// No address of the service is known.
    #[error("no statistics service is configured")]
    NotConfigured,
}

/// Asks the statistics service in a tenant's name.
#[async_trait]
pub trait Statistics: Send + Sync {
    /// The service's answer to `request` (JSON text, compact, members sorted), not older than `max_age`. Equal
    /// requests under way share one question to the service.
    async fn ask(
        &self,
        tenant: TenantId,
        settings: &GwsSettings,
        request: &str,
        max_age: Duration,
    ) -> Result<Arc<str>, StatisticsError>;
}

/// What the public API asks about statistics.
#[async_trait]
pub trait StatisticsDesk: Send + Sync {
    /// As [`Statistics::ask`], with the credentials that the tenant has registered.
    async fn statistics(&self, tenant: TenantId, request: &str, max_age: Duration)
    -> Result<Arc<str>, StatisticsError>;
}
