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
    /// Since when our heartbeats have been committed without a gap. Stillness from before says nothing: while
    /// the store was away nobody's counter could move, and others may come back later than we.
    unbroken_since: Option<Instant>,
}

impl Liveness {
    pub(super) fn new(me: Incarnation) -> Self {
        Self { me, nodes: HashMap::new(), own: VecDeque::new(), last_begun: None, unbroken_since: None }
    }

    /// A heartbeat of ours was committed and brought every node's counter. False if this node is not among
    /// them: it is then not alive any more.
    pub(super) fn beaten(&mut self, begun: Instant, now: Instant, nodes: &[(Incarnation, i64)]) -> bool {
        if nodes.iter().all(|(node, _)| *node != self.me) {
            self.last_begun = None;
            return false;
        }
        if self.last_begun.is_none_or(|last| now.duration_since(last) > STILL) {
            self.unbroken_since = Some(now);
        }
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
        true
    }

    /// Until when this node may begin anything.
    pub(super) fn alive_until(&self) -> Option<Instant> {
        self.last_begun.map(|begun| begun + SILENT)
    }

    /// Every incarnation that is not known to be dead, this one included.
    pub(super) fn living(&self, now: Instant) -> Vec<Incarnation> {
        let judged = self.own.len() >= OWN_BEATS;
        let alive = |seen: &Seen| {
            let still_since = self.unbroken_since.map_or(seen.since, |since| since.max(seen.since));
            !judged || now.duration_since(still_since) <= STILL
        };
        let others = self.nodes.iter().filter(|(node, seen)| **node != self.me && alive(seen));
        others.map(|(node, _)| *node).chain([self.me]).collect()
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
    fn after_an_outage_of_the_database_every_node_gets_its_time_again() {
        let (mut liveness, start) = (Liveness::new(ME), Instant::now());
        liveness.beaten(start, start, &[(ME, 1), (OTHER, 1)]);
        for second in 0..10 {
            // The other one comes back 3 s later than we.
            let now = at(start, 60.0 + f64::from(second));
            liveness.beaten(now, now, &[(ME, 2 + i64::from(second)), (OTHER, 1 + i64::from(second / 3))]);
            assert!(liveness.living(now).contains(&OTHER), "second {second}");
        }
    }

    #[test]
    fn a_node_whose_name_was_taken_begins_nothing() {
        let (mut liveness, start) = (Liveness::new(ME), Instant::now());
        assert!(liveness.beaten(start, start, &[(ME, 1)]));
        assert!(!liveness.beaten(start, start, &[(OTHER, 1)]));
        assert_eq!(liveness.alive_until(), None);
    }

    #[test]
    fn without_heartbeats_this_node_begins_nothing() {
        let (mut liveness, start) = (Liveness::new(ME), Instant::now());
        assert_eq!(liveness.alive_until(), None);
        // What counts is when the heartbeat was begun, not when its answer came.
        liveness.beaten(start, at(start, 2.0), &[(ME, 1)]);
        assert_eq!(liveness.alive_until(), Some(at(start, 3.0)));
    }

    #[test]
    fn a_node_that_left_is_forgotten_and_this_one_never() {
        let (mut liveness, start) = (Liveness::new(ME), Instant::now());
        liveness.beaten(start, start, &[(ME, 1), (OTHER, 1)]);
        liveness.beaten(start, start, &[(ME, 2)]);
        assert_eq!(liveness.living(start), [ME]);
    }
}
