use super::*;

/// A page of so many bytes with rows from `rows_from` on, whose list of rows has so many entries.
fn page(kind: u8, start: usize, rows: u16, rows_from: u16, fill: u8) -> Vec<u8> {
    let mut page = vec![fill; 512];
    page[start] = kind;
    page[start + 3..start + 5].copy_from_slice(&rows.to_be_bytes());
    page[start + 5..start + 7].copy_from_slice(&rows_from.to_be_bytes());
    page
}

#[test]
fn only_the_space_between_list_and_rows_is_free() {
    for (kind, start, expected) in [
        (13, 0, Some(8 + 4..400)),
        (10, 0, Some(8 + 4..400)),
        (5, 0, Some(12 + 4..400)),
        (2, 100, Some(112 + 4..400)),
        (13, 100, Some(108 + 4..400)),
        (0, 0, None),
        (1, 0, None),
    ] {
        let page = page(kind, start, 2, 400, 7);
        let space = free_space(&page, start);
        assert_eq!(space.len(), expected.clone().map_or(0, |range| range.len()), "kind {kind} at {start}");
        assert!(space.iter().all(|byte| *byte == 7));
    }
    // Damaged pages are no reason to panic.
    assert!(free_space(&page(13, 0, 60_000, 10, 0), 0).is_empty());
    assert!(free_space(&page(13, 0, 2, 60_000, 0), 0).is_empty());
    assert!(free_space(&[13], 0).is_empty() && free_space(&[], 0).is_empty());
}

#[test]
fn the_places_of_deleted_rows_are_followed() {
    let mut page = page(13, 0, 2, 400, 7);
    let mut block = |at: usize, next: u16, length: u16| {
        page[at..at + 2].copy_from_slice(&next.to_be_bytes());
        page[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
    };
    block(410, 450, 20);
    block(450, 0, 4);
    page[1..3].copy_from_slice(&410_u16.to_be_bytes());
    let lengths = |page: &[u8]| free_blocks(page, 0).map(<[u8]>::len).collect::<Vec<_>>();
    assert_eq!(lengths(&page), [16, 0]);
    page[450..452].copy_from_slice(&410_u16.to_be_bytes());
    assert_eq!(lengths(&page), [16, 0], "a ring ends where it turns back");
    page[412..414].copy_from_slice(&60_000_u16.to_be_bytes());
    assert_eq!(lengths(&page), Vec::<usize>::new(), "longer than the page");
    page[0] = 0;
    assert_eq!(lengths(&page), Vec::<usize>::new(), "no page with rows");
}

#[test]
fn traces_are_counted_wherever_they_begin() {
    assert_eq!(occurrences(b"abcabcab", b"abc"), 2);
    assert_eq!(occurrences(b"aaaa", b"aa"), 3);
    assert_eq!(occurrences(b"", b"a"), 0);
    assert_eq!(occurrences(b"ab", b"abc"), 0);
    assert_eq!(occurrences(b"ab", b""), 0);
}

#[test]
fn numbers_are_looked_for_as_they_are_stored() {
    for (digits, bytes) in [
        (14_165_550_101, &[0x03, 0x4C, 0x55, 0x24, 0x15][..]),
        (999_999_999_999_999, &[0x03, 0x8D, 0x7E, 0xA4, 0xC6, 0x7F, 0xFF]),
    ] {
        let found = number(PhoneNumber::from_digits(digits));
        assert!(found.ends_with(bytes) && matches!(found.len(), 6 | 8), "{digits}: {found:02x?}");
        assert!(found[..found.len() - bytes.len()].iter().all(|byte| *byte == 0));
    }
    assert_eq!(number(PhoneNumber::from_digits(5_550_100)).len(), 3);
    assert_eq!(number(PhoneNumber::from_digits(2_000_000_000)).len(), 4);
}
