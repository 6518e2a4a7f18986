//! How attempts begin, and how callbacks are closed: judged first, carried out once the journal has it.

use domain::ids::{CallbackId, TenantId};
use domain::ports::Invitation;
use domain::queue::CallDirection;

use super::{Admission, Floor, Now, Phase, Refusals, Register, Session, Stage};
use crate::routing::simulator::journal::{Invited, JournalEntry, JournalEvent, encode};
use crate::routing::simulator::script::{self, End, Outcome};
use crate::routing::simulator::timeline::Micros;

impl Floor {
    /// Judges a start and writes the lines that have to be durable before it is carried out. Changes nothing.
    pub(in super::super) fn admit(&self, invitation: &Invitation, wall_ms: i64, lines: &mut Vec<u8>) -> Admission {
        let outcome = Outcome::of(invitation.phone);
        let refused = self.refusals == Refusals::ByTurns && outcome.refuses_start(invitation.attempt);
        let known = self.registers.get(&invitation.id);
        let highest = known.map_or(0, |register| register.attempt);
        if invitation.attempt <= highest {
            let again = refused && invitation.attempt == highest;
            return if again { Admission::Refused { first: false } } else { Admission::Repeated };
        }
        if known.is_some_and(|register| register.closed) {
            return Admission::Closed;
        }
        if let Some(what) = self.full(invitation, known.is_none()) {
            return Admission::Full(what);
        }
        let live = known.and_then(|register| self.session(register.session));
        if let Some(session) = live.filter(|session| session.phase != Phase::Telling) {
            self.line_of(session, JournalEvent::Ended, Some(End::Superseded), wall_ms, lines);
        }
        let event = if refused { JournalEvent::Refused } else { JournalEvent::Entered };
        let entry = JournalEntry {
            at: wall_ms,
            event,
            tenant: invitation.tenant,
            callback: invitation.id,
            attempt: invitation.attempt,
            session: None,
            reason: None,
            invited: Some(invited(invitation, outcome)),
        };
        encode(lines, &entry);
        if refused { Admission::Refused { first: true } } else { Admission::Enters }
    }

    fn full(&self, invitation: &Invitation, is_new: bool) -> Option<&'static str> {
        let queues_full = || {
            self.queues.len() >= self.bounds.queues
                && !self.queue_numbers.contains_key(&(invitation.tenant, invitation.queue.clone()))
        };
        if self.sessions_left() == 0 {
            Some("too many sessions")
        } else if is_new && self.registers.len() >= self.bounds.registers {
            Some("too many callbacks")
        } else if queues_full() {
            Some("too many virtual queues")
        } else {
            None
        }
    }

    /// Carries out an admitted start, once its lines are written.
    pub(in super::super) fn enter(&mut self, invitation: &Invitation, admission: Admission, at: Micros) {
        let fresh = || Register::new(invitation.not_after.timestamp_millis());
        let register = self.registers.entry(invitation.id).or_insert_with(fresh);
        register.keep_for(invitation.not_after.timestamp_millis());
        register.attempt = invitation.attempt;
        let old = std::mem::replace(&mut register.session, Register::NONE);
        register.stage = if admission == Admission::Enters { Stage::Entered } else { Stage::Refused };
        self.remove(old, at);
        if admission == Admission::Enters {
            let outcome = Outcome::of(invitation.phone);
            self.begin(invitation.tenant, invitation.id, &invited(invitation, outcome), at);
        }
    }

    pub(super) fn begin(&mut self, tenant: TenantId, callback: CallbackId, invited: &Invited, at: Micros) {
        let queue = self.queue_number(tenant, &invited.queue);
        let Some(register) = self.registers.get(&callback) else { return };
        let attempt = register.attempt;
        let mut dice = self.queue_dice(queue).with_id(callback.as_uuid().as_u128()).with(attempt.into());
        let accept_at = at + self.times.micros(script::accept(&mut dice)) + self.late(invited.outcome);
        let mut session = Session::new(tenant, callback, attempt, self.stamp());
        session.queue = queue;
        session.desired_ms = invited.desired;
        session.outcome = invited.outcome;
        session.dials_left = invited.dials;
        session.calls_in = invited.calls_in;
        session.dice = dice;
        let place = self.seat(session);
        if let Some(register) = self.registers.get_mut(&callback) {
            register.session = place;
        }
        if let Some(queue) = self.queues.get_mut(queue as usize) {
            queue.sessions += 1;
        }
        self.plan(place, accept_at);
    }

    /// What the numbers for slow answers make of a start that has none: they ask for their attempt later.
    fn late(&self, outcome: Outcome) -> Micros {
        match (self.refusals, outcome) {
            (Refusals::BySignal, Outcome::OrsAnswersLate) => script::LATE_ACCEPT_SECONDS * 1_000_000,
            (Refusals::BySignal, Outcome::OrsSlow) => self.times.micros(script::SLOW_START_SECONDS),
            _ => 0,
        }
    }

    /// Writes the lines that have to be durable before a register is closed; none if it is closed already.
    ///
    /// # Errors
    /// What is full, if there is no room to remember that it is closed.
    pub(in super::super) fn closing(
        &self,
        tenant: TenantId,
        callback: CallbackId,
        wall_ms: i64,
        lines: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let known = self.registers.get(&callback);
        if known.is_some_and(|register| register.closed) {
            return Ok(());
        }
        if known.is_none() && self.registers.len() >= self.bounds.registers {
            return Err("too many callbacks");
        }
        let entry = JournalEntry {
            at: wall_ms,
            event: JournalEvent::Closed,
            tenant,
            callback,
            attempt: known.map_or(0, |register| register.attempt),
            session: None,
            reason: None,
            invited: None,
        };
        encode(lines, &entry);
        let live = known.and_then(|register| self.session(register.session));
        if let Some(session) = live.filter(|session| ends_when_closed(session.phase)) {
            self.line_of(session, JournalEvent::Ended, Some(End::Closed), wall_ms, lines);
        }
        Ok(())
    }

    /// Closes a register, once its lines are written.
    pub(in super::super) fn close(&mut self, callback: CallbackId, now: Now) {
        let register = self.registers.entry(callback).or_insert_with(|| Register::of_unknown_life(now.wall_ms));
        register.closed = true;
        let place = register.session;
        if self.session(place).is_some_and(|session| ends_when_closed(session.phase)) {
            self.set_stage(callback, Stage::Ended(End::Closed));
            self.remove(place, now.at);
        }
    }
}

fn invited(invitation: &Invitation, outcome: Outcome) -> Invited {
    Invited {
        queue: invitation.queue.clone(),
        desired: invitation.desired_time.timestamp_millis(),
        not_after: invitation.not_after.timestamp_millis(),
        outcome,
        dials: u8::try_from(invitation.call.dial_attempts).unwrap_or(u8::MAX).max(1),
        calls_in: invitation.call.direction == CallDirection::UserOriginated,
    }
}

/// Once people talk they are left to it, and what has ended only has to be told.
const fn ends_when_closed(phase: Phase) -> bool {
    !matches!(phase, Phase::Talking | Phase::Telling)
}
