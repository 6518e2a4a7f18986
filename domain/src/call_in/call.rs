//! What an incoming call is recognised by.

use std::fmt;

use super::CallIn;
use crate::numbers::PhoneNumber;

/// One thing that a call brings and a request can be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// The code that was entered.
    AccessCode,
    /// The number that called.
    Ani,
    /// The number that was dialled.
    Dnis,
}

impl Criterion {
    /// Every criterion.
    pub const ALL: [Self; 3] = [Self::AccessCode, Self::Ani, Self::Dnis];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessCode => "accessCode",
            Self::Ani => "ani",
            Self::Dnis => "dnis",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::AccessCode => 1,
            Self::Ani => 2,
            Self::Dnis => 4,
        }
    }
}

/// A set of criteria.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Criteria(u8);

impl Criteria {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Whether `criterion` is one of them.
    pub const fn has(self, criterion: Criterion) -> bool {
        self.0 & criterion.bit() != 0
    }

    /// With one more, if `there`.
    #[must_use]
    pub const fn with(self, criterion: Criterion, there: bool) -> Self {
        if there { Self(self.0 | criterion.bit()) } else { self }
    }

    /// How many.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// One after the other.
    pub fn each(self) -> impl Iterator<Item = Criterion> {
        Criterion::ALL.into_iter().filter(move |criterion| self.has(*criterion))
    }

    /// Small number for storage; never changes its meaning.
    pub const fn code(self) -> i16 {
        self.0 as i16
    }

    /// The set with that storage number.
    pub fn from_code(code: i16) -> Option<Self> {
        u8::try_from(code).ok().filter(|bits| *bits < 8).map(Self)
    }

    /// Its subsets of so many.
    fn subsets(self, count: u32) -> impl Iterator<Item = Self> {
        (1..8).map(Self).filter(move |set| set.count() == count && set.0 & !self.0 == 0)
    }
}

impl FromIterator<Criterion> for Criteria {
    fn from_iter<I: IntoIterator<Item = Criterion>>(criteria: I) -> Self {
        criteria.into_iter().fold(Self::NONE, |set, criterion| set.with(criterion, true))
    }
}

impl fmt::Debug for Criteria {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.each()).finish()
    }
}

/// A value that a call may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presented<T> {
    /// The flow does not ask about it.
    #[default]
    Absent,
    /// It is asked about and can be nobody's: letters for a code, a withheld number.
    Unreadable,
    /// This.
    Value(T),
}

impl<T: Copy + PartialEq> Presented<T> {
    /// The value, if it can be one.
    pub const fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Unreadable => None,
        }
    }

    const fn is_given(self) -> bool {
        !matches!(self, Self::Absent)
    }

    fn fits(self, own: Option<T>) -> bool {
        own.is_some() && self.value() == own
    }
}

/// What an incoming call brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Call {
    /// The code that was entered.
    pub code: Presented<u32>,
    /// The number that called.
    pub ani: Presented<PhoneNumber>,
    /// The number that was dialled.
    pub dnis: Presented<PhoneNumber>,
}

/// Which marks of its own a request bears beside its access number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// None: only the number dialled tells it.
    None,
    /// The caller's number.
    Caller,
    /// A code.
    Code,
    /// Both.
    Both,
}

impl Marks {
    /// Every combination.
    pub const ALL: [Self; 4] = [Self::None, Self::Caller, Self::Code, Self::Both];

    /// The marks of a request.
    pub const fn of(code: Option<u32>, caller: Option<PhoneNumber>) -> Self {
        match (code, caller) {
            (None, None) => Self::None,
            (None, Some(_)) => Self::Caller,
            (Some(_), None) => Self::Code,
            (Some(_), Some(_)) => Self::Both,
        }
    }

    /// Small number for storage; never changes its meaning.
    pub const fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Caller => 1,
            Self::Code => 2,
            Self::Both => 3,
        }
    }

    const fn has_code(self) -> bool {
        matches!(self, Self::Code | Self::Both)
    }

    const fn has_caller(self) -> bool {
        matches!(self, Self::Caller | Self::Both)
    }
}

impl Call {
    /// The criteria that could fit some request.
    pub fn readable(&self) -> Criteria {
        Criteria::NONE
            .with(Criterion::AccessCode, self.code.value().is_some())
            .with(Criterion::Ani, self.ani.value().is_some())
            .with(Criterion::Dnis, self.dnis.value().is_some())
    }

    /// The criteria that fit a request.
    pub fn fitting(&self, request: &CallIn) -> Criteria {
        Criteria::NONE
            .with(Criterion::AccessCode, self.code.fits(request.code))
            .with(Criterion::Ani, self.ani.fits(request.caller))
            .with(Criterion::Dnis, self.dnis.fits(Some(request.number)))
    }

    /// What the call proves to be this request's by; nothing if it does not.
    ///
    /// A code or a caller's number is proof. The number dialled alone is proof only of a request that nothing else the
    /// call brought speaks against: many share a number, and who enters a wrong code must not be given another
    /// customer's data.
    pub fn proof(&self, request: &CallIn) -> Criteria {
        let fitting = self.fitting(request);
        let only_dnis = fitting == Criteria::from_iter([Criterion::Dnis]);
        let marks = Marks::of(request.code, request.caller);
        if only_dnis && !self.marks_by_dnis_alone().any(|allowed| allowed == marks) { Criteria::NONE } else { fitting }
    }

    /// The marks of requests that the number dialled is proof of: those that the call does not contradict.
    pub fn marks_by_dnis_alone(&self) -> impl Iterator<Item = Marks> {
        let (code, ani) = (self.code.is_given(), self.ani.is_given());
        Marks::ALL.into_iter().filter(move |marks| !(code && marks.has_code() || ani && marks.has_caller()))
    }

    /// The sets of criteria to look for, those of one step being equally good: more criteria come first, and in a
    /// step the oldest request that is found.
    pub fn steps(&self) -> impl Iterator<Item = impl Iterator<Item = Criteria>> {
        let readable = self.readable();
        (1..=readable.count()).rev().map(move |count| readable.subsets(count))
    }

    /// The request that the call is recognised as, and by what: most criteria first, then the oldest.
    pub fn best<'a>(&self, waiting: impl IntoIterator<Item = &'a CallIn>) -> Option<(&'a CallIn, Criteria)> {
        let proven = waiting.into_iter().map(|request| (request, self.proof(request)));
        let proven = proven.filter(|(_, criteria)| *criteria != Criteria::NONE);
        proven.min_by_key(|(request, criteria)| (std::cmp::Reverse(criteria.count()), request.id))
    }
}
