//! The floor of the contact centre as a state machine without I/O: registers, sessions, queues with their
//! agents, and what happens when. Time is an argument; what is to be written and sent is collected for the
//! shell around it, which writes before it sends ([`super::Simulator`] and [`super::driver`]).
//!
//! ```text
//!  start ─▶ Entered ─▶ Asking ──granted──▶ Waiting ─▶ Reserved ─▶ Ringing ─▶ Talking ─▶ Telling ─▶ gone
//!                        │                    ▲                      │                    ▲
//!                        └─ 409: gone         └─ busy, no answer ────┴── given up ────────┘
//! ```
//!
//! A customer who calls in is expected instead of rung.

mod flow;
mod post;
mod questions;
mod start;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use domain::ids::{CallbackId, QueueName, TenantId};

use super::dice::Dice;
use super::journal::{JournalEntry, JournalEvent, encode};
use super::line::Line;
use super::register::{Leftover, Register, Stage};
use super::script::{self, End, QueueManner, Times};
use super::session::{Phase, Post, Report, Session};
use super::timeline::{Micros, Timeline, What};
use super::traffic::Traffic;

pub(super) use post::{Answer, Delivery};

/// What the floor holds at most. At a limit a start is surely not done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Sessions at work or telling.
    pub(super) sessions: usize,
    /// Callbacks remembered.
    pub(super) registers: usize,
    /// Virtual queues; they come to be at their first use and stay.
    pub(super) queues: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { sessions: 500_000, registers: 5_000_000, queues: 10_000 }
    }
}

/// The present: simulator time, and the time of the service that `desiredTime` is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) at: Micros,
    /// Milliseconds since 1970.
    pub(super) wall_ms: i64,
}

/// What becomes of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Seen before, or lower than what was seen: nothing happens.
    Repeated,
    /// Its number asks for a refusal. Told again, nothing new is written.
    Refused { first: bool },
    /// The register is closed.
    Closed,
    /// Something is full.
    Full(&'static str),
    /// It enters.
    Enters,
}

/// One virtual queue.
#[derive(Debug)]
struct Queue {
    tenant: TenantId,
    name: QueueName,
    line: Line,
    manner: QueueManner,
    agents: u32,
    free: u32,
    /// Sessions in their flow; without any, inbound calls cease.
    sessions: u32,
    /// Whether the next inbound call is on its way.
    inbound_runs: bool,
    /// Inbound calls so far: the key of their dice.
    inbound_calls: u64,
    /// Agents busy with inbound calls, at most a quarter of all.
    inbound_busy: u32,
    traffic: Traffic,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Floor {
    dice: Dice,
    times: Times,
    agents: u32,
    bounds: Bounds,
    registers: HashMap<CallbackId, Register>,
    sessions: Vec<Option<Session>>,
    vacant: Vec<u32>,
    queues: Vec<Queue>,
    queue_numbers: HashMap<(TenantId, QueueName), u32>,
    timeline: Timeline,
    /// Sessions with a signal to send, by place and birth.
    outgoing: VecDeque<(u32, u32)>,
    /// Lines that have to be in the journal before anything is sent.
    lines: Vec<u8>,
    stamps: u32,
    /// When the registers are next searched for expired ones.
    tidy_at_ms: i64,
    refusals: Refusals,
}

/// How a number is refused that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusals {
    /// Odd attempts in the answer to the start, even ones by a signal.
    ByTurns,
    /// All of them by a signal.
    BySignal,
}

/// Registers are searched for expired ones this often, in milliseconds.
const TIDY_EVERY_MS: i64 = 3_600_000;

impl Floor {
    pub(super) fn new(seed: u64, speed: f64, agents: u32, bounds: Bounds) -> Self {
        Self {
            dice: Dice::new(seed),
            times: Times::new(speed),
            agents,
            bounds,
            registers: HashMap::new(),
            sessions: Vec::new(),
            vacant: Vec::new(),
            queues: Vec::new(),
            queue_numbers: HashMap::new(),
            timeline: Timeline::default(),
            outgoing: VecDeque::new(),
            lines: Vec::new(),
            stamps: 0,
            tidy_at_ms: 0,
            refusals: Refusals::ByTurns,
        }
    }

    /// From now on nobody is refused in the answer to a start.
    pub(super) fn refuse_by_signal(&mut self) {
        self.refusals = Refusals::BySignal;
    }

    /// Goes on from what an earlier process left behind.
    pub(super) fn restore(&mut self, registers: HashMap<CallbackId, Register>, left: Vec<Leftover>, now: Now) {
        self.registers = registers;
        for leftover in left {
            match leftover {
                Leftover::Invite { tenant, callback, invited } => self.begin(tenant, callback, &invited, now.at),
                Leftover::Lost { tenant, callback } => self.tell_lost(tenant, callback),
                Leftover::Ended { tenant, callback, end } => {
                    self.tell(tenant, callback, None, &[Report::Completed(end)])
                }
            }
        }
    }

    // ----------------------------------------------------------------------------------------- what the shell takes

    /// Lines not yet written. The shell empties it when they are.
    pub(super) const fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Forgets registers whose time is over, now and then.
    pub(super) fn tidy(&mut self, wall_ms: i64) {
        if wall_ms >= self.tidy_at_ms {
            self.tidy_at_ms = wall_ms + TIDY_EVERY_MS;
            self.registers.retain(|_, register| !register.is_expired(wall_ms));
        }
    }

    // --------------------------------------------------------------------------------------------- small parts

    fn session(&self, place: u32) -> Option<&Session> {
        self.sessions.get(place as usize)?.as_ref()
    }

    fn session_mut(&mut self, place: u32) -> Option<&mut Session> {
        self.sessions.get_mut(place as usize)?.as_mut()
    }

    const fn sessions_left(&self) -> usize {
        self.bounds.sessions.saturating_sub(self.sessions.len() - self.vacant.len())
    }

    const fn stamp(&mut self) -> u32 {
        self.stamps = self.stamps.wrapping_add(1);
        self.stamps
    }

    fn seat(&mut self, session: Session) -> u32 {
        if let Some(place) = self.vacant.pop() {
            if let Some(seat) = self.sessions.get_mut(place as usize) {
                *seat = Some(session);
            }
            return place;
        }
        self.sessions.push(Some(session));
        u32::try_from(self.sessions.len() - 1).unwrap_or(Register::NONE)
    }

    /// Plans the next step of a session; whatever was planned before is overtaken.
    fn plan(&mut self, place: u32, at: Micros) {
        let stamp = self.stamp();
        let Some(session) = self.session_mut(place) else { return };
        session.step = stamp;
        self.timeline.enter(at, What::Step { session: place, stamp });
    }

    fn set_stage(&mut self, callback: CallbackId, stage: Stage) {
        if let Some(register) = self.registers.get_mut(&callback) {
            register.stage = stage;
        }
    }

    /// Takes a session away, whatever it was doing; its agent and its place in the line are free at once.
    fn remove(&mut self, place: u32, at: Micros) {
        let Some(session) = self.sessions.get_mut(place as usize).and_then(Option::take) else { return };
        self.vacant.push(place);
        if let Some(register) = self.registers.get_mut(&session.callback)
            && register.session == place
        {
            register.session = Register::NONE;
        }
        if session.phase == Phase::Telling {
            return;
        }
        self.leave_queue(&session);
        if session.holds_agent() {
            self.agent_is_free(session.queue, at);
        }
    }

    fn leave_queue(&mut self, session: &Session) {
        let Some(queue) = self.queues.get_mut(session.queue as usize) else { return };
        queue.sessions -= 1;
        if session.phase == Phase::Waiting {
            queue.line.leave(session.ticket);
        }
    }

    fn queue_number(&mut self, tenant: TenantId, name: &QueueName) -> u32 {
        let key = (tenant, name.clone());
        if let Some(number) = self.queue_numbers.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.queues.len()).unwrap_or(u32::MAX);
        self.queues.push(Queue {
            tenant,
            name: name.clone(),
            line: Line::default(),
            manner: QueueManner::draw(&mut keyed(self.dice, tenant, name)),
            agents: self.agents,
            free: self.agents,
            sessions: 0,
            inbound_runs: false,
            inbound_calls: 0,
            inbound_busy: 0,
            traffic: Traffic::default(),
        });
        self.queue_numbers.insert(key, number);
        number
    }

    fn queue_dice(&self, number: u32) -> Dice {
        self.queues.get(number as usize).map_or(self.dice, |queue| keyed(self.dice, queue.tenant, &queue.name))
    }

    fn line_of(&self, session: &Session, event: JournalEvent, end: Option<End>, at: i64, lines: &mut Vec<u8>) {
        let entry = JournalEntry {
            at,
            event,
            tenant: session.tenant,
            callback: session.callback,
            attempt: session.attempt,
            session: Session::name_of(session.callback, session.attempt),
            reason: end.map(|end| end.word().to_owned()),
            invited: None,
        };
        encode(lines, &entry);
    }
}

fn keyed(dice: Dice, tenant: TenantId, queue: &QueueName) -> Dice {
    dice.with_id(tenant.as_uuid().as_u128()).with_text(queue.as_str())
}
