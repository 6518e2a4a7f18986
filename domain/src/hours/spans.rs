//! Sets of instants: sorted spans of real time that neither overlap nor touch.

use chrono::{DateTime, Utc};

/// A span of real time, start included and end not.
pub(super) type Span = (DateTime<Utc>, DateTime<Utc>);

/// A set of instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    /// The instants of any of the spans that lie within `window`.
    pub(super) fn within(window: Span, spans: impl IntoIterator<Item = Span>) -> Self {
        Self::merged(spans.into_iter().map(|(from, to)| (from.max(window.0), to.min(window.1))).collect())
    }

    fn merged(mut all: Vec<Span>) -> Self {
        all.retain(|(from, to)| from < to);
        all.sort_unstable();
        let mut merged: Vec<Span> = Vec::with_capacity(all.len());
        for (from, to) in all {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Self(merged)
    }

    pub(super) fn into_vec(self) -> Vec<Span> {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The instants of either.
    pub(super) fn or(mut self, other: Self) -> Self {
        if other.is_empty() {
            return self;
        }
        self.0.extend(other.0);
        Self::merged(self.0)
    }

    /// The instants of both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let (from, to) = (a.0.max(b.0), a.1.min(b.1));
            if from < to {
                both.push((from, to));
            }
            if a.1 <= b.1 {
                left.next()
            } else {
                right.next()
            };
        }
        Self(both)
    }

    /// The instants of this one that are not of the other.
    pub(super) fn without(self, other: &Self) -> Self {
        if other.is_empty() {
            return self;
        }
        let mut rest = Vec::new();
        let mut holes = other.0.iter().peekable();
        for (mut from, to) in self.0 {
            while holes.next_if(|hole| hole.1 <= from).is_some() {}
            // A hole may reach into the next span, so it is only passed over once it is behind.
            for hole in holes.clone().take_while(|hole| hole.0 < to) {
                if from < hole.0 {
                    rest.push((from, hole.0));
                }
                from = hole.1;
            }
            if from < to {
                rest.push((from, to));
            }
        }
        Self(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn spans(pairs: &[(i64, i64)]) -> Spans {
        Spans::within((at(0), at(40)), pairs.iter().map(|(from, to)| (at(*from), at(*to))))
    }

    fn holds(spans: &Spans, second: i64) -> bool {
        spans.0.iter().any(|(from, to)| *from <= at(second) && at(second) < *to)
    }

    fn tidy(spans: &Spans) -> bool {
        spans.0.iter().all(|(from, to)| from < to) && spans.0.windows(2).all(|pair| pair[0].1 < pair[1].0)
    }

    fn pairs() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((-5i64..45, -5i64..45), 0..6)
    }

    proptest! {
        #[test]
        fn sets_of_instants_behave_as_sets(left in pairs(), right in pairs()) {
            let (a, b) = (spans(&left), spans(&right));
            let (either, both, rest) = (a.clone().or(b.clone()), a.and(&b), a.clone().without(&b));
            prop_assert!([&a, &b, &either, &both, &rest].into_iter().all(tidy));
            for second in -6..46 {
                let named = |pairs: &[(i64, i64)]| (0..40).contains(&second) && pairs.iter().any(|(from, to)| (*from..*to).contains(&second));
                let (left, right) = (named(&left), named(&right));
                prop_assert_eq!(holds(&a, second), left);
                prop_assert_eq!(holds(&either, second), left || right);
                prop_assert_eq!(holds(&both, second), left && right);
                prop_assert_eq!(holds(&rest, second), left && !right);
            }
        }
    }
}
