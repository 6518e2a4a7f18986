use std::collections::BTreeSet;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::setting::Checks;

mod calls;
mod choices;

fn number(last: u64) -> PhoneNumber {
    PhoneNumber::from_digits(18_005_550_100 + last)
}

fn caller(last: u64) -> PhoneNumber {
    PhoneNumber::from_digits(14_165_550_100 + last)
}

fn errors(group: &CallInGroup) -> Vec<String> {
    let mut checks = Checks::default();
    group.check(&mut checks);
    checks.into_errors().iter().map(ToString::to_string).collect()
}

#[test]
fn a_group_says_what_is_wrong_with_it() {
    let numbers = |texts: &[&str]| CallInGroup {
        numbers: texts.iter().map(ToString::to_string).collect(),
        ..CallInGroup::default()
    };
    assert_eq!(errors(&numbers(&["+18005550199", "+18005550198"])), Vec::<String>::new());
    assert_eq!(errors(&CallInGroup::default()), ["numbers: has to be 1 to 100, not 0"]);
    for text in
        ["18005550199", "+1 800 555 0199", "+0800555019", "+123456", "+1234567890123456", "+", "", "+1800555019x"]
    {
        let rule = "has to be a number in E.164: + and 7 to 15 digits, the first not 0";
        assert_eq!(errors(&numbers(&[text])), [format!("numbers: {rule}, not {text:?}")]);
    }
    assert_eq!(
        errors(&numbers(&["+18005550199", "+18005550199"])),
        ["numbers: has to name each number once, not +18005550199"]
    );
    let wrong = CallInGroup { code_digits: 10, expiry_seconds: 9, ..numbers(&["+18005550199"]) };
    assert_eq!(errors(&wrong), ["codeDigits: has to be 3 to 9, not 10", "expirySeconds: has to be 10 to 86400, not 9"]);
}

#[test]
fn a_group_is_read_from_its_document() {
    let document = r#"{"numbers":["+18005550199"],"accessCodes":true,"codeDigits":3,"expirySeconds":60}"#;
    let group: CallInGroup = serde_json::from_str(document).unwrap();
    let group = group.resolve();
    assert_eq!(group.numbers, [PhoneNumber::from_digits(18_005_550_199)]);
    assert_eq!(group.codes.map(|codes| codes.range()), Some(100..=999));
    assert_eq!((group.expiry, group.default_region), (Duration::seconds(60), Region::US));
    let open: CallInGroup = serde_json::from_str(r#"{"numbers":["+18005550199"],"accessCodes":false}"#).unwrap();
    assert_eq!(open.resolve().codes, None);
    assert!(serde_json::from_str::<CallInGroup>(r#"{"dnis":["+18005550199"]}"#).is_err(), "misspelt keys are refused");
}

#[test]
fn states_and_criteria_come_back_from_their_numbers() {
    for state in State::ALL {
        assert_eq!(State::from_code(state.code()), Some(state));
        assert_eq!(State::from_name(state.name()), Some(state));
    }
    assert_eq!(State::from_code(4), None);
    for bits in 0..8 {
        assert_eq!(Criteria::from_code(bits).map(Criteria::code), Some(bits));
    }
    assert_eq!((Criteria::from_code(8), Criteria::from_code(-1)), (None, None));
    for (place, marks) in Marks::ALL.into_iter().enumerate() {
        assert_eq!(usize::try_from(marks.code()), Ok(place));
    }
}

#[test]
fn time_alone_ends_what_waits() {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    for (stored, now, expected) in [
        (State::Waiting, 99, State::Waiting),
        (State::Waiting, 100, State::Expired),
        (State::Waiting, 101, State::Expired),
        (State::Matched, 101, State::Matched),
        (State::Cancelled, 101, State::Cancelled),
    ] {
        assert_eq!(stored.at(at(100), at(now)), expected, "{stored} at {now}");
    }
}
