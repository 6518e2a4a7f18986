//! What each setting of a queue is, taken from its schema.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::Shape;
use crate::queue::QueueSettings;

/// The shape of every setting by its key.
pub fn shapes() -> &'static BTreeMap<String, Shape> {
    static SHAPES: LazyLock<BTreeMap<String, Shape>> = LazyLock::new(|| {
        let schema = schemars::schema_for!(QueueSettings).to_value();
        let properties = schema.get("properties").and_then(Value::as_object);
        let shape = |(key, property): (&String, &Value)| (key.clone(), shape(property, &schema));
        properties.into_iter().flatten().map(shape).collect()
    });
    &SHAPES
}

fn shape(property: &Value, schema: &Value) -> Shape {
    let property = resolve(property, schema);
    let choices = ["oneOf", "anyOf"].iter().find_map(|key| property.get(key)?.as_array());
    if let Some(choices) = choices {
        let mut shapes: Vec<_> =
            choices.iter().filter(|choice| !has_type(choice, "null")).map(|choice| shape(choice, schema)).collect();
        shapes.dedup();
        return match shapes.as_slice() {
            [only] => *only,
            _ => Shape::Other,
        };
    }
    let items = property.get("items").map(|items| shape(items, schema));
    match () {
        () if has_type(property, "boolean") => Shape::Flag,
        () if has_type(property, "integer") => Shape::Whole,
        () if has_type(property, "string") || property.get("const").is_some_and(Value::is_string) => Shape::Text,
        () if items == Some(Shape::Text) => Shape::Texts,
        () => Shape::Other,
    }
}

/// Follows a reference into the definitions, once: none of ours leads to another.
fn resolve<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = property.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| schema.pointer(pointer)).unwrap_or(property)
}

fn has_type(property: &Value, name: &str) -> bool {
    match property.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}
