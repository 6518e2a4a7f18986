//! Number rules: which countries a queue calls, and which numbers it never calls.
//!
//! Judged of a number, in this order, and the first that refuses decides:
//!
//! 1. it can be read as a number ([`crate::numbers`]);
//! 2. it is a possible number of some country, unless the queue takes impossible ones;
//! 3. its country is permitted, if the queue has a rule;
//! 4. no pattern of its country in that rule fits it;
//! 5. it is not a premium-rate number, unless the queue takes those.
//!
//! **Country.** A number belongs to the country of its code. Where several share a code (+1, +7, +44, …) it belongs to
//! the one whose numbering plan has numbers like it. If none has, its country cannot be determined: it is refused,
//! unless the rule permits every country of the code.
//!
//! **Simple patterns** are digits, `x` for any one digit and `*` for any number of digits, also none. A number fits if
//! its national number (without country code and trunk prefix) *begins* as the pattern says: `900` fits every number
//! that begins with 900, `xxx555` every one with 555 in that place, `*555` every one that holds 555. A pattern that
//! starts with `+` is held against country code and national number together: `+1900`.
//!
//! **Regular expressions** fit if they are found anywhere in `+` country code national number, or anywhere in the
//! national number alone, so `^` and `$` work on both: `^\+1900` and `^900` say the same in a country of code 1. The
//! engine takes linear time; look-around and back-references do not exist.

mod pattern;
mod question;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::numbers::{NumberError, PhoneNumber, Region};
use crate::setting::Checks;

pub use pattern::BlockedPattern;
use pattern::Compiled;
pub use question::{JudgedBy, NumberQuestion};

/// A rule shared by any number of queues: permitted countries, each with blocked patterns.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct NumberRule {
    /// Permitted countries with what is blocked in each. Countries that are missing are refused. At least one.
    pub countries: BTreeMap<Region, Vec<BlockedPattern>>,
}

/// A number rule as it works.
#[derive(Debug, Clone)]
pub struct NumberGate {
    countries: BTreeMap<Region, Vec<Compiled>>,
}

/// What a number is judged by.
#[derive(Debug, Clone, Copy)]
pub struct NumberTerms<'a> {
    /// Region of numbers without a country code.
    pub default_region: Region,
    /// Whether numbers that cannot exist are refused.
    pub refuse_impossible: bool,
    /// Whether premium-rate numbers are refused.
    pub refuse_premium: bool,
    /// The rule, if there is one.
    pub gate: Option<&'a NumberGate>,
}

/// What is known of a number that was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberVerdict {
    /// The number, if it could be read.
    pub number: Option<PhoneNumber>,
    /// Its country, if that can be determined.
    pub country: Option<Region>,
    /// Whether a call of it costs the caller a premium.
    pub premium: bool,
    /// The rule that decided against it.
    pub refusal: Option<NumberRefusal>,
}

/// The rule that decided against a number. Its text never holds the number.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NumberRefusal {
    /// It cannot be read as a number.
    #[error("it is not a phone number")]
    NotANumber,
    /// No number of that length or region exists.
    #[error("it is not a possible phone number")]
    Impossible,
    /// Its country is not among those that the rule permits.
    #[error("its country, {country}, is not permitted")]
    CountryNotPermitted {
        /// The country.
        country: Region,
    },
    /// Its country cannot be determined.
    #[error("its country cannot be determined")]
    CountryUnknown,
    /// A pattern of its country fits it.
    #[error("a pattern of {country} blocks it")]
    Blocked {
        /// The country.
        country: Region,
        /// The pattern as written.
        pattern: String,
    },
    /// A premium-rate number.
    #[error("it is a premium-rate number")]
    Premium,
}

impl NumberRefusal {
    /// The rule in a word, for metrics and answers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotANumber => "not-a-number",
            Self::Impossible => "impossible",
            Self::CountryNotPermitted { .. } => "country",
            Self::CountryUnknown => "country-unknown",
            Self::Blocked { .. } => "pattern",
            Self::Premium => "premium",
        }
    }
}

impl NumberRule {
    /// Most patterns of one country.
    pub const MAX_PATTERNS: usize = 100;
    /// Most regular expressions of one rule.
    pub const MAX_EXPRESSIONS: usize = 50;

    /// Notes every rule that the document and its name break.
    pub fn check(&self, name: &str, checks: &mut Checks) {
        checks.line("", Some(name));
        if self.countries.is_empty() {
            checks.broken("countries", None, "has to permit at least one country");
        }
        let expressions = self.countries.values().flatten();
        let expressions = expressions.filter(|it| matches!(it, BlockedPattern::Expression(_))).count();
        if expressions > Self::MAX_EXPRESSIONS {
            let rule = format!("has to hold at most {} regular expressions", Self::MAX_EXPRESSIONS);
            checks.broken("countries", Some(&expressions), rule);
        }
        for (country, patterns) in &self.countries {
            checks.at(format!("countries.{country}"), |checks| {
                checks.within("", patterns.len(), 0..=Self::MAX_PATTERNS);
                for (position, pattern) in patterns.iter().enumerate() {
                    if let Err(rule) = pattern.compiled(*country) {
                        checks.broken(&position.to_string(), Some(pattern), rule);
                    }
                }
            });
        }
    }

    /// The rule as it works. A pattern that cannot be used, which [`Self::check`] notes, is left out.
    pub fn gate(&self) -> NumberGate {
        let compiled = |(country, patterns): (&Region, &Vec<BlockedPattern>)| {
            (*country, patterns.iter().filter_map(|pattern| pattern.compiled(*country).ok()).collect())
        };
        NumberGate { countries: self.countries.iter().map(compiled).collect() }
    }
}

impl PartialEq for NumberGate {
    fn eq(&self, other: &Self) -> bool {
        let written = |gate: &Self| -> Vec<(Region, Vec<String>)> {
            let texts = |patterns: &[Compiled]| patterns.iter().map(ToString::to_string).collect();
            gate.countries.iter().map(|(country, patterns)| (*country, texts(patterns))).collect()
        };
        written(self) == written(other)
    }
}

impl NumberGate {
    /// The country of a number, or why the rule does not let it through.
    fn admit(&self, number: PhoneNumber) -> Result<(), NumberRefusal> {
        let Some(country) = number.region() else {
            let countries = number.regions();
            let all = !countries.is_empty() && countries.iter().all(|country| self.countries.contains_key(country));
            return if all { self.unblocked(number, &countries) } else { Err(NumberRefusal::CountryUnknown) };
        };
        if !self.countries.contains_key(&country) {
            return Err(NumberRefusal::CountryNotPermitted { country });
        }
        self.unblocked(number, &[country])
    }

    /// Whether no pattern of the countries fits.
    fn unblocked(&self, number: PhoneNumber, countries: &[Region]) -> Result<(), NumberRefusal> {
        let (whole, national) = (number.e164(), number.national());
        for country in countries {
            let patterns = self.countries.get(country).into_iter().flatten();
            if let Some(pattern) = patterns.into_iter().find(|pattern| pattern.fits(&whole, &national)) {
                return Err(NumberRefusal::Blocked { country: *country, pattern: pattern.to_string() });
            }
        }
        Ok(())
    }
}

impl NumberTerms<'_> {
    /// Reads a number as people write it.
    ///
    /// # Errors
    /// As [`PhoneNumber::parse`]; impossible numbers only if they are refused.
    pub fn read(&self, text: &str) -> Result<PhoneNumber, NumberError> {
        match PhoneNumber::parse(text, self.default_region) {
            Err(NumberError::Impossible) if !self.refuse_impossible => {
                PhoneNumber::parse_impossible(text, self.default_region)
            }
            read => read,
        }
    }

    /// Whether a number that was read may be called.
    ///
    /// # Errors
    /// The first rule that decides against it.
    pub fn admit(&self, number: PhoneNumber) -> Result<(), NumberRefusal> {
        if let Some(gate) = self.gate {
            gate.admit(number)?;
        }
        if self.refuse_premium && number.is_premium() { Err(NumberRefusal::Premium) } else { Ok(()) }
    }

    /// Reads and judges a number, and tells what is known of it.
    pub fn judge(&self, text: &str) -> NumberVerdict {
        match self.read(text) {
            Ok(number) => NumberVerdict {
                number: Some(number),
                country: number.region(),
                premium: number.is_premium(),
                refusal: self.admit(number).err(),
            },
            Err(error) => {
                let refusal = match error {
                    NumberError::NotANumber => NumberRefusal::NotANumber,
                    NumberError::Impossible => NumberRefusal::Impossible,
                };
                NumberVerdict { number: None, country: None, premium: false, refusal: Some(refusal) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
