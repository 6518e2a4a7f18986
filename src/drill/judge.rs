//! What was seen of the alerts, and what that is worth. Pure: times are arguments, counted from the injection.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::line;

/// How much time there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For an alert to fire, from the injection on.
    pub(super) fires: Duration,
    /// For everything to be well, from the healing on.
    pub(super) clears: Duration,
}

/// What a line says of the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Good,
    Bad,
    /// Is told, and not judged.
    Told,
}

/// One line of the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) mark: Mark,
    pub(super) about: String,
    pub(super) what: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.mark {
            Mark::Good => "ok",
            Mark::Bad => "FAIL",
            Mark::Told => "-",
        };
        write!(f, "{mark:<4} {:<36} {}", self.about, self.what)
    }
}

/// Which alerts have fired, and since when they are over.
#[derive(Debug)]
pub(super) struct Watch {
    /// Fired before anything was injected.
    before: BTreeSet<String>,
    fired: BTreeMap<String, Duration>,
    over: BTreeMap<String, Duration>,
}

impl Watch {
    /// Nothing was seen yet but what fires `before`.
    pub(super) fn new(before: BTreeSet<String>) -> Self {
        Self { before, fired: BTreeMap::new(), over: BTreeMap::new() }
    }

    /// These fire at `now`. What fires again was not over.
    pub(super) fn saw(&mut self, firing: &BTreeSet<String>, now: Duration) {
        for alert in firing.difference(&self.before) {
            self.fired.entry(alert.clone()).or_insert(now);
            self.over.remove(alert);
        }
        for alert in self.fired.keys().filter(|alert| !firing.contains(*alert)) {
            self.over.entry(alert.clone()).or_insert(now);
        }
    }

    pub(super) fn have_fired(&self, expected: &[String]) -> bool {
        expected.iter().all(|alert| self.fired.contains_key(alert))
    }

    /// Whether each of these that has fired is over.
    pub(super) fn are_over(&self, expected: &[String]) -> bool {
        expected.iter().all(|alert| self.fired.contains_key(alert) == self.over.contains_key(alert))
    }

    /// A verdict for each that was expected; what else was seen is told.
    pub(super) fn lines(&self, expected: &[String], healed: Duration, limits: Limits) -> Vec<Line> {
        let mut lines: Vec<_> = expected.iter().map(|alert| self.verdict(alert, healed, limits)).collect();
        let told = |alert: &String, what: &str| line(Mark::Told, alert, what);
        lines.extend(self.before.iter().map(|alert| told(alert, "fired before it")));
        let beside = self.fired.keys().filter(|alert| !expected.contains(alert));
        lines.extend(beside.map(|alert| told(alert, "fired beside it")));
        lines
    }

    fn verdict(&self, alert: &str, healed: Duration, limits: Limits) -> Line {
        let fired = self.fired.get(alert).copied();
        let over = self.over.get(alert).map(|over| over.saturating_sub(healed));
        let (fires, fired_words) = judged("fired", fired, limits.fires);
        let (clears, over_words) = judged("cleared", over, limits.clears);
        match (fired, fires, clears) {
            (None, ..) => line(Mark::Bad, alert, fired_words),
            (_, Mark::Good, Mark::Good) => line(Mark::Good, alert, format!("{fired_words}, {over_words}")),
            _ => line(Mark::Bad, alert, format!("{fired_words}, {over_words}")),
        }
    }
}

/// Whether every node was well again in time.
pub(super) fn service(well: Option<Duration>, limits: Limits) -> Line {
    let (mark, words) = judged("well", well, limits.clears);
    line(mark, "every node", words)
}

/// Whether something was in time, and the words for it. One look takes place when the time is just over.
fn judged(what: &str, after: Option<Duration>, limit: Duration) -> (Mark, String) {
    let limit = limit.as_secs();
    match after.map(|after| after.as_secs()) {
        Some(seconds) if seconds <= limit + 1 => (Mark::Good, format!("{what} in {seconds} s")),
        Some(seconds) => (Mark::Bad, format!("{what} in {seconds} s, NOT in {limit} s")),
        None => (Mark::Bad, format!("{what} NOT in {limit} s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { fires: Duration::from_secs(60), clears: Duration::from_secs(30) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// The lines after each of `looks` was seen at its second; healed at 40.
    fn lines(before: &[&str], looks: &[(u64, &[&str])], expected: &[&str]) -> Vec<String> {
        let mut watch = Watch::new(set(before));
        looks.iter().for_each(|(seconds, firing)| watch.saw(&set(firing), at(*seconds)));
        let expected: Vec<_> = expected.iter().map(|name| (*name).to_owned()).collect();
        let lines = watch.lines(&expected, at(40), LIMITS);
        lines.iter().map(|line| line.to_string().split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn an_alert_is_good_that_fires_and_clears_in_time() {
        assert_eq!(lines(&[], &[(5, &[]), (20, &["A"]), (50, &[])], &["A"]), ["ok A fired in 20 s, cleared in 10 s"]);
        assert_eq!(lines(&[], &[(20, &["A"]), (35, &[])], &["A"]), ["ok A fired in 20 s, cleared in 0 s"]);
    }

    #[test]
    fn an_alert_is_bad_that_does_not_or_too_late() {
        assert_eq!(lines(&[], &[(50, &[])], &["A"]), ["FAIL A fired NOT in 60 s"]);
        assert_eq!(lines(&[], &[(20, &["A"])], &["A"]), ["FAIL A fired in 20 s, cleared NOT in 30 s"]);
        let late = lines(&[], &[(63, &["A"]), (65, &[])], &["A"]);
        assert_eq!(late, ["FAIL A fired in 63 s, NOT in 60 s, cleared in 25 s"]);
        let late = lines(&[], &[(20, &["A"]), (72, &[])], &["A"]);
        assert_eq!(late, ["FAIL A fired in 20 s, cleared in 32 s, NOT in 30 s"]);
    }

    #[test]
    fn what_fires_again_was_not_over() {
        let again = lines(&[], &[(20, &["A"]), (30, &[]), (45, &["A"]), (60, &[])], &["A"]);
        assert_eq!(again, ["ok A fired in 20 s, cleared in 20 s"]);
    }

    #[test]
    fn what_fires_besides_or_before_is_told_and_not_judged() {
        let told = lines(&["OLD"], &[(20, &["A", "B", "OLD"]), (50, &["B", "OLD"])], &["A"]);
        assert_eq!(told, ["ok A fired in 20 s, cleared in 10 s", "- OLD fired before it", "- B fired beside it"]);
    }

    #[test]
    fn waiting_ends_with_the_last_alert() {
        let expected: Vec<_> = ["A", "B"].map(str::to_owned).into();
        let mut watch = Watch::new(set(&[]));
        assert!(!watch.have_fired(&expected) && watch.are_over(&expected));
        watch.saw(&set(&["A"]), at(1));
        assert!(!watch.have_fired(&expected) && !watch.are_over(&expected));
        watch.saw(&set(&["B"]), at(2));
        assert!(watch.have_fired(&expected) && !watch.are_over(&expected));
        watch.saw(&set(&[]), at(3));
        assert!(watch.are_over(&expected));
    }

    #[test]
    fn nodes_are_well_in_time_or_not() {
        let told = |well| service(well, LIMITS).to_string();
        assert!(told(Some(at(7))).starts_with("ok ") && told(Some(at(7))).ends_with("well in 7 s"));
        assert!(told(None).starts_with("FAIL") && told(None).ends_with("well NOT in 30 s"));
    }
}
