//! Which known name a mistyped one was probably meant to be.

/// More edits than this are no typing mistake, nor is one more than every second letter.
const MAX_EDITS: usize = 3;

/// The known name with the fewest edits from `unknown`, if that is a likely typing mistake.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = known.into_iter().map(|name| (edits(unknown, name), name)).min()?;
    let allowed = MAX_EDITS.min(unknown.chars().count().div_ceil(2));
    (best.0 <= allowed).then_some(best.1)
}

/// Insertions, deletions and replacements of one character that lead from `a` to `b`.
fn edits(a: &str, b: &str) -> usize {
    // `row[j]` is the distance between the characters of `a` seen so far and the first `j` of `b`.
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (above, to) in row.iter().skip(1).zip(b.chars()) {
            left = (above + 1).min(left + 1).min(diagonal + usize::from(from != to));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let cases =
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("ab", "ba", 2)];
        for (a, b, expected) in cases {
            assert_eq!(edits(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_likely_mistakes_are_named() {
        let known = ["GES_LOG_LEVEL", "GES_LOG_MAX_LEN"];
        assert_eq!(nearest("GES_LOG_LEVLE", known), Some("GES_LOG_LEVEL"));
        assert_eq!(nearest("GES_SOMETHING_ELSE", known), None);
        assert_eq!((nearest("x", ["key"]), nearest("kye", ["key"])), (None, Some("key")));
    }
}
