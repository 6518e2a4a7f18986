//! What can be asked and done about events and their delivery.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{EndpointRecord, NoticeQuery, NoticeView, Unserved};
use crate::callback::PushTarget;
use crate::happening::{Happening, HappeningId, Kind};
use crate::ids::TenantId;
use crate::notices::Sent;

/// Why something about notices was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NewsError {
    /// The tenant has no such endpoint, or nothing of that name is kept.
    #[error("no such endpoint or event")]
    NotFound,
    /// The tenant's settings do not offer it.
    #[error("the feed of events is not switched on")]
    SwitchedOff,
    /// The endpoint is switched off, so that nothing would be sent.
    #[error("the endpoint is switched off")]
    Disabled,
    /// Not done.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// What a reader of the feed asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedFrom {
    /// From the oldest that is kept.
    Start,
    /// Nothing, but the place of the end.
    End,
    /// What comes behind this place.
    After(u64),
}

/// One answer of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    /// In order, without a gap.
    pub happenings: Vec<Happening>,
    /// Whether they may tell phone numbers.
    pub phone_number: bool,
    /// Where to read on.
    pub next: u64,
    /// There is more already.
    pub more: bool,
    /// Happenings behind the named place had been removed before they were read.
    pub missed: bool,
}

/// An endpoint with its settings and what the store knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointView {
    /// Its name.
    pub name: String,
    /// Its address; none if the settings name it no longer.
    pub url: Option<String>,
    /// Switched off by the settings.
    pub disabled: bool,
    /// What is known of it.
    pub record: Option<EndpointRecord>,
}

/// From where an endpoint is to be told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoverFrom {
    /// From a time on.
    Since(DateTime<Utc>),
    /// From behind a place, where the call before has stopped.
    After(u64),
}

/// What has been made owed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Messages.
    pub messages: u64,
    /// The place up to which was looked; there may be more behind it.
    pub until: u64,
    /// Everything was looked at.
    pub complete: bool,
}

/// What can be asked and done about the events of a tenant.
#[async_trait]
pub trait NewsDesk: Send + Sync {
    /// Reads on in the feed, waiting up to `wait` for something if there is nothing.
    async fn feed(
        &self,
        tenant: TenantId,
        from: FeedFrom,
        limit: usize,
        wait: std::time::Duration,
    ) -> Result<FeedPage, NewsError>;

    /// The tenant's endpoints.
    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointView>, NewsError>;

    /// Notices, at most `limit`.
    async fn notices(&self, tenant: TenantId, query: NoticeQuery, limit: usize) -> Result<Vec<NoticeView>, NewsError>;

    /// Sends one event to one endpoint again, whatever became of it.
    async fn resend(&self, tenant: TenantId, endpoint: &str, happening: HappeningId) -> Result<(), NewsError>;

    /// Makes everything from a time or place on owed to an endpoint that was not delivered to it. A long stretch takes
    /// several calls.
    async fn recover(&self, tenant: TenantId, endpoint: &str, from: RecoverFrom) -> Result<Recovered, NewsError>;

    /// Switches an endpoint on again that had failed for too long; false if it was on.
    async fn enable(&self, tenant: TenantId, endpoint: &str) -> Result<bool, NewsError>;

    /// Sends a made-up event to an endpoint, now and once.
    async fn send_example(&self, tenant: TenantId, endpoint: &str, kind: Kind) -> Result<Sent, NewsError>;

    /// Sends a notification of its sender's own, now and once.
    async fn publish(
        &self,
        tenant: TenantId,
        target: PushTarget,
        notification: String,
        validate_only: bool,
    ) -> Result<Sent, NewsError>;
}
