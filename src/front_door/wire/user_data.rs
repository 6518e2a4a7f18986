//! Free user data: copied from the request into compact JSON text without ever becoming a tree.
//!
//! Members of the outermost object whose names are not valid JavaScript identifiers are dropped without a word,
//! as the product does. Numbers are kept as JavaScript would keep them: what does not fit 64 bits becomes a
//! double. A repeated name stays repeated; every reader lets the last one win.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use unicode_ident::{is_xid_continue, is_xid_start};

use super::{Loose, skip};

/// What was found in `userData`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum UserData {
    /// Left out, or `null`.
    #[default]
    Absent,
    /// Neither an object nor the text of one.
    NotAnObject,
    /// A text in it contains U+0000, which the stores cannot keep.
    HasNul,
    /// Compact JSON text of the object; empty (`{}`) if nothing was left of it.
    Object(String),
}

impl<'de> Deserialize<'de> for UserData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Outermost { text_allowed: true })
    }
}

/// Reads the outermost value. Clients before October 2021 send the object as text, so text is read once more.
struct Outermost {
    text_allowed: bool,
}

impl<'de> Visitor<'de> for Outermost {
    type Value = UserData;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("user data")
    }

    fn visit_unit<E>(self) -> Result<UserData, E> {
        Ok(if self.text_allowed { UserData::Absent } else { UserData::NotAnObject })
    }

    fn visit_bool<E>(self, _: bool) -> Result<UserData, E> {
        Ok(UserData::NotAnObject)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UserData, E> {
        Ok(UserData::NotAnObject)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UserData, E> {
        Ok(UserData::NotAnObject)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UserData, E> {
        Ok(UserData::NotAnObject)
    }

    fn visit_str<E>(self, text: &str) -> Result<UserData, E> {
        if !self.text_allowed {
            return Ok(UserData::NotAnObject);
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = deserializer.deserialize_any(Outermost { text_allowed: false });
        Ok(read.and_then(|data| deserializer.end().map(|()| data)).unwrap_or(UserData::NotAnObject))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UserData, A::Error> {
        while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(UserData::NotAnObject)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<UserData, A::Error> {
        let mut copy = Copied::default();
        copy.out.push(b'{');
        while let Some(name) = from.next_key::<Loose<'de>>()? {
            match name {
                Loose::Text(name) if is_identifier(&name) => {
                    copy.separate(b'{');
                    copy.text(&name);
                    copy.out.push(b':');
                    from.next_value_seed(Value(&mut copy))?;
                }
                _ => skip(&mut from)?,
            }
        }
        copy.out.push(b'}');
        if copy.has_nul {
            return Ok(UserData::HasNul);
        }
        String::from_utf8(copy.out).map(UserData::Object).map_err(A::Error::custom)
    }
}

/// The text that grows.
#[derive(Default)]
struct Copied {
    out: Vec<u8>,
    has_nul: bool,
}

impl Copied {
    /// A comma, unless nothing stands after the bracket `open` yet.
    fn separate(&mut self, open: u8) {
        if self.out.last() != Some(&open) {
            self.out.push(b',');
        }
    }

    fn text(&mut self, text: &str) {
        self.has_nul |= text.contains('\0');
        // Writing into memory cannot fail.
        let _ = serde_json::to_writer(&mut self.out, text);
    }

    fn scalar(&mut self, scalar: impl serde::Serialize) {
        let _ = serde_json::to_writer(&mut self.out, &scalar);
    }
}

/// Copies one value, whatever it is. Depth is bounded by the recursion limit of the reader (128).
struct Value<'a>(&'a mut Copied);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.out.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.scalar(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.scalar(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.scalar(value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.scalar(value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.out.push(b'[');
        let mut first = true;
        loop {
            let before = self.0.out.len();
            if !first {
                self.0.out.push(b',');
            }
            if items.next_element_seed(Value(self.0))?.is_none() {
                self.0.out.truncate(before);
                break;
            }
            first = false;
        }
        self.0.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<(), A::Error> {
        self.0.out.push(b'{');
        let mut first = true;
        while let Some(name) = from.next_key::<Loose<'de>>()? {
            let Loose::Text(name) = name else { return Err(A::Error::custom("a member name is text")) };
            if !first {
                self.0.out.push(b',');
            }
            first = false;
            self.0.text(&name);
            self.0.out.push(b':');
            from.next_value_seed(Value(self.0))?;
        }
        self.0.out.push(b'}');
        Ok(())
    }
}

/// Words that JavaScript never takes as identifiers although they look like some. Those that only strict code
/// or modules reserve (`package`, `await` …) are identifiers.
const RESERVED: [&str; 36] = [
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "import",
    "in",
    "instanceof",
    "new",
    "null",
    "return",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
];

/// Whether a name is a valid JavaScript identifier: a letter, `$` or `_`, then also digits, marks of letters and joiners
/// (ECMA-262, 12.7); no reserved word. Letters and marks are Unicode's (UAX #31).
fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|first| is_xid_start(first) || matches!(first, '$' | '_'));
    starts
        && characters.all(|next| is_xid_continue(next) || matches!(next, '$' | '\u{200c}' | '\u{200d}'))
        && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> UserData {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_object_is_copied_compactly() {
        for (json, expected) in [
            ("{}", "{}"),
            (r#"{ "a" : 1 , "b" : [ ] , "c" : { } }"#, r#"{"a":1,"b":[],"c":{}}"#),
            (r#"{"a":[1,-2,3.5,1e3,true,null,"x\"y"]}"#, r#"{"a":[1,-2,3.5,1000.0,true,null,"x\"y"]}"#),
            (r#"{"a":{"not an identifier":{"deep":[[1],[2]]}}}"#, r#"{"a":{"not an identifier":{"deep":[[1],[2]]}}}"#),
            (r#"{"π":"\u00e9\ud83d\ude00"}"#, r#"{"π":"é😀"}"#),
            (r#""{}""#, "{}"),
            (r#""{\"a\": \"b\"}""#, r#"{"a":"b"}"#),
        ] {
            assert_eq!(read(json), UserData::Object(expected.into()), "{json}");
        }
    }

    #[test]
    fn names_that_are_no_identifiers_are_dropped() {
        let json = r#"{"a-b":1,"1a":2,"":3,"a b":4,"class":5,"$x":6,"_y":7,"a1":8,"a.b":{"c":9}}"#;
        assert_eq!(read(json), UserData::Object(r#"{"$x":6,"_y":7,"a1":8}"#.into()));
        // Names of every script, also with marks of their own, and those that only look like letters.
        let kept = "{\"\u{e0a}\u{e37}\u{e48}\u{e2d}\":1,\"\u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}\":2,\"cafe\u{301}\":3,\"caf\u{e9}\":4}";
        assert_eq!(read(kept), UserData::Object(kept.into()));
        assert_eq!(read("{\"m\u{b2}\":1,\"\u{301}a\":2,\"\u{2460}\":3}"), UserData::Object("{}".into()));
    }

    #[test]
    fn anything_but_an_object_is_refused() {
        for json in
            ["1", "-1", "1.5", "true", "[]", r#""""#, r#""x""#, r#""[]""#, r#""null""#, r#""\"{}\"""#, r#""{} x""#]
        {
            assert_eq!(read(json), UserData::NotAnObject, "{json}");
        }
        assert_eq!(read("null"), UserData::Absent);
    }

    #[test]
    fn the_character_that_stores_cannot_keep_is_found_at_any_depth() {
        for json in
            [r#"{"a":"\u0000"}"#, r#"{"a":{"b":["x\u0000"]}}"#, r#"{"a":{"\u0000":1}}"#, r#""{\"a\":\"\\u0000\"}""#]
        {
            assert_eq!(read(json), UserData::HasNul, "{json}");
        }
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            "[^\u{0}]{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map("[^\u{0}]{0,6}", inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_changes_on_the_way(members in prop::collection::btree_map("[a-k_$][a-k0-9_$]{0,4}x", json_value(), 0..6)) {
            let sent = serde_json::Value::Object(members.into_iter().collect());
            let UserData::Object(kept) = read(&sent.to_string()) else { panic!("not an object") };
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&kept).unwrap(), sent);
        }
    }
}
