//! From the documents of a tenant's calendars to calendars: each name becomes what it stands for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calendar::{ByWeek, Calendar, Rule};
use super::document::{ALWAYS, BusinessHours, Document, Written};
use super::exception::Exception;
use crate::setting::Checks;

/// The calendars of a tenant by name.
#[derive(Debug, Default)]
pub(crate) struct Calendars(BTreeMap<String, Arc<Calendar>>);

impl Calendars {
    /// Resolves every document. What cannot be resolved is noted and left out.
    pub(crate) fn resolve(documents: &BTreeMap<String, BusinessHours>, checks: &mut Checks) -> Self {
        for (name, document) in documents {
            checks.at(name, |checks| {
                checks.line("", Some(name));
                if name == ALWAYS {
                    checks.broken(
                        "",
                        None,
                        "cannot be the name of a calendar, for it is the word for one that never closes",
                    );
                }
                document.check(checks);
                check_names(document, checks, |other| documents.contains_key(other));
            });
        }
        // Each round resolves what draws only on the rounds before it, so a loop is never entered.
        let mut known = Self::default();
        for _ in 0..=BusinessHours::MAX_DEPTH {
            let next: Vec<_> = documents.iter().filter(|(name, it)| known.is_next(name, it, documents)).collect();
            for (name, document) in next {
                checks.at(name, |checks| {
                    let calendar = known.calendar(document, checks);
                    known.0.insert(name.clone(), Arc::new(calendar));
                });
            }
        }
        for name in documents.keys().filter(|name| !known.0.contains_key(*name)) {
            let most = BusinessHours::MAX_DEPTH;
            checks.broken(
                name,
                None,
                format!("has to draw on calendars no more than {most} deep, and never on itself"),
            );
        }
        known
    }

    /// A calendar that stands in place, and may name others.
    pub(crate) fn in_place(&self, document: &BusinessHours, checks: &mut Checks) -> Arc<Calendar> {
        document.check(checks);
        check_names(document, checks, |other| self.0.contains_key(other));
        Arc::new(self.calendar(document, checks))
    }

    /// The calendars by name.
    pub(crate) const fn named(&self) -> &BTreeMap<String, Arc<Calendar>> {
        &self.0
    }

    /// The calendars by name.
    pub(crate) fn into_named(self) -> BTreeMap<String, Arc<Calendar>> {
        self.0
    }

    /// Whether a document is not resolved yet and can be. Names under which nothing stands do not hold it up.
    fn is_next(&self, name: &str, document: &BusinessHours, all: &BTreeMap<String, BusinessHours>) -> bool {
        let stands = |other: &str| self.0.contains_key(other) || !all.contains_key(other);
        !self.0.contains_key(name) && names(document).iter().all(|(_, other)| stands(other))
    }

    /// The document with what its names stand for; names under which nothing stands are left out.
    fn calendar(&self, document: &BusinessHours, checks: &mut Checks) -> Calendar {
        let Document::Written(hours) = &document.0 else { return Calendar::always() };
        let find = |name: &String| self.0.get(name).cloned();
        let alternatives = hours.alternatives.iter().filter(|it| it.enabled);
        let calendar = Calendar(Rule::ByWeek(Box::new(ByWeek {
            zone: hours.zone,
            week: hours.weekly.clone(),
            exceptions: self.exceptions(hours, checks),
            effective: hours.effective.clone(),
            include: hours.include.iter().filter_map(find).collect(),
            alternatives: alternatives.filter_map(|it| Some((it.days.clone(), find(&it.calendar)?))).collect(),
        })));
        // One that draws on too many is not kept, or those that draw on it would multiply it.
        let (drawn, most) = (calendar.drawn(), BusinessHours::MAX_DRAWN);
        if drawn > most {
            checks.broken(
                "",
                Some(&drawn),
                format!("has to draw on at most {most} calendars, each as often as it is named"),
            );
            return Calendar::always();
        }
        calendar
    }

    /// The exceptions that count, its own and those of the calendars that it names for them.
    fn exceptions(&self, hours: &Written, checks: &mut Checks) -> Vec<Exception> {
        let mut all: Vec<Exception> = hours.exceptions.iter().filter(|it| it.enabled).cloned().collect();
        for other in hours.exceptions_of.iter().filter_map(|name| self.0.get(name)) {
            if let Rule::ByWeek(other) = &other.0 {
                all.extend_from_slice(&other.exceptions);
            }
        }
        if all.len() > BusinessHours::MAX_EXCEPTIONS && hours.exceptions.len() <= BusinessHours::MAX_EXCEPTIONS {
            let rule = format!("has to bring the exceptions to at most {}", BusinessHours::MAX_EXCEPTIONS);
            checks.broken("exceptionsOf", Some(&all.len()), rule);
        }
        all.truncate(BusinessHours::MAX_EXCEPTIONS);
        all
    }
}

/// The names of other calendars in a document, each with the path at which it stands.
fn names(document: &BusinessHours) -> Vec<(String, &String)> {
    let Document::Written(hours) = &document.0 else { return Vec::new() };
    let exceptions = hours.exceptions_of.iter().enumerate().map(|(at, name)| (format!("exceptionsOf.{at}"), name));
    let included = hours.include.iter().enumerate().map(|(at, name)| (format!("include.{at}"), name));
    let others = hours.alternatives.iter().enumerate();
    let others = others.map(|(at, other)| (format!("alternatives.{at}.calendar"), &other.calendar));
    exceptions.chain(included).chain(others).collect()
}

fn check_names(document: &BusinessHours, checks: &mut Checks, stands: impl Fn(&str) -> bool) {
    for (path, name) in names(document).into_iter().filter(|(_, name)| !stands(name)) {
        checks.broken(&path, Some(name), "has to be a name of businessHours");
    }
}
