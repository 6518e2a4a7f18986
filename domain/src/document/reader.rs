//! Reads a tree by serde, and remembers where it failed first.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::{Node, Path};
use crate::nearest::nearest;

/// Largest whole number that every way of writing numbers keeps exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The type whose text must never be repeated, and its forms in words.
const SECRET: &str = "SecretRef";
const SECRET_FORMS: &str = "has to be {file: PATH}, {env: VARIABLE} or {sealed: FINGERPRINT}";

/// Begins the text of a fault about a missing key.
const MISSING: &str = "has no key ";

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// It breaks a rule.
    Rule(String),
    /// It breaks a rule and may be a secret.
    Hidden(String),
    /// A key that does not belong there.
    Unknown(String),
    /// A key that the object has to have.
    Missing(String),
}

impl Fault {
    /// The rule as the end of a sentence about the place.
    pub(super) fn rule(&self) -> String {
        match self {
            Self::Rule(rule) | Self::Hidden(rule) | Self::Unknown(rule) => rule.clone(),
            Self::Missing(key) => format!("{MISSING}{key}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule())
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        // A hand-written reader hands the error of its parts on as a text.
        match message.strip_prefix(MISSING) {
            Some(key) => Self::Missing(key.to_owned()),
            None => Self::Rule(message),
        }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Rule(format!("has to be {}", plain(&expected.to_string())))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Rule(format!("has to be {}", plain(&expected.to_string())))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::Rule(format!("has {length} items and has to be {}", plain(&expected.to_string())))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::Rule(one_of(expected, Some(variant)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::Unknown(match nearest(field, expected.iter().copied()) {
            Some(meant) => format!("is not a known key; did you mean {meant}?"),
            None => "is not a known key".to_owned(),
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field.to_owned())
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::Rule(format!("has {field} twice"))
    }
}

fn one_of(words: &[&str], written: Option<&str>) -> String {
    let meant = written.and_then(|written| nearest(written, words.iter().copied()));
    let hint = meant.map_or_else(String::new, |word| format!("; did you mean {word}?"));
    format!("has to be one of {}{hint}", words.join(", "))
}

/// What serde expects, in words of the document.
fn plain(expected: &str) -> String {
    let words = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string" | "str" => "a text (in quotes, if it looks like a number)",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    words.to_owned()
}

/// What one round of reading remembers.
#[derive(Default)]
pub(super) struct Pass {
    path: RefCell<Path>,
    failed: RefCell<Option<(Path, Fault)>>,
}

impl Pass {
    /// Where it failed first, as deep as that was known.
    pub(super) fn into_failed(self) -> Option<(Path, Fault)> {
        self.failed.into_inner()
    }

    /// Reads what stands at `key` below the present place. The innermost failure is the one that counts: on its
    /// way out a hand-written reader may make another one of it.
    fn below<T>(&self, key: &str, read: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        self.path.borrow_mut().push(key.to_owned());
        let result = read();
        if let Err(fault) = &result {
            self.failed.borrow_mut().get_or_insert_with(|| (self.path.borrow().clone(), fault.clone()));
        }
        self.path.borrow_mut().pop();
        result
    }

    /// What failed further inside counts as this failure at the present place.
    fn fail_here(&self, fault: Fault) -> Fault {
        *self.failed.borrow_mut() = Some((self.path.borrow().clone(), fault.clone()));
        fault
    }
}

/// One node, to be read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    node: &'a Node,
    pass: &'a Pass,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(node: &'a Node, pass: &'a Pass) -> Self {
        Self { node, pass }
    }

    /// By what the node is.
    fn any<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node {
            Node::Null | Node::Gone | Node::Filler => visitor.visit_unit(),
            Node::Flag(flag) => visitor.visit_bool(*flag),
            Node::Whole(number) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_i128(*number),
            },
            // `5.0` is what some writers make of 5.
            #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
            Node::Real(number) if number.fract() == 0.0 && number.abs() <= EXACT => visitor.visit_i64(*number as i64),
            Node::Real(number) => visitor.visit_f64(*number),
            Node::Text(text) => visitor.visit_str(text),
            Node::List(items) => visitor.visit_seq(Items { items: items.iter(), position: 0, pass: self.pass }),
            Node::Object(members) => {
                visitor.visit_map(Members { members: members.iter(), value: None, pass: self.pass })
            }
        }
    }
}

/// Readers that differ only in what a filler is taken for.
macro_rules! readers {
    ($($method:ident: $filler:expr;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let filler: fn(V) -> Result<V::Value, Fault> = $filler;
            if matches!(self.node, Node::Filler) { filler(visitor) } else { self.any(visitor) }
        }
    )+};
}

fn no_items<'de, V: Visitor<'de>>(visitor: V) -> Result<V::Value, Fault> {
    visitor.visit_seq(de::value::SeqDeserializer::new(std::iter::empty::<()>()))
}

fn no_members<'de, V: Visitor<'de>>(visitor: V) -> Result<V::Value, Fault> {
    visitor.visit_map(de::value::MapDeserializer::new(std::iter::empty::<((), ())>()))
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    readers! {
        deserialize_any: |visitor| visitor.visit_unit();
        deserialize_bool: |visitor| visitor.visit_bool(false);
        deserialize_i8: |visitor| visitor.visit_i64(0);
        deserialize_i16: |visitor| visitor.visit_i64(0);
        deserialize_i32: |visitor| visitor.visit_i64(0);
        deserialize_i64: |visitor| visitor.visit_i64(0);
        deserialize_i128: |visitor| visitor.visit_i64(0);
        deserialize_u8: |visitor| visitor.visit_u64(0);
        deserialize_u16: |visitor| visitor.visit_u64(0);
        deserialize_u32: |visitor| visitor.visit_u64(0);
        deserialize_u64: |visitor| visitor.visit_u64(0);
        deserialize_u128: |visitor| visitor.visit_u64(0);
        deserialize_f32: |visitor| visitor.visit_f64(0.0);
        deserialize_f64: |visitor| visitor.visit_f64(0.0);
        deserialize_char: |visitor| visitor.visit_char('-');
        deserialize_str: |visitor| visitor.visit_str("");
        deserialize_string: |visitor| visitor.visit_str("");
        deserialize_bytes: |visitor| visitor.visit_bytes(b"");
        deserialize_byte_buf: |visitor| visitor.visit_bytes(b"");
        deserialize_unit: |visitor| visitor.visit_unit();
        deserialize_seq: no_items;
        deserialize_map: no_members;
        deserialize_identifier: |visitor| visitor.visit_str("");
        deserialize_ignored_any: |visitor| visitor.visit_unit();
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node {
            Node::Null | Node::Gone | Node::Filler => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.node {
            // serde also takes a list for a struct, which nobody means.
            Node::List(_) => Err(Fault::Rule("has to be an object".to_owned())),
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        const FILLER: &Node = &Node::Filler;
        let read = match self.node {
            Node::Text(text) => visitor.visit_enum(Choice { word: text, value: None, pass: self.pass }),
            Node::Object(members) => match members.as_slice() {
                [(word, value)] => visitor.visit_enum(Choice { word, value: Some(value), pass: self.pass }),
                _ => Err(Fault::Rule(one_of(variants, None))),
            },
            Node::Filler => {
                let word = variants.first().copied().unwrap_or_default();
                visitor.visit_enum(Choice { word, value: Some(FILLER), pass: self.pass })
            }
            _ => Err(Fault::Rule(one_of(variants, None))),
        };
        if name != SECRET {
            return read;
        }
        read.map_err(|_| self.pass.fail_here(Fault::Hidden(SECRET_FORMS.to_owned())))
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    position: usize,
    pass: &'a Pass,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        for node in self.items.by_ref() {
            let position = self.position;
            self.position += 1;
            if !matches!(node, Node::Gone) {
                let reader = Reader::new(node, self.pass);
                return self.pass.below(&position.to_string(), || seed.deserialize(reader)).map(Some);
            }
        }
        Ok(None)
    }
}

struct Members<'a> {
    members: std::slice::Iter<'a, (String, Node)>,
    value: Option<&'a (String, Node)>,
    pass: &'a Pass,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(member) = self.members.find(|(_, node)| !matches!(node, Node::Gone)) else { return Ok(None) };
        self.value = Some(member);
        let key = member.0.as_str();
        let read = || seed.deserialize(StrDeserializer::<Fault>::new(key));
        self.pass.below(key, || read().map_err(|fault| Fault::Unknown(fault.rule()))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, node) = self.value.take().ok_or_else(|| Fault::custom("a value was read before its key"))?;
        self.pass.below(key, || seed.deserialize(Reader::new(node, self.pass)))
    }
}

/// A word with what may stand beside it.
struct Choice<'a> {
    word: &'a str,
    value: Option<&'a Node>,
    pass: &'a Pass,
}

impl<'a, 'de> EnumAccess<'de> for Choice<'a> {
    type Error = Fault;
    type Variant = Beside<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Beside<'a>), Fault> {
        let beside = Beside { word: self.word, value: self.value, pass: self.pass };
        Ok((seed.deserialize(StrDeserializer::<Fault>::new(self.word))?, beside))
    }
}

struct Beside<'a> {
    word: &'a str,
    value: Option<&'a Node>,
    pass: &'a Pass,
}

impl Beside<'_> {
    fn read<T>(self, read: impl FnOnce(Reader<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        match self.value {
            Some(node) => self.pass.below(self.word, || read(Reader::new(node, self.pass))),
            None => Err(Fault::Rule(format!("has to be an object with the key {}", self.word))),
        }
    }
}

impl<'de> VariantAccess<'de> for Beside<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.value {
            None | Some(Node::Null | Node::Filler) => Ok(()),
            Some(_) => Err(Fault::Rule(format!("has to be the word {}", self.word))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.read(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.read(|reader| reader.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.read(|reader| reader.deserialize_map(visitor))
    }
}
