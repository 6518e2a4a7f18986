//! The service's own Redis: nodes tell each other what they would find out later, and share answers of services outside.
//!
//! ```text
//!   hints ──▶ outbox ──▶ one message, seldom ──▶ channel ──▶ every other node ──▶ its ear
//! ```
//!
//! The database is the truth, Redis is speed: whatever goes this way may be lost, and nothing that is promised depends on
//! it. The client is a `Connector`: an actor opens it, looks after it, closes it and opens it anew, for ever; between two
//! looks it connects again by itself, also to a server that has taken another's place. Nobody polls.

mod answers;
mod bus;
mod client;
mod keys;
mod message;
mod outbox;
mod pace;
mod password;
mod unverified;

pub use bus::{BusSettings, RedisBus};
pub use client::{Endpoint, Layout, RedisSettings, TlsSettings, Verify};
pub(crate) use client::{Link, Use, open, told};
pub use password::Password;
