use super::*;
use phonenumber::metadata::DATABASE;
use proptest::prelude::*;

fn region(text: &str) -> Region {
    text.parse().unwrap()
}

fn read(text: &str, from: &str) -> Result<String, NumberError> {
    PhoneNumber::parse(text, region(from)).map(PhoneNumber::e164)
}

fn regions() -> impl Iterator<Item = Region> {
    DATABASE.iter().filter_map(|plan| plan.id().parse().ok())
}

#[test]
fn numbers_of_many_countries() {
    let table = [
        // United States and Canada: national, with and without trunk prefix, from abroad.
        ("(416) 555-0100", "US", "+14165550100"),
        ("1-416-555-0100", "CA", "+14165550100"),
        ("+1 416.555.0100", "GB", "+14165550100"),
        ("001 416 555 0100", "DE", "+14165550100"),
        ("14165550100", "GB", "+14165550100"),
        // United Kingdom
        ("020 7946 0018", "GB", "+442079460018"),
        ("+44 (0)20 7946 0018", "US", "+442079460018"),
        ("011 44 20 7946 0018", "US", "+442079460018"),
        ("442079460018", "US", "+442079460018"),
        // France: the case that the library's own parser gets wrong
        ("+33 1 23 45 67 89", "US", "+33123456789"),
        ("01 23 45 67 89", "FR", "+33123456789"),
        // Germany: numbers of many lengths
        ("+49 1512 3456789", "US", "+4915123456789"),
        ("030/123456", "DE", "+4930123456"),
        ("49 30 123456", "FR", "+4930123456"),
        // Italy keeps its zero
        ("02 3661 8300", "IT", "+390236618300"),
        ("+39 02 3661 8300", "US", "+390236618300"),
        // Russia and Kazakhstan share a code and a trunk prefix
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("+7 8 912 345 67 89", "US", "+79123456789"),
        ("8 710 000 9998", "KZ", "+77100009998"),
        // Argentina writes mobiles in one way at home and in another abroad
        ("011 15-2345-6789", "AR", "+5491123456789"),
        ("+54 9 11 2345 6789", "US", "+5491123456789"),
        // Mexico, Brazil, Spain, Switzerland, Poland, Australia, Japan, India, China, Singapore, South Africa
        ("222 123 4567", "MX", "+522221234567"),
        ("(11) 96123-4567", "BR", "+5511961234567"),
        ("612 34 56 78", "ES", "+34612345678"),
        ("078 123 45 67", "CH", "+41781234567"),
        ("41 78 123 45 67", "CH", "+41781234567"),
        ("512 345 678", "PL", "+48512345678"),
        ("0412 345 678", "AU", "+61412345678"),
        ("0011 61 2 1234 5678", "AU", "+61212345678"),
        ("090-1234-5678", "JP", "+819012345678"),
        ("081234 56789", "IN", "+918123456789"),
        ("131 2345 6789", "CN", "+8613123456789"),
        ("8123 4567", "SG", "+6581234567"),
        ("071 123 4567", "ZA", "+27711234567"),
        // A code of no country
        ("+800 1234 5678", "US", "+80012345678"),
        // Other digits, odd punctuation, direction marks of a copied contact
        ("\u{202A}+\u{0661} \u{0664}\u{0661}\u{0666} 555\u{2010}0100\u{202C}", "US", "+14165550100"),
        (" +1\u{A0}(416)\u{2009}555\u{2013}0100\t", "US", "+14165550100"),
    ];
    for (text, from, expected) in table {
        assert_eq!(read(text, from).as_deref(), Ok(expected), "{text} in {from}");
    }
}

#[test]
fn the_simulators_magic_numbers_are_accepted() {
    for last in (0..=7).chain(100..=199) {
        let text = format!("+1416555{last:04}");
        assert_eq!(read(&text, "US"), Ok(text.clone()));
        assert_eq!(read(&text, "DE"), Ok(text));
    }
}

#[test]
fn refusals_say_which_kind() {
    use NumberError::{Impossible, NotANumber};
    let long = format!("+14165550100{}", " ".repeat(60) + "1");
    let table = [
        ("", NotANumber),
        ("   ", NotANumber),
        ("+", NotANumber),
        ("hello", NotANumber),
        ("1-800-FLOWERS", NotANumber),
        ("416 555 0100 x12", NotANumber),
        ("416 555 0100 ext. 12", NotANumber),
        ("tel:+14165550100", NotANumber),
        ("+1 416 555 0100\0", NotANumber),
        ("++14165550100", NotANumber),
        ("416+5550100", NotANumber),
        ("4165550100, 4165550101", NotANumber),
        ("*67 416 555 0100", NotANumber),
        (long.as_str(), NotANumber),
        ("1", Impossible),
        ("911", Impossible),
        ("555 0100", Impossible),
        ("+1 416 555 010", Impossible),
        ("+1 416 555 01000", Impossible),
        ("+999 123 456 789", Impossible),
        ("+0 416 555 0100", Impossible),
        ("+44 20 7946", Impossible),
        ("000 000 0000", Impossible),
        ("99999999999999999999999999999999", Impossible),
    ];
    for (text, expected) in table {
        assert_eq!(read(text, "US"), Err(expected), "{text:?}");
    }
}

#[test]
fn every_example_of_every_plan_reads_as_itself() {
    let mut read_so_far = 0;
    for plan in DATABASE.iter() {
        let uses = plan.descriptors();
        for example in [uses.fixed_line(), uses.mobile(), uses.toll_free(), uses.voip()].into_iter().flatten() {
            let Some(national) = example.example() else { continue };
            let number = format!("+{}{national}", plan.country_code());
            assert_eq!(read(&number, "US").as_ref(), Ok(&number), "from abroad");
            if let Ok(home) = plan.id().parse::<Region>() {
                assert_eq!(PhoneNumber::parse(national, home).map(PhoneNumber::e164), Ok(number), "at home in {home}");
            }
            read_so_far += 1;
        }
    }
    assert!(read_so_far > 500, "{read_so_far} examples");
}

#[test]
fn every_region_has_a_plan_and_prints_back() {
    assert!(regions().count() > 240);
    for region in regions() {
        assert_eq!(region.as_str().parse(), Ok(region));
        assert_eq!(serde_json::to_string(&region).unwrap(), format!("\"{region}\""));
    }
    for text in ["", "U", "us", "USA", "XX", "001", "U\u{212A}"] {
        assert_eq!(text.parse::<Region>(), Err(BadRegion), "{text}");
    }
    let error = serde_json::from_str::<Region>("\"usa\"").unwrap_err();
    assert!(error.to_string().contains("two upper-case letters"), "{error}");
}

#[test]
fn only_two_digits_are_shown() {
    let number = PhoneNumber::parse("+14165550107", Region::US).unwrap();
    assert_eq!(number.to_string(), "…07");
    assert_eq!(format!("{number:?}"), "PhoneNumber(…07)");
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>(), from in 0..240usize) {
        let _ = PhoneNumber::parse(&text, regions().nth(from).unwrap());
    }

    /// Whatever is read is read again as itself, wherever it is read.
    #[test]
    fn what_was_read_reads_as_itself(text in "[+]?[0-9 ().-]{2,22}", from in 0..240usize, again in 0..240usize) {
        let region = |index| regions().nth(index).unwrap();
        if let Ok(number) = PhoneNumber::parse(&text, region(from)) {
            prop_assert!(number.e164().len() <= PhoneNumber::MAX_DIGITS + 1);
            prop_assert_eq!(PhoneNumber::parse(&number.e164(), region(again)), Ok(number));
            prop_assert_eq!(PhoneNumber::from_digits(number.digits()), number);
        }
    }
}
