//! Click-to-call-in: what the API and the flow engine ask, and what a store keeps for it.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{StoreError, Unserved};
use crate::call_in::{Call, CallIn, Criteria, Group, Presented, State};
use crate::callback::Idempotency;
use crate::ids::{CallInGroupName, CallInId, CallbackId, TenantId};
use crate::numbers::PhoneNumber;

/// What the public API and the flow engine ask about call-ins.
#[async_trait]
pub trait CallInDesk: Send + Sync {
    /// Opens a request. `Ok` means it is durable.
    async fn open_call_in(&self, tenant: TenantId, new: NewCallIn) -> Result<CallIn, CallInError>;

    /// Looks for the request that an incoming call belongs to and ends it as matched: of any number of calls that fit
    /// the same request one is told so. `Ok` means it is durable.
    async fn match_call_in(&self, tenant: TenantId, call: IncomingCall) -> Result<Matched, MatchError>;

    /// Withdraws a request. Withdrawing again what was withdrawn is done again.
    async fn cancel_call_in(&self, tenant: TenantId, id: CallInId) -> Result<(), CallInCancelError>;

    /// Lists requests. `ani` is the caller's number as written.
    async fn call_ins(
        &self,
        tenant: TenantId,
        ani: Option<String>,
        query: CallInQuery,
    ) -> Result<CallInPage, CallInListError>;
}

/// A request as the door hands it in: well-formed, not yet judged by the rules of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCallIn {
    /// The wanted group, as written by the client.
    pub group_name: String,
    /// Where the customer will call from, as written by the client.
    pub from_phone_number: Option<String>,
    /// Free data as compact JSON text of an object; none if absent or empty.
    pub user_data: Option<String>,
    /// The callback to tie it to.
    pub callback: Option<CallbackId>,
    /// Makes a repetition recognisable.
    pub idempotency: Option<Idempotency>,
}

/// An incoming call as the flow engine describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IncomingCall {
    /// Looks at requests of this group alone.
    pub group_name: Option<String>,
    /// The code that was entered.
    pub access_code: Presented<u32>,
    /// The number that called, as written.
    pub ani: Option<String>,
    /// The number that was dialled, as written.
    pub dnis: Option<String>,
    /// Makes a repetition of what was matched recognisable.
    pub idempotency: Option<Idempotency>,
}

/// Why a request was not opened. The order is the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallInError {
    /// The tenant has no such group.
    #[error("the call-in group is not configured")]
    UnknownGroup,
    /// No number can be read.
    #[error("not a phone number")]
    NotANumber,
    /// No such number can exist.
    #[error("not a possible phone number")]
    ImpossibleNumber,
    /// The tenant has no such callback.
    #[error("no such callback")]
    UnknownCallback,
    /// Every number of the group is taken for such a request, or every code of every number.
    #[error("no number of the group is free")]
    NothingFree,
    /// The key was used with another body.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Not judged or not kept.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// Why no match was looked for, or none was kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MatchError {
    /// The tenant has no such group.
    #[error("the call-in group is not configured")]
    UnknownGroup,
    /// The key was used with another body.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Not looked for or not kept.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// Why a request was not withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallInCancelError {
    /// Too late.
    #[error("a call-in request in state {0} cannot be cancelled")]
    NotWaiting(State),
    /// Not found, or not done.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// Why nothing was listed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallInListError {
    /// The caller's number cannot be read.
    #[error("not a phone number")]
    NotANumber,
    /// Not read.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// What becomes of an incoming call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matched {
    /// It is this request's, which is matched from now on.
    Won(Box<Won>),
    /// It is nobody's. With [`crate::call_in::Criterion::Dnis`] requests do wait on the number dialled, but what else
    /// the call brought says that it is none of theirs.
    Nobody(Criteria),
}

/// A request that was matched, with what its customer sent along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Won {
    /// The request.
    pub call_in: CallIn,
    /// Compact JSON text.
    pub user_data: Option<String>,
}

/// Which requests to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallInQuery {
    /// In this state alone.
    pub state: Option<State>,
    /// Of this group alone.
    pub group: Option<CallInGroupName>,
    /// Of this caller alone.
    pub caller: Option<PhoneNumber>,
    /// Which come first.
    pub order: CallInOrder,
    /// Goes on behind this request.
    pub after: Option<CallInId>,
    /// At most so many, at least 1.
    pub limit: usize,
}

/// Which requests come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallInOrder {
    /// Those made last.
    #[default]
    NewestFirst,
    /// Those made first.
    OldestFirst,
}

/// Some requests of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallInPage {
    /// The requests, in order. A page may be short, even empty, and yet not be the last one.
    pub call_ins: Vec<CallIn>,
    /// Where to go on; none if this was the last page.
    pub next: Option<CallInId>,
    /// How many the whole list has, of those that were looked at.
    pub total: u64,
    /// Whether every request was looked at for the total; else it is a lower bound.
    pub total_is_complete: bool,
}

/// A request to keep: everything of it is written, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Who it is to be.
    pub id: CallInId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Name of its group.
    pub group: CallInGroupName,
    /// Its group.
    pub settings: Arc<Group>,
    /// Where the customer will call from.
    pub caller: Option<PhoneNumber>,
    /// The callback that it is tied to.
    pub callback: Option<CallbackId>,
    /// Compact JSON text.
    pub user_data: Option<String>,
    /// Makes a repetition recognisable.
    pub idempotency: Option<Idempotency>,
    /// When it is made (database time).
    pub at: DateTime<Utc>,
}

/// What became of a request that reached the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// Kept, with the number and code that it was given.
    New(CallIn),
    /// The same key and body had been kept before, as this.
    Existing(CallIn),
    /// The same key and body had been kept before, and what they made has been removed.
    Gone,
    /// The key had been used with another body. Nothing was kept.
    KeyReused,
    /// No number and code is free. Nothing was kept.
    NothingFree,
}

/// An incoming call to find the request of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    /// Whose requests.
    pub tenant: TenantId,
    /// Of this group alone.
    pub group: Option<CallInGroupName>,
    /// What the call brings.
    pub call: Call,
    /// Makes a repetition of what was matched recognisable.
    pub idempotency: Option<Idempotency>,
    /// When (database time).
    pub at: DateTime<Utc>,
}

/// What the store made of an incoming call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchOutcome {
    /// What [`Matched`] says.
    Answer(Matched),
    /// The same key and body had matched before, and that request has been removed.
    Gone,
    /// The key had been used with another body. Nothing was matched.
    KeyReused,
}

/// What became of a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// It is cancelled, or had been.
    Done,
    /// It has ended otherwise.
    NotWaiting(State),
    /// There is none.
    NotFound,
}

/// Keeps call-in requests. Every write is atomic and durable before it is `Ok`. Requests whose time is over neither
/// match nor stand in anybody's way, whether or not that has been written down.
#[async_trait]
pub trait CallInStore: Send + Sync {
    /// Chooses number and code by [`crate::call_in::choose`] and keeps the request. Of those that wait, no two share
    /// number and code, and without codes no two share number and caller.
    async fn open_call_in(&self, opening: Opening) -> Result<Opened, StoreError>;

    /// Ends the request that the call is recognised as, by the order of [`Call::best`]. Of any number of calls one
    /// wins.
    async fn match_call_in(&self, matching: Matching) -> Result<MatchOutcome, StoreError>;

    /// Withdraws a request.
    async fn cancel_call_in(&self, tenant: TenantId, id: CallInId, at: DateTime<Utc>) -> Result<Withdrawn, StoreError>;

    /// Lists requests as they stand at `at`. How much is looked at is bounded, whatever is asked.
    async fn call_ins(&self, tenant: TenantId, query: CallInQuery, at: DateTime<Utc>)
    -> Result<CallInPage, StoreError>;
}
