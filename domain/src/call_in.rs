//! Click-to-call-in: a customer asks for a number to call and is recognised when calling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::Checks;

/// A group of access numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CallInGroup {
    /// Numbers that customers are told to call, as dialled; at least one.
    pub numbers: Vec<String>,
    /// Whether a code is drawn for each request. Default true.
    pub access_codes: bool,
    /// Digits of a code, 3 to 9. Default 6.
    pub code_digits: u32,
    /// Seconds that a request stays open, 10 to 86,400. Default 300.
    pub expiry_seconds: u32,
}

impl Default for CallInGroup {
    fn default() -> Self {
        Self { numbers: Vec::new(), access_codes: true, code_digits: 6, expiry_seconds: 300 }
    }
}

impl CallInGroup {
    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        checks.within("numbers", self.numbers.len(), 1..=1_000);
        checks.within("codeDigits", self.code_digits, 3..=9);
        checks.within("expirySeconds", self.expiry_seconds, 10..=86_400);
    }
}
