//! The registers: the highest attempt seen of each callback, how far it came, and whether it is closed.
//! They outlive the process, by the journal; sessions do not.

use std::collections::{HashMap, VecDeque};

use domain::ids::{CallbackId, TenantId};

use super::journal::{FORGET_AFTER_MS, Invited, JournalEntry, JournalEvent};
use super::script::End;

/// A register lives until the end of its callback's life and this much longer, in milliseconds.
const KEEP_MS: i64 = 86_400_000;
/// Ends that were reported so shortly before a kill may not have been answered and are reported again; older
/// ones are found by whoever asks. In milliseconds.
const TELL_AGAIN_MS: i64 = 10_000;

/// How far the highest attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No attempt has been seen; the register was closed before.
    Untouched,
    Refused,
    Entered,
    Accepted,
    Dialled,
    Processing,
    Ended(End),
}

/// One register, 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Register {
    /// Highest attempt seen; 0 = none.
    pub(super) attempt: u32,
    /// The session that works on it or tells of it; [`Register::NONE`] if there is none.
    pub(super) session: u32,
    /// Forgotten after this, in seconds since 1970.
    expires_seconds: u32,
    pub(super) stage: Stage,
    pub(super) closed: bool,
}

impl Register {
    pub(super) const NONE: u32 = u32::MAX;

    /// One that nothing has entered, to be forgotten some time after `life_ends_ms`.
    pub(super) fn new(life_ends_ms: i64) -> Self {
        let expires_seconds = u32::try_from((life_ends_ms + KEEP_MS) / 1000).unwrap_or(u32::MAX);
        Self { attempt: 0, session: Self::NONE, expires_seconds, stage: Stage::Untouched, closed: false }
    }

    /// Is kept for as long as a life that ends at `life_ends_ms` asks for.
    pub(super) fn keep_for(&mut self, life_ends_ms: i64) {
        self.expires_seconds = self.expires_seconds.max(Self::new(life_ends_ms).expires_seconds);
    }

    /// One of a callback whose end of life is not known.
    pub(super) fn of_unknown_life(now_ms: i64) -> Self {
        Self::new(now_ms + FORGET_AFTER_MS)
    }

    pub(super) fn is_expired(&self, now_ms: i64) -> bool {
        self.session == Self::NONE && i64::from(self.expires_seconds) * 1000 < now_ms
    }

    /// Whether an attempt was granted and has not come to an end.
    pub(super) const fn is_unfinished(&self) -> bool {
        matches!(self.stage, Stage::Accepted | Stage::Dialled | Stage::Processing)
    }
}

/// What an earlier process left behind, read line by line.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    pub(super) registers: HashMap<CallbackId, Register>,
    /// Attempts without an end, with what is needed to invite them again.
    open: HashMap<CallbackId, (TenantId, Option<Invited>)>,
    just_ended: VecDeque<(i64, TenantId, CallbackId, u32)>,
}

/// What is to be done about one attempt of an earlier process.
#[derive(Debug, PartialEq)]
pub(super) enum Leftover {
    /// Entered, never granted: ask for it again.
    Invite { tenant: TenantId, callback: CallbackId, invited: Invited },
    /// Granted, and its session is gone: say so.
    Lost { tenant: TenantId, callback: CallbackId },
    /// Ended just before the process did: say it again.
    Ended { tenant: TenantId, callback: CallbackId, end: End },
}

impl Aftermath {
    /// Takes in the next line.
    pub(super) fn read(&mut self, entry: JournalEntry) {
        let JournalEntry { at, event, tenant, callback, attempt, reason, invited, .. } = entry;
        let fresh = || match &invited {
            Some(invited) => Register::new(invited.not_after),
            None => Register::of_unknown_life(at),
        };
        let register = self.registers.entry(callback).or_insert_with(fresh);
        if event == JournalEvent::Closed {
            register.closed = true;
            return;
        }
        if attempt < register.attempt {
            return;
        }
        register.attempt = attempt;
        register.stage = match event {
            JournalEvent::Entered => Stage::Entered,
            JournalEvent::Accepted => Stage::Accepted,
            JournalEvent::Dialled => Stage::Dialled,
            JournalEvent::Processing => Stage::Processing,
            JournalEvent::Refused => Stage::Refused,
            JournalEvent::Ended | JournalEvent::Closed => {
                Stage::Ended(reason.as_deref().and_then(End::from_word).unwrap_or(End::Lost))
            }
        };
        match register.stage {
            Stage::Entered => {
                self.open.insert(callback, (tenant, invited));
            }
            Stage::Accepted | Stage::Dialled | Stage::Processing => {
                // What was needed to invite is not needed any more.
                self.open.insert(callback, (tenant, None));
            }
            Stage::Untouched | Stage::Refused => {
                self.open.remove(&callback);
            }
            Stage::Ended(_) => {
                self.open.remove(&callback);
                self.just_ended.push_back((at, tenant, callback, attempt));
                while self.just_ended.front().is_some_and(|(ended, ..)| *ended < at - TELL_AGAIN_MS) {
                    self.just_ended.pop_front();
                }
            }
        }
    }

    /// Everything that is to be done, and the registers that still count at `now_ms`.
    pub(super) fn finish(mut self, now_ms: i64) -> (HashMap<CallbackId, Register>, Vec<Leftover>) {
        let mut leftovers = Vec::with_capacity(self.open.len() + self.just_ended.len());
        let mut open: Vec<_> = self.open.into_iter().collect();
        open.sort_by_key(|(callback, _)| *callback); // a map has no order, and runs shall repeat
        for (callback, (tenant, invited)) in open {
            let Some(register) = self.registers.get(&callback) else { continue };
            match (register.stage, invited) {
                (Stage::Entered, Some(invited)) if !register.closed => {
                    leftovers.push(Leftover::Invite { tenant, callback, invited });
                }
                (Stage::Accepted | Stage::Dialled | Stage::Processing, _) => {
                    leftovers.push(Leftover::Lost { tenant, callback });
                }
                _ => {}
            }
        }
        for (_, tenant, callback, attempt) in self.just_ended {
            match self.registers.get(&callback) {
                Some(Register { attempt: highest, stage: Stage::Ended(end), closed: false, .. })
                    if *highest == attempt && end.reason().is_some() =>
                {
                    leftovers.push(Leftover::Ended { tenant, callback, end: *end });
                }
                _ => {}
            }
        }
        self.registers.retain(|_, register| register.is_unfinished() || !register.is_expired(now_ms));
        (self.registers, leftovers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::simulator::script::Outcome;
    use domain::ids::QueueName;

    fn line(n: u128, attempt: u32, event: JournalEvent, reason: Option<&str>) -> JournalEntry {
        let invited = (event == JournalEvent::Entered).then(|| Invited {
            queue: QueueName::new("q").unwrap(),
            desired: 0,
            not_after: 1_000_000,
            outcome: Outcome::Answered,
            dials: 3,
            calls_in: false,
        });
        JournalEntry {
            at: 1_000,
            event,
            tenant: TenantId::from_name("demo"),
            callback: id(n),
            attempt,
            session: None,
            reason: reason.map(str::to_owned),
            invited,
        }
    }

    fn id(n: u128) -> CallbackId {
        CallbackId::from_uuid(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_register_takes_sixteen_bytes() {
        assert_eq!(size_of::<Register>(), 16);
    }

    #[test]
    fn each_kind_of_leftover_is_found() {
        use JournalEvent::{Accepted, Closed, Dialled, Ended, Entered, Processing};
        let mut aftermath = Aftermath::default();
        let lines = [
            line(1, 1, Entered, None),
            line(2, 1, Entered, None),
            line(2, 1, Accepted, None),
            line(3, 1, Entered, None),
            line(3, 1, Accepted, None),
            line(3, 1, Dialled, None),
            line(3, 1, Processing, None),
            line(3, 1, Ended, Some("AGENT_CONNECTED")),
            line(4, 1, Entered, None),
            line(4, 1, Closed, None),
            line(5, 1, Entered, None),
            line(5, 1, Accepted, None),
            line(5, 1, Ended, Some("SUPERSEDED")),
            line(5, 2, Entered, None),
            line(6, 0, Closed, None),
        ];
        lines.into_iter().for_each(|line| aftermath.read(line));
        let (registers, leftovers) = aftermath.finish(2_000);
        let kinds: Vec<_> = leftovers
            .iter()
            .map(|leftover| match leftover {
                Leftover::Invite { callback, .. } => ("invite", *callback),
                Leftover::Lost { callback, .. } => ("lost", *callback),
                Leftover::Ended { callback, .. } => ("ended", *callback),
            })
            .collect();
        assert_eq!(kinds, [("invite", id(1)), ("lost", id(2)), ("invite", id(5)), ("ended", id(3))]);
        assert_eq!(registers.len(), 6);
        assert!(registers[&id(6)].closed && registers[&id(4)].closed);
        assert_eq!(registers[&id(5)].attempt, 2);
    }

    #[test]
    fn registers_are_forgotten_after_their_life_unless_unfinished() {
        let mut aftermath = Aftermath::default();
        aftermath.read(line(1, 1, JournalEvent::Entered, None));
        aftermath.read(line(1, 1, JournalEvent::Ended, Some("LOST")));
        aftermath.read(line(2, 1, JournalEvent::Entered, None));
        aftermath.read(line(2, 1, JournalEvent::Accepted, None));
        let (registers, _) = aftermath.finish(1_000_000 + KEEP_MS + 2_000);
        assert_eq!(registers.keys().copied().collect::<Vec<_>>(), [id(2)]);
    }
}
