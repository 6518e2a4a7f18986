//! Phone numbers: reading what people write, and keeping it in one form.
//!
//! The numbering plans are those of the crate `phonenumber` (Google's metadata); the reading is our own.
//! That crate's parser strips the trunk prefix of the *default* region from numbers of other countries:
//! with the default `US`, `+33 1 23 45 67 89` loses its 1. Here a plan is only applied to its own numbers.
//!
//! A number counts as possible if some region of its country code has lines of that length, or a service in
//! that range. Whether the range of a line has been assigned is not judged: plans change more often than
//! metadata, and the customer knows the number better. So the ranges set aside for examples
//! (+1 416 555 01xx) are accepted.

mod plans;
mod reading;

use std::fmt;
use std::str::FromStr;

use phonenumber::country;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// ISO 3166-1 alpha-2 region that has a numbering plan, upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "&'static str")]
#[schemars(extend("pattern" = "^[A-Z]{2}$"))]
pub struct Region(country::Id);

impl Ord for Region {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Region {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Not a region with a numbering plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a region is two upper-case letters of ISO 3166-1, such as US")]
pub struct BadRegion;

/// A number in E.164: country code and national number, at most 15 digits. `Debug` and `Display` show only
/// its last two digits, so that it can stand in a log line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhoneNumber(u64);

/// Why a text is no number that can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Cannot be read as a number at all.
    #[error("not a phone number")]
    NotANumber,
    /// Readable, but no number of that length or region exists.
    #[error("a number that cannot exist")]
    Impossible,
}

impl Region {
    /// United States.
    pub const US: Self = Self(country::Id::US);

    /// The two letters.
    pub fn as_str(self) -> &'static str {
        // `country::Id` prints as its name; every name has two letters.
        reading::plan(self).map_or("US", |plan| plan.id())
    }

    /// The code that stands before its numbers internationally.
    pub fn country_code(self) -> u16 {
        reading::plan(self).map_or(1, phonenumber::Metadata::country_code)
    }

    /// The digits that are dialled before every number inside it, if it has some and no number begins with them.
    pub fn trunk_prefix(self) -> Option<&'static str> {
        plans::trunk_prefix(self)
    }
}

impl PhoneNumber {
    /// Longest text that is read, in characters. The longest number with generous punctuation has about 30.
    pub const MAX_TEXT_CHARS: usize = 64;

    /// Most digits of a number (E.164).
    pub const MAX_DIGITS: usize = 15;

    /// Reads a number as people write it.
    ///
    /// With a leading plus it is international. Without one the readings are tried in this order, and the
    /// first that fits its numbering plan wins, else the first of a possible length: international behind
    /// `region`'s own dialling prefix (`011…`, `00…`), national in `region`, international with the plus
    /// forgotten. Punctuation is ignored, a trunk prefix (`+44 (0)20 …`) is dropped.
    ///
    /// # Errors
    /// [`NumberError::NotANumber`] for texts that hold anything but digits and punctuation (letters and
    /// extensions too: what they would dial is a guess), no digit, or more than [`Self::MAX_TEXT_CHARS`]
    /// characters; [`NumberError::Impossible`] if no reading has a possible length.
    pub fn parse(text: &str, region: Region) -> Result<Self, NumberError> {
        reading::read(text, region).map(Self)
    }

    /// Reads a number that [`Self::parse`] found to be impossible: as its digits say, behind the country code of
    /// `region` if it has no plus.
    ///
    /// # Errors
    /// [`NumberError::NotANumber`] as there; [`NumberError::Impossible`] for more digits than [`Self::MAX_DIGITS`], and
    /// for those that no number can begin with.
    pub fn parse_impossible(text: &str, region: Region) -> Result<Self, NumberError> {
        reading::read_as_written(text, region).map(Self)
    }

    /// The region whose plan it follows: that of its country code, or, where several share one, the one that has
    /// numbers like it. None if that cannot be said, and for codes of no region.
    pub fn region(self) -> Option<Region> {
        plans::region(self)
    }

    /// Every region of its country code.
    pub fn regions(self) -> Vec<Region> {
        plans::regions(self)
    }

    /// Without country code and trunk prefix; everything, if it has no known country code.
    pub fn national(self) -> String {
        plans::national(self)
    }

    /// Whether it is of a range that costs the caller a premium.
    pub fn is_premium(self) -> bool {
        plans::is_premium(self)
    }

    /// From the digits as stored (country code first, no plus).
    pub const fn from_digits(digits: u64) -> Self {
        Self(digits)
    }

    /// The digits, country code first, no plus.
    pub const fn digits(self) -> u64 {
        self.0
    }

    /// `+` and digits.
    pub fn e164(self) -> String {
        format!("+{}", self.0)
    }

    /// Builds the tables of numbering plans, which otherwise costs the first caller some 80 ms. Doing it
    /// again costs nothing.
    pub fn prepare() {
        reading::prepare();
    }
}

impl FromStr for Region {
    type Err = BadRegion;

    fn from_str(text: &str) -> Result<Self, BadRegion> {
        text.parse().map(Self).map_err(|_| BadRegion)
    }
}

impl TryFrom<String> for Region {
    type Error = BadRegion;

    fn try_from(text: String) -> Result<Self, BadRegion> {
        text.parse()
    }
}

impl From<Region> for &'static str {
    fn from(region: Region) -> Self {
        region.as_str()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({self})")
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…{:02}", self.0 % 100)
    }
}

#[cfg(test)]
mod tests;
