//! The supervision tree over the ports of the domain.
//!
//! ```text
//! root ─┬─ connectors ── one connector per client      open, check, close; restarted with back-off, for ever
//!       ├─ health ────── one probe per dependency       every 15 s
//!       ├─ membership                                   heartbeat, clock, who is alive, the sweep, the purge
//!       ├─ tenants ───── tenant … ── one session per active callback
//!       └─ scheduler                                    claims each minute, fires at the exact instant
//! ```
//!
//! A failure is an error out of a handler, a panic, or a start that does not succeed. An outage of a
//! dependency is none of these: whoever meets one drops what it knows, waits and looks again.
//!
//! | child | of | failures | within | pause | then | loses when it dies |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | connectors | root | 5 | 60 s | 100–5000 ms | escalate | nothing: clients are opened again |
//! | connector | connectors | – | – | 500–30000 ms | restart for ever | its client's connections |
//! | health | root | 5 | 60 s | 100–5000 ms | escalate | nothing: the last findings stay on the board |
//! | probe | health | – | – | 1000–15000 ms | restart for ever | nothing: its dependency counts as down meanwhile |
//! | membership | root | 5 | 60 s | 100–5000 ms | escalate | who was alive, for 3.5 s |
//! | tenants | root | 5 | 60 s | 100–5000 ms | escalate | every session of the node; the sweep brings them back |
//! | tenant | tenants | 5 | 60 s | 100–5000 ms | escalate | its sessions; the sweep brings them back |
//! | scheduler | root | 5 | 60 s | 100–5000 ms | escalate | its timers; the sweep finds their rows within a second |
//! | session | tenant | 2 | 60 s | 100–5000 ms | park | what was not saved |
//!
//! An escalation ends the supervisor, which counts as a failure of it one level up; when the root gives up,
//! the process ends with code 70.

mod connectors;
mod desk;
mod directory;
mod health;
mod keeper;
mod live;
mod mailbox;
mod membership;
mod node;
mod pinger;
mod restart;
mod scheduler;
mod session;
mod tenant;
mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
mod timers;
mod tree;

pub use health::HealthSnapshot;
pub use restart::{Policies, RestartPolicy, Then};
pub use tree::{StartError, Tree, TreeSettings};
