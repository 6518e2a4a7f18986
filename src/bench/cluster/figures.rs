//! The table of budgets: what the product publishes, what was measured, what is aimed at.

use std::collections::BTreeMap;

use super::super::table::{Table, number};

/// One budget, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Row {
    RedisIdle,
    RedisImmediate,
    VoiceRedis,
    RedisScheduled,
    RedisExample,
    RedisMemoryScheduled,
    RedisMemoryActive,
    RedisMemoryUserData,
    Scheduled,
    Finished,
    UserData1,
    UserData10,
    TenKilobytes,
    TenKilobytesRedis,
    Random,
    RandomRedis,
    MemoryIdle,
    MemoryActive,
    Lateness,
    Early,
    Burst,
    BurstEarly,
    TakeoverFirst,
    TakeoverAll,
    ReadyEmbedded,
    ReadyCluster,
    LogTrace,
    LogInfo,
    CreatesOne,
    CreatesTwo,
    DrainSeconds,
    DrainLost,
}

/// What a figure may be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Aim {
    AtMost(f64),
    AtLeast(f64),
    /// It is printed only.
    None,
}

impl Aim {
    fn text(self) -> String {
        match self {
            Self::AtMost(0.0) => "0".to_owned(),
            Self::AtMost(limit) => format!("≤ {}", number(limit)),
            Self::AtLeast(limit) => format!("≥ {}", number(limit)),
            Self::None => "printed".to_owned(),
        }
    }

    /// Of nothing at all a thousandth is allowed: what a server's counters do by themselves.
    fn is_met(self, figure: f64) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(figure <= limit.max(0.001)),
            Self::AtLeast(limit) => Some(figure >= limit),
            Self::None => None,
        }
    }
}

impl Row {
    /// What it is, what the product says of itself, and the aim.
    const fn budget(self) -> (&'static str, &'static str, Aim) {
        use Aim::{AtLeast, AtMost};
        match self {
            Self::RedisIdle => ("Redis operations per second, two idle nodes", "100", AtMost(2.0)),
            Self::RedisImmediate => ("Redis operations per immediate callback", "110", AtMost(6.0)),
            Self::VoiceRedis => ("commands to the voice Redis per callback", "–", AtMost(4.0)),
            Self::RedisScheduled => ("Redis operations per scheduled callback and minute", "1", AtMost(0.0)),
            Self::RedisExample => ("the example: Redis operations per minute", "138,756", AtMost(300.0)),
            Self::RedisMemoryScheduled => ("Redis bytes per scheduled callback", "4,500–5,500", AtMost(0.0)),
            Self::RedisMemoryActive => ("Redis bytes per active callback", "4,500–5,500", AtMost(300.0)),
            Self::RedisMemoryUserData => ("Redis bytes per kB of user data", "1,250", AtMost(0.0)),
            Self::Scheduled => ("database bytes per scheduled callback", "6,500–7,000", AtMost(600.0)),
            Self::Finished => ("database bytes per finished callback with history", "–", AtMost(1200.0)),
            Self::UserData1 => ("database kB per kB of user data, records of 1 kB", "3.0", AtMost(0.6)),
            Self::UserData10 => ("database kB per kB of user data, records of 10 kB", "3.0", AtMost(0.35)),
            Self::TenKilobytes => ("10,000 scheduled with 10 kB each: database, MB", "252.9", AtMost(40.0)),
            Self::TenKilobytesRedis => ("10,000 scheduled with 10 kB each: Redis, MB", "64.4", AtMost(0.1)),
            Self::Random => ("10,000 with 100 kB of random text: database, MB", "595.8", Aim::None),
            Self::RandomRedis => ("10,000 with 100 kB of random text: Redis, MB", "110.6", AtMost(0.1)),
            Self::MemoryIdle => ("memory of an idle node, MiB", "512 asked", AtMost(40.0)),
            Self::MemoryActive => ("memory with 100,000 sessions, MiB", "2,048 limit", AtMost(1100.0)),
            Self::Lateness => ("lateness of scheduled starts, p99, ms", "–", AtMost(250.0)),
            Self::Early => ("started early", "–", AtMost(0.0)),
            Self::Burst => ("due in one minute: lost or doubled", "–", AtMost(0.0)),
            Self::BurstEarly => ("due in one minute: early", "–", AtMost(0.0)),
            Self::TakeoverFirst => ("after kill -9: first callback served, s", "minutes", AtMost(6.0)),
            Self::TakeoverAll => ("after kill -9: all taken over, s", "minutes", AtMost(15.0)),
            Self::ReadyEmbedded => ("time to ready, embedded, s", "–", AtMost(0.3)),
            Self::ReadyCluster => ("time to ready, one of several nodes, s", "–", AtMost(1.0)),
            Self::LogTrace => ("log lines of one create at TRACE", "16", AtMost(8.0)),
            Self::LogInfo => ("log lines of one create at INFO", "–", AtMost(1.0)),
            Self::CreatesOne => ("durable creates, one node: part of 1/(1/H + 1/B)", "–", AtLeast(0.7)),
            Self::CreatesTwo => ("durable creates, two nodes: part of 1/(1/H + 1/B)", "–", AtLeast(0.7)),
            Self::DrainSeconds => ("drain of a node with sessions, s", "–", Aim::None),
            Self::DrainLost => ("callbacks lost by the drain", "–", AtMost(0.0)),
        }
    }
}

/// What was measured.
#[derive(Debug, Default)]
pub(in crate::bench) struct Figures(BTreeMap<Row, Option<f64>>);

impl Figures {
    /// A figure.
    pub(super) fn note(&mut self, row: Row, figure: f64) {
        self.0.insert(row, Some(figure));
    }

    /// What could not be measured because nothing used the server.
    pub(super) fn note_unused(&mut self, row: Row) {
        self.0.insert(row, None);
    }

    /// The table of everything that was measured; nothing if that is nothing.
    pub(in crate::bench) fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        let mut table = Table::new("Budgets", &["what", "product", "ours", "aim", "met"]);
        for (row, figure) in &self.0 {
            let (what, product, aim) = row.budget();
            let met = figure.and_then(|figure| aim.is_met(figure));
            let met = met.map_or("–", |met| if met { "yes" } else { "NO" });
            let ours = figure.map_or_else(
                || "not used".to_owned(),
                |figure| if figure == 0.0 { "0".to_owned() } else { number(figure) },
            );
            table.row([what.to_owned(), product.to_owned(), ours, aim.text(), met.to_owned()]);
        }
        table.print();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_are_met_from_their_side() {
        assert_eq!(Aim::AtMost(6.0).is_met(6.0), Some(true));
        assert_eq!(Aim::AtMost(6.0).is_met(6.1), Some(false));
        assert_eq!(Aim::AtMost(0.0).is_met(1.0), Some(false));
        assert_eq!(Aim::AtLeast(0.7).is_met(0.69), Some(false));
        assert_eq!(Aim::None.is_met(1e9), None);
    }
}
