//! SQL texts that are prepared once per connection: each statement is a type of its own with a constant text. Each `?`
//! stands for one value, in order.

/// A statement's constant text and the SQL types of its result columns.
pub(in crate::stores) trait Sql: 'static {
    /// The text, with a `?` for each value and none elsewhere.
    const TEXT: &'static str;
    /// The text without its `?`, cut at each of them. Cut while compiling: diesel walks through a statement three
    /// times for each time it is run.
    const PARTS: &'static [&'static str];
    /// SQL types of a result row; `()` if it returns none.
    type Row;
}

/// How many parts [`cut`] makes of a text.
pub(in crate::stores) const fn count_parts(text: &str) -> usize {
    let mut parts = 1;
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        if *first == b'?' {
            parts += 1;
        }
        rest = others;
    }
    parts
}

/// Cuts a text at its `?`.
pub(in crate::stores) const fn cut<const PARTS: usize>(text: &str) -> [&str; PARTS] {
    let mut parts = [""; PARTS];
    let mut left: &mut [&str] = &mut parts;
    let mut rest = text;
    while let [part, others @ ..] = left {
        let (this, after) = rest.split_at(first_part_bytes(rest));
        *part = this;
        rest = if after.is_empty() { after } else { after.split_at(1).1 };
        left = others;
    }
    parts
}

const fn first_part_bytes(text: &str) -> usize {
    let mut rest = text.as_bytes();
    while let [byte, others @ ..] = rest
        && *byte != b'?'
    {
        rest = others;
    }
    text.len() - rest.len()
}

/// Declares statements: `Name = "text";` or `Name -> (types of a row) = "text";`.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident $(-> ($($row:ty),+ $(,)?))? = $text:expr;)+) => {$(
        $(#[$meta])*
        pub(in crate::stores) struct $name;

        impl $crate::stores::statement::Sql for $name {
            const TEXT: &'static str = $text;
            const PARTS: &'static [&'static str] = &$crate::stores::statement::cut::<
                { $crate::stores::statement::count_parts($text) },
            >($text);
            type Row = statements!(@row $($($row),+)?);
        }
    )+};
    (@row) => { () };
    (@row $($row:ty),+) => { ($($row,)+) };
}
pub(in crate::stores) use statements;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_their_places() {
        for text in ["", "COMMIT", "?", "a = ? AND b = ?", "??c", "über = ? AND ü"] {
            let expected: Vec<&str> = text.split('?').collect();
            assert_eq!(count_parts(text), expected.len(), "{text}");
        }
        assert_eq!(cut::<1>("COMMIT"), ["COMMIT"]);
        assert_eq!(cut::<3>("a = ? AND b = ?"), ["a = ", " AND b = ", ""]);
        assert_eq!(cut::<2>("über = ? AND ü"), ["über = ", " AND ü"]);
    }
}
