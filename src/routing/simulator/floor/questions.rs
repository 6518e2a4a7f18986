//! What the floor is asked: after attempts, for expected waits and for places in the line.

use domain::callback::{Live, Signal, SignalEvent};
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::AttemptRef;
use domain::wait::QueueReport;

use super::super::SessionState;
use super::{Floor, Phase, Queue, Report, Stage};
use crate::routing::simulator::session::{SERVED, Session};
use crate::routing::simulator::timeline::Micros;

impl Floor {
    /// Answers for each attempt by a signal. False if there is no room for all the answers.
    pub(in super::super) fn ping(&mut self, attempts: &[AttemptRef]) -> bool {
        if self.sessions_left() < attempts.len() {
            return false;
        }
        for asked in attempts {
            let register = self.registers.get(&asked.id).filter(|register| register.attempt == asked.attempt);
            let Some(register) = register.copied() else {
                self.tell(asked.tenant, asked.id, Some(asked.attempt), &[Report::Unknown]);
                continue;
            };
            if let Some(session) = self.session_mut(register.session) {
                // A signal that is still on its way is an answer, too.
                if session.phase != Phase::Telling && session.front().is_none() {
                    session.push(Report::Alive);
                    self.post(register.session);
                }
                continue;
            }
            match register.stage {
                Stage::Ended(end) if end.reason().is_some() => {
                    self.tell(asked.tenant, asked.id, None, &[Report::Ended(Some(end))]);
                }
                _ if register.closed => self.tell(asked.tenant, asked.id, None, &[Report::Ended(None)]),
                _ => self.tell_lost(asked.tenant, asked.id),
            }
        }
        true
    }

    /// How the session of an attempt is.
    pub(in super::super) fn session_state(&self, callback: CallbackId, attempt: u32) -> SessionState {
        let register = self.registers.get(&callback).filter(|register| register.attempt == attempt);
        let Some(register) = register else { return SessionState::Gone };
        if let Some(session) = self.session(register.session).filter(|session| session.phase != Phase::Telling) {
            return SessionState::Alive(session.tenant);
        }
        match register.stage {
            Stage::Ended(end) if end.reason().is_some() => SessionState::Ended(end.reason()),
            _ if register.closed => SessionState::Ended(None),
            _ => SessionState::Gone,
        }
    }

    /// Expected wait in real seconds; a queue that was never used has all its agents free.
    pub(in super::super) fn expected_wait(&self, tenant: TenantId, queue: &QueueName) -> i32 {
        let number = self.queue_numbers.get(&(tenant, queue.clone()));
        let queue = number.and_then(|number| self.queues.get(*number as usize));
        queue.map_or(0, |queue| self.wait_behind(queue, queue.line.ready()))
    }

    /// What a queue looks like now; one that was never used has all its agents free and no past.
    pub(in super::super) fn report(&self, tenant: TenantId, queue: &QueueName, now: Micros) -> QueueReport {
        let number = self.queue_numbers.get(&(tenant, queue.clone()));
        let Some(queue) = number.and_then(|number| self.queues.get(*number as usize)) else {
            return QueueReport {
                agents: Some(self.agents),
                free_agents: self.agents,
                waiting: 0,
                on_hold: 0,
                served: 0,
                served_over_seconds: 0.0,
                mean_busy_seconds: None,
                expected_wait_seconds: Some(0),
            };
        };
        let waiting = queue.line.ready();
        let (served, served_over_seconds) = queue.traffic.served_over(now, waiting > 0);
        QueueReport {
            agents: Some(queue.agents),
            free_agents: queue.free,
            waiting,
            // Inbound callers who find nobody free try elsewhere.
            on_hold: 0,
            served,
            served_over_seconds,
            mean_busy_seconds: queue.traffic.mean_busy_seconds(),
            expected_wait_seconds: Some(self.wait_behind(queue, waiting)),
        }
    }

    /// Where a callback stands; none if no session works on it.
    pub(in super::super) fn live(&self, callback: CallbackId, wall_ms: i64) -> Option<Live> {
        let session = self.session(self.registers.get(&callback)?.session)?;
        let queue = self.queues.get(session.queue as usize)?;
        let ahead = match session.phase {
            Phase::Entered | Phase::Asking => queue.line.ready(),
            Phase::Waiting => queue.line.before(session.ticket),
            Phase::Reserved | Phase::Ringing | Phase::Expecting | Phase::Talking => return Some(SERVED),
            Phase::Telling => return None,
        };
        let until_desired = (session.desired_ms - wall_ms).max(0).saturating_add(999) / 1000;
        let wait = self.wait_behind(queue, ahead).max(i32::try_from(until_desired).unwrap_or(i32::MAX));
        Some(Live { position: i32::try_from(ahead + 1).unwrap_or(i32::MAX), estimated_wait_seconds: wait })
    }

    /// The queues that were ever used.
    pub(in super::super) fn queues_in_use(&self) -> Vec<(TenantId, QueueName)> {
        self.queues.iter().map(|queue| (queue.tenant, queue.name.clone())).collect()
    }

    /// Reports of where callbacks stand whose attempts were granted, from place `from` on and at most `limit`; and the
    /// place to go on from, 0 after the last.
    pub(in super::super) fn whereabouts(
        &self,
        from: usize,
        limit: usize,
        wall_ms: i64,
    ) -> (Vec<(TenantId, CallbackId, Signal)>, usize) {
        let mut found = Vec::new();
        for (place, session) in self.sessions.iter().enumerate().skip(from) {
            if found.len() >= limit {
                return (found, place);
            }
            let Some(session) = session.as_ref().filter(|it| it.phase == Phase::Waiting || it.holds_agent()) else {
                continue;
            };
            if let Some(live) = self.live(session.callback, wall_ms) {
                let signal = Signal {
                    attempt: session.attempt,
                    seq: 0,
                    session: Session::name_of(session.callback, session.attempt),
                    event: SignalEvent::Position(live),
                };
                found.push((session.tenant, session.callback, signal));
            }
        }
        (found, 0)
    }

    /// Real seconds until an agent is free for somebody behind `ahead` others: every agent takes the next
    /// one each mean hold, and free ones take theirs at once.
    fn wait_behind(&self, queue: &Queue, ahead: u32) -> i32 {
        if ahead < queue.free {
            return 0;
        }
        let turns = f64::from(ahead - queue.free + 1) / f64::from(queue.agents);
        self.times.real_seconds(turns * queue.manner.mean_hold()).ceil() as i32
    }
}
