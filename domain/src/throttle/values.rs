//! Which values of a booking are counted per day, and in what form they are kept: never as they are.

use std::borrow::Cow;

use crate::booking::Plan;
use crate::callback::NewCallback;
use crate::ports::Blinds;
use crate::queue::Queue;
use crate::user_data::member;

/// The parameter that every booking has. A header of this name changes nothing, or whoever sends a new one with each
/// booking would never be counted.
pub const PHONE_NUMBER: &str = "phoneNumber";
/// The product's name for it.
const CUSTOMER_NUMBER: &str = "_customer_number";

/// A value that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedValue {
    /// What it is the value of, as the settings name it.
    pub parameter: String,
    /// What is kept instead of it.
    pub blinded: [u8; 16],
}

/// The one name of a parameter.
pub(crate) fn canonical(parameter: &str) -> &str {
    if parameter == CUSTOMER_NUMBER { PHONE_NUMBER } else { parameter }
}

/// Whether a parameter may be named by a header: everything but the number whose name can be that of a header.
pub fn is_header(parameter: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    canonical(parameter) != PHONE_NUMBER && !parameter.is_empty() && parameter.bytes().all(is_token)
}

/// The counted values of a booking, each once. A parameter without a value is not counted.
pub(super) fn counted(queue: &Queue, plan: &Plan, new: &NewCallback, blinds: &dyn Blinds) -> Vec<CountedValue> {
    let mut values: Vec<CountedValue> = Vec::with_capacity(queue.throttle_parameters.len());
    for parameter in queue.throttle_parameters.iter().map(|parameter| canonical(parameter)) {
        if values.iter().any(|known| known.parameter == parameter) {
            continue;
        }
        if let Some(value) = value(queue, plan, new, parameter) {
            let blinded = blinds.blind(plan.terms.tenant, parameter, value.as_bytes());
            values.push(CountedValue { parameter: parameter.to_owned(), blinded });
        }
    }
    values
}

fn value<'a>(queue: &Queue, plan: &Plan, new: &'a NewCallback, parameter: &str) -> Option<Cow<'a, str>> {
    if parameter == PHONE_NUMBER {
        return Some(plan.terms.phone.digits().to_string().into());
    }
    if queue.throttle_headers
        && let Some((_, value)) = new.counted_headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(parameter))
    {
        return Some(value.into());
    }
    member(new.user_data.as_deref()?, parameter).map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_has_one_name_and_no_header() {
        assert_eq!(canonical("_customer_number"), "phoneNumber");
        assert_eq!(
            ["customerId", "X-Device", "phoneNumber", "_customer_number", "", "a b", "ü"].map(is_header),
            [true, true, false, false, false, false, false]
        );
    }
}
