//! The optional configuration file: YAML, one level of sections, every value kept as the text that was written.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A configuration file is read whole; a longer one is no configuration.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// What stands at one place of the file.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    /// A value as it was written, without quotes.
    Text(String),
    /// A key without a value.
    Nothing,
    /// A list, or a mapping where none may be.
    Misplaced,
}

/// Everything in a file: `(section, key)` to what stands there; the section of top-level keys is none.
pub(super) type Entries = BTreeMap<(Option<String>, String), Node>;

/// Reads a file. The error names a place and never quotes the text, which may hold secrets.
pub(super) fn parse(yaml: &str) -> Result<Entries, String> {
    // YAML types its scalars: read as a whole, `0123` would be a number and lose its zero. So the first pass
    // learns the shape only, and the second asks for text wherever there is a scalar.
    let shape: Shape = serde_saphyr::from_str(yaml).map_err(|error| place(&error))?;
    match shape {
        Shape::Nothing => Ok(Entries::new()),
        Shape::Map(shapes) => {
            let top =
                serde_saphyr::with_deserializer_from_str(yaml, |deserializer| Texts(&shapes).deserialize(deserializer))
                    .map_err(|error| place(&error))?;
            Ok(flatten(top))
        }
        Shape::Scalar | Shape::List => Err("the file must be a mapping of keys to values".to_owned()),
    }
}

fn place(error: &serde_saphyr::Error) -> String {
    match error.location() {
        Some(at) => format!("line {}, column {}: cannot be read as YAML", at.line(), at.column()),
        None => "cannot be read as YAML".to_owned(),
    }
}

fn flatten(top: BTreeMap<String, Tree>) -> Entries {
    let mut entries = Entries::new();
    for (name, tree) in top {
        match tree {
            Tree::Leaf(node) => {
                entries.insert((None, name), node);
            }
            Tree::Branch(children) => {
                for (key, child) in children {
                    let node = match child {
                        Tree::Leaf(node) => node,
                        Tree::Branch(_) => Node::Misplaced,
                    };
                    entries.insert((Some(name.clone()), key), node);
                }
            }
        }
    }
    entries
}

/// What kinds of nodes there are, without their values.
enum Shape {
    Nothing,
    Scalar,
    List,
    Map(BTreeMap<String, Shape>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Shape::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut shapes = BTreeMap::new();
        while let Some((key, shape)) = map.next_entry::<String, Shape>()? {
            shapes.insert(key, shape);
        }
        Ok(Shape::Map(shapes))
    }
}

enum Tree {
    Leaf(Node),
    Branch(BTreeMap<String, Tree>),
}

/// Reads a mapping whose shape is known.
struct Texts<'a>(&'a BTreeMap<String, Shape>);

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = BTreeMap<String, Tree>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = BTreeMap<String, Tree>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let tree = match self.0.get(&key) {
                Some(Shape::Scalar) => Tree::Leaf(Node::Text(map.next_value()?)),
                Some(Shape::Map(shapes)) => Tree::Branch(map.next_value_seed(Texts(shapes))?),
                Some(Shape::List) => {
                    map.next_value::<IgnoredAny>()?;
                    Tree::Leaf(Node::Misplaced)
                }
                Some(Shape::Nothing) | None => {
                    map.next_value::<IgnoredAny>()?;
                    Tree::Leaf(Node::Nothing)
                }
            };
            read.insert(key, tree);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(entries: &Entries, section: Option<&str>, key: &str) -> Option<String> {
        match entries.get(&(section.map(str::to_owned), key.to_owned())) {
            Some(Node::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    #[test]
    fn values_stay_the_text_that_was_written() {
        let yaml = "a: 0123\nb: true\nc: 1e3\nd: \"0x10\"\nlog:\n  level: DEBUG\n  max_len: 1_000\ne: 007.50\n";
        let entries = parse(yaml).unwrap();
        let expected = [("a", "0123"), ("b", "true"), ("c", "1e3"), ("d", "0x10"), ("e", "007.50")];
        for (key, text) in expected {
            assert_eq!(entry(&entries, None, key).as_deref(), Some(text), "{key}");
        }
        assert_eq!(entry(&entries, Some("log"), "level").as_deref(), Some("DEBUG"));
        assert_eq!(entry(&entries, Some("log"), "max_len").as_deref(), Some("1_000"));
    }

    #[test]
    fn keys_without_values_lists_and_deep_mappings_are_told_apart() {
        let entries = parse("a:\nb: [1, 2]\nlog:\n  c: ~\n  d:\n    e: 1\n").unwrap();
        assert_eq!(entries[&(None, "a".to_owned())], Node::Nothing);
        assert_eq!(entries[&(None, "b".to_owned())], Node::Misplaced);
        assert_eq!(entries[&(Some("log".to_owned()), "c".to_owned())], Node::Nothing);
        assert_eq!(entries[&(Some("log".to_owned()), "d".to_owned())], Node::Misplaced);
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        assert_eq!(parse("").unwrap(), Entries::new());
        assert_eq!(parse("# only a comment\n").unwrap(), Entries::new());
    }

    #[test]
    fn a_broken_file_is_refused_by_its_place_and_never_quoted() {
        let error = parse("a: 1\nmaster_key: [s3cret-planted\n").unwrap_err();
        assert!(error.starts_with("line "), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
        assert!(parse("just text").is_err());
    }
}
