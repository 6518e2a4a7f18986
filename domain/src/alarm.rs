//! Internal alarms: what happens too often is told once, not a thousand times.
//!
//! ```text
//!   occurrence ─▶ throttle  ─▶ alert    one line of a list; what is held back is counted
//!             └─▶ tolerance ─▶ alarm    stands as long as more happens than is tolerated
//! ```
//!
//! Each type counts for each resource by itself, in periods that begin with its first occurrence. Nothing here is kept
//! over a restart, and each node has its own.

mod board;
mod kinds;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::ActorKind;

pub use board::{AlarmBoard, MAX_ALERTS, MAX_WATCHED};
pub use kinds::AlarmKind;

/// How urgent it is; the words are those of the alert rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody should be woken.
    Critical,
    /// Somebody should look today.
    Warning,
    /// Somebody may want to know.
    Info,
}

impl Severity {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Something that the service needs.
    Dependency,
    /// Requests and their answers.
    Api,
    /// Callbacks and those who wait for them.
    Callbacks,
    /// The process itself.
    Process,
}

impl Class {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dependency => "dependency",
            Self::Api => "api",
            Self::Callbacks => "callbacks",
            Self::Process => "process",
        }
    }
}

/// How much may happen before it is an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// Occurrences in one period that are still tolerated.
    pub max: u32,
    /// Length of a period.
    pub time: Duration,
    /// So many periods in a row have to be over `max` for the alarm to stand, and within it for the alarm to end.
    /// At least one.
    pub periods: u32,
}

/// How many alerts are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Alerts of one resource in `time`; those beyond are only counted.
    pub max: u32,
    /// From the first of them.
    pub time: Duration,
}

/// A type of alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmType {
    /// How urgent it is.
    pub severity: Severity,
    /// What it is about.
    pub class: Class,
    /// How much is tolerated.
    pub tolerance: Tolerance,
    /// How much is told.
    pub throttle: Throttle,
    /// What has happened, as one readable line.
    pub message: &'static str,
}

/// Where something happens: a closed set, or the name of a tenant. Never a person's data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// This node.
    Node,
    /// Something that it needs, by the name of its probe.
    Dependency(&'static str),
    /// Actors of one kind.
    Actors(ActorKind),
    /// A tenant, by name.
    Tenant(Arc<str>),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Dependency(name) => f.write_str(name),
            Self::Actors(kind) => f.write_str(kind.name()),
            Self::Tenant(name) => f.write_str(name),
        }
    }
}

/// Something that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occurrence {
    /// It has happened so many times.
    Happened(AlarmKind, Resource, u32),
    /// What is not well has been seen to be well again: its alarm ends at once.
    Well(AlarmKind, Resource),
}

/// One line of the list of alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What has happened.
    pub kind: AlarmKind,
    /// Where.
    pub resource: Resource,
    /// When.
    pub at: DateTime<Utc>,
    /// The same for everything about one resource until that has rested.
    pub incident: u64,
    /// Occurrences since the alert before it that were not told.
    pub held_back: u64,
}

/// What has happened to a resource and is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What has happened.
    pub kind: AlarmKind,
    /// Where.
    pub resource: Resource,
    /// The same for everything about one resource until that has rested.
    pub incident: u64,
    /// When it happened first.
    pub since: DateTime<Utc>,
    /// When it happened last.
    pub last: DateTime<Utc>,
    /// How often since then.
    pub occurrences: u64,
    /// Since when it has been more than is tolerated; none if it is not.
    pub exceeds_since: Option<DateTime<Utc>>,
}

/// What became of alarms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// More happens than is tolerated.
    Began(Alarm),
    /// It is over.
    Ended(Alarm),
}
