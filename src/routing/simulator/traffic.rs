//! What a queue remembers of its last interactions, from which waits are estimated: when they left the line, and
//! how long agents were busy with them.

use std::collections::VecDeque;

use domain::wait::MAX_SERVED;

use super::timeline::Micros;

const MICROS_PER_SECOND: f64 = 1e6;

/// The last interactions of one queue. Empty queues cost nothing beyond the struct.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    served_at: VecDeque<Micros>,
    busy: VecDeque<Micros>,
}

impl Traffic {
    /// Somebody left the line for an agent.
    pub(super) fn served(&mut self, at: Micros) {
        keep(&mut self.served_at, at);
    }

    /// An agent was busy with one for so long.
    pub(super) fn finished(&mut self, busy: Micros) {
        keep(&mut self.busy, busy);
    }

    /// How many left the line, and over how many seconds: until `now` while somebody waits, for then the next
    /// interval is under way.
    pub(super) fn served_over(&self, now: Micros, somebody_waits: bool) -> (u32, f64) {
        let (Some(first), Some(last)) = (self.served_at.front(), self.served_at.back()) else { return (0, 0.0) };
        let until = if somebody_waits { now.max(*last) } else { *last };
        (count(&self.served_at), (until - first) as f64 / MICROS_PER_SECOND)
    }

    /// Mean busy time in seconds.
    pub(super) fn mean_busy_seconds(&self) -> Option<f64> {
        let sum: Micros = self.busy.iter().sum();
        (!self.busy.is_empty()).then(|| sum as f64 / f64::from(count(&self.busy)) / MICROS_PER_SECOND)
    }
}

fn keep(last: &mut VecDeque<Micros>, value: Micros) {
    if last.len() == MAX_SERVED {
        last.pop_front();
    }
    last.push_back(value);
}

fn count(last: &VecDeque<Micros>) -> u32 {
    u32::try_from(last.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_interactions_count() {
        let mut traffic = Traffic::default();
        assert_eq!((traffic.served_over(9, true), traffic.mean_busy_seconds()), ((0, 0.0), None));
        for second in 0..40 {
            traffic.served(second * 1_000_000);
            traffic.finished(if second < 8 { 90_000_000 } else { 2_000_000 });
        }
        assert_eq!(traffic.served_over(41_000_000, false), (32, 31.0), "from 8 to 39");
        assert_eq!(traffic.served_over(41_000_000, true), (32, 33.0), "from 8 to 41");
        assert_eq!(traffic.mean_busy_seconds(), Some(2.0));
    }
}
