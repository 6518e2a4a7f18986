//! Long answers about free times, kept for as long as they are true.
//!
//! Many customers look at the same fortnight of the same service before one of them books. Its list has thousands of
//! slots: reading, judging and writing it anew costs a hundred times what a short answer does. So it is written once
//! and given to everybody who asks the same while nothing that it depends on has changed ([`Mark`]): no write of the
//! tenant, no other settings, and the same second on the clock. What is never asked twice in a second costs what it
//! did, and a place in a small table.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono_tz::Tz;
use domain::availability::Question;
use domain::ids::TenantId;
use domain::ports::Mark;

use super::reply::written::{Coding, SHORT_BYTES, Written};

/// Most bytes that are kept, all answers together: fifteen whole fortnights of slots of five minutes.
const MAX_BYTES: usize = 8 << 20;

/// All that an answer depends on and that does not change by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) tenant: TenantId,
    pub(crate) question: Question,
    /// Of local times.
    pub(crate) zone: Tz,
    pub(crate) coding: Coding,
}

/// Answers of one listener.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    by: HashMap<Asked, (Mark, Written)>,
    bytes: usize,
}

impl Answers {
    fn remove(&mut self, asked: &Asked) {
        if let Some((_, data)) = self.by.remove(asked) {
            self.bytes -= data.len();
        }
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, if it is still true.
    pub(crate) fn find(&self, asked: &Asked, now: &Mark) -> Option<Written> {
        let answers = self.lock();
        let (mark, data) = answers.by.get(asked)?;
        (mark == now).then(|| data.clone())
    }

    /// Keeps an answer that was made after `mark` was taken. When all is full everything goes: what is asked often is
    /// soon there again, and nobody can keep a place.
    pub(crate) fn keep(&self, asked: Asked, mark: Mark, data: &Written) {
        let short = matches!(data, Written::Plain(plain) if plain.len() < SHORT_BYTES);
        if short || data.len() > MAX_BYTES {
            return;
        }
        let mut answers = self.lock();
        answers.remove(&asked);
        if answers.bytes + data.len() > MAX_BYTES {
            *answers = Answers::default();
        }
        answers.bytes += data.len();
        answers.by.insert(asked, (mark, data.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use domain::availability::{Busy, End, Show};
    use domain::tenant::{Tenant, TenantDocument};

    use super::*;

    fn settings() -> Arc<Tenant> {
        Arc::new(TenantDocument::with_queues("demo", []).resolve(TenantId::from_name("demo")).unwrap())
    }

    fn asked(service_name: &str) -> Asked {
        let show = Show { max_free: None, busy: Busy::Hidden };
        let question = Question { service_name: service_name.to_owned(), start: None, end: End::AtStart, show };
        Asked { tenant: TenantId::from_name("demo"), question, zone: Tz::UTC, coding: Coding::Identity }
    }

    fn long(bytes: usize) -> Written {
        Written::Plain(Bytes::from(vec![b'x'; bytes]))
    }

    #[test]
    fn an_answer_is_given_again_until_anything_has_changed() {
        let (kept, settings_now) = (Kept::default(), settings());
        let mark = Mark { settings: settings_now.clone(), writes: 7, second: 1 };
        kept.keep(asked("a"), mark.clone(), &long(SHORT_BYTES));
        assert_eq!(kept.find(&asked("a"), &mark).map(|data| data.len()), Some(SHORT_BYTES));
        for changed in [
            Mark { settings: settings(), ..mark.clone() },
            Mark { writes: 8, ..mark.clone() },
            Mark { second: 2, ..mark.clone() },
        ] {
            assert!(kept.find(&asked("a"), &changed).is_none(), "{changed:?}");
        }
        let of_another = Asked { tenant: TenantId::from_name("other"), ..asked("a") };
        let (elsewhere, packed) =
            (Asked { zone: Tz::Asia__Tokyo, ..asked("a") }, Asked { coding: Coding::Gzip, ..asked("a") });
        for other in [asked("b"), of_another, elsewhere, packed] {
            assert!(kept.find(&other, &mark).is_none(), "{other:?}");
        }
        kept.keep(asked("short"), mark.clone(), &long(SHORT_BYTES - 1));
        assert!(kept.find(&asked("short"), &mark).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let kept = Kept::default();
        let mark = Mark { settings: settings(), writes: 7, second: 1 };
        for number in 0..100 {
            kept.keep(asked(&number.to_string()), mark.clone(), &long(500 << 10));
            kept.keep(asked("again and again"), mark.clone(), &long(500 << 10));
            let answers = kept.lock();
            assert!(answers.bytes <= MAX_BYTES);
            assert_eq!(answers.bytes, answers.by.values().map(|(_, data)| data.len()).sum::<usize>());
        }
        assert!(kept.find(&asked("99"), &mark).is_some());
        kept.keep(asked("too long"), mark.clone(), &long(MAX_BYTES + 1));
        assert!(kept.find(&asked("too long"), &mark).is_none());
    }
}
