//! The body of `POST /ges/v1/number-rules/test`.

use domain::number_rules::{JudgedBy, NumberQuestion};

use super::create::{MAX_PHONE_CHARS, MAX_SERVICE_CHARS, MAX_TEXT_CHARS};
use super::{Loose, members, object};
use crate::front_door::error::Problem;

members! {
    struct TestMembers<'de> {
        "number" => number: Loose<'de>,
        "queue" => queue: Loose<'de>,
        "rule" => rule: Loose<'de>,
        "country" => country: Loose<'de>,
    }
}

/// Reads a number and whose rules it is to be judged by.
pub(crate) fn question(body: &[u8]) -> Result<NumberQuestion, Problem> {
    let members: TestMembers<'_> = object(body)?;
    let number = members.number.required_text("number", MAX_PHONE_CHARS)?.into_owned();
    let queue = members.queue.text("queue", MAX_SERVICE_CHARS)?;
    let rule = members.rule.text("rule", MAX_TEXT_CHARS)?;
    let by = match (queue, rule) {
        (Some(_), Some(_)) => return Err(Problem::bad("queue", "and rule exclude each other")),
        (Some(queue), None) => JudgedBy::Queue(queue.into_owned()),
        (None, Some(rule)) => JudgedBy::Rule(rule.into_owned()),
        (None, None) => JudgedBy::Defaults,
    };
    let country = members.country.country("country")?;
    Ok(NumberQuestion { number, by, country })
}
