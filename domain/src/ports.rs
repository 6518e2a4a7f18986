//! The traits between the rules and the world. Inward: [`Desk`] and [`Inbox`], which the tree implements.
//! Outward: stores, routing, clock, observer, probes and connectors, which adapters implement.
//!
//! Every call ends in one of three ways: done, *surely not done*, or *perhaps done*. Adapters put a
//! deadline on everything they do; callers may rely on an answer.

mod access;
mod availability;
mod bus;
mod call_in;
mod captcha;
mod contact_centers;
mod courier;
mod directory;
mod erasure;
mod explain;
mod flow;
mod hours;
mod inward;
mod limits;
mod moves;
mod news;
mod notices;
mod numbers;
mod reports;
mod search;
mod secrets;
mod statistics;
mod stores;
mod tenants;
mod waits;
mod world;

use std::sync::Arc;

pub use access::*;
pub use availability::*;
pub use bus::*;
pub use call_in::*;
pub use captcha::*;
pub use contact_centers::*;
pub use courier::*;
pub use directory::*;
pub use erasure::*;
pub use explain::*;
pub use flow::*;
pub use hours::*;
pub use inward::*;
pub use limits::*;
pub use moves::*;
pub use news::*;
pub use notices::*;
pub use numbers::*;
pub use reports::*;
pub use search::*;
pub use secrets::*;
pub use statistics::*;
pub use stores::*;
pub use tenants::*;
pub use waits::*;
pub use world::*;

/// Everything the tree needs from outside.
#[derive(Clone)]
pub struct Ports {
    /// Callbacks.
    pub callbacks: Arc<dyn CallbackStore>,
    /// Call-in requests.
    pub call_ins: Arc<dyn CallInStore>,
    /// Held places.
    pub holds: Arc<dyn HoldStore>,
    /// What flow engines ask about.
    pub flow: Arc<dyn FlowStore>,
    /// What bookings would come to.
    pub explain: Arc<dyn ExplainStore>,
    /// Finds callbacks.
    pub search: Arc<dyn SearchStore>,
    /// Tenants and keys.
    pub settings: Arc<dyn SettingsStore>,
    /// Happenings, and what is owed because of them.
    pub notices: Arc<dyn NoticeStore>,
    /// Sends what is owed.
    pub courier: Arc<dyn Courier>,
    /// Who is alive.
    pub nodes: Arc<dyn NodeStore>,
    /// Tells other nodes what they would find out later.
    pub bus: Arc<dyn Bus>,
    /// Where the door looks callers up.
    pub key_ring: Arc<dyn KeyRing>,
    /// What values are kept as that are counted.
    pub blinds: Arc<dyn Blinds>,
    /// The routing engine.
    pub routing: Arc<dyn Routing>,
    /// Takes what another node was told of queues.
    pub reports: Arc<dyn QueueReports>,
    /// Captcha providers.
    pub captcha: Arc<dyn Captcha>,
    /// The statistics service.
    pub statistics: Arc<dyn Statistics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Metrics and reports.
    pub observer: Arc<dyn Observer>,
    /// Clients to keep open.
    pub connectors: Vec<Arc<dyn Connector>>,
    /// Dependencies to ask.
    pub probes: Vec<Arc<dyn Probe>>,
}
