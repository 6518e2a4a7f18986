//! What the numbering plans say about a number that was read.

use phonenumber::Metadata;
use phonenumber::metadata::Descriptor;

use super::reading::{country, plan};
use super::{PhoneNumber, Region};

/// The plans of the number's country code, that of the main region first, and the national number.
fn split(number: PhoneNumber) -> Option<(Vec<&'static Metadata>, String)> {
    let digits = number.digits().to_string();
    let (plans, national) = country(&digits)?;
    Some((plans, national.to_owned()))
}

pub(super) fn national(number: PhoneNumber) -> String {
    split(number).map_or_else(|| number.digits().to_string(), |(_, national)| national)
}

pub(super) fn regions(number: PhoneNumber) -> Vec<Region> {
    let plans = split(number).map(|(plans, _)| plans).unwrap_or_default();
    plans.into_iter().filter_map(|plan| plan.id().parse().ok()).collect()
}

pub(super) fn region(number: PhoneNumber) -> Option<Region> {
    let (plans, national) = split(number)?;
    let plan = match plans.as_slice() {
        [only] => only,
        several => several.iter().find(|plan| has_numbers_like(plan, &national))?,
    };
    plan.id().parse().ok()
}

/// Whether a plan has numbers like that one, among plans that share a country code.
fn has_numbers_like(plan: &Metadata, national: &str) -> bool {
    if let Some(leading) = plan.leading_digits() {
        return leading.find(national).is_some_and(|found| found.start() == 0);
    }
    let uses = plan.descriptors();
    let kinds = [
        uses.fixed_line(),
        uses.mobile(),
        uses.toll_free(),
        uses.premium_rate(),
        uses.shared_cost(),
        uses.voip(),
        uses.personal_number(),
        uses.pager(),
        uses.uan(),
        uses.voicemail(),
    ];
    uses.general().is_match(national) && kinds.into_iter().flatten().any(|kind| is_of(kind, national))
}

/// Whether a number is of a kind: of one of its lengths, and in its ranges.
fn is_of(kind: &Descriptor, national: &str) -> bool {
    kind.possible_length().iter().any(|length| usize::from(*length) == national.len()) && kind.is_match(national)
}

/// Where several regions share a code, premium ranges are those of the main one.
pub(super) fn is_premium(number: PhoneNumber) -> bool {
    let Some((plans, national)) = split(number) else { return false };
    let premium = plans.first().and_then(|main| main.descriptors().premium_rate());
    premium.is_some_and(|premium| is_of(premium, &national))
}

pub(super) fn trunk_prefix(region: Region) -> Option<&'static str> {
    let plan = plan(region)?;
    let prefix = plan.national_prefix()?;
    let uses = plan.descriptors();
    let kinds =
        [uses.fixed_line(), uses.mobile(), uses.toll_free(), uses.premium_rate(), uses.shared_cost(), uses.uan()];
    let mut examples = kinds.into_iter().flatten().filter_map(|kind| kind.example());
    let ambiguous = examples.any(|number| number.starts_with(prefix));
    (!ambiguous).then_some(prefix)
}
