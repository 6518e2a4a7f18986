//! From a tree to the document of a tenant, with everything that is wrong at once; and what editors are told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::TenantDocument;
use crate::document::{self, Node};
use crate::ids::TenantId;
use crate::queue::product::{self, PRODUCT_KEYS, ROUTING_OPTIONS, Renamed};
use crate::setting::SettingError;

/// The version of the form of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(extend("const" = Self::NEWEST))]
pub struct Format(u32);

impl Format {
    /// The form that this program writes.
    pub const NEWEST: u32 = 1;
}

impl Default for Format {
    fn default() -> Self {
        Self(Self::NEWEST)
    }
}

impl TryFrom<u32> for Format {
    type Error = String;

    fn try_from(format: u32) -> Result<Self, String> {
        let newest = Self::NEWEST;
        if format == newest {
            Ok(Self(format))
        } else {
            Err(format!("this program reads format {newest}, not {format}"))
        }
    }
}

impl From<Format> for u32 {
    fn from(format: Format) -> Self {
        format.0
    }
}

/// The one key that every document has to have.
const NAME: &str = "tenant";

/// Reads the document of a tenant, in which the settings of queues may have the product's names.
///
/// # Errors
/// Everything that is wrong with it, in its order: form, ranges, names under which nothing stands.
pub fn read(mut root: Node) -> Result<TenantDocument, Vec<SettingError>> {
    let mut found = Vec::new();
    let mut renamed = Renamed::new();
    if let Some(Node::Object(queues)) = root.get_mut("queues") {
        for (name, queue) in queues {
            renamed.append(&mut product::translate(&format!("queues.{name}"), name, queue, &mut found));
        }
    }
    let mut reading = document::read::<TenantDocument>(&root);
    if matches!(root, Node::Object(_)) && root.get(NAME).is_none() {
        reading.stand_ins.insert(vec![NAME.to_owned()]);
        found.push(SettingError { path: NAME.to_owned(), value: None, rule: "is missing".to_owned() });
    }
    if let Some(document) = &reading.value {
        let broken = document.resolve(TenantId::from_name(&document.tenant)).err();
        reading.add(broken.unwrap_or_default());
    }
    found.extend(reading.mistakes);
    match reading.value {
        Some(document) if found.is_empty() => Ok(document),
        _ => {
            found.iter_mut().for_each(|error| error.path = as_written(&error.path, &renamed));
            found.truncate(document::MAX_MISTAKES);
            Err(found)
        }
    }
}

/// The path with the name of the product, if that was written.
fn as_written(path: &str, renamed: &Renamed) -> String {
    // A setting is the third part of its path, unless the name of the queue has dots; an option is the fourth.
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    for end in ends {
        let (ours, rest) = path.split_at(end);
        if let (Some(name), Some((queue, _))) = (renamed.get(ours), ours.rsplit_once('.')) {
            let queue = queue.strip_suffix(".routingOptions").unwrap_or(queue);
            return format!("{queue}.{name}{rest}");
        }
    }
    path.to_owned()
}

/// The JSON Schema of the document, for editors.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(TenantDocument).to_value();
    if let Some(top) = schema.as_object_mut() {
        top.insert("title".to_owned(), "Document of a tenant of ges".into());
        top.insert("required".to_owned(), json!(["tenant"]));
    }
    if let Some(Value::Object(properties)) = schema.pointer_mut("/$defs/QueueSettings/properties") {
        for key in PRODUCT_KEYS {
            properties.insert(key.name.to_owned(), told(&format!("The product's name of {}.", key.ours)));
        }
        for number in 1..=4 {
            for name in ["_throttle_callbacks_per_service_", "_throttle_ttl_"] {
                properties.insert(format!("{name}{number}"), told("The product's name of a part of throttleWindows."));
            }
        }
        for option in ROUTING_OPTIONS {
            properties.insert((*option).to_owned(), told("Passed to routing as it is."));
        }
    }
    schema
}

fn told(description: &str) -> Value {
    json!({ "description": description, "type": ["string", "number", "boolean", "null"] })
}

#[cfg(test)]
mod tests;
