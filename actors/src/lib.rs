//! The supervision tree over the ports of the domain.
//!
//! ```text
//! root ─┬─ connectors ── one connector per client      open, check, close; restarted with back-off, for ever
//!       ├─ health ────── one probe per dependency       every 15 s
//!       ├─ membership                                   heartbeat, clock, who is alive, sweep, purge, end of holds
//!       ├─ tenants ───── tenant … ── one session per active callback
//!       ├─ scheduler                                    claims each minute, fires at the exact instant
//!       └─ notifier                                     delivers what is owed to tenants and customers
//! ```
//!
//! The root starts its children in this order and looks after each by its own policy; a child that is started
//! again is found by its siblings in the same place, so they notice nothing. Nobody inside the
//! tree asks and waits: messages are casts, and whatever asks a port under a deadline in a task of its own
//! brings the answer back as a message. From outside come calls through the desk, which waits for its reply
//! port alone, and readings of health, which wait for nobody.
//!
//! A failure is an error out of a handler, a panic in a handler or in a task, a start that does not succeed, or
//! a kill. An outage of a dependency is none of these: whoever meets one drops what it knows, waits and looks
//! again. What an actor forgets when it fails is in the store, and the sweep of membership finds it there.
//!
//! `failures` are forgiven `within` that time; one more, and what stands under `then` follows. The pause before
//! a restart doubles with each failure, from the first figure to the second, less up to half of it by chance.
//!
//! | child | of | failures | within | pause | then | loses when it dies |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | connectors | root | 5 | 60 s | 100–5000 ms | escalate | every client, until it is opened again |
//! | connector | connectors | – | – | 500–30000 ms | restart for ever | its client, until it is opened again |
//! | health | root | 5 | 60 s | 100–5000 ms | escalate | nothing: the last findings stay on the board |
//! | probe | health | – | – | 1000–15000 ms | restart for ever | nothing: its dependency counts as down meanwhile |
//! | membership | root | 5 | 60 s | 100–5000 ms | escalate | who was alive: for 3.5 s everybody counts as such |
//! | tenants | root | 5 | 60 s | 100–5000 ms | escalate | every session of the node; the sweep brings them back |
//! | tenant | tenants | 5 | 60 s | 100–5000 ms | escalate | its sessions; the sweep brings them back |
//! | scheduler | root | 5 | 60 s | 100–5000 ms | escalate | its timers; the sweep finds their rows within a second |
//! | notifier | root | 5 | 60 s | 100–5000 ms | escalate | nothing: what it had in hand goes on by itself, what is owed is in the store |
//! | session | tenant | 2 | 60 s | 100–5000 ms | park | what was not saved; it reads its row again |
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
mod notifier;
mod others;
mod pinger;
mod restart;
mod scheduler;
mod session;
mod short_waits;
mod task;
mod tenant;
mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
mod timers;
mod tree;

pub use health::HealthSnapshot;
pub use restart::{Policies, RestartPolicy, Then};
pub use tree::{StartError, Tree, TreeSettings};
