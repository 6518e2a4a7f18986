//! Signals on their way: each session's in their order, each repeated until it is answered.

use domain::callback::{Reply, Signal};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{SignalError, Unserved};

use super::{End, Floor, JournalEvent, Micros, Now, Phase, Post, Register, Report, Session, Stage, What};

/// A signal that nobody takes is repeated for so long: 15 minutes.
const REPEAT_FOR: Micros = 15 * 60 * 1_000_000;
/// First pause before a repetition; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Micros = 100_000;
const LONGEST_PAUSE: Micros = 5_000_000;

/// One signal to hand to the inbox.
#[derive(Debug, PartialEq)]
pub(in super::super) struct Delivery {
    /// Place and birth of its session.
    pub(in super::super) from: (u32, u32),
    pub(in super::super) tenant: TenantId,
    pub(in super::super) callback: CallbackId,
    pub(in super::super) signal: Signal,
}

/// What the inbox made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Answer {
    /// 200.
    Taken,
    /// 409 or 404: this session has nothing to say any more.
    Refused,
    /// Everything else: once more, later.
    Later,
}

impl From<Result<Reply, SignalError>> for Answer {
    fn from(answer: Result<Reply, SignalError>) -> Self {
        match answer {
            Ok(Reply::Done | Reply::Repeated) => Self::Taken,
            Err(SignalError::Refused(_) | SignalError::Unserved(Unserved::NotFound)) => Self::Refused,
            Err(SignalError::Unserved(Unserved::Busy | Unserved::Perhaps)) => Self::Later,
        }
    }
}

impl Floor {
    /// Lines a session up for sending if it has something to say and is not at it.
    pub(super) fn post(&mut self, place: u32) {
        if let Some(session) = self.session_mut(place)
            && session.post == Post::Empty
            && session.front().is_some()
        {
            session.post = Post::Lined;
            let born = session.born;
            self.outgoing.push_back((place, born));
        }
    }

    pub(super) fn retry(&mut self, place: u32, stamp: u32) {
        if let Some(session) = self.session_mut(place)
            && session.post == Post::Pausing(stamp)
        {
            session.post = Post::Empty;
            self.post(place);
        }
    }

    /// The next signals to send, at most `limit`. The lines that belong to them must be written first.
    pub(in super::super) fn deliveries(&mut self, limit: usize, now: Now) -> Vec<Delivery> {
        let mut out = Vec::with_capacity(limit.min(self.outgoing.len()));
        while out.len() < limit {
            let Some((place, born)) = self.outgoing.pop_front() else { break };
            let Some(session) = self.session_mut(place).filter(|it| it.born == born && it.post == Post::Lined) else {
                continue;
            };
            let Some(signal) = session.signal() else { continue };
            session.post = Post::Sent;
            if session.tries == 0 {
                session.first_try = now.at;
            }
            out.push(Delivery { from: (place, born), tenant: session.tenant, callback: session.callback, signal });
        }
        out
    }

    /// Takes the answer to a signal. Answers for sessions that are gone mean nothing.
    pub(in super::super) fn answered(&mut self, from: (u32, u32), answer: Answer, now: Now) {
        let (place, born) = from;
        let sent = self.session_mut(place).filter(|it| it.born == born && it.post == Post::Sent);
        let Some((session, report)) = sent.and_then(|it| it.front().map(|report| (it, report))) else { return };
        session.post = Post::Empty;
        match answer {
            Answer::Later if now.at.saturating_sub(session.first_try) < REPEAT_FOR => self.pause(place, now.at),
            Answer::Later => self.pass_over(place, report, End::GaveUp, now),
            Answer::Refused => self.pass_over(place, report, End::NotGranted, now),
            Answer::Taken => {
                session.pop();
                if report == Report::Accepted {
                    self.granted(place, now);
                } else if report == Report::Unknown {
                    self.lost_is_told(place, now);
                }
                self.go_on(place, now);
            }
        }
    }

    fn pause(&mut self, place: u32, at: Micros) {
        let stamp = self.stamp();
        let Some(session) = self.session_mut(place) else { return };
        let full = FIRST_PAUSE.saturating_mul(1 << session.tries.min(6)).min(LONGEST_PAUSE);
        // Not the session's own dice: how often an inbox was busy must not change how long people talk.
        let mut dice = session.dice.with(u64::from(session.tries) + 1);
        session.tries = session.tries.saturating_add(1);
        session.post = Post::Pausing(stamp);
        let pause = dice.between(0.5, 1.0) * full as f64;
        self.timeline.enter(at + pause as Micros, What::Retry { session: place, stamp });
    }

    /// A signal that was refused, or that nobody took for too long.
    fn pass_over(&mut self, place: u32, report: Report, why: End, now: Now) {
        let Some(session) = self.session_mut(place) else { return };
        let telling = session.phase == Phase::Telling;
        if telling || (why == End::GaveUp && report != Report::Accepted) {
            session.pop();
            if report == Report::Unknown && why == End::NotGranted {
                self.lost_is_told(place, now);
            }
            self.go_on(place, now);
            return;
        }
        // The attempt is not, or no longer, this session's: it ends without a word.
        let callback = session.callback;
        self.write(place, JournalEvent::Ended, Some(why), now);
        self.set_stage(callback, Stage::Ended(why));
        self.remove(place, now.at);
    }

    /// Sends the next signal; a session that only told and has told everything goes.
    fn go_on(&mut self, place: u32, now: Now) {
        match self.session(place) {
            Some(session) if session.phase == Phase::Telling && session.front().is_none() => {
                self.remove(place, now.at);
            }
            Some(_) => self.post(place),
            None => {}
        }
    }

    /// From here on the journal says that the session was lost, and nobody is told again unasked.
    fn lost_is_told(&mut self, place: u32, now: Now) {
        let Some((callback, attempt)) = self.session(place).map(|it| (it.callback, it.attempt)) else { return };
        let register = self.registers.get(&callback).filter(|it| it.attempt == attempt && it.session == place);
        if register.is_some_and(Register::is_unfinished) {
            self.write(place, JournalEvent::Ended, Some(End::Lost), now);
            self.set_stage(callback, Stage::Ended(End::Lost));
        }
    }

    /// Says that the session of the highest attempt is gone. If the customer had been reached, that is said
    /// first: whoever has talked must not be called again.
    pub(super) fn tell_lost(&mut self, tenant: TenantId, callback: CallbackId) {
        let stage = self.registers.get(&callback).map(|register| register.stage);
        let reports: &[Report] = match stage {
            Some(Stage::Processing) => &[Report::Processing, Report::Unknown],
            _ => &[Report::Unknown],
        };
        self.tell(tenant, callback, None, reports);
    }

    /// Says something about an attempt without a session: that of the register, or `attempt`, of which nothing
    /// is known.
    pub(super) fn tell(&mut self, tenant: TenantId, callback: CallbackId, attempt: Option<u32>, reports: &[Report]) {
        let known = self.registers.get(&callback).map_or(0, |register| register.attempt);
        let mut session = Session::telling(tenant, callback, attempt.unwrap_or(known), self.stamp());
        reports.iter().for_each(|report| session.push(*report));
        let place = self.seat(session);
        if attempt.is_none()
            && let Some(register) = self.registers.get_mut(&callback)
        {
            register.session = place;
        }
        self.post(place);
    }
}
