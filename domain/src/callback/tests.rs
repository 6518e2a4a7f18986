//! The machine, case by case and at random.

mod promise;
mod random;
mod table;

use super::*;
use chrono::TimeZone as _;
use uuid::Uuid;

/// The instant around which everything here happens.
fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2030, 3, 4, 12, 0, 0).unwrap()
}

fn seconds(count: i64) -> Duration {
    Duration::seconds(count)
}

fn id() -> CallbackId {
    CallbackId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0007))
}

fn me() -> Incarnation {
    Incarnation(7)
}

fn terms() -> Terms {
    Terms {
        tenant: TenantId::from_name("demo"),
        queue: QueueName::new("support").unwrap(),
        phone: PhoneNumber::from_digits(14_165_550_100),
        ttl: Duration::hours(24),
    }
}

fn session(name: &str) -> Option<SessionId> {
    Some(SessionId::new(name).unwrap())
}

fn signal(attempt: u32, seq: u64, from: Option<&str>, event: SignalEvent) -> Input {
    Input::Signal(Signal { attempt, seq, session: from.and_then(session), event })
}

fn tick() -> Input {
    Input::Tick { heard_at: None, ping_from: noon() - Duration::days(1), again: Again::EntersOnce }
}

fn start() -> Input {
    Input::Start { lead: seconds(120), again: Again::EntersOnce }
}

/// Booked for an hour ago, in a slot, claimed, and due since two minutes before that.
fn scheduled() -> Callback {
    let desired = noon() - Duration::minutes(60);
    Callback::scheduled(id(), terms(), Some(me()), desired, desired - seconds(120), Some(desired))
}

/// As [`accepted`], with two devices to be told.
fn with_devices(callback: Callback) -> Callback {
    callback.with_devices(2, None)
}

/// A callback in which the customer calls us, within 300 s.
fn originated(callback: Callback) -> Callback {
    callback.with_devices(1, Some(300))
}

/// `callback` after an input that is known to be fine.
fn after(mut callback: Callback, input: Input) -> Callback {
    callback.step(input, noon() - seconds(1)).unwrap();
    callback
}

fn started() -> Callback {
    after(scheduled(), start())
}

fn entered() -> Callback {
    after(started(), Input::Submitted { attempt: 1, outcome: SubmitOutcome::Done })
}

fn refused() -> Callback {
    after(started(), Input::Submitted { attempt: 1, outcome: SubmitOutcome::Refused })
}

fn accepted() -> Callback {
    after(entered(), signal(1, 1, Some("s1"), SignalEvent::Accepted))
}

fn reported(callback: Callback, seq: u64, event: SignalEvent) -> Callback {
    after(callback, signal(1, seq, Some("s1"), event))
}

fn routing() -> Callback {
    reported(accepted(), 5, SignalEvent::Routing)
}

fn dialled() -> Callback {
    reported(routing(), 6, SignalEvent::DialResult(Reason::AGENT_CONNECTED))
}

fn processing() -> Callback {
    reported(dialled(), 7, SignalEvent::Processing)
}

fn cancelled() -> Callback {
    after(routing(), Input::Cancel(Canceller::Api))
}

fn ended() -> Callback {
    reported(processing(), 8, SignalEvent::Completed(Some(Reason::AGENT_CONNECTED)))
}

#[test]
fn what_is_stored_as_a_number_comes_back() {
    for (code, cause) in (0..).zip(Cause::ALL) {
        assert_eq!((cause.code(), Cause::from_code(code)), (code, Some(cause)));
    }
    assert_eq!(Cause::from_code(Cause::ALL.len() as i16), None);
    for state in State::ALL {
        assert_eq!(State::from_code(state.code()), Some(state));
    }
    for hand_off in [HandOff::Idle, HandOff::Started, HandOff::Accepted] {
        assert_eq!(HandOff::from_code(hand_off.code()), Some(hand_off));
    }
}

/// Effects in one line, times relative to noon.
fn told(effects: &[Effect]) -> String {
    let at = |instant: &DateTime<Utc>| format!("{:+}s", (*instant - noon()).num_seconds());
    let one = |effect: &Effect| match effect {
        Effect::Save(saving) => {
            let implied: String = saving.implied.iter().map(|state| format!(" via {state}")).collect();
            let slots = match (saving.give_back, saving.take) {
                (None, None) => "",
                (Some(_), None) => ", gives its slot back",
                (None, Some(_)) => ", takes a slot",
                (Some(_), Some(_)) => ", changes its slot",
            };
            format!("save({}{implied}{slots})", saving.cause.name())
        }
        Effect::Reply(reply) => format!("reply({reply:?})"),
        Effect::Refuse(error) => format!("refuse({error:?})"),
        Effect::Moved { from, to } => format!("{from}>{to}"),
        Effect::Submit { attempt } => format!("submit#{attempt}"),
        Effect::WantPlace => "want-place".to_owned(),
        Effect::Terminate => "terminate".to_owned(),
        Effect::Ping => "ping".to_owned(),
        Effect::WakeAt(instant) => format!("wake({})", at(instant)),
        Effect::Finish => "finish".to_owned(),
    };
    if effects.is_empty() { "nothing".to_owned() } else { effects.iter().map(one).collect::<Vec<_>>().join(" ") }
}
