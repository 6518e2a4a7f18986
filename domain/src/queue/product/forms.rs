//! Texts of the product and of tables, read as values, and values written as texts.
//!
//! What cannot be read stays the text that it is: whoever reads the document says then what it has to be.

use crate::document::Node;
use crate::queue::QueueSettings;

/// What a setting is, as far as a text has to be read for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// True or false.
    Flag,
    /// A whole number.
    Whole,
    /// A text, or a word of a closed set.
    Text,
    /// A list of texts.
    Texts,
    /// Anything else: a text, or JSON.
    Other,
}

/// How the product writes a setting.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// As its shape says; an empty text sets nothing.
    Plain,
    /// Its words, each with ours.
    Words(&'static [(&'static str, &'static str)]),
    /// Members that are counted; the product has a name of its own for the number.
    Parameters,
    /// Options that a booking may override, under the names of its section.
    Overridable,
    /// Days, or a number with the letter of a unit: `1M` is a month. What is longer than can be booked ahead is all of
    /// that.
    Ahead,
    /// Yes or no, or a list of the queues that are paused.
    Paused,
}

/// What the product calls options that a booking may override.
const OVERRIDABLE: [(&str, &str); 6] = [
    ("_language", "language"),
    ("_priority", "priority"),
    ("_urs_vq_priority", "priority"),
    ("_route_point", "routePoint"),
    ("_survey_rp", "surveyRP"),
    ("survey_rp", "surveyRP"),
];

/// The customer's number among the members that are counted.
const CUSTOMER_NUMBER: &str = "_customer_number";
const PHONE_NUMBER: &str = "phoneNumber";

/// Begins a cell that is written as JSON because it would be taken for something else as it is.
const JSON: [char; 3] = ['[', '{', '"'];

/// A text of the product or of a table, as the value that it stands for; none if it sets nothing. `queue` is the
/// name of the queue.
pub fn read(form: Form, shape: Shape, queue: &str, text: &str) -> Option<Node> {
    let text = text.trim();
    Some(match form {
        Form::Plain | Form::Words(_) | Form::Ahead if text.is_empty() => return None,
        Form::Plain => plain(shape, text),
        Form::Words(words) => {
            let found = words.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(text));
            Node::text(found.map_or(text, |(_, ours)| ours))
        }
        Form::Ahead => days_ahead(text).map_or_else(|| Node::text(text), |days| Node::Whole(days.into())),
        Form::Parameters => texts(text, |item| if item == CUSTOMER_NUMBER { PHONE_NUMBER } else { item }),
        Form::Overridable => {
            texts(text, |item| OVERRIDABLE.iter().find(|(theirs, _)| *theirs == item).map_or(item, |(_, ours)| ours))
        }
        Form::Paused => match flag(text) {
            Some(flag) => Node::Flag(flag),
            None => Node::Flag(split(text).any(|paused| paused == queue)),
        },
    })
}

/// Days of a span such as `10`, `10D`, `2W`, `1M` or `1Y`, at most as many as can be booked ahead.
fn days_ahead(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let days_each: u32 = match text.get(digits.len()..)? {
        "" | "D" | "d" => 1,
        "W" | "w" => 7,
        // A small m is a minute to some.
        "M" => 30,
        "Y" | "y" => 365,
        _ => return None,
    };
    let number: u32 = digits.trim_end().parse().ok()?;
    Some(number.saturating_mul(days_each).min(*QueueSettings::MAX_AHEAD_DAYS.end()))
}

fn plain(shape: Shape, text: &str) -> Node {
    let json = || -> Option<Node> { text.starts_with(JSON).then(|| serde_json::from_str(text).ok()).flatten() };
    let read = match shape {
        Shape::Flag => flag(text).map(Node::Flag),
        Shape::Whole => text.parse().ok().map(Node::Whole),
        Shape::Text => json().filter(|read| matches!(read, Node::Text(_))),
        Shape::Texts => Some(json().unwrap_or_else(|| texts(text, |item| item))),
        Shape::Other => json(),
    };
    read.unwrap_or_else(|| Node::text(text))
}

fn flag(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match (is(["true", "yes", "on", "1"]), is(["false", "no", "off", "0"])) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';']).map(str::trim).filter(|item| !item.is_empty())
}

fn texts<'a>(text: &'a str, of: impl Fn(&'a str) -> &'a str) -> Node {
    Node::List(split(text).map(|item| Node::text(of(item))).collect())
}

/// A single value as a text; none for lists and objects.
pub(super) fn single(value: &Node) -> Option<String> {
    match value {
        Node::Null => Some(String::new()),
        Node::Flag(flag) => Some(flag.to_string()),
        Node::Whole(number) => Some(number.to_string()),
        Node::Real(number) => Some(number.to_string()),
        Node::Text(text) => Some(text.clone()),
        Node::List(_) | Node::Object(_) | Node::Filler | Node::Gone => None,
    }
}

/// A value as the cell of a table, such that [`read`] with [`Form::Plain`] gives it back.
pub fn cell(value: &Node) -> String {
    let simple = match value {
        Node::List(items) => joined(items),
        Node::Text(text) if text.is_empty() || text.trim() != text || text.starts_with(JSON) => None,
        other => single(other),
    };
    simple.unwrap_or_else(|| serde_json::to_string(value).unwrap_or_default())
}

/// A list of texts, none of which holds what separates them.
fn joined(items: &[Node]) -> Option<String> {
    let plain = |item: &Node| match item {
        Node::Text(text) if !text.is_empty() && text.trim() == text && !text.contains([',', ';']) => Some(text.clone()),
        _ => None,
    };
    let joined = items.iter().map(plain).collect::<Option<Vec<_>>>()?.join(";");
    (!joined.is_empty() && !joined.starts_with(JSON)).then_some(joined)
}
