//! What the fake explains and finds, and what it was asked.

use std::sync::Mutex;

use async_trait::async_trait;
use domain::callback::NewCallback;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{ExplainDesk, Explained, Found, Named, SearchDesk, SearchError, Story, Unserved};
use domain::search::Search;

use super::Fake;

pub(crate) struct Answers {
    pub(crate) explain: Mutex<Result<Explained, Unserved>>,
    pub(crate) story: Mutex<Result<Story, Unserved>>,
    pub(crate) found: Mutex<Result<Found, SearchError>>,
    pub(crate) asked: Mutex<Vec<(TenantId, NewCallback)>>,
    pub(crate) searched: Mutex<Vec<(Named, Search)>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            explain: Mutex::new(Err(Unserved::Busy)),
            story: Mutex::new(Err(Unserved::NotFound)),
            found: Mutex::new(Ok(Found::default())),
            asked: Mutex::default(),
            searched: Mutex::default(),
        }
    }
}

#[async_trait]
impl ExplainDesk for Fake {
    async fn explain(&self, tenant: TenantId, new: NewCallback) -> Result<Explained, Unserved> {
        self.explain.asked.lock().unwrap().push((tenant, new));
        self.explain.explain.lock().unwrap().clone()
    }

    async fn story(&self, _: TenantId, _: CallbackId) -> Result<Story, Unserved> {
        self.explain.story.lock().unwrap().clone()
    }
}

#[async_trait]
impl SearchDesk for Fake {
    async fn search(&self, _: TenantId, named: Named, search: Search) -> Result<Found, SearchError> {
        self.explain.searched.lock().unwrap().push((named, search));
        self.explain.found.lock().unwrap().clone()
    }
}
