//! Numbers and codes.

use super::*;

/// Requests that wait, as a set.
#[derive(Debug, Clone, Default)]
struct Waiting {
    requests: BTreeSet<(u64, Option<u32>, Option<u64>)>,
}

impl Waiting {
    fn of(&self, number: PhoneNumber) -> impl Iterator<Item = (Option<u32>, Option<u64>)> {
        let of_number = move |it: &&(u64, Option<u32>, Option<u64>)| it.0 == number.digits();
        self.requests.iter().filter(of_number).map(|(_, code, caller)| (*code, *caller))
    }

    fn add(&mut self, place: Place, caller: Option<PhoneNumber>) {
        let caller = caller.map(PhoneNumber::digits);
        assert!(self.requests.insert((place.number.digits(), place.code, caller)), "{place:?} is taken");
    }
}

impl OpenRequests for Waiting {
    type Error = Infallible;

    fn load(&mut self, number: PhoneNumber) -> Result<u64, Infallible> {
        Ok(self.of(number).count() as u64)
    }

    fn has_caller(&mut self, number: PhoneNumber, caller: PhoneNumber) -> Result<bool, Infallible> {
        Ok(self.of(number).any(|(_, other)| other == Some(caller.digits())))
    }

    fn has_unmarked(&mut self, number: PhoneNumber) -> Result<bool, Infallible> {
        Ok(self.of(number).any(|it| it == (None, None)))
    }

    fn has_code(&mut self, number: PhoneNumber, code: u32) -> Result<bool, Infallible> {
        Ok(self.of(number).any(|(other, _)| other == Some(code)))
    }

    fn free_code_above(&mut self, number: PhoneNumber, taken: u32, last: u32) -> Result<Option<u32>, Infallible> {
        assert!(self.has_code(number, taken)?, "asked from a code that is free");
        Ok((taken + 1..=last).find(|code| self.has_code(number, *code) == Ok(false)))
    }
}

fn group(numbers: &[u64], codes: Option<u32>) -> Group {
    Group {
        numbers: numbers.iter().map(|last| number(*last)).collect(),
        codes: codes.map(Codes::of),
        expiry: Duration::seconds(300),
        default_region: Region::US,
    }
}

fn chosen(group: &Group, from: Option<PhoneNumber>, words: &[u64], waiting: &mut Waiting) -> Option<Place> {
    let Ok(place) = choose(group, from, words, waiting);
    place
}

#[test]
fn codes_have_their_digits_and_no_leading_zero() {
    for digits in Codes::DIGITS {
        let codes = Codes::of(digits);
        for word in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            assert_eq!(codes.draw(word).to_string().len(), digits as usize, "{word} of {digits}");
        }
        assert_eq!((codes.draw(0), codes.draw(u64::MAX)), (*codes.range().start(), *codes.range().end()));
    }
    assert_eq!((Codes::of(0), Codes::of(12)), (Codes::of(3), Codes::of(9)));
}

#[test]
fn every_code_is_about_as_likely_as_any_other() {
    let codes = Codes::of(3);
    let mut counts = [0_u32; 900];
    for step in 0..900_000_u64 {
        let word = step.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        counts[codes.draw(word) as usize - 100] += 1;
    }
    assert!(counts.iter().all(|count| (900..=1_100).contains(count)), "{counts:?}");
}

#[test]
fn the_least_loaded_number_comes_first_then_the_order_of_the_group() {
    let group = group(&[1, 2, 3], Some(6));
    let mut waiting = Waiting::default();
    let mut order = Vec::new();
    for word in 0..7 {
        let place = chosen(&group, None, &[word << 50], &mut waiting).unwrap();
        waiting.add(place, None);
        order.push(place.number.digits() - number(0).digits());
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 3, 1]);
}

#[test]
fn a_caller_gets_another_number_while_there_is_one() {
    let group = group(&[1, 2], Some(6));
    let mut waiting = Waiting::default();
    let mut numbers = Vec::new();
    for word in 0..4 {
        let place = chosen(&group, Some(caller(7)), &[word << 50], &mut waiting).unwrap();
        waiting.add(place, Some(caller(7)));
        numbers.push(place.number);
    }
    assert_eq!(numbers, [number(1), number(2), number(1), number(2)], "then the code alone tells them apart");
    // However busy the other number is.
    waiting.requests.retain(|(of, ..)| *of == number(2).digits());
    for word in 10..20 {
        waiting.add(Place { number: number(1), code: Some(100_000 + word) }, None);
    }
    assert_eq!(chosen(&group, Some(caller(7)), &[0], &mut waiting).unwrap().number, number(1));
}

#[test]
fn without_codes_the_caller_is_the_mark() {
    let group = group(&[1, 2], None);
    let mut waiting = Waiting::default();
    for (from, expected) in [
        (Some(caller(1)), Some(number(1))),
        (Some(caller(2)), Some(number(2))),
        (Some(caller(1)), Some(number(2))),
        (Some(caller(1)), None),
        (None, Some(number(1))),
        (None, Some(number(2))),
        (None, None),
        (Some(caller(3)), Some(number(1))),
    ] {
        let place = chosen(&group, from, &[], &mut waiting);
        assert_eq!(place.map(|place| place.number), expected, "{from:?} beside {waiting:?}");
        assert_eq!(place.and_then(|place| place.code), None);
        place.into_iter().for_each(|place| waiting.add(place, from));
    }
}

#[test]
fn the_last_free_code_is_found_wherever_it_is() {
    let group = group(&[1], Some(3));
    for free in [100, 101, 500, 998, 999] {
        let mut waiting = Waiting::default();
        for code in (100..=999).filter(|code| *code != free) {
            waiting.add(Place { number: number(1), code: Some(code) }, None);
        }
        for word in [0, u64::MAX / 3, u64::MAX / 2, u64::MAX] {
            let place = chosen(&group, None, &[word; DRAWS], &mut waiting);
            assert_eq!(place.and_then(|place| place.code), Some(free), "from {word}");
        }
        waiting.add(Place { number: number(1), code: Some(free) }, None);
        assert_eq!(chosen(&group, None, &[0, 7, u64::MAX], &mut waiting), None);
    }
}

#[test]
fn a_full_number_leads_to_the_next() {
    let mut waiting = Waiting::default();
    for code in 100..=999 {
        waiting.add(Place { number: number(1), code: Some(code) }, None);
        waiting.add(Place { number: number(2), code: Some(1_000 + code) }, None);
    }
    // As many wait on the second, but with codes of another length.
    let place = chosen(&group(&[1, 2], Some(3)), None, &[u64::MAX], &mut waiting);
    assert_eq!(place, Some(Place { number: number(2), code: Some(999) }));
}

proptest! {
    /// Whatever waits and whatever is drawn: nothing is given out twice, and nothing is refused while something is free.
    #[test]
    fn a_place_is_free_and_a_refusal_is_true(
        taken in prop::collection::btree_set((0_u64..2, 100_u32..110), 0..20),
        words in prop::collection::vec(any::<u64>(), 1..4),
    ) {
        // Ten codes of a thousand, so that a test can fill them: all others are taken from the start.
        let mut waiting = Waiting::default();
        for last in 0..2 {
            for code in 110..=999 {
                waiting.add(Place { number: number(last), code: Some(code) }, None);
            }
        }
        for (last, code) in &taken {
            waiting.add(Place { number: number(*last), code: Some(*code) }, None);
        }
        let place = chosen(&group(&[0, 1], Some(3)), None, &words, &mut waiting);
        prop_assert_eq!(place.is_none(), taken.len() == 20);
        if let Some(place) = place {
            waiting.add(place, None);
        }
    }
}
