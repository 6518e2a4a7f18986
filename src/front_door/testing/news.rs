//! The fake's side of events: what it was asked, and what it answers.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use domain::callback::PushTarget;
use domain::happening::{HappeningId, Kind};
use domain::ids::TenantId;
use domain::notices::Sent;
use domain::ports::{
    EndpointView, FeedFrom, FeedPage, NewsDesk, NewsError, NoticeQuery, NoticeView, RecoverFrom, Recovered,
};

use super::Fake;

/// What was asked about events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked {
    Feed(FeedFrom, usize, Duration),
    Notices(NoticeQuery, usize),
    Resend(String, HappeningId),
    Recover(String, RecoverFrom),
    Enable(String),
    Example(String, Kind),
    Publish(PushTarget, String, bool),
}

/// What is answered.
pub(crate) struct News {
    pub(crate) asked: Mutex<Vec<(TenantId, Asked)>>,
    pub(crate) page: Mutex<Result<FeedPage, NewsError>>,
    pub(crate) endpoints: Mutex<Vec<EndpointView>>,
    pub(crate) notices: Mutex<Vec<NoticeView>>,
    pub(crate) done: Mutex<Result<(), NewsError>>,
    pub(crate) recovered: Mutex<Recovered>,
    pub(crate) sent: Mutex<Sent>,
}

impl Default for News {
    fn default() -> Self {
        let page = FeedPage { happenings: Vec::new(), phone_number: false, next: 0, more: false, missed: false };
        Self {
            asked: Mutex::default(),
            page: Mutex::new(Ok(page)),
            endpoints: Mutex::default(),
            notices: Mutex::default(),
            done: Mutex::new(Ok(())),
            recovered: Mutex::new(Recovered { messages: 3, until: 7, complete: true }),
            sent: Mutex::new(Sent::new(domain::notices::Outcome::Done, domain::notices::Detail::Status(204))),
        }
    }
}

impl Fake {
    fn asks(&self, tenant: TenantId, asked: Asked) -> Result<(), NewsError> {
        self.news.asked.lock().unwrap().push((tenant, asked));
        self.news.done.lock().unwrap().clone()
    }

    /// The last thing that was asked about events.
    pub(crate) fn last_asked(&self) -> Option<Asked> {
        self.news.asked.lock().unwrap().last().map(|(_, asked)| asked.clone())
    }
}

#[async_trait]
impl NewsDesk for Fake {
    async fn feed(
        &self,
        tenant: TenantId,
        from: FeedFrom,
        limit: usize,
        wait: Duration,
    ) -> Result<FeedPage, NewsError> {
        self.asks(tenant, Asked::Feed(from, limit, wait))?;
        self.news.page.lock().unwrap().clone()
    }

    async fn endpoints(&self, _: TenantId) -> Result<Vec<EndpointView>, NewsError> {
        Ok(self.news.endpoints.lock().unwrap().clone())
    }

    async fn notices(&self, tenant: TenantId, query: NoticeQuery, limit: usize) -> Result<Vec<NoticeView>, NewsError> {
        self.asks(tenant, Asked::Notices(query, limit))?;
        Ok(self.news.notices.lock().unwrap().clone())
    }

    async fn resend(&self, tenant: TenantId, endpoint: &str, happening: HappeningId) -> Result<(), NewsError> {
        self.asks(tenant, Asked::Resend(endpoint.to_owned(), happening))
    }

    async fn recover(&self, tenant: TenantId, endpoint: &str, from: RecoverFrom) -> Result<Recovered, NewsError> {
        self.asks(tenant, Asked::Recover(endpoint.to_owned(), from))?;
        Ok(*self.news.recovered.lock().unwrap())
    }

    async fn enable(&self, tenant: TenantId, endpoint: &str) -> Result<bool, NewsError> {
        self.asks(tenant, Asked::Enable(endpoint.to_owned()))?;
        Ok(true)
    }

    async fn send_example(&self, tenant: TenantId, endpoint: &str, kind: Kind) -> Result<Sent, NewsError> {
        self.asks(tenant, Asked::Example(endpoint.to_owned(), kind))?;
        Ok(self.news.sent.lock().unwrap().clone())
    }

    async fn publish(
        &self,
        tenant: TenantId,
        target: PushTarget,
        notification: String,
        validate_only: bool,
    ) -> Result<Sent, NewsError> {
        self.asks(tenant, Asked::Publish(target, notification, validate_only))?;
        Ok(self.news.sent.lock().unwrap().clone())
    }
}
