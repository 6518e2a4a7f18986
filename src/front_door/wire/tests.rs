use proptest::prelude::*;

use super::*;

fn loose(json: &str) -> Loose<'_> {
    serde_json::from_str(json).unwrap()
}

#[test]
fn scalars_are_kept_and_the_rest_is_passed_over() {
    for (json, expected) in [
        ("null", Loose::Absent),
        ("true", Loose::Bool(true)),
        ("7", Loose::Number(7.0)),
        ("-7", Loose::Number(-7.0)),
        ("1.53E+12", Loose::Number(1.53e12)),
        (r#""a\nb""#, Loose::Text("a\nb".into())),
        (r#"[1,{"a":[]}]"#, Loose::Nested),
        (r#"{"a":{"b":[null]}}"#, Loose::Nested),
    ] {
        assert_eq!(loose(json), expected, "{json}");
    }
}

#[test]
fn plain_text_is_not_copied() {
    let Loose::Text(text) = loose(r#""plain""#) else { panic!("text") };
    assert!(matches!(text, Cow::Borrowed("plain")));
}

#[test]
fn whole_numbers_come_in_every_form() {
    for json in ["7", "7.0", "7e0", "0.7E+1"] {
        assert_eq!(loose(json).whole("n", 1, 10).unwrap(), Some(7), "{json}");
    }
    for json in ["7.5", "\"7\"", "true", "11", "0", "1e300", "-1"] {
        assert!(loose(json).whole("n", 1, 10).is_err(), "{json}");
    }
}

#[test]
fn what_nobody_knows_may_be_nested_without_end() {
    let deep =
        format!(r#"{{"x":{}{},"id":"0192f0a0-0000-7000-8000-000000000001"}}"#, "[".repeat(5_000), "]".repeat(5_000));
    assert!(callback_id(deep.as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn texts_are_limited_by_characters(text in "[a-zé😀]{0,12}", max in 1_usize..12) {
        let fits = text.chars().count() <= max;
        prop_assert_eq!(Loose::Text(text.into()).text("t", max).is_ok(), fits);
    }

    #[test]
    fn any_bytes_are_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = callback_id(&body);
        let _ = signal::signal(&body);
        let _ = numbers::question(&body);
        let _ = create::new_callback(&body, None);
    }
}
