//! Switches of the `testing` build, each of which breaks one rule, so that the fault suite can show that it would notice.
//!
//! `GES_TESTING_BREAK` names the rule. The program that is shipped is built without the feature: there `is_broken` is a
//! constant, and neither the switches nor their names are in the binary. `tests/it/faults/proof.rs` has a scenario for
//! each.

/// A rule that a switch breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A step is written only on the version that it was made from.
    Version,
    /// What a node does of its own accord is written only while the callback is its own.
    Owner,
    /// Nothing is answered before it is committed.
    Commit,
    /// An attempt enters the stream once.
    Register,
    /// An attempt is granted to one session.
    Fence,
    /// A slot has an end.
    Slots,
    /// A key names one booking.
    Key,
    /// Time is the database's.
    Clock,
    /// What nobody works on is taken over.
    Sweep,
    /// What is erased is gone.
    Erasure,
    /// A key opens the door of its own tenant.
    Tenant,
}

/// Whether a switch breaks this rule: never in what is shipped.
#[cfg(not(feature = "testing"))]
pub(crate) const fn is_broken(_: Rule) -> bool {
    false
}

#[cfg(feature = "testing")]
pub(crate) use switches::is_broken;
#[cfg(feature = "testing")]
pub use switches::{UnknownRule, check};

#[cfg(feature = "testing")]
mod switches {
    use std::sync::LazyLock;

    use thiserror::Error;

    use super::Rule;

    const VARIABLE: &str = "GES_TESTING_BREAK";
    const NAMES: [(&str, Rule); 11] = [
        ("version", Rule::Version),
        ("owner", Rule::Owner),
        ("commit", Rule::Commit),
        ("register", Rule::Register),
        ("fence", Rule::Fence),
        ("slots", Rule::Slots),
        ("key", Rule::Key),
        ("clock", Rule::Clock),
        ("sweep", Rule::Sweep),
        ("erasure", Rule::Erasure),
        ("tenant", Rule::Tenant),
    ];

    /// The variable names no rule.
    #[derive(Debug, Error)]
    #[error("{VARIABLE} names a rule: {}", NAMES.map(|(name, _)| name).join(", "))]
    pub struct UnknownRule;

    static BROKEN: LazyLock<Option<Rule>> = LazyLock::new(|| check().ok().flatten());

    /// What is to be broken, if anything.
    ///
    /// # Errors
    /// If there is no such rule.
    pub fn check() -> Result<Option<Rule>, UnknownRule> {
        let Ok(wanted) = std::env::var(VARIABLE) else { return Ok(None) };
        let found = NAMES.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, rule)| Some(*rule)).ok_or(UnknownRule)
    }

    /// Whether a switch breaks this rule.
    pub(crate) fn is_broken(rule: Rule) -> bool {
        *BROKEN == Some(rule)
    }
}
