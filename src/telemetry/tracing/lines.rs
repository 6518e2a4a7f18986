//! One line per event: its message, its fields and those of the spans around it.

use std::fmt::{self, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::writer::Queue;

/// Target and field of events that come from the older `log` interface.
const BRIDGE: &str = "log";
const BRIDGED_TARGET: &str = "log.target";

/// What a line looks like.
pub(super) enum Style {
    /// A JSON object that names the node.
    Json { node: String },
    /// Text for people.
    Text { colour: bool },
}

/// Turns events into lines.
pub(super) struct Lines {
    style: Style,
    max_len_bytes: usize,
    queue: Queue,
}

impl Lines {
    pub(super) const fn new(style: Style, max_len_bytes: usize, queue: Queue) -> Self {
        Self { style, max_len_bytes, queue }
    }

    fn fields(&self) -> Fields {
        Fields { max_len_bytes: self.max_len_bytes, message: String::new(), target: None, values: Vec::new() }
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = self.fields();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut all = self.fields();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                fields.values.iter().for_each(|(name, value)| all.set(name, value.clone()));
            }
        }
        event.record(&mut all);
        let metadata = event.metadata();
        let target = all.target.take().unwrap_or_else(|| metadata.target().to_owned());
        let line = match &self.style {
            Style::Json { node } => json(now(), *metadata.level(), &target, node, all),
            Style::Text { colour } => text(now(), *metadata.level(), &all, *colour),
        };
        self.queue.put(line);
    }
}

#[expect(clippy::disallowed_methods, reason = "a log line tells the time of its machine; nothing is decided by it")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn json(at: DateTime<Utc>, level: Level, target: &str, node: &str, fields: Fields) -> String {
    let mut object = Map::new();
    for (name, value) in fields.values {
        object.insert(name.to_owned(), value);
    }
    // Last, so that no field can take their place.
    object.insert("ts".to_owned(), at.to_rfc3339_opts(SecondsFormat::Millis, true).into());
    object.insert("level".to_owned(), level.as_str().into());
    object.insert("msg".to_owned(), fields.message.into());
    object.insert("target".to_owned(), target.into());
    object.insert("node".to_owned(), node.into());
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

fn text(at: DateTime<Utc>, level: Level, fields: &Fields, colour: bool) -> String {
    let (paint, dim, plain) = match (colour, level) {
        (false, _) => ("", "", ""),
        (true, Level::ERROR) => ("\x1b[31m", "\x1b[2m", "\x1b[0m"),
        (true, Level::WARN) => ("\x1b[33m", "\x1b[2m", "\x1b[0m"),
        (true, Level::INFO) => ("\x1b[32m", "\x1b[2m", "\x1b[0m"),
        (true, _) => ("\x1b[34m", "\x1b[2m", "\x1b[0m"),
    };
    let mut line = format!("{dim}{}{plain} {paint}{level:>5}{plain} ", at.format("%H:%M:%S%.3f"));
    push_visible(&mut line, &fields.message);
    for (name, value) in &fields.values {
        let _ = write!(line, " {dim}{name}={plain}");
        match value {
            Value::String(text) => push_visible(&mut line, text),
            other => {
                let _ = write!(line, "{other}");
            }
        }
    }
    line.push('\n');
    line
}

/// Escapes control characters: a value must not begin a line of its own, or command the terminal.
fn push_visible(line: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_control() { line.extend(character.escape_default()) } else { line.push(character) }
    }
}

/// What was recorded in one span or event.
struct Fields {
    max_len_bytes: usize,
    message: String,
    target: Option<String>,
    values: Vec<(&'static str, Value)>,
}

impl Fields {
    /// The innermost value of a name counts.
    fn set(&mut self, name: &'static str, value: Value) {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.values.push((name, value)),
        }
    }

    fn take(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => self.message = cut(text, self.max_len_bytes),
            BRIDGED_TARGET => self.target = Some(cut(text, self.max_len_bytes)),
            // Where in a library's source a line was written says nothing to an operator.
            name if name.starts_with("log.") && name.len() > BRIDGE.len() => {}
            name => self.set(name, cut(text, self.max_len_bytes).into()),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(chain, ": {cause}");
            source = cause.source();
        }
        self.take(field, &chain);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // Lines of the `log` interface carry the number of the source line.
        if !field.name().starts_with("log.") {
            self.set(field.name(), value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }
}

/// The text, or as much of it as the limit allows and how long it was.
pub(super) fn cut(text: &str, max_len_bytes: usize) -> String {
    if text.len() <= max_len_bytes {
        return text.to_owned();
    }
    let kept = text.get(..text.floor_char_boundary(max_len_bytes)).unwrap_or_default();
    format!("{kept}… (cut, {} bytes)", text.len())
}
