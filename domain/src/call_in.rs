//! Click-to-call-in: a customer asks for a number to call and is recognised when calling.
//!
//! A request names an access number and, if its group draws codes, a code. While it waits it is the only one that
//! its own marks lead to: the code on that number or, without codes, the caller's number on that number. Which
//! number and code a request gets is decided in [`choose`], what an incoming call is recognised by in [`Call`].
//!
//! ```text
//! WAITING ──▶ MATCHED      an incoming call was recognised, once and for all
//!    ├──────▶ EXPIRED      by time alone: nobody has to do anything for it
//!    └──────▶ CANCELLED    by an operator
//! ```

mod call;
mod choice;

use std::fmt;

use chrono::{DateTime, Duration, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use call::{Call, Criteria, Criterion, Marks, Presented};
pub use choice::{Codes, DRAWS, OpenRequests, Place, choose};

use crate::ids::{CallInGroupName, CallInId, CallbackId};
use crate::numbers::{PhoneNumber, Region};
use crate::setting::Checks;

/// Most access numbers of a group: each is looked at for every request.
pub const MAX_NUMBERS: usize = 100;

/// Digits of an access number in E.164, without the plus.
const ACCESS_NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 7..=PhoneNumber::MAX_DIGITS;

/// A group of access numbers, as its tenant has set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CallInGroup {
    /// Numbers that customers are told to call, in E.164 (`+18005550199`); 1 to 100, none twice.
    pub numbers: Vec<String>,
    /// Whether a code is drawn for each request. Default true.
    pub access_codes: bool,
    /// Digits of a code, 3 to 9. Default 6. Fewer are quicker to type and quicker to guess.
    pub code_digits: u32,
    /// Seconds that a request stays open, 10 to 86,400. Default 300.
    pub expiry_seconds: u32,
    /// Default region of callers' numbers without a country code, ISO 3166-1 alpha-2. Default `US`.
    pub default_region: Region,
}

impl Default for CallInGroup {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            access_codes: true,
            code_digits: 6,
            expiry_seconds: 300,
            default_region: Region::US,
        }
    }
}

impl CallInGroup {
    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        checks.within("numbers", self.numbers.len(), 1..=MAX_NUMBERS);
        for (place, text) in self.numbers.iter().enumerate() {
            let number = access_number(text);
            if number.is_none() {
                let rule = "has to be a number in E.164: + and 7 to 15 digits, the first not 0";
                checks.broken("numbers", Some(&format!("{text:?}")), rule);
            } else if self.numbers.iter().take(place).any(|earlier| access_number(earlier) == number) {
                checks.broken("numbers", Some(text), "has to name each number once");
            }
        }
        checks.within("codeDigits", self.code_digits, Codes::DIGITS);
        checks.within("expirySeconds", self.expiry_seconds, 10..=86_400);
    }

    /// The group as the service works with it. Numbers that break the rule are left out.
    pub fn resolve(&self) -> Group {
        Group {
            numbers: self.numbers.iter().filter_map(|text| access_number(text)).collect(),
            codes: self.access_codes.then(|| Codes::of(self.code_digits)),
            expiry: Duration::seconds(self.expiry_seconds.into()),
            default_region: self.default_region,
        }
    }
}

/// Strictly E.164: what an operator has rented is known exactly, so no numbering plan is asked.
fn access_number(text: &str) -> Option<PhoneNumber> {
    let digits = text.strip_prefix('+')?;
    let well_formed = ACCESS_NUMBER_DIGITS.contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    if well_formed { digits.parse().ok().map(PhoneNumber::from_digits) } else { None }
}

/// A group of access numbers, as the service works with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Numbers that customers are told to call, in the order of preference.
    pub numbers: Vec<PhoneNumber>,
    /// The codes that are drawn; none if requests get no code.
    pub codes: Option<Codes>,
    /// How long a request stays open.
    pub expiry: Duration,
    /// Default region of callers' numbers.
    pub default_region: Region,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The customer may call.
    Waiting,
    /// A call was recognised.
    Matched,
    /// Nobody called in time.
    Expired,
    /// Withdrawn.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Matched, Self::Expired, Self::Cancelled];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Matched => "MATCHED",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Small number for storage; never changes its meaning.
    pub const fn code(self) -> i16 {
        match self {
            Self::Waiting => 0,
            Self::Matched => 1,
            Self::Expired => 2,
            Self::Cancelled => 3,
        }
    }

    /// The state with that storage number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// The state at `now` of a request that is stored in this one: its time runs out whether or not anybody writes
    /// that down. The instant of expiry itself is too late.
    pub fn at(self, expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        if self == Self::Waiting && expires_at <= now { Self::Expired } else { self }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One request, as far as anybody is shown it. Its user data is handed out with the match alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallIn {
    /// Who it is.
    pub id: CallInId,
    /// Its group.
    pub group: CallInGroupName,
    /// What the customer is to call.
    pub number: PhoneNumber,
    /// What the customer is to enter, if the group draws codes.
    pub code: Option<u32>,
    /// Where the customer said to call from.
    pub caller: Option<PhoneNumber>,
    /// The callback that it is tied to.
    pub callback: Option<CallbackId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is void.
    pub expires_at: DateTime<Utc>,
    /// When it was matched or cancelled.
    pub ended_at: Option<DateTime<Utc>>,
    /// Where it stands.
    pub state: State,
    /// What it was recognised by; nothing unless it was matched.
    pub criteria: Criteria,
}

#[cfg(test)]
mod tests;
