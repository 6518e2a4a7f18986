//! Which schemas a program can work with: those whose steps it knows, and newer ones that have only added to them.

use std::collections::BTreeSet;

/// The step since which a database says what it needs.
pub(super) const SAYS_WHAT_IT_NEEDS: &str = "20261128000010";

/// Steps that are known and not applied. `needs` is what the database says that a program has to know: the name of a
/// step, or an empty text for none; nothing if it says nothing.
///
/// # Errors
/// The first step that is not known, if the database cannot be used without knowing more.
pub(super) fn pending(
    known: &BTreeSet<String>,
    applied: &BTreeSet<String>,
    needs: Option<&str>,
) -> Result<Vec<String>, String> {
    if let Some(unknown) = applied.difference(known).next() {
        if !needs.is_some_and(|needs| needs.is_empty() || known.contains(needs)) {
            return Err(unknown.clone());
        }
        tracing::warn!(step = unknown, "the database has steps of a newer program, which leave room for this one");
    }
    Ok(known.difference(applied).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(names: &[&str]) -> BTreeSet<String> {
        names.iter().copied().map(str::to_owned).collect()
    }

    #[test]
    fn a_newer_schema_is_used_only_if_it_says_that_it_may_be() {
        let (known, newer) = (steps(&["1", "2"]), steps(&["1", "2", "3", "4"]));
        for (needs, expected) in [
            (None, Err("3".to_owned())),
            (Some(""), Ok(vec![])),
            (Some("2"), Ok(vec![])),
            (Some("3"), Err("3".to_owned())),
            (Some("4"), Err("3".to_owned())),
        ] {
            assert_eq!(pending(&known, &newer, needs), expected, "{needs:?}");
        }
    }

    #[test]
    fn what_is_known_and_not_applied_is_pending() {
        let known = steps(&["1", "2", "3"]);
        assert_eq!(pending(&known, &steps(&["1"]), None), Ok(vec!["2".to_owned(), "3".to_owned()]));
        assert_eq!(pending(&known, &steps(&["1", "4"]), Some("1")), Ok(vec!["2".to_owned(), "3".to_owned()]));
        assert_eq!(pending(&known, &steps(&[]), None).map(|all| all.len()), Ok(3));
    }
}
