//! What happens to whom and how long it takes: the magic numbers and every duration of the simulator.
//! All durations here are seconds at speed 1; [`Times`] turns them into time that passes.

use domain::callback::Reason;
use domain::numbers::PhoneNumber;
use serde::{Deserialize, Serialize};

use super::dice::Dice;

/// Dials per attempt before a busy or silent customer is given up, where a journal of an older program does not
/// say how many its queue wanted.
pub(super) const fn usual_dials() -> u8 {
    3
}
/// How long the number ending in 0006 lets a start wait before it is left without an answer.
pub(super) const NO_ANSWER_TO_START_SECONDS: f64 = 3.0;
/// How long it waits behind a stream, where no start has an answer, until it asks for its attempt: longer than the
/// service waits before it asks after it. Of the clock on the wall, as the service's patience is.
pub(super) const LATE_ACCEPT_SECONDS: u64 = 35;
/// How long the number ending in 0007 lets a start wait for its answer.
pub(super) const SLOW_START_SECONDS: f64 = 2.0;
/// Mean pause between two inbound calls of a virtual queue in use.
const INBOUND_PAUSE_SECONDS: (f64, f64) = (15.0, 40.0);
const TALK_MEDIAN_SECONDS: f64 = 11.0;
const TALK_SIGMA: f64 = 0.3;
const RING_MEDIAN_SECONDS: f64 = 3.8;
const WRAP_UP_MEAN_SECONDS: f64 = 2.0;
const GET_READY_MEAN_SECONDS: f64 = 1.0;

/// What a customer's last four digits ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// 0000 and everything that is not in the table.
    Answered,
    /// 0001.
    Busy,
    /// 0002.
    NoAnswer,
    /// 0003.
    AnsweringMachine,
    /// 0004.
    HangsUp,
    /// 0005: odd attempts in the answer to the start, even ones with `failed` before `accepted`.
    OrsRefuses,
    /// 0006: the attempt is entered, the start stays without an answer.
    OrsAnswersLate,
    /// 0007.
    OrsSlow,
}

impl Outcome {
    /// Reads the last four digits; nothing else of a number is ever kept.
    pub(super) const fn of(phone: PhoneNumber) -> Self {
        match phone.digits() % 10_000 {
            1 => Self::Busy,
            2 => Self::NoAnswer,
            3 => Self::AnsweringMachine,
            4 => Self::HangsUp,
            5 => Self::OrsRefuses,
            6 => Self::OrsAnswersLate,
            7 => Self::OrsSlow,
            _ => Self::Answered,
        }
    }

    /// Whether the start of `attempt` is refused in its answer.
    pub(super) const fn refuses_start(self, attempt: u32) -> bool {
        matches!(self, Self::OrsRefuses) && attempt % 2 == 1
    }

    /// What the dial comes to.
    pub(super) const fn dial_result(self) -> DialResult {
        match self {
            Self::Busy => DialResult::Busy,
            Self::NoAnswer => DialResult::NoAnswer,
            Self::AnsweringMachine => DialResult::AnsweringMachine,
            Self::Answered | Self::HangsUp | Self::OrsRefuses | Self::OrsAnswersLate | Self::OrsSlow => {
                DialResult::Connected
            }
        }
    }
}

/// What became of a dial, in the words of the product's reporting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DialResult {
    Connected,
    Busy,
    NoAnswer,
    AnsweringMachine,
}

impl DialResult {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Connected => "CONNECTED",
            Self::Busy => "BUSY",
            Self::NoAnswer => "NO_ANSWER",
            Self::AnsweringMachine => "ANSWERING_MACHINE",
        }
    }

    pub(super) fn reason(self) -> Reason {
        Reason::new(self.word()).unwrap_or(Reason::FAIL_ERROR)
    }
}

/// Why a session is over: the first three are the ends of a flow, the rest cut it short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Agent and customer talked.
    AgentConnected,
    /// Busy, no answer, or a machine.
    CallToCustomer,
    /// The customer picked up and hung up again before the agent was connected.
    AgentConnect,
    /// The register was closed.
    Closed,
    /// A higher attempt was entered.
    Superseded,
    /// The attempt was not granted, or no longer.
    NotGranted,
    /// Nobody answered `accepted` for as long as it is repeated.
    GaveUp,
    /// The process died with it.
    Lost,
}

impl End {
    const ALL: [Self; 8] = [
        Self::AgentConnected,
        Self::CallToCustomer,
        Self::AgentConnect,
        Self::Closed,
        Self::Superseded,
        Self::NotGranted,
        Self::GaveUp,
        Self::Lost,
    ];

    /// The word in the journal; for the ends of a flow also the reason that is reported.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::AgentConnected => "AGENT_CONNECTED",
            Self::CallToCustomer => "FAIL_CALL_TO_CUSTOMER",
            Self::AgentConnect => "FAIL_AGENT_CONNECT",
            Self::Closed => "CLOSED",
            Self::Superseded => "SUPERSEDED",
            Self::NotGranted => "NOT_GRANTED",
            Self::GaveUp => "GAVE_UP",
            Self::Lost => "LOST",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.word() == word)
    }

    /// The reason that a flow ended with, if it came to its own end.
    pub(super) fn reason(self) -> Option<Reason> {
        match self {
            Self::AgentConnected | Self::CallToCustomer | Self::AgentConnect => Reason::new(self.word()).ok(),
            Self::Closed | Self::Superseded | Self::NotGranted | Self::GaveUp | Self::Lost => None,
        }
    }
}

/// Divides every duration by the speed. Microseconds, because at speed 1000 a millisecond is a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    speed: f64,
}

impl Times {
    pub(super) const fn new(speed: f64) -> Self {
        Self { speed }
    }

    /// Microseconds that pass for `seconds` of the script.
    pub(super) fn micros(self, seconds: f64) -> u64 {
        (seconds.max(0.0) / self.speed * 1e6) as u64
    }

    /// Real seconds that pass for `seconds` of the script.
    pub(super) fn real_seconds(self, seconds: f64) -> f64 {
        seconds / self.speed
    }
}

/// From the entry to `accepted`.
pub(super) fn accept(dice: &mut Dice) -> f64 {
    dice.between(0.1, 0.3)
}

/// From the reservation of an agent to the dial.
pub(super) fn get_ready(dice: &mut Dice) -> f64 {
    dice.between(GET_READY_MEAN_SECONDS - 0.2, GET_READY_MEAN_SECONDS + 0.2)
}

/// From when an agent is ready until a customer who was told to call in does so.
pub(super) fn call_in(dice: &mut Dice) -> f64 {
    dice.between(2.0, 5.0)
}

/// From the dial to its result.
pub(super) fn ring(outcome: Outcome, dice: &mut Dice) -> f64 {
    match outcome.dial_result() {
        DialResult::Busy => dice.between(1.0, 2.0),
        DialResult::NoAnswer => dice.between(5.0, 7.0),
        DialResult::Connected | DialResult::AnsweringMachine => {
            dice.log_normal(RING_MEDIAN_SECONDS, 0.25).clamp(2.0, 6.0)
        }
    }
}

/// Between two dials.
pub(super) fn dial_again(dice: &mut Dice) -> f64 {
    dice.between(4.0, 6.0)
}

/// What is drawn once per virtual queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueManner {
    talk_median: f64,
    inbound_pause: f64,
    look_for_agent: f64,
}

impl QueueManner {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        Self {
            talk_median: TALK_MEDIAN_SECONDS * dice.between(0.85, 1.15),
            inbound_pause: dice.between(INBOUND_PAUSE_SECONDS.0, INBOUND_PAUSE_SECONDS.1),
            look_for_agent: dice.between(1.5, 2.5),
        }
    }

    /// From `accepted` to the first look for an agent: long enough that polling once a second sees QUEUED, and
    /// the same for all of a queue, so that nobody is overtaken.
    pub(super) const fn look_for_agent(self) -> f64 {
        self.look_for_agent
    }

    /// How long agent and customer talk.
    pub(super) fn talk(self, dice: &mut Dice) -> f64 {
        dice.log_normal(self.talk_median, TALK_SIGMA).clamp(4.0, 17.0)
    }

    /// How long an agent is busy with one callback on average: getting ready, ringing, talking, wrapping up.
    pub(super) fn mean_hold(self) -> f64 {
        let talk = self.talk_median * (TALK_SIGMA * TALK_SIGMA / 2.0).exp();
        GET_READY_MEAN_SECONDS + RING_MEDIAN_SECONDS + talk + WRAP_UP_MEAN_SECONDS
    }

    /// Until the next inbound call.
    pub(super) fn inbound_pause(self, dice: &mut Dice) -> f64 {
        dice.exponential(self.inbound_pause).clamp(0.5, 300.0)
    }
}

/// What an agent still does after the talk.
pub(super) fn wrap_up(dice: &mut Dice) -> f64 {
    dice.exponential(WRAP_UP_MEAN_SECONDS).min(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_four_digits_decide() {
        let cases = [
            (15_551_230_000, Outcome::Answered),
            (15_551_230_001, Outcome::Busy),
            (15_551_230_002, Outcome::NoAnswer),
            (15_551_230_003, Outcome::AnsweringMachine),
            (15_551_230_004, Outcome::HangsUp),
            (15_551_230_005, Outcome::OrsRefuses),
            (15_551_230_006, Outcome::OrsAnswersLate),
            (15_551_230_007, Outcome::OrsSlow),
            (15_551_230_008, Outcome::Answered),
            (15_551_231_001, Outcome::Answered),
        ];
        for (digits, outcome) in cases {
            assert_eq!(Outcome::of(PhoneNumber::from_digits(digits)), outcome, "…{}", digits % 10_000);
        }
    }

    #[test]
    fn a_lone_callback_ends_within_thirty_seconds_and_every_state_is_seen_once_a_second() {
        for seed in 0..2_000 {
            let mut dice = Dice::new(seed);
            let manner = QueueManner::draw(&mut dice);
            let queued = manner.look_for_agent();
            let routing = get_ready(&mut dice) + ring(Outcome::Answered, &mut dice);
            let talk = manner.talk(&mut dice);
            let whole = accept(&mut dice) + queued + routing + talk;
            assert!(queued > 1.0 && routing > 1.0 && talk > 1.0, "seed {seed}");
            assert!(whole < 29.0, "seed {seed}: {whole}");
        }
    }

    #[test]
    fn ends_are_read_back() {
        for end in End::ALL {
            assert_eq!(End::from_word(end.word()), Some(end));
        }
    }
}
