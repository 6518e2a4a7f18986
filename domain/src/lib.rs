//! The rules of callbacks: pure, without clock, I/O or runtime. `now` is always an argument.
//!
//! Words of the trade, one sentence each:
//!
//! - **Callback**: a promise to ring a customer, now or at a desired time ([`callback::Callback`]).
//! - **Tenant**: a contact centre; every row, key and answer belongs to exactly one.
//! - **Queue** (also *service*, *virtual queue*): where a callback waits for an agent ([`queue::Queue`]).
//! - **Routing** (ORS): the engine that finds an agent and rings the customer ([`ports::Routing`]).
//! - **Attempt**: one invitation to routing; raising its number is what ends the one before.
//! - **Accepted**: routing's conditional claim of an attempt, granted to one session only.
//! - **Session**: routing's work on one attempt; on our side the actor that guards one active callback.
//! - **Lead**: how long before the desired time routing has to start, so that the call comes on time.
//! - **Slot**: an interval of the day in which a queue serves a limited number of scheduled callbacks.
//! - **Hold**: a place of a slot kept for a short time, until a booking takes it over ([`holds::Hold`]).
//! - **Owner**: the incarnation of a node that works on a callback on its own initiative.
//! - **Owed**: what is still to be done outside after a callback has ended.
//! - **Happening**: something that a tenant is told of, in the order of its feed ([`happening::Happening`]).
//! - **Notice**: a happening that is owed to one receiver: an endpoint of the tenant, or a device of the customer.
//! - **Parked**: set aside with a reason for an operator, never retried, never lost.

pub mod access;
pub mod alarm;
pub mod audit;
pub mod availability;
pub mod booking;
pub mod call_in;
pub mod callback;
pub mod capacity;
pub mod captcha;
pub mod cors;
pub mod document;
pub mod erasure;
pub mod event;
pub mod explain;
pub mod fair;
pub mod gws;
pub mod happening;
pub mod health;
pub mod holds;
pub mod hours;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod nearest;
pub mod network;
pub mod notices;
pub mod number_rules;
pub mod numbers;
pub mod ports;
pub mod push;
pub mod queue;
pub mod region;
#[cfg(test)]
mod samples;
pub mod search;
pub mod secret;
pub mod setting;
pub mod slots;
pub mod tenant;
pub mod throttle;
pub mod user_data;
pub mod wait;
pub mod webhooks;
