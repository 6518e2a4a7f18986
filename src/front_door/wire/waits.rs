//! The parameters of `GET /estimated-wait-time`.

use domain::ids::QueueName;
use domain::wait::Mode;

use super::query::Query;
use crate::front_door::error::Problem;

/// Most queues of one question.
pub(crate) const MAX_QUEUES: usize = 100;
/// Longest list of names, in characters.
const MAX_LIST_CHARS: usize = MAX_QUEUES * (QueueName::MAX_CHARS + 1);

/// What is asked.
#[derive(Debug, PartialEq)]
pub(crate) struct Question {
    /// Names in the order of the request, repeated ones included.
    pub(crate) queues: Vec<String>,
    pub(crate) mode: Mode,
    pub(crate) with_on_hold: bool,
}

/// Reads the parameters: names are split at commas after decoding and trimmed; empty ones are passed over.
pub(crate) fn question(query: Query<'_>) -> Result<Question, Problem> {
    const QUEUES: &str = "virtual-queues";
    let list = query.required_text(&[QUEUES], MAX_LIST_CHARS)?;
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let queues: Vec<String> = names.take(MAX_QUEUES + 1).map(str::to_owned).collect();
    match queues.len() {
        0 => return Err(Problem::bad(QUEUES, "must name at least one queue")),
        1..=MAX_QUEUES => {}
        _ => return Err(Problem::bad(QUEUES, format!("must name at most {MAX_QUEUES} queues"))),
    }
    Ok(Question { queues, mode: mode(query)?, with_on_hold: query.flag(&["include-calls-on-hold"])?.unwrap_or(false) })
}

fn mode(query: Query<'_>) -> Result<Mode, Problem> {
    let text = query.text(&["mode"], QueueName::MAX_CHARS)?;
    let Some(text) = text else { return Ok(Mode::default()) };
    let known = Mode::ALL.into_iter().find(|mode| mode.name() == text);
    known.ok_or_else(|| Problem::bad("mode", "must be mode1, mode2 or mode3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Question, Problem> {
        question(Query::new(Some(query)))
    }

    #[test]
    fn names_are_split_after_decoding() {
        let asked = read("virtual-queues=Sales_VQ%2C%20B%C3%BCro,,Sales_VQ&mode=mode1&_=1700000000000").unwrap();
        assert_eq!(asked.queues, ["Sales_VQ", "Büro", "Sales_VQ"]);
        assert_eq!((asked.mode, asked.with_on_hold), (Mode::Throughput, false));
        let asked = read("virtual-queues=a&include-calls-on-hold=true").unwrap();
        assert_eq!((asked.mode, asked.with_on_hold), (Mode::Agents, true));
        assert_eq!(read("virtual-queues=a&mode=mode3").unwrap().mode, Mode::Reported);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let many = format!("virtual-queues={}", vec!["a"; MAX_QUEUES + 1].join(","));
        for (query, field) in [
            ("", "virtual-queues"),
            ("virtual-queues=", "virtual-queues"),
            ("virtual-queues=%20", "virtual-queues"),
            ("virtual-queues=,%2C", "virtual-queues"),
            (many.as_str(), "virtual-queues"),
            ("virtual-queues=a%00", "virtual-queues"),
            ("virtual-queues=a&mode=mode4", "mode"),
            ("virtual-queues=a&mode=MODE1", "mode"),
            ("virtual-queues=a&include-calls-on-hold=perhaps", "include-calls-on-hold"),
        ] {
            let refused = read(query).unwrap_err();
            assert!(refused.message.starts_with(field), "{query}: {}", refused.message);
        }
    }
}
