use super::*;
use crate::queue::QueueSettings;
use proptest::prelude::*;

/// Five agents, all busy for 20 s with each, eight wait, one is taken each 4 s.
fn busy() -> QueueReport {
    QueueReport {
        agents: Some(5),
        free_agents: 0,
        waiting: 8,
        on_hold: 2,
        served: 32,
        served_over_seconds: 128.0,
        mean_busy_seconds: Some(20.0),
        expected_wait_seconds: Some(33),
    }
}

#[test]
fn each_mode_has_its_figure() {
    use Mode::{Agents, Reported, Throughput};
    let idle = QueueReport { free_agents: 3, waiting: 0, ..busy() };
    let fresh = QueueReport { served: 0, served_over_seconds: 0.0, mean_busy_seconds: None, ..idle };
    let empty = QueueReport { agents: Some(0), ..busy() };
    let first = QueueReport { mean_busy_seconds: None, ..busy() };
    let unseen = QueueReport { agents: None, ..busy() };
    let silent = QueueReport { expected_wait_seconds: None, ..busy() };
    for (name, report, mode, on_hold, expected) in [
        ("nine intervals of 4 s", busy(), Throughput, false, Ok(36)),
        ("eleven with those on hold", busy(), Throughput, true, Ok(44)),
        ("nine turns of five agents", busy(), Agents, false, Ok(36)),
        ("eleven turns", busy(), Agents, true, Ok(44)),
        ("as reported", busy(), Reported, false, Ok(33)),
        ("nobody waits", idle, Throughput, false, Ok(0)),
        ("an agent is free", idle, Agents, false, Ok(0)),
        ("three free for three", QueueReport { waiting: 3, ..idle }, Agents, false, Ok(4)),
        ("nobody was served", fresh, Throughput, false, Err(NoEstimate::NoTraffic)),
        ("nobody was served yet, agents are there", fresh, Agents, false, Err(NoEstimate::NoTraffic)),
        ("blind to agents", empty, Throughput, false, Ok(36)),
        ("no agents", empty, Agents, false, Err(NoEstimate::NoAgents)),
        ("nobody has finished", first, Agents, false, Ok(36)),
        ("agents are not known", unseen, Agents, false, Ok(36)),
        ("no figure of its own", silent, Reported, false, Err(NoEstimate::NotReported)),
        ("a day at most", QueueReport { waiting: u32::MAX, ..busy() }, Agents, true, Ok(86_400)),
    ] {
        assert_eq!(report.estimate(mode, on_hold), expected, "{name}");
    }
}

#[test]
fn result_codes_are_the_contracts() {
    let codes = [NoEstimate::UnknownQueue, NoEstimate::NotReported, NoEstimate::NoTraffic, NoEstimate::NoAgents];
    assert_eq!(codes.map(NoEstimate::result_code), [-1, -1, -1, -2]);
}

#[test]
fn a_queue_offers_what_can_be_kept() {
    let plain = QueueSettings::default();
    let blackout = QueueSettings { immediate_blackout_seconds: 600, ..QueueSettings::default() };
    let paused = QueueSettings { paused: true, ..QueueSettings::default() };
    let later_only = QueueSettings { immediate_enabled: false, ..QueueSettings::default() };
    let now_only = QueueSettings { scheduled_enabled: false, ..QueueSettings::default() };
    let seconds = |it| Some(Duration::seconds(it));
    let no_traffic = QueueReport { served: 0, mean_busy_seconds: None, ..busy() };
    let no_agents = QueueReport { agents: Some(0), ..busy() };
    for (name, settings, report, open_for, expected) in [
        ("always open", &plain, Some(busy()), None, (Some(36), true, true)),
        ("closes after the wait", &plain, Some(busy()), seconds(37), (Some(36), true, true)),
        ("closes with the wait", &plain, Some(busy()), seconds(36), (Some(36), false, true)),
        ("closed", &plain, Some(busy()), seconds(0), (Some(36), false, true)),
        ("closed without an estimate", &plain, None, seconds(0), (None, false, true)),
        ("no traffic yet", &plain, Some(no_traffic), seconds(60), (None, true, true)),
        ("no agents", &plain, Some(no_agents), None, (None, false, true)),
        ("routing says nothing", &plain, None, None, (None, true, true)),
        ("in the blackout", &blackout, Some(busy()), seconds(600), (Some(36), false, true)),
        ("before the blackout", &blackout, Some(busy()), seconds(601), (Some(36), true, true)),
        ("paused", &paused, Some(busy()), None, (Some(36), false, false)),
        ("for later only", &later_only, Some(busy()), None, (Some(36), false, true)),
        ("for now only", &now_only, Some(busy()), None, (Some(36), true, false)),
    ] {
        let told = status(settings, Situation { report, open_for });
        assert_eq!((told.wait_seconds, told.offers_immediate, told.offers_scheduled), expected, "{name}");
    }
}

proptest! {
    #[test]
    fn estimates_stay_in_range_and_grow_with_the_line(
        agents in prop::option::of(0u32..50), free in 0u32..50, waiting in 0u32..10_000, on_hold in 0u32..100,
        served in 0u32..=32, over in 0.0f64..1e7, busy in prop::option::of(0.0f64..1e6), mode in 0..2usize,
    ) {
        let report = QueueReport {
            agents, free_agents: free.min(agents.unwrap_or(free)), waiting, on_hold, served,
            served_over_seconds: over, mean_busy_seconds: busy, expected_wait_seconds: None,
        };
        let mode = [Mode::Throughput, Mode::Agents][mode];
        match (report.estimate(mode, false), report.estimate(mode, true)) {
            (Ok(without), Ok(with)) => {
                prop_assert!((0..=86_400).contains(&without) && without <= with);
                let longer = QueueReport { waiting: waiting + 1, ..report };
                prop_assert!(longer.estimate(mode, false).unwrap() >= without);
            }
            (without, with) => prop_assert_eq!(without, with),
        }
    }
}
