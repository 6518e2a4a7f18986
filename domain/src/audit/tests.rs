use chrono::Duration;
use proptest::prelude::*;

use super::*;

/// Good enough to tell what differs: nobody attacks a test.
fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0_u8; 32];
    for (lane, word) in hash.chunks_exact_mut(8).enumerate() {
        let seed = 0xCBF2_9CE4_8422_2325_u64 ^ ((lane as u64 + 1) << 17);
        let mixed = bytes.iter().fold(seed, |mixed, byte| (mixed ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3));
        word.copy_from_slice(&mixed.to_le_bytes());
    }
    hash
}

fn tenant() -> TenantId {
    TenantId::from_name("demo")
}

/// A good chain of so many entries.
fn chain(length: u64) -> Vec<Entry> {
    let mut before = Link::default();
    (1..=length)
        .map(|seq| {
            let mut entry = Entry {
                seq,
                at: DateTime::UNIX_EPOCH + Duration::minutes(i64::try_from(seq).unwrap()),
                act: Act::ALL[usize::try_from(seq).unwrap() % Act::ALL.len()].name().to_owned(),
                actor: "api".to_owned(),
                subject: format!("subject {seq}"),
                details: String::new(),
                hash: [0; 32],
            };
            entry.hash = entry.hash_behind(tenant(), &before.hash, digest);
            before = entry.link();
            entry
        })
        .collect()
}

/// What is found in a chain whose end is told to be `head`.
fn verdict(entries: &[Entry], base: Link, head: Link, noted: Option<Link>) -> Result<Link, Broken> {
    let mut verifier = Verifier::new(tenant(), base, noted, digest);
    entries.iter().try_for_each(|entry| verifier.take(entry))?;
    verifier.finish(head)
}

#[test]
fn a_good_chain_is_good_from_wherever_it_is_kept() {
    let entries = chain(9);
    let head = entries[8].link();
    assert_eq!(verdict(&entries, Link::default(), head, None), Ok(head));
    assert_eq!(verdict(&entries[4..], entries[3].link(), head, Some(entries[6].link())), Ok(head));
    assert_eq!(verdict(&[], Link::default(), Link::default(), None), Ok(Link::default()));
    assert_eq!(verdict(&[], head, head, None), Ok(head), "all of it was removed because of its age");
}

#[test]
fn whoever_cuts_off_the_end_has_to_change_the_head_too() {
    let entries = chain(9);
    let head = entries[8].link();
    assert_eq!(verdict(&entries[..7], Link::default(), head, None), Err(Broken::Missing(8)));
    // With the head changed as well nothing is seen, unless somebody has noted a later hash.
    let cut = entries[6].link();
    assert_eq!(verdict(&entries[..7], Link::default(), cut, None), Ok(cut));
    assert_eq!(verdict(&entries[..7], Link::default(), cut, Some(head)), Err(Broken::Missing(8)));
    assert_eq!(verdict(&entries, Link::default(), cut, None), Err(Broken::Added(8)));
}

#[test]
fn a_chain_that_was_written_anew_is_not_the_one_that_was_noted() {
    let entries = chain(9);
    let mut other = chain(9);
    let mut before = other[2].link();
    for entry in other.iter_mut().skip(3) {
        entry.actor = "nobody".to_owned();
        entry.hash = entry.hash_behind(tenant(), &before.hash, digest);
        before = entry.link();
    }
    assert_eq!(verdict(&other, Link::default(), before, None), Ok(before), "by itself it is whole");
    let noted = Some(entries[5].link());
    assert_eq!(verdict(&other, Link::default(), before, noted), Err(Broken::Rewritten(6)));
}

#[test]
fn actors_are_ways_in() {
    for (actor, expected) in
        [("api", "api"), ("ges", "ges"), ("ges (alice)", "ges"), ("ges(alice)", "ges"), ("", "ges")]
    {
        assert_eq!(actor_name(actor), expected, "{actor}");
    }
}

proptest! {
    #[test]
    fn the_first_broken_entry_is_named(length in 1_u64..20, at in 0_usize..20, how in 0_u8..8) {
        let good = chain(length);
        let head = good.last().map(Entry::link).unwrap();
        let mut entries = good.clone();
        let at = at % entries.len();
        let place = at as u64 + 1;
        let expected = match how {
            0 => { entries[at].act.push('x'); Broken::Changed(place) }
            1 => { entries[at].actor.push('x'); Broken::Changed(place) }
            2 => { entries[at].subject.push('x'); Broken::Changed(place) }
            3 => { entries[at].details.push('x'); Broken::Changed(place) }
            4 => { entries[at].at += Duration::milliseconds(1); Broken::Changed(place) }
            5 => { entries[at].hash[7] ^= 1; Broken::Changed(place) }
            6 => { entries.remove(at); Broken::Missing(place) }
            _ => {
                let other = (at + 1) % entries.len();
                prop_assume!(other != at);
                entries.swap(at, other);
                Broken::Missing(place.min(other as u64 + 1))
            }
        };
        prop_assert_eq!(verdict(&entries, Link::default(), head, None), Err(expected));
    }

    #[test]
    fn no_text_runs_over_into_the_next(a in "[a-c]{0,4}", b in "[a-c]{0,4}", c in "[a-c]{0,4}", d in "[a-c]{0,4}") {
        let entry = |act: &str, actor: &str| Entry {
            seq: 1,
            at: DateTime::UNIX_EPOCH,
            act: act.to_owned(),
            actor: actor.to_owned(),
            subject: String::new(),
            details: String::new(),
            hash: [0; 32],
        };
        let (one, other) = (entry(&a, &b), entry(&c, &d));
        let hashes = [&one, &other].map(|entry| entry.hash_behind(tenant(), &[0; 32], digest));
        prop_assert_eq!(one == other, hashes[0] == hashes[1]);
    }
}
