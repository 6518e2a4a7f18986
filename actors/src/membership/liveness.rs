//! Who is alive, judged by counters and this node's own monotonic clock alone: a slow, stopped or failed-over
//! database kills nobody, and no wall clock is asked.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use domain::ids::Incarnation;
use tokio::time::Instant;

/// A counter that stands still for so long …
const STILL: Duration = Duration::from_millis(3500);
/// … while at least so many of this node's own heartbeats were committed, is that of a dead node.
const OWN_BEATS: usize = 3;
/// Without a committed heartbeat for this long, this node begins nothing.
const SILENT: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy)]
struct Seen {
    counter: i64,
    /// When a heartbeat of ours first brought this counter.
    since: Instant,
}

/// What this node has seen.
#[derive(Debug)]
pub(super) struct Liveness {
    me: Incarnation,
    nodes: HashMap<Incarnation, Seen>,
    /// When our own heartbeats of the last while were answered.
    own: VecDeque<Instant>,
    /// When the last committed heartbeat was begun: it is certain that we lived then.
    last_begun: Option<Instant>,
}

impl Liveness {
    pub(super) fn new(me: Incarnation) -> Self {
        Self { me, nodes: HashMap::new(), own: VecDeque::new(), last_begun: None }
    }

    /// A heartbeat of ours was committed and brought every node's counter.
    pub(super) fn beaten(&mut self, begun: Instant, now: Instant, nodes: &[(Incarnation, i64)]) {
        self.last_begun = Some(begun);
        self.own.push_back(now);
        while self.own.front().is_some_and(|at| now.duration_since(*at) > STILL) {
            self.own.pop_front();
        }
        self.nodes.retain(|node, _| nodes.iter().any(|(known, _)| known == node));
        for (node, counter) in nodes {
            let seen = self.nodes.entry(*node).or_insert(Seen { counter: *counter, since: now });
            if seen.counter != *counter {
                *seen = Seen { counter: *counter, since: now };
            }
        }
    }

    /// Whether this node may begin anything.
    pub(super) fn am_alive(&self, now: Instant) -> bool {
        self.last_begun.is_some_and(|at| now.duration_since(at) < SILENT)
    }

    /// Every incarnation that is not known to be dead, this one included.
    pub(super) fn living(&self, now: Instant) -> Vec<Incarnation> {
        let judged = self.own.len() >= OWN_BEATS;
        let alive = |seen: &Seen| !judged || now.duration_since(seen.since) <= STILL;
        let others = self.nodes.iter().filter(|(node, seen)| **node == self.me || alive(seen)).map(|(node, _)| *node);
        let mut living: Vec<_> = others.collect();
        if !living.contains(&self.me) {
            living.push(self.me);
        }
        living
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Incarnation = Incarnation(1);
    const OTHER: Incarnation = Incarnation(2);

    fn at(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_counter_that_stands_still_is_a_dead_node() {
        let (mut liveness, start) = (Liveness::new(ME), Instant::now());
        for second in 0..10 {
            let now = at(start, f64::from(second));
            let other = i64::from(second).min(4);
            liveness.beaten(now, now, &[(ME, second.into()), (OTHER, other)]);
            let alive = liveness.living(now).contains(&OTHER);
            assert_eq!(alive, second <= 7, "second {second}: it stood still from 4 on");
        }
    }

    #[test]
    fn a_database_that_stops_kills_nobody() {
        let (mut liveness, start) = (Liveness::new(ME), Instant::now());
        liveness.beaten(start, start, &[(ME, 1), (OTHER, 1)]);
        // No heartbeat of ours was committed for a minute: the counters had no chance to move.
        let now = at(start, 60.0);
        liveness.beaten(now, now, &[(ME, 2), (OTHER, 1)]);
        assert!(liveness.living(now).contains(&OTHER));
    }

    #[test]
    fn without_heartbeats_this_node_begins_nothing() {
        let (mut liveness, start) = (Liveness::new(ME), Instant::now());
        assert!(!liveness.am_alive(start));
        liveness.beaten(start, start, &[(ME, 1)]);
        assert!(liveness.am_alive(at(start, 2.9)));
        assert!(!liveness.am_alive(at(start, 3.0)));
    }

    #[test]
    fn a_node_that_left_is_forgotten_and_this_one_never() {
        let (mut liveness, start) = (Liveness::new(ME), Instant::now());
        liveness.beaten(start, start, &[(ME, 1), (OTHER, 1)]);
        liveness.beaten(start, start, &[]);
        assert_eq!(liveness.living(start), [ME]);
    }
}
