use super::*;
use proptest::prelude::*;

fn region(text: &str) -> Region {
    text.parse().unwrap()
}

fn rule(document: serde_json::Value) -> NumberRule {
    serde_json::from_value(document).unwrap()
}

fn told(rule: &NumberRule) -> Vec<String> {
    let mut checks = Checks::default();
    checks.at("numberRules", |checks| checks.at("europe", |checks| rule.check("europe", checks)));
    checks.into_errors().iter().map(ToString::to_string).collect()
}

/// What a queue of that region with the usual settings says to a number.
fn refusal(text: &str, default_region: &str, gate: Option<&NumberGate>) -> Option<NumberRefusal> {
    terms(default_region, gate).judge(text).refusal
}

fn terms<'a>(default_region: &str, gate: Option<&'a NumberGate>) -> NumberTerms<'a> {
    NumberTerms { default_region: region(default_region), refuse_impossible: true, refuse_premium: true, gate }
}

fn blocked(country: &str, pattern: &str) -> Option<NumberRefusal> {
    Some(NumberRefusal::Blocked { country: region(country), pattern: pattern.to_owned() })
}

#[test]
fn without_a_rule_premium_and_impossible_numbers_are_refused() {
    for (text, from, expected) in [
        ("+14165550107", "US", None),
        ("416 555 0150", "US", None),
        ("14165550107", "GB", None),
        ("+442079460018", "US", None),
        ("+18005550100", "US", None),
        ("+80012345678", "US", None),
        ("call me", "US", Some(NumberRefusal::NotANumber)),
        ("555", "US", Some(NumberRefusal::Impossible)),
        ("+999123456", "US", Some(NumberRefusal::Impossible)),
        // 900 in North America, 09 in Britain, 0900 in Germany, 089 in France, 899 in Italy.
        ("+1 900 555 0100", "DE", Some(NumberRefusal::Premium)),
        ("900 555 0100", "CA", Some(NumberRefusal::Premium)),
        ("0909 879 0000", "GB", Some(NumberRefusal::Premium)),
        ("0900 1 123456", "DE", Some(NumberRefusal::Premium)),
        ("+33 8 99 12 34 56", "US", Some(NumberRefusal::Premium)),
        ("899 123 456", "IT", Some(NumberRefusal::Premium)),
    ] {
        assert_eq!(refusal(text, from, None), expected, "{text} in {from}");
    }
}

#[test]
fn queues_may_take_what_others_refuse() {
    let lenient = NumberTerms { refuse_impossible: false, refuse_premium: false, ..terms("US", None) };
    let premium = lenient.judge("+1 900 555 0100");
    assert_eq!((premium.refusal, premium.premium), (None, true));
    for (text, digits) in [("555", "+1555"), ("+999 123456", "+999123456"), ("+1 4165550107", "+14165550107")] {
        let verdict = lenient.judge(text);
        assert_eq!((verdict.refusal, verdict.number.map(PhoneNumber::e164).as_deref()), (None, Some(digits)), "{text}");
    }
    for text in ["+0123", "1234567890123456", "call"] {
        assert!(lenient.judge(text).refusal.is_some(), "{text}");
    }
    // A rule still wants to know the country.
    let gate = rule(serde_json::json!({"countries": {"US": []}})).gate();
    let ruled = NumberTerms { gate: Some(&gate), ..lenient };
    assert_eq!(ruled.judge("+999 123456").refusal, Some(NumberRefusal::CountryUnknown));
}

#[test]
fn countries_that_a_rule_does_not_name_are_refused() {
    let gate = rule(serde_json::json!({"countries": {"US": [], "GB": [], "KZ": []}})).gate();
    let not = |country: &str| Some(NumberRefusal::CountryNotPermitted { country: region(country) });
    for (text, expected) in [
        ("+1 212 555 0100", None),
        ("+44 20 7946 0018", None),
        ("+7 710 000 9998", None),
        ("+1 416 555 0100", not("CA")),
        ("+1 876 555 0100", not("JM")),
        ("+44 1481 960194", not("GG")),
        ("+7 912 345 67 89", not("RU")),
        ("+49 30 123456", not("DE")),
        // A code of no country, and a number of the shared code 1 that is like no country's.
        ("+800 1234 5678", Some(NumberRefusal::CountryUnknown)),
        ("+1 211 555 0100", Some(NumberRefusal::CountryUnknown)),
        // The country is judged before the premium.
        ("+1 900 555 0100", Some(NumberRefusal::Premium)),
        ("+49 900 1 123456", not("DE")),
    ] {
        assert_eq!(refusal(text, "US", Some(&gate)), expected, "{text}");
    }
}

#[test]
fn an_unknown_country_passes_where_every_country_of_its_code_is_permitted() {
    let number = PhoneNumber::parse("+7 200 000 0000", region("US")).unwrap();
    assert_eq!(number.region(), None);
    let both = rule(serde_json::json!({"countries": {"RU": ["201"], "KZ": ["2000"]}})).gate();
    let one = rule(serde_json::json!({"countries": {"RU": []}})).gate();
    assert_eq!(refusal("+7 202 000 0000", "US", Some(&both)), None);
    assert_eq!(refusal("+7 201 000 0000", "US", Some(&both)), blocked("RU", "201"));
    assert_eq!(refusal("+7 200 000 0000", "US", Some(&both)), blocked("KZ", "2000"));
    assert_eq!(refusal("+7 202 000 0000", "US", Some(&one)), Some(NumberRefusal::CountryUnknown));
}

#[test]
fn patterns_block_the_numbers_of_their_country() {
    let gate = rule(serde_json::json!({"countries": {
        "US": ["212555", "xxx976", "+1213*00", {"regex": "^\\+1310"}, {"regex": "^702\\d{3}01"}, {"regex": "7{6}"}],
        "DE": ["212555", "15*99"],
    }}))
    .gate();
    for (text, expected) in [
        ("+1 212 555 0100", blocked("US", "212555")),
        ("+1 212 556 0100", None),
        ("+1 646 976 0100", blocked("US", "xxx976")),
        ("+1 646 977 0100", None),
        ("+1 213 555 0100", blocked("US", "+1213*00")),
        ("+1 213 555 1111", None),
        ("+1 310 555 0100", blocked("US", "regex ^\\+1310")),
        ("+1 702 555 0100", blocked("US", "regex ^702\\d{3}01")),
        ("+1 646 777 7770", blocked("US", "regex 7{6}")),
        ("+49 212 555012", blocked("DE", "212555")),
        ("+49 151 23456799", blocked("DE", "15*99")),
        ("+49 151 23456798", None),
    ] {
        assert_eq!(refusal(text, "US", Some(&gate)), expected, "{text}");
    }
}

#[test]
fn a_rule_that_cannot_work_is_told_with_its_place() {
    assert_eq!(told(&NumberRule::default()), ["numberRules.europe.countries: has to permit at least one country"]);
    let broken = rule(serde_json::json!({"countries": {
        "DE": ["0900", "+4x9", "+33900", "", "90 0", "9".repeat(33)],
        "US": ["1900", "+1", "*", {"regex": ""}, {"regex": "("}, {"regex": "(?=9)"}, {"regex": "(9)\\1"},
            {"regex": "[0-9]{1000}{1000}"}, {"regex": "9".repeat(513)}],
        "RU": ["8800", "800"],
    }}));
    let simple = "has to be 1 to 32 digits, `x` and `*`, perhaps with a `+` before them";
    let plain = "has to be a regular expression without look-around and back-references";
    let trunk = |digit: u8, country: &str| {
        format!("has to leave out the {digit} that is dialled before numbers inside {country}, or it fits nothing")
    };
    let expected = [
        ("DE.0", trunk(0, "DE"), "0900".to_owned()),
        ("DE.2", "has to begin with +49, the code of DE, or it fits nothing".to_owned(), "+33900".to_owned()),
        ("DE.3", simple.to_owned(), String::new()),
        ("DE.4", simple.to_owned(), "90 0".to_owned()),
        ("DE.5", simple.to_owned(), "9".repeat(33)),
        ("US.0", trunk(1, "US"), "1900".to_owned()),
        ("US.3", "has to be 1 to 512 characters".to_owned(), String::new()),
        ("US.4", plain.to_owned(), "(".to_owned()),
        ("US.5", plain.to_owned(), "(?=9)".to_owned()),
        ("US.6", plain.to_owned(), "(9)\\1".to_owned()),
        ("US.7", "has to take at most 65536 bytes when compiled".to_owned(), "[0-9]{1000}{1000}".to_owned()),
        ("US.8", "has to be 1 to 512 characters".to_owned(), "9".repeat(64)),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(place, rule, value)| format!("numberRules.europe.countries.{place}: {rule}, not {value}"))
        .collect();
    // In Russia 8 is dialled first, but free numbers begin with it, too: both are taken as they are written.
    assert_eq!(told(&broken), expected);
    let many = rule(
        serde_json::json!({"countries": {"US": vec!["900"; 101], "CA": vec![serde_json::json!({"regex": "9"}); 51]}}),
    );
    assert_eq!(
        told(&many),
        [
            "numberRules.europe.countries: has to hold at most 50 regular expressions, not 51",
            "numberRules.europe.countries.US: has to be 0 to 100, not 101",
        ]
    );
}

#[test]
fn documents_print_back_and_wrong_ones_are_refused() {
    let document = serde_json::json!({"countries": {"DE": [], "US": ["900", {"regex": "^\\+1310"}]}});
    assert_eq!(serde_json::to_value(rule(document.clone())).unwrap(), document);
    for (document, expected) in [
        (r#"{"countries": {"Germany": []}}"#, "two upper-case letters"),
        (r#"{"countries": {"DE": [900]}}"#, "expected digits, `x` and `*` in quotes"),
        (r#"{"countries": {"DE": [{"simple": "900"}]}}"#, "unknown field `simple`"),
        (r#"{"country": {}}"#, "unknown field `country`"),
    ] {
        let error = serde_json::from_str::<NumberRule>(document).unwrap_err().to_string();
        assert!(error.contains(expected), "{document}: {error}");
    }
}

/// What a simple pattern means, in other words: a regular expression that is anchored at the start.
fn as_expression(pattern: &str) -> regex::Regex {
    let parts: String = pattern
        .chars()
        .map(|c| match c {
            'x' => "[0-9]".to_owned(),
            '*' => "[0-9]*".to_owned(),
            c => regex::escape(&c.to_string()),
        })
        .collect();
    regex::Regex::new(&format!("^{parts}")).unwrap()
}

proptest! {
    #[test]
    fn simple_patterns_mean_what_they_say(pattern in "[0-3x*]{1,8}", national in "[0-3]{1,10}") {
        let compiled = Compiled::Simple(pattern.clone());
        prop_assert_eq!(compiled.fits("+1", &national), as_expression(&pattern).is_match(&national));
    }

    #[test]
    fn any_pattern_is_taken_or_refused(simple in any::<String>(), expression in "[0-9.*+?(){}|\\\\d^$\\[\\]-]{0,20}", number in 1u64..1_000_000_000_000_000) {
        for pattern in [BlockedPattern::Simple(simple), BlockedPattern::Expression(expression)] {
            if let Ok(compiled) = pattern.compiled(Region::US) {
                let number = PhoneNumber::from_digits(number);
                let _ = compiled.fits(&number.e164(), &number.national());
            }
        }
    }

    /// Whatever is known of a number is known of its written form, and a verdict names no digit of it.
    #[test]
    fn verdicts_agree_with_their_number(text in "[+]?[0-9 ]{3,16}", permitted in prop::sample::select(vec!["US", "DE", "GB"])) {
        let gate = rule(serde_json::json!({"countries": {permitted: []}})).gate();
        let verdict = terms("US", Some(&gate)).judge(&text);
        prop_assert_eq!(verdict.number.is_none(), matches!(verdict.refusal, Some(NumberRefusal::NotANumber | NumberRefusal::Impossible)));
        if let Some(number) = verdict.number {
            prop_assert_eq!(number.region(), verdict.country);
            prop_assert_eq!(verdict.country.is_none_or(|country| number.regions().contains(&country)), true);
            prop_assert!(verdict.refusal.is_some() || verdict.country.is_none_or(|country| country.as_str() == permitted));
        }
        if let Some(refusal) = verdict.refusal {
            prop_assert!(!refusal.to_string().contains(|c: char| c.is_ascii_digit()));
        }
    }
}
