//! Which number and code a request gets. What is taken is told by whoever keeps the requests, and nobody else may
//! write meanwhile: so a code or number is refused only if there really is none.

use std::ops::RangeInclusive;

use super::Group;
use crate::numbers::PhoneNumber;

/// Random words for one request. Even with nine of ten codes taken, so many draws miss a free one in one case of
/// five only, and then the codes are walked through.
pub const DRAWS: usize = 16;

/// The codes of one length: all numbers of so many digits, none with a leading zero, which clients that read codes
/// as numbers would lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes(RangeInclusive<u32>);

impl Codes {
    /// Digits that a code may have.
    pub const DIGITS: RangeInclusive<u32> = 3..=9;

    /// Codes of so many digits; a number outside [`Self::DIGITS`] counts as the nearest one in it.
    pub fn of(digits: u32) -> Self {
        let first = 10_u32.pow(digits.clamp(*Self::DIGITS.start(), *Self::DIGITS.end()) - 1);
        Self(first..=first * 10 - 1)
    }

    /// The first and the last of them.
    pub fn range(&self) -> RangeInclusive<u32> {
        self.0.clone()
    }

    /// The code that a random word stands for. Each is as likely as any other to one part in four billion.
    pub fn draw(&self, word: u64) -> u32 {
        let (first, last) = (*self.0.start(), *self.0.end());
        let count = u128::from(last - first) + 1;
        let place = (u128::from(word) * count) >> 64;
        // Below the count, which is below 2^32.
        first + u32::try_from(place).unwrap_or_default()
    }
}

/// What is open just now on the numbers of one tenant. Requests whose time is over are not open.
pub trait OpenRequests {
    /// Why a question could not be answered.
    type Error;

    /// How many requests wait on a number, roughly: those that have just expired may still be counted.
    fn load(&mut self, number: PhoneNumber) -> Result<u64, Self::Error>;

    /// Whether a request of this caller waits on a number.
    fn has_caller(&mut self, number: PhoneNumber, caller: PhoneNumber) -> Result<bool, Self::Error>;

    /// Whether a request with neither caller nor code waits on a number.
    fn has_unmarked(&mut self, number: PhoneNumber) -> Result<bool, Self::Error>;

    /// Whether a request with this code waits on a number.
    fn has_code(&mut self, number: PhoneNumber, code: u32) -> Result<bool, Self::Error>;

    /// The lowest free code above `taken`, at most `last`, where `taken` itself is not free; none if there is none.
    fn free_code_above(&mut self, number: PhoneNumber, taken: u32, last: u32) -> Result<Option<u32>, Self::Error>;
}

/// What a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number to call.
    pub number: PhoneNumber,
    /// The code to enter.
    pub code: Option<u32>,
}

/// Chooses number and code for a request of `caller`; none if no number of the group is free for it.
///
/// With codes every number is free that has a free code. Without them the caller's number is the mark, so a number is
/// free if nobody waits there who calls from the same number; a request that says no number needs one where no other
/// such request waits, for only the number dialled will tell it. Of the free numbers those come first on which the
/// same caller has no other request, then those with the fewest requests, then those named first. `words` are fresh
/// random words, at least one, best [`DRAWS`].
///
/// # Errors
/// What `open` fails with.
pub fn choose<O: OpenRequests>(
    group: &Group,
    caller: Option<PhoneNumber>,
    words: &[u64],
    open: &mut O,
) -> Result<Option<Place>, O::Error> {
    let mut candidates = Vec::with_capacity(group.numbers.len());
    for number in group.numbers.iter().copied() {
        let crowded = match (caller, &group.codes) {
            (Some(caller), _) => open.has_caller(number, caller)?,
            (None, None) => open.has_unmarked(number)?,
            (None, Some(_)) => false,
        };
        if group.codes.is_some() || !crowded {
            candidates.push((crowded, open.load(number)?, number));
        }
    }
    // Stable: equals stay in the order of the group.
    candidates.sort_by_key(|(crowded, load, _)| (*crowded, *load));
    for (_, _, number) in candidates {
        let Some(codes) = &group.codes else { return Ok(Some(Place { number, code: None })) };
        if let Some(code) = free_code(codes, number, words, open)? {
            return Ok(Some(Place { number, code: Some(code) }));
        }
    }
    Ok(None)
}

/// Draws first; where most codes are taken, the next free one behind the last draw, all the way round.
fn free_code<O: OpenRequests>(
    codes: &Codes,
    number: PhoneNumber,
    words: &[u64],
    open: &mut O,
) -> Result<Option<u32>, O::Error> {
    let (first, last) = (*codes.0.start(), *codes.0.end());
    let mut drawn = first;
    for word in words {
        drawn = codes.draw(*word);
        if !open.has_code(number, drawn)? {
            return Ok(Some(drawn));
        }
    }
    if let Some(code) = open.free_code_above(number, drawn, last)? {
        return Ok(Some(code));
    }
    if drawn == first {
        return Ok(None);
    }
    if !open.has_code(number, first)? {
        return Ok(Some(first));
    }
    open.free_code_above(number, first, drawn)
}
