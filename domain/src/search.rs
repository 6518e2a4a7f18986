//! Finding callbacks: by queue, state, desired time, number, and members of their user data.

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::{DateTime, Utc};

use crate::callback::State;
use crate::ids::{CallbackId, QueueName};
use crate::numbers::PhoneNumber;
use crate::user_data;

/// Which callbacks of a tenant are wanted. A filter that is empty admits all.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Of one of these queues.
    pub queues: BTreeSet<QueueName>,
    /// In one of these states.
    pub states: BTreeSet<State>,
    /// Wanted in this time.
    pub desired: Range<DateTime<Utc>>,
    /// Of one of these numbers: what one text means in several regions.
    pub phones: BTreeSet<PhoneNumber>,
    /// With these members of user data.
    pub properties: Properties,
    /// In which order they come.
    pub order: Order,
    /// Behind this one, whether that is wanted or not.
    pub after: Option<CallbackId>,
    /// At most so many.
    pub limit: usize,
}

impl Search {
    /// Most callbacks of a page.
    pub const MAX_LIMIT: usize = 1_000;
    /// Most queues that may be named.
    pub const MAX_QUEUES: usize = 100;
    /// Most members of user data that may be named.
    pub const MAX_PROPERTIES: usize = 10;

    /// A search that admits every callback.
    pub fn all(order: Order, limit: usize) -> Self {
        Self {
            queues: BTreeSet::new(),
            states: BTreeSet::new(),
            desired: DateTime::<Utc>::MIN_UTC..DateTime::<Utc>::MAX_UTC,
            phones: BTreeSet::new(),
            properties: Properties::default(),
            order,
            after: None,
            limit,
        }
    }

    /// Whether a callback's state, desired time and number are wanted. Its queue is not looked at.
    pub fn admits(&self, state: State, desired_time: DateTime<Utc>, phone: PhoneNumber) -> bool {
        (self.states.is_empty() || self.states.contains(&state))
            && self.desired.contains(&desired_time)
            && (self.phones.is_empty() || self.phones.contains(&phone))
    }

    /// Whether every state that is wanted is one of `states`.
    pub fn is_within(&self, states: &[State]) -> bool {
        !self.states.is_empty() && self.states.iter().all(|state| states.contains(state))
    }
}

/// In which order callbacks come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The last booked first.
    NewestFirst,
    /// The first booked first.
    OldestFirst,
}

/// How several members of user data are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Operand {
    /// All of them.
    #[default]
    And,
    /// One of them at least.
    Or,
}

impl Operand {
    /// Both.
    pub const ALL: [Self; 2] = [Self::And, Self::Or];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
        }
    }
}

/// Members that the user data shall have, each with its value as text: a text as it is, all else as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// Names and values.
    pub wanted: Vec<(String, String)>,
    /// Whether all or one of them.
    pub operand: Operand,
}

impl Properties {
    /// Whether none is wanted, so that user data need not be read.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether the user data of a callback is wanted.
    pub fn admit(&self, data: Option<&str>) -> bool {
        let Some(data) = data else { return self.is_empty() };
        let mut has = self.wanted.iter().map(|(name, value)| user_data::member(data, name).as_ref() == Some(value));
        match self.operand {
            Operand::And => has.all(|has| has),
            Operand::Or => self.is_empty() || has.any(|has| has),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(operand: Operand, members: &[(&str, &str)]) -> Properties {
        let wanted = members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Properties { wanted, operand }
    }

    #[test]
    fn members_are_compared_as_text() {
        let data = Some(r#"{"tier":2,"topic":"billing","vip":true,"nested":{"a":1},"none":null}"#);
        let both = [("tier", "2"), ("topic", "billing")];
        let one = [("tier", "2"), ("topic", "other")];
        let none = [("tier", "3"), ("missing", "")];
        for (operand, expected) in [(Operand::And, [true, false, false]), (Operand::Or, [true, true, false])] {
            assert_eq!([&both, &one, &none].map(|members| wanted(operand, members).admit(data)), expected);
        }
        for (name, value) in [("vip", "true"), ("nested", r#"{"a":1}"#)] {
            assert!(wanted(Operand::And, &[(name, value)]).admit(data), "{name}");
        }
        assert!(!wanted(Operand::And, &[("none", "null")]).admit(data), "null is as good as left out");
        for operand in Operand::ALL {
            assert!(wanted(operand, &[]).admit(data) && wanted(operand, &[]).admit(None), "no filter admits all");
            assert!(!wanted(operand, &both).admit(None));
        }
    }

    #[test]
    fn filters_hold_together() {
        let at = |hour: u32| format!("2030-03-04T{hour:02}:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let phone = PhoneNumber::from_digits(14_165_550_101);
        let open = Search::all(Order::NewestFirst, 10);
        assert!(open.admits(State::Completed, at(10), phone) && !open.is_within(&State::ALL));
        let narrow = Search {
            states: [State::Scheduled, State::Queued].into(),
            desired: at(10)..at(12),
            phones: [phone].into(),
            ..open
        };
        assert!(narrow.admits(State::Scheduled, at(10), phone));
        assert!(!narrow.admits(State::Routing, at(10), phone));
        assert!(!narrow.admits(State::Queued, at(12), phone), "the end is not part of the time");
        assert!(!narrow.admits(State::Queued, at(11), PhoneNumber::from_digits(1)));
        assert!(narrow.is_within(&[State::Scheduled, State::Queued, State::Routing]));
        assert!(!narrow.is_within(&[State::Queued, State::Routing]));
    }
}
