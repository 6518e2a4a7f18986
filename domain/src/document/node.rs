//! A document as a tree, whatever it was written in.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much of a text is repeated.
const MAX_SHOWN_CHARS: usize = 64;

/// One value of a document. Members keep their order, and a member that was written twice is there twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Nothing.
    Null,
    /// True or false.
    Flag(bool),
    /// A whole number.
    Whole(i128),
    /// Any other number.
    Real(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Members by key.
    Object(Vec<(String, Node)>),
    /// In place of a mistake, and read as whatever is wanted there.
    Filler,
    /// In place of a mistake, and read as if it were not there.
    Gone,
}

impl Node {
    /// An object without members.
    pub const fn empty() -> Self {
        Self::Object(Vec::new())
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The member under `key`.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The member under `key`.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match self {
            Self::Object(members) => members.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Puts a member, replacing the one that is there. What is no object becomes one.
    pub fn put(&mut self, key: &str, value: Self) {
        if let Some(there) = self.get_mut(key) {
            *there = value;
            return;
        }
        if !matches!(self, Self::Object(_)) {
            *self = Self::empty();
        }
        if let Self::Object(members) = self {
            members.push((key.to_owned(), value));
        }
    }

    /// Takes a member out.
    pub fn take(&mut self, key: &str) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        let position = members.iter().position(|(name, _)| name == key)?;
        Some(members.remove(position).1)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// What stands at `path`; items of lists are named by their number.
    pub fn at(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| match node {
            Self::List(items) => items.get(key.parse::<usize>().ok()?),
            other => other.get(key),
        })
    }

    /// What stands at `path`.
    pub fn at_mut(&mut self, path: &[String]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, key| match node {
            Self::List(items) => items.get_mut(key.parse::<usize>().ok()?),
            other => other.get_mut(key),
        })
    }

    /// Sorts paths by where they stand: what is not there comes after its neighbours.
    pub(super) fn position(&self, path: &[String]) -> Vec<usize> {
        let mut node = Some(self);
        let mut position = Vec::with_capacity(path.len());
        for key in path {
            let found = match node {
                Some(Self::List(items)) => key.parse::<usize>().ok().and_then(|at| Some((at, items.get(at)?))),
                Some(Self::Object(members)) => {
                    members.iter().enumerate().find(|(_, (name, _))| name == key).map(|(at, (_, node))| (at, node))
                }
                _ => None,
            };
            position.push(found.map_or(usize::MAX, |(at, _)| at));
            node = found.map(|(_, node)| node);
        }
        position
    }

    /// What a person is shown of the value.
    pub fn shown(&self) -> Option<String> {
        Some(match self {
            Self::Null => "nothing".to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Text(text) => format!("{:?}", text.chars().take(MAX_SHOWN_CHARS).collect::<String>()),
            Self::List(_) => "a list".to_owned(),
            Self::Object(_) => "an object".to_owned(),
            Self::Filler | Self::Gone => return None,
        })
    }

    /// Drops every member whose key stood before in the same object; where they were.
    pub fn drop_repeated(&mut self) -> Vec<Vec<String>> {
        let mut found = BTreeSet::new();
        self.look_for_repeated(&mut Vec::new(), &mut found);
        found.into_iter().collect()
    }

    fn look_for_repeated(&mut self, path: &mut Vec<String>, found: &mut BTreeSet<Vec<String>>) {
        let mut look = |key: String, node: &mut Self| {
            path.push(key);
            node.look_for_repeated(path, found);
            path.pop();
        };
        match self {
            Self::Object(members) => {
                members.iter_mut().for_each(|(key, node)| look(key.clone(), node));
                let mut seen = BTreeSet::new();
                members.retain(|(key, _)| {
                    let first = seen.insert(key.clone());
                    if !first {
                        found.insert(path.iter().chain([key]).cloned().collect());
                    }
                    first
                });
            }
            Self::List(items) => {
                items.iter_mut().enumerate().for_each(|(position, node)| look(position.to_string(), node));
            }
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Whole(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Whole(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Node, E> {
        Ok(Node::Whole(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Real(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::text(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null | Self::Filler | Self::Gone => serializer.serialize_unit(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            // Texts of formats that end at 64 bits would not take more.
            Self::Whole(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => serializer.serialize_i64(number),
                (_, Ok(number)) => serializer.serialize_u64(number),
                _ => serializer.serialize_i128(*number),
            },
            Self::Real(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, node) in members {
                    map.serialize_entry(key, node)?;
                }
                map.end()
            }
        }
    }
}
