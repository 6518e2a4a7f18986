//! From a text to the digits of an E.164 number, by the numbering plans of the crate `phonenumber`.

use std::borrow::Cow;

use phonenumber::Metadata;
use phonenumber::metadata::{DATABASE, Descriptor};

use super::{NumberError, PhoneNumber, Region};

/// Compiled patterns of the plans that are kept. A plan needs three or four; the crate keeps 100 and compiles the
/// others anew each time, which takes a hundred times as long as judging a number.
const KEPT_PATTERNS: usize = 1_000;

pub(super) fn prepare() {
    let _ = DATABASE.by_id("US");
    // A poisoned cache is the crate's to report: it is only a cache here.
    if let Ok(mut cache) = DATABASE.cache().lock() {
        cache.set_capacity(KEPT_PATTERNS);
    }
}

/// The numbering plan of a region.
pub(super) fn plan(region: Region) -> Option<&'static Metadata> {
    DATABASE.by_id(region.0.as_ref())
}

pub(super) fn read(text: &str, region: Region) -> Result<u64, NumberError> {
    let (plus, digits) = digits_of(text)?;
    if plus {
        return international(&digits).and_then(|reading| reading.number()).ok_or(NumberError::Impossible);
    }
    let readings = [dialled_abroad(&digits, region), national(&digits, region), international(&digits)];
    let possible = || readings.iter().flatten();
    let best = possible().find(|reading| reading.fits()).or_else(|| possible().next());
    best.and_then(Reading::number).ok_or(NumberError::Impossible)
}

/// The digits as they stand, behind the country code of `region` if there is no plus.
pub(super) fn read_as_written(text: &str, region: Region) -> Result<u64, NumberError> {
    let (plus, digits) = digits_of(text)?;
    let digits = if plus { digits } else { format!("{}{digits}", region.country_code()) };
    // A zero at the start would vanish, and the number would be another one.
    let kept = digits.len() <= PhoneNumber::MAX_DIGITS && !digits.starts_with('0');
    if kept { digits.parse().map_err(|_| NumberError::Impossible) } else { Err(NumberError::Impossible) }
}

/// One way to understand the digits, possible in one of the plans.
struct Reading {
    /// The plans of the country code, that of the main region first.
    plans: Vec<&'static Metadata>,
    code: u16,
    national: String,
}

impl Reading {
    /// Whether the digits also begin as numbers of their plan do.
    fn fits(&self) -> bool {
        self.plans.iter().any(|plan| fits(plan, &self.national))
    }

    fn number(&self) -> Option<u64> {
        let digits = format!("{}{}", self.code, self.national);
        if digits.len() > PhoneNumber::MAX_DIGITS { None } else { digits.parse().ok() }
    }
}

/// Whether a plus stands before the digits, and the digits in ASCII.
fn digits_of(text: &str) -> Result<(bool, String), NumberError> {
    let mut plus = false;
    let mut digits = String::new();
    for (index, character) in text.trim().chars().enumerate() {
        if index >= PhoneNumber::MAX_TEXT_CHARS {
            return Err(NumberError::NotANumber);
        }
        match character {
            '+' | '\u{FF0B}' if digits.is_empty() && !plus => plus = true,
            _ if is_punctuation(character) => {}
            _ => digits.push(digit(character).ok_or(NumberError::NotANumber)?),
        }
    }
    if digits.is_empty() { Err(NumberError::NotANumber) } else { Ok((plus, digits)) }
}

/// Blanks, dashes, dots, slashes, brackets and tildes, also as phones and word processors write them.
fn is_punctuation(character: char) -> bool {
    matches!(
        character,
        ' ' | '-' | '.' | '/' | '(' | ')' | '[' | ']' | '~' | '\t' | '\u{A0}' | '\u{AD}' | '\u{2007}' | '\u{200B}'
            | '\u{2010}'..='\u{2015}' | '\u{2009}' | '\u{202F}' | '\u{2060}' | '\u{2212}' | '\u{3000}' | '\u{30FC}'
            // Direction marks, which come along when a number is copied from a contact list.
            | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
            | '\u{FF08}' | '\u{FF09}' | '\u{FF0D}'..='\u{FF0F}' | '\u{FF3B}' | '\u{FF3D}' | '\u{FF5E}'
    )
}

/// ASCII, Arabic-Indic, Persian, Devanagari and full-width digits.
fn digit(character: char) -> Option<char> {
    ['0', '\u{660}', '\u{6F0}', '\u{966}', '\u{FF10}'].into_iter().find_map(|zero| {
        let value = u32::from(character).checked_sub(u32::from(zero)).filter(|value| *value < 10)?;
        char::from_digit(value, 10)
    })
}

/// Behind the prefix with which `region` dials abroad.
fn dialled_abroad(digits: &str, region: Region) -> Option<Reading> {
    let prefix = plan(region)?.international_prefix()?.find(digits).filter(|found| found.start() == 0)?;
    international(digits.get(prefix.end()..)?)
}

/// As `region` dials at home.
fn national(digits: &str, region: Region) -> Option<Reading> {
    let plan = plan(region)?;
    let national = significant(plan, digits);
    international(&format!("{}{national}", plan.country_code()))
}

/// Country code first.
fn international(digits: &str) -> Option<Reading> {
    let (plans, national) = country(digits)?;
    // The first plan is that of the main region. Its trunk prefix may be left over, rarely twice.
    let main = *plans.first()?;
    let mut national = Cow::Borrowed(national);
    for _ in 0..3 {
        match significant(main, &national) {
            shorter if shorter == national => break,
            shorter => national = Cow::Owned(shorter.into_owned()),
        }
    }
    let reading = Reading { code: main.country_code(), national: national.into_owned(), plans };
    reading.plans.iter().any(|plan| is_possible(plan, &reading.national)).then_some(reading)
}

/// Splits off the country code. No code is the beginning of another one, so the first found is the one.
pub(super) fn country(digits: &str) -> Option<(Vec<&'static Metadata>, &str)> {
    (1..=3).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        // A leading zero would vanish in the number: no code has one.
        let code: u16 = code.parse().ok().filter(|_| !code.starts_with('0'))?;
        Some((DATABASE.by_code(&code)?, national))
    })
}

/// The national number without trunk prefix, and in the form for calls from abroad where that differs.
fn significant<'a>(plan: &Metadata, digits: &'a str) -> Cow<'a, str> {
    let Some(stripped) = strip_trunk_prefix(plan, digits) else { return Cow::Borrowed(digits) };
    // What fits as it is and not without its first digits has no prefix, only digits that look like one.
    let as_written = fits(plan, digits) && !fits(plan, &stripped);
    if as_written || !is_possible(plan, &stripped) { Cow::Borrowed(digits) } else { stripped }
}

fn strip_trunk_prefix<'a>(plan: &Metadata, digits: &'a str) -> Option<Cow<'a, str>> {
    let Some(pattern) = plan.national_prefix_for_parsing() else {
        return digits.strip_prefix(plan.national_prefix()?).map(Cow::Borrowed);
    };
    let groups = pattern.captures(digits)?;
    let prefix = groups.get(0).filter(|found| found.start() == 0 && found.end() > 0)?;
    let rest = digits.get(prefix.end()..)?;
    // A rule such as `9$1` rewrites what its last group caught; without a catch the prefix is only dropped.
    let caught = groups.get(groups.len() - 1).filter(|_| groups.len() > 1);
    match (plan.national_prefix_transform_rule(), caught) {
        (Some(rule), Some(_)) => {
            let group = |index: usize| groups.get(index).map_or("", |found| found.as_str());
            let rewritten = rule.replace("$1", group(1)).replace("$2", group(2));
            Some(Cow::Owned(rewritten + rest))
        }
        _ => Some(Cow::Borrowed(rest)),
    }
}

/// Whether the number is possible and begins as numbers of the plan do.
fn fits(plan: &Metadata, national: &str) -> bool {
    plan.descriptors().general().is_match(national) && is_possible(plan, national)
}

/// Whether the plan has numbers of that length. For lines of people the length alone decides. Numbers of
/// services are of all lengths, some as short as an extension, so they must be in the range of the service.
/// Lengths that are dialled inside one town only do not count. (The general description of a plan would
/// be the place to look, but names no lengths in this crate.)
fn is_possible(plan: &Metadata, national: &str) -> bool {
    // The number that people type who do not want to give theirs.
    if national.bytes().all(|digit| digit == b'0') {
        return false;
    }
    let uses = plan.descriptors();
    let of_people = [uses.fixed_line(), uses.mobile(), uses.voip(), uses.personal_number()];
    let of_services =
        [uses.toll_free(), uses.shared_cost(), uses.uan(), uses.premium_rate(), uses.pager(), uses.voicemail()];
    let length = |it: &Descriptor| it.possible_length().iter().any(|length| usize::from(*length) == national.len());
    of_people.into_iter().flatten().any(length)
        || of_services.into_iter().flatten().any(|it| length(it) && it.is_match(national))
}
