//! Region affinity: which regions are tried first, which nodes of routing that means, and what is known of each node.
//! Pure; whoever asks the nodes stands outside. Both adapters to Orchestration order by what stands here.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::health::DependencyStatus;
use crate::ids::CallbackId;

/// What a node of routing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// Orchestration: takes attempts.
    Ors,
    /// Universal Routing: finds agents for Orchestration. It is only watched.
    Urs,
}

impl NodeKind {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ors => "ORS",
            Self::Urs => "URS",
        }
    }
}

/// Which of the nodes of a region goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Before the others.
    Primary,
    /// Once no primary of its region answers.
    Backup,
}

impl Role {
    /// The word in settings and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let known = [Self::Primary, Self::Backup];
        known.into_iter().find(|role| role.name().eq_ignore_ascii_case(text)).ok_or(UnknownRole)
    }
}

/// No role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is primary or backup")]
pub struct UnknownRole;

/// A node of routing, as it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name, 1 to 63 characters; no two nodes of a kind share one.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Where it is, up to 32 characters; empty if nobody said.
    pub region: Region,
    /// Its place among those of its region.
    pub role: Role,
}

/// A region by its name, in which case makes no difference.
#[derive(Debug, Clone, Eq)]
pub struct Region(String);

impl Region {
    /// Most characters of a name.
    pub const MAX_CHARS: usize = 32;

    /// A region of that name.
    pub fn new(name: &str) -> Self {
        Self(name.trim().to_owned())
    }

    /// Its name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Region {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// Which.
    pub node: Node,
    /// Whether it answers.
    pub status: DependencyStatus,
    /// Since when the status has been what it is.
    pub since: DateTime<Utc>,
    /// When it answered last; none if it never did.
    pub last_response: Option<DateTime<Utc>>,
    /// Why it is down, readable alone, without secrets.
    pub reason: Option<String>,
}

impl NodeReport {
    /// Whether it surely does not answer. One that nobody has asked yet may.
    pub const fn is_down(&self) -> bool {
        matches!(self.status, DependencyStatus::Down)
    }
}

/// The regions in order of preference: those of the queue's rule, then those of the installation that it does not name.
/// A region in which nodes of Orchestration are known, and none of them answers, goes behind the others.
pub fn preference(rule: &[String], affinity: &[Region], nodes: &[NodeReport]) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::with_capacity(rule.len() + affinity.len());
    for region in rule.iter().map(|name| Region::new(name)).chain(affinity.iter().cloned()) {
        if !region.as_str().is_empty() && !regions.contains(&region) {
            regions.push(region);
        }
    }
    regions.sort_by_key(|region| {
        let mut there = nodes.iter().filter(|it| it.node.kind == NodeKind::Ors && it.node.region == *region).peekable();
        there.peek().is_some() && there.all(NodeReport::is_down)
    });
    regions
}

/// Places in `nodes` of those of Orchestration, in the order in which they are tried for `id`: first those that are not
/// known to be down, among them by region, among those of a region primaries first, and equals in an order that differs
/// from callback to callback, so that they share the work.
pub fn order(nodes: &[NodeReport], preference: &[Region], id: CallbackId) -> Vec<usize> {
    let place = |region: &Region| preference.iter().position(|it| it == region).unwrap_or(preference.len());
    let mut places: Vec<usize> =
        nodes.iter().enumerate().filter(|(_, it)| it.node.kind == NodeKind::Ors).map(|(at, _)| at).collect();
    places.sort_by_cached_key(|at| {
        let share = id.spread(u32::try_from(*at).unwrap_or(u32::MAX), chrono::Duration::hours(1));
        nodes.get(*at).map(|it| (it.is_down(), place(&it.node.region), it.node.role, share))
    });
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(name: &str, region: &str, role: Role, status: DependencyStatus) -> NodeReport {
        let node = Node { name: name.to_owned(), kind: NodeKind::Ors, region: Region::new(region), role };
        NodeReport { node, status, since: DateTime::UNIX_EPOCH, last_response: None, reason: None }
    }

    fn id(bits: u128) -> CallbackId {
        CallbackId::from_uuid(uuid::Uuid::from_u128(bits))
    }

    fn names(nodes: &[NodeReport], preference: &[Region]) -> Vec<String> {
        order(nodes, preference, id(7)).into_iter().map(|at| nodes[at].node.name.clone()).collect()
    }

    fn regions(names: &[&str]) -> Vec<Region> {
        names.iter().map(|name| Region::new(name)).collect()
    }

    #[test]
    fn preferred_regions_go_first_and_health_decides_the_fall_back() {
        use DependencyStatus::{Down, Unknown, Up};
        let nodes = |eu, eu_backup, us| {
            vec![
                node("us-1", "us", Role::Primary, us),
                node("eu-2", "eu", Role::Backup, eu_backup),
                node("eu-1", "EU", Role::Primary, eu),
                node("far", "", Role::Primary, Up),
            ]
        };
        let eu_first = regions(&["eu", "us"]);
        for (statuses, expected) in [
            ((Up, Up, Up), ["eu-1", "eu-2", "us-1", "far"]),
            ((Unknown, Unknown, Unknown), ["eu-1", "eu-2", "us-1", "far"]),
            ((Down, Up, Up), ["eu-2", "us-1", "far", "eu-1"]),
            ((Down, Down, Up), ["us-1", "far", "eu-1", "eu-2"]),
            ((Down, Down, Down), ["far", "eu-1", "eu-2", "us-1"]),
        ] {
            assert_eq!(names(&nodes(statuses.0, statuses.1, statuses.2), &eu_first), expected, "{statuses:?}");
        }
        let anywhere = names(&nodes(Up, Up, Up), &[]);
        assert_eq!(anywhere.last().map(String::as_str), Some("eu-2"), "without a preference backups still go last");
    }

    #[test]
    fn a_rule_goes_before_the_affinity_and_a_dark_region_behind_both() {
        use DependencyStatus::{Down, Up};
        let rule = vec!["us".to_owned(), "ap".to_owned()];
        let affinity = regions(&["eu", "US"]);
        let text = |regions: Vec<Region>| regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        assert_eq!(text(preference(&rule, &affinity, &[])), "us,ap,eu");
        assert_eq!(text(preference(&[], &affinity, &[])), "eu,US");
        let dark = [node("a", "us", Role::Primary, Down), node("b", "US", Role::Backup, Down)];
        assert_eq!(text(preference(&rule, &affinity, &dark)), "ap,eu,us");
        let half = [node("a", "us", Role::Primary, Down), node("b", "us", Role::Backup, Up)];
        assert_eq!(text(preference(&rule, &affinity, &half)), "us,ap,eu", "one that answers is enough");
    }

    #[test]
    fn equals_share_the_work() {
        let nodes: Vec<_> =
            ["a", "b", "c"].map(|name| node(name, "eu", Role::Primary, DependencyStatus::Up)).into_iter().collect();
        let first = |bits: u128| order(&nodes, &[], id(bits))[0];
        let mut counts = [0; 3];
        (0..3000u128).for_each(|bits| counts[first(bits.wrapping_mul(0x9E37_79B9_7F4A_7C15))] += 1);
        assert!(counts.iter().all(|count| (700..1300).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn every_node_is_tried_once_and_none_that_is_down_before_one_that_is_not(
            standing in prop::collection::vec((0u8..4, 0u8..3, any::<bool>(), any::<bool>()), 0..12),
            wanted in prop::collection::vec(0u8..4, 0..4),
            bits in any::<u128>(),
        ) {
            let statuses = [DependencyStatus::Up, DependencyStatus::Down, DependencyStatus::Unknown];
            let nodes: Vec<_> = standing
                .iter()
                .map(|(region, status, backup, urs)| {
                    let role = if *backup { Role::Backup } else { Role::Primary };
                    let mut node = node("n", &region.to_string(), role, statuses[usize::from(*status)]);
                    node.node.kind = if *urs { NodeKind::Urs } else { NodeKind::Ors };
                    node
                })
                .collect();
            let wanted: Vec<_> = wanted.iter().map(|region| Region::new(&region.to_string())).collect();
            let tried = order(&nodes, &wanted, id(bits));
            let mut sorted = tried.clone();
            sorted.sort_unstable();
            let all: Vec<_> = (0..nodes.len()).filter(|at| nodes[*at].node.kind == NodeKind::Ors).collect();
            prop_assert_eq!(sorted, all);
            prop_assert!(tried.is_sorted_by_key(|at| nodes[*at].is_down()));
        }
    }
}
