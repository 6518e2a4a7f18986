//! What one document says and another does not.

use std::fmt;

use domain::document::Node;

/// How much of a value is shown.
const MAX_SHOWN_CHARS: usize = 80;

/// One thing that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, from the top of the document.
    pub path: String,
    /// What is there; none if nothing is.
    pub before: Option<String>,
    /// What would be there; none if nothing would.
    pub after: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "~ {}: {before} → {after}", self.path),
            (None, Some(after)) => write!(f, "+ {}: {after}", self.path),
            (Some(before), None) => write!(f, "- {}: {before}", self.path),
            (None, None) => f.write_str(&self.path),
        }
    }
}

/// Everything that differs, in the order of the keys of the later document and then of the earlier.
pub(super) fn differences(before: Option<&Node>, after: &Node) -> Vec<Difference> {
    let mut found = Vec::new();
    let empty = Node::empty();
    walk(&mut Vec::new(), Some(before.unwrap_or(&empty)), Some(after), &mut found);
    found
}

fn walk(path: &mut Vec<String>, before: Option<&Node>, after: Option<&Node>, found: &mut Vec<Difference>) {
    match (before, after) {
        (before, after) if before == after => {}
        // A section that comes or goes is told entry by entry, an entry as a whole.
        (Some(Node::Object(_)) | None, Some(Node::Object(_))) | (Some(Node::Object(_)), None)
            if path.len() < 2 || (before.is_some() && after.is_some()) =>
        {
            let members = |node: Option<&Node>| node.map(Node::members).unwrap_or_default().to_vec();
            let old = members(before);
            let gone = old.iter().filter(|(key, _)| after.is_none_or(|after| after.get(key).is_none()));
            let keys: Vec<_> = members(after).iter().chain(gone).map(|(key, _)| key.clone()).collect();
            for key in keys {
                path.push(key);
                let name = path.last().map(String::as_str).unwrap_or_default();
                let (before, after) = (before.and_then(|node| node.get(name)), after.and_then(|node| node.get(name)));
                walk(path, before, after, found);
                path.pop();
            }
        }
        (before, after) => {
            found.push(Difference { path: path.join("."), before: before.map(shown), after: after.map(shown) });
        }
    }
}

fn shown(node: &Node) -> String {
    let text = serde_json::to_string(node).unwrap_or_default();
    match node {
        _ if text.chars().count() <= MAX_SHOWN_CHARS => text,
        Node::Object(_) => "{…}".to_owned(),
        Node::List(_) => "[…]".to_owned(),
        _ => text.chars().take(MAX_SHOWN_CHARS - 1).chain(['…']).collect(),
    }
}
