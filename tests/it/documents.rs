//! Pages of the handbook whose tables come from the code.

use std::path::Path;
use std::{env, fs};

/// What stands between the marks `<!-- begin NAME -->` and `<!-- end NAME -->` of a page must be `expected`.
/// With `UPDATE_DOCS=1` it is put there instead.
pub(crate) fn assert_holds(page: &str, name: &str, expected: &str) {
    let path = Path::new("docs").join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let (head, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no mark {begin}"));
    let (found, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no mark {end}"));
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{head}{begin}{expected}{end}{tail}")).unwrap();
    } else {
        let first = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert!(found == expected, "docs/{page} differs from the code, first at {first:?}; run with UPDATE_DOCS=1");
    }
}
