//! Kinds of the settings that name the nodes of routing and the regions that are tried first.

use domain::region::{Region, Role};

use super::kinds::{HostOrUrl, Kind, Name, Url};

/// Most nodes of one kind.
const MAX_NODES: usize = 32;
/// Most regions in a list.
const MAX_REGIONS: usize = 20;
/// Longest URL of a document.
const MAX_URL_BYTES: usize = 2_048;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its name, which no other of its kind has.
    pub name: String,
    /// Where it listens.
    pub url: Url,
    /// Where it is; empty if nobody said.
    pub region: Region,
    /// Its place among those of its region.
    pub role: Role,
}

/// Reads a list of nodes.
pub(super) struct Nodes;

impl Kind for Nodes {
    type Value = Vec<NodeAddress>;

    fn read(&self, text: &str) -> Option<Vec<NodeAddress>> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let nodes = parts.map(node).collect::<Option<Vec<_>>>()?;
        let again = |at: usize, node: &NodeAddress| nodes.iter().skip(at + 1).any(|other| other.name == node.name);
        let doubled = nodes.iter().enumerate().any(|(at, node)| again(at, node));
        (nodes.len() <= MAX_NODES && !doubled).then_some(nodes)
    }

    fn allowed(&self) -> String {
        format!(
            "up to {MAX_NODES} nodes as `name=url;region;role`, separated by commas, such as \
             `ors-1=http://ors-1.voice:9098;eu-west;primary`: each name once, an http(s) URL without credentials, a \
             region of up to {} characters, and `primary` or `backup`; region and role may be left out",
            Region::MAX_CHARS
        )
    }
}

fn node(text: &str) -> Option<NodeAddress> {
    let (name, rest) = text.split_once('=')?;
    let name = Name.read(name.trim()).filter(|name| !name.is_empty())?;
    let mut parts = rest.split(';').map(str::trim);
    let url = HostOrUrl.read(parts.next()?)?;
    let region = parts.next().unwrap_or_default();
    let role = match parts.next() {
        None | Some("") => Role::Primary,
        Some(word) => word.parse().ok()?,
    };
    let whole = parts.next().is_none() && is_region(region);
    whole.then(|| NodeAddress { name, url, region: Region::new(region), role })
}

fn is_region(text: &str) -> bool {
    text.chars().count() <= Region::MAX_CHARS && !text.chars().any(char::is_control)
}

/// Reads a list of regions.
pub(super) struct Regions;

impl Kind for Regions {
    type Value = Vec<Region>;

    fn read(&self, text: &str) -> Option<Vec<Region>> {
        let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let good = names.len() <= MAX_REGIONS && names.iter().all(|name| is_region(name));
        good.then(|| names.into_iter().map(Region::new).collect())
    }

    fn allowed(&self) -> String {
        format!(
            "up to {MAX_REGIONS} names of regions of up to {} characters, separated by commas, the preferred one first",
            Region::MAX_CHARS
        )
    }
}

/// Reads the URL of a document as another server fetches it.
pub(super) struct Document;

impl Kind for Document {
    type Value = String;

    fn read(&self, text: &str) -> Option<String> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_url = text.split_once("://").is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
        (printable && is_url && text.len() <= MAX_URL_BYTES && !text.starts_with("tcp://")).then(|| text.to_owned())
    }

    fn allowed(&self) -> String {
        format!(
            "a URL of up to {MAX_URL_BYTES} printable ASCII characters, such as `http://flows.voice/callback.scxml`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_as_the_contract_writes_them() {
        let nodes =
            Nodes.read("a=http://ors-1:9098;eu-west;primary, b=https://ors/base/;us;BACKUP,c=ors-3:9098").unwrap();
        let told: Vec<_> =
            nodes.iter().map(|it| (it.name.as_str(), it.url.to_string(), it.region.to_string(), it.role)).collect();
        let expected = [
            ("a", "http://ors-1:9098".to_owned(), "eu-west".to_owned(), Role::Primary),
            ("b", "https://ors/base".to_owned(), "us".to_owned(), Role::Backup),
            ("c", "http://ors-3:9098".to_owned(), String::new(), Role::Primary),
        ];
        assert_eq!(told, expected);
        assert_eq!(Nodes.read(""), Some(vec![]));
    }

    #[test]
    fn a_node_of_another_shape_is_none() {
        let many: Vec<_> = (0..=MAX_NODES).map(|number| format!("n{number}=http://h")).collect();
        let long = format!("a=http://h;{}", "r".repeat(Region::MAX_CHARS + 1));
        let wrong = [
            "http://ors:9098",
            "a=",
            "=http://h",
            "a=tcp://10.0.0.1:9098",
            "a=http://user:secret@h",
            "a=http://h;eu;leader",
            "a=http://h;eu;primary;more",
            "a=http://h,a=http://other",
            "a b=http://h",
            long.as_str(),
            &many.join(","),
        ];
        for text in wrong {
            assert_eq!(Nodes.read(text), None, "{text}");
        }
    }

    #[test]
    fn regions_and_documents_are_read() {
        assert_eq!(Regions.read("eu, us,"), Some(vec![Region::new("eu"), Region::new("us")]));
        assert_eq!(Regions.read(&"r".repeat(Region::MAX_CHARS + 1)), None);
        for good in ["http://flows/callback.scxml?a=b", "file:///flows/callback.scxml"] {
            assert_eq!(Document.read(good).as_deref(), Some(good));
        }
        for wrong in ["callback.scxml", "tcp://10.0.0.1:80", "http://", "http://a b"] {
            assert_eq!(Document.read(wrong), None, "{wrong}");
        }
    }
}
