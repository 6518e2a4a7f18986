//! What the fake says about call-ins and to flow engines, and what it was asked.

use std::sync::Mutex;

use async_trait::async_trait;
use domain::call_in::{CallIn, Criteria, State};
use domain::callback::{Callback, Options, Terms};
use domain::ids::{CallInGroupName, CallInId, CallbackId, Incarnation, QueueName, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{
    ActiveCallbacks, CallInCancelError, CallInDesk, CallInError, CallInListError, CallInPage, CallInQuery, Details,
    FlowDesk, FlowView, IncomingCall, MatchError, Matched, NewCallIn, Unserved, UserDataError, Watermark,
    WatermarkError,
};

use super::{Fake, at, id};

/// Id of every request of the fake.
pub(crate) const CALL_IN: &str = "0192f0a0-0000-7000-8000-0000000000aa";

pub(crate) fn call_in_id() -> CallInId {
    CALL_IN.parse().unwrap()
}

pub(crate) fn call_in() -> CallIn {
    CallIn {
        id: call_in_id(),
        group: CallInGroupName::new("mobile").unwrap(),
        number: PhoneNumber::from_digits(18_005_550_199),
        code: Some(482_913),
        caller: Some(PhoneNumber::from_digits(14_165_550_101)),
        callback: Some(id()),
        created_at: at("2030-03-04T15:55:00Z"),
        expires_at: at("2030-03-04T16:00:00Z"),
        ended_at: None,
        state: State::Waiting,
        criteria: Criteria::NONE,
    }
}

pub(crate) struct Answers {
    pub(crate) open: Mutex<Result<CallIn, CallInError>>,
    pub(crate) matched: Mutex<Result<Matched, MatchError>>,
    pub(crate) cancel: Mutex<Result<(), CallInCancelError>>,
    pub(crate) list: Mutex<Result<CallInPage, CallInListError>>,
    pub(crate) attach: Mutex<Result<(), UserDataError>>,
    pub(crate) watermark: Mutex<Result<Watermark, WatermarkError>>,
    pub(crate) user_data: Mutex<Option<String>>,
    pub(crate) opened: Mutex<Vec<NewCallIn>>,
    pub(crate) calls: Mutex<Vec<(TenantId, IncomingCall)>>,
    pub(crate) queries: Mutex<Vec<(Option<String>, CallInQuery)>>,
    pub(crate) attached: Mutex<Vec<String>>,
}

impl Default for Answers {
    fn default() -> Self {
        let queue = QueueName::new("support").unwrap();
        Self {
            open: Mutex::new(Ok(call_in())),
            matched: Mutex::new(Ok(Matched::Nobody(Criteria::NONE))),
            cancel: Mutex::new(Ok(())),
            list: Mutex::new(Ok(CallInPage { total_is_complete: true, ..CallInPage::default() })),
            attach: Mutex::new(Ok(())),
            watermark: Mutex::new(Ok(Watermark { queue, active: ActiveCallbacks { waiting: 3, routing: 1 } })),
            user_data: Mutex::default(),
            opened: Mutex::default(),
            calls: Mutex::default(),
            queries: Mutex::default(),
            attached: Mutex::default(),
        }
    }
}

#[async_trait]
impl CallInDesk for Fake {
    async fn open_call_in(&self, _: TenantId, new: NewCallIn) -> Result<CallIn, CallInError> {
        self.call_in.opened.lock().unwrap().push(new);
        self.mood().await;
        self.call_in.open.lock().unwrap().clone()
    }

    async fn match_call_in(&self, tenant: TenantId, call: IncomingCall) -> Result<Matched, MatchError> {
        self.call_in.calls.lock().unwrap().push((tenant, call));
        self.call_in.matched.lock().unwrap().clone()
    }

    async fn cancel_call_in(&self, _: TenantId, id: CallInId) -> Result<(), CallInCancelError> {
        assert_eq!(id, call_in_id());
        self.call_in.cancel.lock().unwrap().clone()
    }

    async fn call_ins(
        &self,
        _: TenantId,
        ani: Option<String>,
        query: CallInQuery,
    ) -> Result<CallInPage, CallInListError> {
        self.call_in.queries.lock().unwrap().push((ani, query));
        self.call_in.list.lock().unwrap().clone()
    }
}

#[async_trait]
impl FlowDesk for Fake {
    async fn callback(&self, tenant: TenantId, asked: CallbackId) -> Result<FlowView, Unserved> {
        if asked != id() {
            return Err(Unserved::NotFound);
        }
        let terms = Terms {
            tenant,
            queue: QueueName::new("support").unwrap(),
            phone: PhoneNumber::from_digits(14_165_550_101),
            ttl: chrono::Duration::hours(24),
        };
        let callback = Callback::immediate(asked, terms, Incarnation(1), at("2030-03-04T15:30:00Z"));
        let target = domain::callback::PushTarget { channel: "FCM".into(), target: "marker".into() };
        let options = Options { language: Some("de-DE".into()), push_targets: vec![target], ..Options::default() };
        let details = Details { options, user_data: self.call_in.user_data.lock().unwrap().clone() };
        Ok(FlowView { callback, details })
    }

    async fn attach(&self, _: TenantId, _: CallbackId, data: String) -> Result<(), UserDataError> {
        self.call_in.attached.lock().unwrap().push(data);
        self.call_in.attach.lock().unwrap().clone()
    }

    async fn watermark(&self, _: TenantId, queue: &str) -> Result<Watermark, WatermarkError> {
        if queue != "support" {
            return Err(WatermarkError::UnknownQueue);
        }
        self.call_in.watermark.lock().unwrap().clone()
    }
}
