//! The simulator keeps the contract; and what it promises beyond.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::Reply;
use domain::ids::CallbackId;
use domain::ports::{Clock, Probe, Routing, RoutingError, Unserved};
use ges::routing::simulator::{Journal, JournalEntry, JournalEvent, OpenError, Simulator, SimulatorSettings};
use tempfile::TempDir;
use tokio::time::Instant;

use super::bench::{Bench, Heard, ScriptedInbox, TestClock, asked, close, id, invitation, pass, reason_of, tenant};

struct SimulatorBench {
    settings: SimulatorSettings,
    folder: TempDir,
    clock: Arc<TestClock>,
    inbox: Arc<ScriptedInbox>,
    simulator: Option<Arc<Simulator>>,
}

impl SimulatorBench {
    fn new(settings: SimulatorSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bench =
            Self { settings, folder, clock: Arc::new(TestClock::new()), inbox: ScriptedInbox::new(), simulator: None };
        bench.open();
        bench
    }

    fn plain() -> Self {
        Self::new(SimulatorSettings::default())
    }

    fn open(&mut self) {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let simulator = Simulator::open(self.settings, &self.path(), clock).unwrap();
        simulator.attach(self.inbox.clone());
        self.simulator = Some(simulator);
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("routing.journal")
    }

    fn simulator(&self) -> Arc<Simulator> {
        self.simulator.clone().unwrap()
    }

    fn journal(&self) -> Vec<JournalEntry> {
        Journal::read(&self.path()).unwrap()
    }

    fn lines(&self, event: JournalEvent) -> Vec<JournalEntry> {
        self.journal().into_iter().filter(|entry| entry.event == event).collect()
    }
}

#[async_trait]
impl Bench for SimulatorBench {
    fn routing(&self) -> Arc<dyn Routing> {
        self.simulator()
    }

    fn inbox(&self) -> Arc<ScriptedInbox> {
        self.inbox.clone()
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    async fn restart(&mut self) {
        let killed = self.simulator.take();
        assert_eq!(killed.as_ref().map(Arc::strong_count), Some(1), "somebody else keeps it alive");
        drop(killed);
        self.open();
    }

    fn handed_over(&self) -> Vec<(CallbackId, u32)> {
        self.lines(JournalEvent::Entered).iter().map(|entry| (entry.callback, entry.attempt)).collect()
    }

    fn dialled(&self) -> Vec<(CallbackId, DateTime<Utc>)> {
        let lines = self.lines(JournalEvent::Dialled);
        lines.iter().map(|it| (it.callback, DateTime::from_timestamp_millis(it.at).unwrap())).collect()
    }
}

super::clauses::run_clauses! { SimulatorBench::plain() }

/// What was told of a callback: event, its reason, and when, counted from the first signal.
fn story(bench: &SimulatorBench, who: CallbackId) -> Vec<(&'static str, Option<String>, Duration)> {
    let heard: Vec<Heard> = bench.inbox.of(who).into_iter().filter(|it| it.answer.is_ok()).collect();
    let first = heard[0].at;
    heard.iter().map(|it| (it.signal.event.name(), reason_of(&it.signal.event), it.at - first)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_last_four_digits_choose_the_end() {
    type Told = Vec<(&'static str, &'static str)>;
    const TALKS: &[(&str, &str)] = &[
        ("accepted", ""),
        ("queued", ""),
        ("routing", ""),
        ("dial-result", "CONNECTED"),
        ("processing", ""),
        ("completed", "AGENT_CONNECTED"),
    ];
    const MACHINE: &[(&str, &str)] = &[
        ("accepted", ""),
        ("queued", ""),
        ("routing", ""),
        ("dial-result", "ANSWERING_MACHINE"),
        ("completed", "FAIL_CALL_TO_CUSTOMER"),
    ];
    const HANGS_UP: &[(&str, &str)] = &[
        ("accepted", ""),
        ("queued", ""),
        ("routing", ""),
        ("dial-result", "CONNECTED"),
        ("completed", "FAIL_AGENT_CONNECT"),
    ];
    let thrice = |result: &'static str| -> Told {
        let dial = [("queued", ""), ("routing", ""), ("dial-result", result)];
        let mut told = vec![("accepted", "")];
        told.extend([dial, dial, dial].concat());
        told.push(("completed", "FAIL_CALL_TO_CUSTOMER"));
        told
    };
    let cases: [(u64, Told, usize); 8] = [
        (0, TALKS.to_vec(), 1),
        (1, thrice("BUSY"), 3),
        (2, thrice("NO_ANSWER"), 3),
        (3, MACHINE.to_vec(), 1),
        (4, HANGS_UP.to_vec(), 1),
        (6, TALKS.to_vec(), 1),
        (7, TALKS.to_vec(), 1),
        (4321, TALKS.to_vec(), 1),
    ];
    for (digits, told, dials) in cases {
        let bench = SimulatorBench::plain();
        let started = Instant::now();
        let answer = bench.routing().start(invitation(&bench, 1, 1, digits)).await;
        let took = started.elapsed();
        match digits {
            6 => assert!(matches!(answer, Err(RoutingError::Perhaps(_))) && took >= Duration::from_secs(3)),
            7 => assert!(answer.is_ok() && took >= Duration::from_secs(2)),
            _ => assert!(answer.is_ok() && took.is_zero(), "{digits}: {answer:?} after {took:?}"),
        }
        bench.inbox.until_event(id(1), "completed").await;
        let seen: Vec<_> =
            story(&bench, id(1)).into_iter().map(|(event, reason, _)| (event, reason.unwrap_or_default())).collect();
        let told: Vec<_> = told.into_iter().map(|(event, reason)| (event, reason.to_owned())).collect();
        assert_eq!(seen, told, "…{digits:04}");
        assert_eq!(bench.dialled().len(), dials, "…{digits:04}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_that_asks_for_refusals_gets_both_kinds() {
    let bench = SimulatorBench::plain();
    for attempt in [1, 2, 3] {
        let answer = bench.routing().start(invitation(&bench, 1, attempt, 5)).await;
        if attempt == 2 {
            assert_eq!(answer, Ok(()));
            bench.inbox.until_event(id(1), "failed").await;
        } else {
            assert!(matches!(answer, Err(RoutingError::Refused(_))), "{answer:?}");
            let again = bench.routing().start(invitation(&bench, 1, attempt, 5)).await;
            assert_eq!(again, answer, "the same question, the same answer");
        }
    }
    pass(Duration::from_secs(60)).await;
    assert_eq!(bench.inbox.events(id(1)), ["failed"]);
    let refused: Vec<u32> = bench.lines(JournalEvent::Refused).iter().map(|entry| entry.attempt).collect();
    assert_eq!(refused, [1, 2, 3]);
    assert_eq!(bench.handed_over(), [(id(1), 2)]);
    assert!(bench.dialled().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lone_callback_is_finished_in_thirty_seconds_and_shows_every_state() {
    let bench = SimulatorBench::plain();
    bench.routing().start(invitation(&bench, 1, 1, 0)).await.unwrap();
    bench.inbox.until_event(id(1), "queued").await;
    let live = bench.routing().live(id(1)).unwrap();
    assert_eq!((live.position, live.estimated_wait_seconds), (1, 0));
    bench.inbox.until_event(id(1), "routing").await;
    assert_eq!(bench.routing().live(id(1)).unwrap().position, 0);
    bench.inbox.until_event(id(1), "completed").await;
    assert_eq!(bench.routing().live(id(1)), None);
    let story = story(&bench, id(1));
    assert!(story.last().unwrap().2 < Duration::from_secs(30), "{story:?}");
    let at = |name: &str| story.iter().find(|(event, ..)| *event == name).unwrap().2;
    for (from, to) in [("queued", "routing"), ("routing", "processing"), ("processing", "completed")] {
        assert!(at(to) - at(from) > Duration::from_secs(1), "{from} is gone before it can be seen: {story:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_and_inputs_give_the_same_run() {
    let run = async |seed, order: Vec<u128>| {
        let bench = SimulatorBench::new(SimulatorSettings { seed, ..SimulatorSettings::default() });
        for n in order {
            bench.routing().start(invitation(&bench, n, 1, u64::try_from(n).unwrap() % 5)).await.unwrap();
        }
        for n in 0..8 {
            bench.inbox.until_event(id(n), "completed").await;
        }
        (0..8).map(|n| story(&bench, id(n))).collect::<Vec<_>>()
    };
    let first = run(1, (0..8).collect()).await;
    assert_eq!(first, run(1, (0..8).collect()).await);
    assert_eq!(first, run(1, (0..8).rev().collect()).await, "the order of arrival changes no duration");
    assert_ne!(first, run(2, (0..8).collect()).await);
}

#[tokio::test(start_paused = true)]
async fn speed_divides_durations_and_nothing_else() {
    let bench = SimulatorBench::new(SimulatorSettings { speed: 1000.0, ..SimulatorSettings::default() });
    let mut invited = invitation(&bench, 1, 1, 0);
    let desired_time = invited.desired_time + chrono::Duration::seconds(100);
    invited.desired_time = desired_time;
    bench.routing().start(invited).await.unwrap();
    bench.routing().start(invitation(&bench, 2, 1, 0)).await.unwrap();
    bench.inbox.until_event(id(2), "completed").await;
    assert!(story(&bench, id(2)).last().unwrap().2 < Duration::from_millis(40));
    let live = bench.routing().live(id(1)).unwrap();
    assert!((99..=100).contains(&live.estimated_wait_seconds), "{live:?}");
    bench.inbox.until_event(id(1), "completed").await;
    let (_, dialled) = bench.dialled().pop().unwrap();
    let late = dialled - desired_time;
    assert!(late >= chrono::Duration::zero() && late < chrono::Duration::milliseconds(20), "{late}");
}

#[tokio::test(start_paused = true)]
async fn the_journal_has_one_line_for_each_step_and_no_number() {
    let bench = SimulatorBench::plain();
    bench.routing().start(invitation(&bench, 1, 1, 0)).await.unwrap();
    bench.inbox.until_event(id(1), "completed").await;
    close(bench.routing().as_ref(), 1).await.unwrap();
    let events: Vec<JournalEvent> = bench.journal().iter().map(|entry| entry.event).collect();
    use JournalEvent::{Accepted, Closed, Dialled, Ended, Entered, Processing};
    assert_eq!(events, [Entered, Accepted, Dialled, Processing, Ended, Closed]);
    let accepted = &bench.journal()[1];
    assert_eq!(accepted.session, bench.inbox.of(id(1))[0].signal.session);
    assert_eq!(bench.journal()[4].reason.as_deref(), Some("AGENT_CONNECTED"));
    assert!(!std::fs::read_to_string(bench.path()).unwrap().contains("5551230000"));
}

/// Whatever byte a kill cuts the journal at, the attempt is handed over once and the customer dialled once.
#[tokio::test(start_paused = true)]
async fn a_torn_journal_is_gone_on_from() {
    let bench = SimulatorBench::plain();
    bench.routing().start(invitation(&bench, 1, 1, 0)).await.unwrap();
    bench.inbox.until_event(id(1), "completed").await;
    let whole = std::fs::read(bench.path()).unwrap();
    let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in (first_line..whole.len()).step_by(13) {
        let mut bench = SimulatorBench::plain();
        drop(bench.simulator.take());
        std::fs::write(bench.path(), &whole[..cut]).unwrap();
        bench.open();
        bench.routing().start(invitation(&bench, 1, 1, 0)).await.unwrap();
        bench
            .inbox
            .until("an end", |heard| heard.iter().any(|it| matches!(it.signal.event.name(), "completed" | "unknown")))
            .await;
        pass(Duration::from_secs(60)).await;
        assert_eq!(bench.handed_over(), [(id(1), 1)], "cut at {cut}");
        assert!(bench.dialled().len() <= 1, "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_told_until_it_was_answered_and_then_no_more() {
    let mut bench = SimulatorBench::plain();
    bench.routing().start(invitation(&bench, 1, 1, 0)).await.unwrap();
    bench.inbox.until_event(id(1), "queued").await;
    bench.inbox.answer(|_, _| Err(Unserved::Busy.into()));
    bench.restart().await;
    bench.inbox.until("told in vain", |heard| heard.len() > 3).await;
    bench.inbox.answer(|_, _| Ok(Reply::Done));
    bench.restart().await;
    bench.inbox.until_event(id(1), "unknown").await;
    pass(Duration::from_secs(1)).await;
    let before = bench.inbox.heard().len();
    bench.restart().await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(bench.inbox.heard().len(), before);
    bench.routing().ping(vec![asked(1, 1)]).await.unwrap();
    bench.inbox.until("answered", |heard| heard.len() == before + 1).await;
    assert_eq!(bench.inbox.events(id(1)).last(), Some(&"unknown"));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_heard_is_told_again_after_a_kill() {
    let mut bench = SimulatorBench::plain();
    bench.inbox.answer(|_, signal| match signal.event.name() {
        "completed" => Err(Unserved::Perhaps.into()),
        _ => Ok(Reply::Done),
    });
    bench.routing().start(invitation(&bench, 1, 1, 0)).await.unwrap();
    bench.inbox.until("told in vain", |heard| heard.iter().any(|it| it.signal.event.name() == "completed")).await;
    bench.inbox.answer(|_, _| Ok(Reply::Done));
    bench.restart().await;
    bench.inbox.until_event(id(1), "completed").await;
    assert_eq!(bench.dialled().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_nothing_enters_and_nothing_is_said() {
    let bench = SimulatorBench::plain();
    bench.routing().start(invitation(&bench, 1, 1, 0)).await.unwrap();
    bench.inbox.until_event(id(1), "queued").await;
    assert_eq!(bench.simulator().check().await, Ok(()));
    bench.simulator().shutdown().await;
    bench.simulator().shutdown().await;
    let before = bench.inbox.heard().len();
    let refused = bench.routing().start(invitation(&bench, 2, 1, 0)).await;
    assert!(matches!(refused, Err(RoutingError::NotDone(_))), "{refused:?}");
    pass(Duration::from_secs(60)).await;
    assert_eq!(bench.inbox.heard().len(), before);
    assert!(bench.simulator().check().await.is_err());
    assert_eq!(bench.routing().expected_wait(tenant(), &invitation(&bench, 1, 1, 0).queue), None);
}

#[tokio::test(start_paused = true)]
async fn settings_out_of_range_and_a_damaged_journal_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routing.journal");
    let open = |settings| Simulator::open(settings, &path, Arc::new(TestClock::new())).err();
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY, 2e6] {
        let settings = SimulatorSettings { speed, ..SimulatorSettings::default() };
        assert!(matches!(open(settings), Some(OpenError::BadSpeed)), "{speed}");
    }
    let settings = SimulatorSettings { agents: 0, ..SimulatorSettings::default() };
    assert!(matches!(open(settings), Some(OpenError::BadAgents)));
    assert!(!path.exists());
    std::fs::write(&path, "nonsense\n").unwrap();
    assert!(matches!(open(SimulatorSettings::default()), Some(OpenError::Journal(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense\n");
}

/// 20,000 callbacks at once: each is handed over once and ends once, and more than 256 signals are never out.
#[tokio::test(start_paused = true)]
async fn a_crowd_is_served_with_bounded_effort() {
    let settings = SimulatorSettings { speed: 1000.0, agents: 2_000, seed: 3 };
    let bench = SimulatorBench::new(settings);
    let count = 20_000;
    for n in 0..count {
        bench.routing().start(invitation(&bench, n, 1, 0)).await.unwrap();
    }
    let completed = |heard: &[Heard]| heard.iter().filter(|it| it.signal.event.name() == "completed").count();
    while completed(&bench.inbox.heard()) < usize::try_from(count).unwrap() {
        pass(Duration::from_millis(100)).await;
    }
    let mut handed = bench.handed_over();
    handed.sort();
    handed.dedup();
    assert_eq!(handed.len(), usize::try_from(count).unwrap());
    assert_eq!(bench.lines(JournalEvent::Ended).len(), usize::try_from(count).unwrap());
    assert_eq!(bench.inbox.heard().len(), 6 * usize::try_from(count).unwrap(), "no signal was needed twice");
}
