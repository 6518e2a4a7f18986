//! The floor without a runtime: time is a number that these tests move.

use super::*;
use chrono::DateTime;
use domain::callback::{Live, Signal};
use domain::numbers::PhoneNumber;
use domain::ports::{AttemptRef, Details, Invitation};
use domain::queue::{CallDirection, CallOptions};
use domain::wait::{Mode, NoEstimate, QueueReport};

const EPOCH_MS: i64 = 1_800_000_000_000;

struct Run {
    floor: Floor,
    at: Micros,
    said: Vec<(Micros, CallbackId, Signal)>,
}

impl Run {
    fn new(agents: u32) -> Self {
        let floor = Floor::new(7, 1.0, agents, Bounds::default());
        Self { floor, at: 0, said: Vec::new() }
    }

    fn now(&self) -> Now {
        Now { at: self.at, wall_ms: EPOCH_MS + i64::try_from(self.at / 1000).unwrap() }
    }

    fn start(&mut self, n: u128, digits: u64, in_ms: i64) -> Admission {
        let invitation = invitation(n, digits, in_ms + self.now().wall_ms);
        let mut lines = Vec::new();
        let admission = self.floor.admit(&invitation, self.now().wall_ms, &mut lines);
        if !lines.is_empty() {
            self.floor.enter(&invitation, admission, self.at);
        }
        admission
    }

    /// Runs to `until`, answering every signal at once by `judge`.
    fn run(&mut self, until: Micros, judge: impl Fn(&Signal) -> Answer) {
        loop {
            let next = self.floor.run_due(self.now(), 10_000);
            let out = self.floor.deliveries(256, self.now());
            for delivery in &out {
                self.said.push((self.at, delivery.callback, delivery.signal.clone()));
                self.floor.answered(delivery.from, judge(&delivery.signal), self.now());
            }
            if !out.is_empty() {
                continue;
            }
            match next.filter(|at| *at <= until) {
                Some(at) => self.at = self.at.max(at),
                None => break,
            }
        }
        self.at = until;
    }

    fn live(&self, n: u128) -> Option<Live> {
        self.floor.live(id(n), self.now().wall_ms)
    }

    fn events(&self, n: u128) -> Vec<&'static str> {
        self.said.iter().filter(|(_, who, _)| *who == id(n)).map(|(_, _, signal)| signal.event.name()).collect()
    }
}

fn id(n: u128) -> CallbackId {
    CallbackId::from_uuid(uuid::Uuid::from_u128(n))
}

fn queue() -> QueueName {
    QueueName::new("support").unwrap()
}

fn tenant() -> TenantId {
    TenantId::from_name("demo")
}

fn invitation(n: u128, digits: u64, desired_ms: i64) -> Invitation {
    let desired_time = DateTime::from_timestamp_millis(desired_ms).unwrap();
    Invitation {
        tenant: tenant(),
        id: id(n),
        attempt: 1,
        not_after: desired_time + chrono::Duration::days(1),
        queue: queue(),
        phone: PhoneNumber::from_digits(15_551_230_000 + digits),
        desired_time,
        call: CallOptions::usual(&queue()),
        details: Details::default(),
    }
}

const SECOND: Micros = 1_000_000;

#[test]
fn positions_are_exact_and_fall_by_one_as_agents_take_callbacks() {
    let mut run = Run::new(1);
    for n in 1..=20 {
        assert_eq!(run.start(n, 0, 0), Admission::Enters);
        run.run(run.at + 400_000, |_| Answer::Taken); // accepted one after the other, so the order is known
    }
    run.run(run.at + 3 * SECOND, |_| Answer::Taken);
    let mut last_first = 0;
    for _ in 0..40 {
        let places: Vec<i32> = (1..=20).filter_map(|n| run.live(n)).map(|live| live.position).collect();
        let waiting: Vec<i32> = places.iter().copied().filter(|place| *place > 0).collect();
        let expected: Vec<i32> = (1..).take(waiting.len()).collect();
        assert_eq!(waiting, expected, "in the order of the line, without gaps");
        let waits: Vec<i32> = (1..=20).filter_map(|n| run.live(n)).map(|live| live.estimated_wait_seconds).collect();
        assert!(waits.is_sorted(), "whoever stands behind waits longer: {waits:?}");
        assert!(20 - waiting.len() >= last_first, "nobody is overtaken");
        last_first = 20 - waiting.len();
        run.run(run.at + 5 * SECOND, |_| Answer::Taken);
    }
    assert!(last_first > 8, "only {last_first} of 20 were served in 200 s");
}

/// Customers come one by one, on average as fast as six agents can serve them, so that lines grow and shrink. Each
/// is told a wait when it joins; what it then waits is known. Exponential pauses from a fixed seed.
#[test]
fn estimated_waits_come_true() {
    const CUSTOMERS: u128 = 600;
    let mut run = Run::new(6);
    let mut dice = Dice::new(11);
    let mut told: HashMap<CallbackId, (Micros, [Result<i32, NoEstimate>; 2])> = HashMap::new();
    for n in 1..=CUSTOMERS {
        run.start(n, 0, 0);
        run.run(run.at + 400_000, |_| Answer::Taken);
        let report = run.floor.report(tenant(), &queue(), run.at);
        // It has joined by now and does not wait behind itself.
        let before = QueueReport { waiting: report.waiting.saturating_sub(1), ..report };
        let estimates = [Mode::Throughput, Mode::Agents].map(|mode| before.estimate(mode, false));
        told.insert(id(n), (run.at, estimates));
        let pause = dice.exponential(2.7).min(20.0);
        run.run(run.at + (pause * SECOND as f64) as Micros, |_| Answer::Taken);
    }
    run.run(run.at + 7200 * SECOND, |_| Answer::Taken);
    let mut errors: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let mut true_waits = Vec::new();
    for (at, callback, signal) in &run.said {
        if signal.event.name() != "routing" {
            continue;
        }
        let (joined, estimates) = told[callback];
        let waited = (at - joined) as f64 / SECOND as f64;
        true_waits.push(waited);
        for (errors, estimate) in errors.iter_mut().zip(estimates) {
            errors.extend(estimate.ok().map(|estimate| f64::from(estimate) - waited));
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let off = |values: &[f64]| mean(&values.iter().map(|it| it.abs()).collect::<Vec<_>>());
    let waited = mean(&true_waits);
    let [throughput, agents] = &errors;
    println!(
        "waited {waited:.1} s on average; mode1 bias {:.1} s, off by {:.1} s; mode2 bias {:.1} s, off by {:.1} s",
        mean(throughput),
        off(throughput),
        mean(agents),
        off(agents),
    );
    assert!(true_waits.len() == CUSTOMERS as usize && waited > 15.0, "{} waited {waited} s", true_waits.len());
    assert!(agents.len() > 590 && throughput.len() > 590, "{} and {} estimates", agents.len(), throughput.len());
    assert!(mean(agents).abs() < 0.15 * waited && off(agents) < 0.25 * waited);
    assert!(mean(throughput).abs() < 0.2 * waited && off(throughput) < 0.4 * waited);
}

#[test]
fn the_expected_wait_is_about_what_the_last_one_waits() {
    let mut run = Run::new(10);
    for n in 1..=200 {
        run.start(n, 0, 0);
    }
    run.run(5 * SECOND, |_| Answer::Taken);
    let expected = run.floor.expected_wait(tenant(), &queue());
    run.run(3600 * SECOND, |_| Answer::Taken);
    let (last, ..) = run.said.iter().rev().find(|(_, _, signal)| signal.event.name() == "routing").unwrap();
    let waited = i32::try_from(*last / SECOND).unwrap() - 5;
    assert!((expected - waited).abs() < expected / 3, "{expected} s were expected, {waited} s passed");
    assert_eq!(run.floor.expected_wait(tenant(), &queue()), 0);
}

#[test]
fn whoever_is_not_due_is_no_backlog_but_keeps_the_place() {
    let mut run = Run::new(1);
    run.start(1, 0, 600_000);
    for n in 2..=3 {
        run.start(n, 0, 600_000);
    }
    run.run(5 * SECOND, |_| Answer::Taken);
    assert_eq!(run.floor.expected_wait(tenant(), &queue()), 0);
    let live = run.live(1).unwrap();
    assert_eq!((live.position, live.estimated_wait_seconds), (1, 595));
    run.start(4, 0, 0);
    run.run(9 * SECOND, |_| Answer::Taken);
    assert_eq!(run.live(4).unwrap().position, 0, "is served while the others wait for their time");
    run.run(599 * SECOND, |_| Answer::Taken);
    assert_eq!(run.events(1), ["accepted", "queued"]);
    for n in 10..=12 {
        run.start(n, 0, 0);
    }
    run.run(610 * SECOND, |_| Answer::Taken);
    assert_eq!(run.live(1).unwrap().position, 0, "came first, is served first");
    run.run(700 * SECOND, |_| Answer::Taken);
    assert_eq!(run.events(1).last(), Some(&"completed"));
}

#[test]
fn nothing_leaks_when_everything_has_ended() {
    let mut run = Run::new(5);
    for n in 0..500u64 {
        run.start(n.into(), n % 9, i64::try_from(n % 3).unwrap() * 10_000);
    }
    run.run(20 * SECOND, |_| Answer::Taken);
    for n in (0..500).step_by(7) {
        run.floor.close(id(n), run.now());
    }
    run.run(7200 * SECOND, |_| Answer::Taken);
    assert_eq!(run.floor.sessions.iter().flatten().count(), 0);
    assert_eq!(run.floor.vacant.len(), run.floor.sessions.len());
    let queue = &run.floor.queues[0];
    assert_eq!((queue.free, queue.sessions, queue.inbound_busy, queue.line.ready()), (5, 0, 0, 0));
    assert_eq!(run.floor.timeline.len(), 0, "nothing is planned for ever");
}

#[test]
fn a_signal_nobody_takes_is_given_up_after_fifteen_minutes() {
    let mut run = Run::new(5);
    run.start(1, 0, 0);
    run.start(2, 0, 0);
    run.run(1800 * SECOND, |signal| match signal.event.name() {
        "routing" => Answer::Later,
        _ if signal.session == Session::name_of(id(2), 1) => Answer::Later,
        _ => Answer::Taken,
    });
    assert_eq!(run.floor.sessions.iter().flatten().count(), 0);
    assert_eq!(run.events(1).last(), Some(&"completed"), "the rest is told after what nobody took");
    let tries = run.events(2).len();
    assert!((180..400).contains(&tries), "{tries} tries");
    let (last, ..) = run.said.last().unwrap();
    assert!(*last < 1000 * SECOND);
}

#[test]
fn a_full_floor_lets_nothing_in_and_changes_nothing() {
    let bounds = Bounds { sessions: 2, registers: 3, queues: 1 };
    let mut run = Run::new(1);
    run.floor = Floor::new(7, 1.0, 1, bounds);
    assert_eq!(run.start(1, 0, 0), Admission::Enters);
    let mut elsewhere = invitation(2, 0, EPOCH_MS);
    elsewhere.queue = QueueName::new("other").unwrap();
    let mut lines = Vec::new();
    assert_eq!(run.floor.admit(&elsewhere, EPOCH_MS, &mut lines), Admission::Full("too many virtual queues"));
    assert_eq!(run.start(2, 0, 0), Admission::Enters);
    assert_eq!(run.start(3, 0, 0), Admission::Full("too many sessions"));
    assert_eq!(run.start(2, 0, 0), Admission::Repeated);
    assert!(lines.is_empty());
    run.floor.close(id(1), run.now());
    run.floor.close(id(9), run.now());
    assert_eq!(run.start(4, 0, 0), Admission::Full("too many callbacks"));
    assert!(run.floor.closing(tenant(), id(10), 0, &mut lines).is_err());
    let asked = |n| AttemptRef { tenant: tenant(), id: id(n), attempt: 1, session: None };
    assert!(!run.floor.ping(&[asked(7), asked(8)]), "no room for two answers");
}

/// 100,000 callbacks on one queue: how much memory the floor takes for each, and that looking stays quick.
#[test]
fn a_hundred_thousand_wait_in_little_memory() {
    let mut run = Run::new(1);
    let count = 100_000u32;
    for n in 0..u128::from(count) {
        run.start(n, 0, 0);
    }
    run.run(4 * SECOND, |_| Answer::Taken);
    let line = run.floor.queues[0].line.ready();
    assert!(line >= count - 2, "{line} wait");
    let floor = &run.floor;
    let bytes = floor.sessions.capacity() * size_of::<Option<Session>>()
        + floor.registers.capacity() * (size_of::<(CallbackId, Register)>() + 1)
        + floor.timeline.bytes()
        + floor.queues[0].line.bytes();
    let each = bytes / count as usize;
    assert!(each < 400, "{each} bytes for each");
    let looked: i64 = (0..u128::from(count)).map(|n| i64::from(run.live(n).unwrap().position)).sum();
    let waiting = i64::from(line);
    assert_eq!(looked, waiting * (waiting + 1) / 2, "every place from 1 exactly once");
}

#[test]
fn who_calls_in_is_expected_and_never_dialled() {
    const HANGS_UP: u64 = 4;
    for (digits, expected) in [
        (0, &["accepted", "queued", "routing", "processing", "completed"][..]),
        (HANGS_UP, &["accepted", "queued", "routing", "completed"]),
        (1, &["accepted", "queued", "routing"]),
        (2, &["accepted", "queued", "routing"]),
    ] {
        let mut run = Run::new(1);
        let mut invitation = invitation(1, digits, EPOCH_MS);
        invitation.call.direction = CallDirection::UserOriginated;
        let mut lines = Vec::new();
        let admission = run.floor.admit(&invitation, EPOCH_MS, &mut lines);
        run.floor.enter(&invitation, admission, 0);
        run.run(600 * SECOND, |_| Answer::Taken);
        assert_eq!(run.events(1), expected, "…{digits}");
        let written = [lines, std::mem::take(run.floor.lines())].concat();
        let written = String::from_utf8(written).unwrap();
        assert!(written.contains(r#""callsIn":true"#) && !written.contains("dialled"), "{written}");
        if expected.last() == Some(&"routing") {
            assert_eq!(
                (run.live(1), run.floor.queues[0].free),
                (Some(Live { position: 0, estimated_wait_seconds: 0 }), 0)
            );
            run.floor.close(id(1), run.now());
            assert_eq!(run.events(1), expected, "closed without a word");
        }
        assert_eq!((run.live(1), run.floor.queues[0].free), (None, 1), "…{digits}");
    }
}

#[test]
fn a_queue_says_how_often_its_customers_are_dialled() {
    const BUSY: u64 = 1;
    for attempts in [1, 2, 5] {
        let mut run = Run::new(1);
        let mut invitation = invitation(1, BUSY, EPOCH_MS);
        invitation.call.dial_attempts = attempts;
        let mut lines = Vec::new();
        let admission = run.floor.admit(&invitation, EPOCH_MS, &mut lines);
        run.floor.enter(&invitation, admission, 0);
        run.run(200 * SECOND, |_| Answer::Taken);
        let events = run.events(1);
        assert_eq!(events.iter().filter(|event| **event == "dial-result").count(), attempts as usize, "{events:?}");
        assert_eq!(events.last(), Some(&"completed"));
    }
}
