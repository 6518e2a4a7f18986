//! Asking what the rules of a tenant say to a number.

use super::{NumberTerms, NumberVerdict};
use crate::numbers::Region;
use crate::ports::NumberDeskError;
use crate::tenant::Tenant;

/// A number, and whose rules it is to be judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberQuestion {
    /// As people write it.
    pub number: String,
    /// Whose rules.
    pub by: JudgedBy,
    /// The region of numbers without a country code; none for that of the queue, or the United States.
    pub country: Option<Region>,
}

/// Whose rules a number is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JudgedBy {
    /// Those of a queue, by its name or an alias.
    Queue(String),
    /// A rule, with premium and impossible numbers refused.
    Rule(String),
    /// None, with premium and impossible numbers refused.
    Defaults,
}

impl NumberQuestion {
    /// What the tenant's rules say.
    ///
    /// # Errors
    /// The queue or the rule does not exist.
    pub fn answer(&self, tenant: &Tenant) -> Result<NumberVerdict, NumberDeskError> {
        let usual =
            NumberTerms { default_region: Region::US, refuse_impossible: true, refuse_premium: true, gate: None };
        let terms = match &self.by {
            JudgedBy::Queue(name) => tenant.queue(name).ok_or(NumberDeskError::UnknownQueue)?.1.number_terms(),
            JudgedBy::Rule(name) => {
                let gate = tenant.number_rules.get(name).ok_or(NumberDeskError::UnknownRule)?;
                NumberTerms { gate: Some(gate), ..usual }
            }
            JudgedBy::Defaults => usual,
        };
        let default_region = self.country.unwrap_or(terms.default_region);
        Ok(NumberTerms { default_region, ..terms }.judge(&self.number))
    }
}
