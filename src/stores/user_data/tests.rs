use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;

const WORDS: [&str; 24] = [
    "the", "boiler", "was", "repaired", "on", "Tuesday", "but", "pressure", "drops", "again", "please", "engineer",
    "before", "noon", "payment", "failed", "twice", "card", "replaced", "invoice", "sent", "to", "old", "address",
];

/// One visit as a web shop might hand it over. Written without a look at the dictionary.
fn record(random: &mut StdRng) -> String {
    let words: Vec<&str> = (0..12).filter_map(|_| WORDS.choose(random).copied()).collect();
    format!(
        r#"{{"orderNumber":"{}-{:06}","placedOn":"2026-{:02}-{:02}T{:02}:{:02}:00Z","amount":{}.{:02},"mail":"{}{}@mail.example","article":{{"code":"{:08x}","pieces":{},"remark":"{}"}}}}"#,
        ["WEB", "APP", "TEL"].choose(random).unwrap_or(&"WEB"),
        random.random_range(0..1_000_000),
        random.random_range(1..13),
        random.random_range(1..29),
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(1..500),
        random.random_range(0..100),
        WORDS.choose(random).unwrap_or(&"x"),
        random.random_range(0..10_000),
        random.random::<u32>(),
        random.random_range(1..9),
        words.join(" "),
    )
}

/// JSON of about `bytes` bytes.
fn document(random: &mut StdRng, bytes: usize) -> String {
    if bytes < 200 {
        let (order, topic) = (random.random_range(0..1_000_000), WORDS.choose(random).unwrap_or(&"x"));
        return format!(
            r#"{{"orderNumber":"WEB-{order:06}","city":"Leeds","topic":"{topic}","ageYears":41,"returning":true}}"#
        );
    }
    let mut text = r#"{"customerId":"K-88213","segment":"private","visits":["#.to_owned();
    loop {
        text.push_str(&record(random));
        if text.len() + 2 >= bytes {
            return text + "]}";
        }
        text.push(',');
    }
}

fn ratio(bytes: usize) -> f64 {
    let mut random = StdRng::seed_from_u64(7);
    let texts: Vec<String> = (0..200).map(|_| document(&mut random, bytes)).collect();
    let plain: usize = texts.iter().map(String::len).sum();
    let packed: usize = texts.iter().map(|text| pack(text).len()).sum();
    packed as f64 / plain as f64
}

#[test]
fn typical_records_shrink_as_budgeted() {
    let (tenth, one, ten) = (ratio(100), ratio(1_000), ratio(10_000));
    println!("packed bytes per byte of JSON: 0.1 kB {tenth:.2}, 1 kB {one:.2}, 10 kB {ten:.2}");
    assert!(tenth < 0.8, "{tenth}");
    assert!(one <= 0.6, "{one}");
    assert!(ten <= 0.35, "{ten}");
}

#[test]
fn what_does_not_shrink_costs_one_byte() {
    assert_eq!(pack("{}").len(), 3);
    assert_eq!(pack("").len(), 1);
}

#[test]
fn long_texts_do_without_the_dictionary() {
    let text = "{\"a\":1}".repeat(20_000);
    let packed = pack(&text);
    assert_eq!(packed.first(), Some(&ZSTD));
    assert_eq!(unpack(&packed).unwrap(), text);
}

#[test]
fn damaged_values_are_told_apart() {
    assert!(matches!(unpack(&[]), Err(UnpackError::Empty)));
    assert!(matches!(unpack(&[77, 1, 2]), Err(UnpackError::UnknownCodec(77))));
    assert!(matches!(unpack(&[ZSTD, 1, 2, 3]), Err(UnpackError::Damaged(_))));
    assert!(matches!(unpack(&[ZSTD_DICTIONARY_1, 9]), Err(UnpackError::Damaged(_))));
    assert!(matches!(unpack(&[RAW, 0xff]), Err(UnpackError::NotText)));
}

#[test]
fn dictionary_1_never_changes() {
    // Whoever edits it makes every value of codec 2 unreadable. A new one is a new file and a new codec.
    assert_eq!(
        blake3::hash(DICTIONARY_1).to_hex().as_str(),
        "b07798a251dbab12b5165756171bc71198e95e0a94e80164e15c548de4312d9b"
    );
}

proptest! {
    #[test]
    fn every_text_comes_back(text in any::<String>()) {
        prop_assert_eq!(unpack(&pack(&text)).unwrap(), text);
    }

    #[test]
    fn no_bytes_make_unpacking_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = unpack(&bytes);
    }
}
