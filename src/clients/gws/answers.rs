//! Answers of the statistics service that are still young enough to be given again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::gws::GwsSettings;
use domain::ids::TenantId;
use tokio::time::Instant;

/// How long an answer is kept.
pub(super) const LIFE: Duration = Duration::from_secs(300);
/// Answers kept at once; the oldest go first.
const MAX_ANSWERS: usize = 4_096;
/// Bytes of all of them.
const MAX_BYTES: usize = 16 << 20;

/// What an answer is about: a tenant, with whose credentials it was asked, and the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tenant: TenantId,
    question: [u8; 32],
}

impl Key {
    pub(super) fn new(tenant: TenantId, settings: &GwsSettings, request: &str) -> Self {
        // Plain data: writing it cannot fail, and if it did the request alone would tell questions apart.
        let settings = serde_json::to_vec(settings).unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(settings.len() as u64).to_le_bytes()).update(&settings).update(request.as_bytes());
        Self { tenant, question: *hasher.finalize().as_bytes() }
    }

    /// What names it beyond this process.
    pub(super) fn bytes(&self) -> [u8; 48] {
        let mut bytes = [0; 48];
        let (tenant, question) = bytes.split_at_mut(16);
        tenant.copy_from_slice(self.tenant.as_uuid().as_bytes());
        question.copy_from_slice(&self.question);
        bytes
    }
}

struct Kept {
    answer: Arc<str>,
    since: Instant,
}

#[derive(Default)]
struct Shelf {
    kept: HashMap<Key, Kept>,
    bytes: usize,
}

impl Shelf {
    fn remove(&mut self, key: &Key) {
        if let Some(gone) = self.kept.remove(key) {
            self.bytes -= gone.answer.len();
        }
    }

    /// Makes room for one more of so many bytes. Looks through all of them, which costs less than asking.
    fn make_room(&mut self, bytes: usize, now: Instant) {
        if self.kept.len() < MAX_ANSWERS && self.bytes + bytes <= MAX_BYTES {
            return;
        }
        let mut by_age: Vec<(Instant, Key)> = self.kept.iter().map(|(key, kept)| (kept.since, *key)).collect();
        by_age.sort_unstable_by_key(|(since, _)| *since);
        for (since, key) in by_age {
            let enough = self.kept.len() < MAX_ANSWERS && self.bytes + bytes <= MAX_BYTES;
            if enough && now - since < LIFE {
                break;
            }
            self.remove(&key);
        }
    }
}

/// What was answered lately.
#[derive(Default)]
pub(super) struct Answers(Mutex<Shelf>);

impl Answers {
    /// An answer that is at most so old.
    pub(super) fn find(&self, key: &Key, max_age: Duration) -> Option<Arc<str>> {
        let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = shelf.kept.get(key)?;
        (kept.since.elapsed() <= max_age.min(LIFE)).then(|| kept.answer.clone())
    }

    /// Keeps an answer that came `age` ago, unless a younger one is known.
    pub(super) fn keep(&self, key: Key, answer: Arc<str>, age: Duration) {
        let now = Instant::now();
        // An instant before the start of the machine is none.
        let Some(since) = now.checked_sub(age) else { return };
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.kept.get(&key).is_some_and(|known| known.since > since) {
            return;
        }
        shelf.remove(&key);
        shelf.make_room(answer.len(), now);
        shelf.bytes += answer.len();
        shelf.kept.insert(key, Kept { answer, since });
    }
}

#[cfg(test)]
mod tests {
    use domain::secret::SecretRef;

    use super::*;

    fn settings(client: &str) -> GwsSettings {
        GwsSettings {
            auth_url: None,
            stats_url: None,
            client_id: client.to_owned(),
            client_secret: SecretRef::Sealed("1".to_owned()),
            user: None,
        }
    }

    fn key(number: usize) -> Key {
        Key::new(TenantId::from_name("demo"), &settings("a"), &number.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_again_while_it_is_young_enough() {
        let answers = Answers::default();
        answers.keep(key(1), "one".into(), Duration::ZERO);
        let age = |seconds| answers.find(&key(1), Duration::from_secs(seconds)).as_deref().map(str::to_owned);
        assert_eq!(age(15).as_deref(), Some("one"));
        tokio::time::advance(Duration::from_secs(16)).await;
        assert_eq!((age(15), age(16).as_deref()), (None, Some("one")));
        tokio::time::advance(LIFE).await;
        assert_eq!(age(100_000), None, "nothing is kept for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_answer_from_elsewhere_keeps_its_age_and_pushes_no_younger_one_out() {
        tokio::time::advance(LIFE).await;
        let answers = Answers::default();
        let found = |seconds| answers.find(&key(1), Duration::from_secs(seconds)).as_deref().map(str::to_owned);
        answers.keep(key(1), "old".into(), Duration::from_secs(100));
        assert_eq!((found(99), found(100).as_deref()), (None, Some("old")));
        answers.keep(key(1), "young".into(), Duration::from_secs(10));
        answers.keep(key(1), "old".into(), Duration::from_secs(100));
        assert_eq!(found(10).as_deref(), Some("young"));
    }

    #[test]
    fn tenants_credentials_and_requests_tell_questions_apart() {
        let (demo, other) = (TenantId::from_name("demo"), TenantId::from_name("other"));
        let keys = [
            Key::new(demo, &settings("a"), "{}"),
            Key::new(other, &settings("a"), "{}"),
            Key::new(demo, &settings("b"), "{}"),
            Key::new(demo, &settings("a"), "{ }"),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|another| another != one));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_bounded_by_number_and_by_bytes_and_the_oldest_go_first() {
        let answers = Answers::default();
        let held = || {
            let shelf = answers.0.lock().unwrap();
            (shelf.kept.len(), shelf.bytes)
        };
        for number in 0..MAX_ANSWERS + 10 {
            answers.keep(key(number), "x".into(), Duration::ZERO);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(held(), (MAX_ANSWERS, MAX_ANSWERS));
        let there = |number| answers.find(&key(number), LIFE).is_some();
        assert!(!there(9) && there(10) && there(MAX_ANSWERS + 9));
        let large: Arc<str> = "y".repeat(MAX_BYTES / 4).into();
        for number in 0..6 {
            answers.keep(key(number), large.clone(), Duration::ZERO);
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(held().1 <= MAX_BYTES);
        }
        assert!(there(5) && there(4) && !there(0));
        answers.keep(key(5), "small".into(), Duration::ZERO);
        assert!(held().1 <= MAX_BYTES - large.len() + 5, "a newer answer takes the place of the older one");
    }
}
