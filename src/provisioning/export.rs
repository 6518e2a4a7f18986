//! Documents on their way out: as short as they can be said, as YAML.

use domain::document::Node;
use domain::queue::QueueSettings;
use domain::tenant::TenantDocument;
use serde::Serialize;

/// A plain value as a tree; members keep the order in which they are declared.
pub fn to_node(value: &impl Serialize) -> Node {
    // Writing plain data into memory cannot fail, and what serde_json has written it reads.
    let text = serde_json::to_string(value).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Node::Null)
}

/// The text of a tree as it is kept.
pub(super) fn text(node: &Node) -> String {
    serde_json::to_string(node).unwrap_or_default()
}

/// The document without what is the default anyway.
pub(super) fn shortened(document: &TenantDocument) -> Node {
    let mut node = to_node(document);
    let queue = to_node(&QueueSettings::default());
    if let Some(Node::Object(queues)) = node.get_mut("queues") {
        queues.iter_mut().for_each(|(_, settings)| drop_equal(settings, &queue, &[]));
    }
    drop_equal(&mut node, &to_node(&TenantDocument::default()), &["format", "tenant"]);
    node
}

/// Drops the members that are as in `usual`, but for those in `kept`.
fn drop_equal(node: &mut Node, usual: &Node, kept: &[&str]) {
    if let Node::Object(members) = node {
        members.retain(|(key, value)| kept.contains(&key.as_str()) || usual.get(key) != Some(value));
    }
}

/// A tree as YAML text.
///
/// # Errors
/// What cannot be written, which plain data never is.
pub fn yaml(node: &Node) -> Result<String, String> {
    serde_saphyr::to_string(node).map_err(|error| error.to_string())
}
