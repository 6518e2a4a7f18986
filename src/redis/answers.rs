//! Answers of services outside, kept for all nodes: each under a name that tells nothing, with the instant at which it
//! came, for as long as whoever keeps it says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ports::{AnswerCache, KnownAnswer};
use fred::interfaces::KeysInterface as _;
use fred::types::Expiration;
use tokio::time::timeout;

use super::bus::RedisBus;

/// Longer answers are not shared, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// How long an answer may take to be found; then it is asked for.
const FIND: Duration = Duration::from_millis(250);

/// What stands in Redis.
fn written(answer: &str, at: DateTime<Utc>) -> String {
    format!("{}\n{answer}", at.timestamp_millis())
}

fn read(text: &str, now: DateTime<Utc>) -> Option<KnownAnswer> {
    let (at, answer) = text.split_once('\n')?;
    let at = DateTime::from_timestamp_millis(at.parse().ok()?)?;
    // Two nodes may be a round trip apart.
    Some(KnownAnswer { answer: answer.into(), age: (now - at).to_std().unwrap_or_default() })
}

#[async_trait]
impl AnswerCache for RedisBus {
    async fn find(&self, key: &[u8]) -> Option<KnownAnswer> {
        let opened = self.connected()?;
        let found = timeout(FIND, opened.client().get::<Option<String>, _>(self.keys().answer(key))).await;
        read(&found.ok()?.ok()??, self.now())
    }

    fn keep(&self, key: &[u8], answer: Arc<str>, life: Duration) {
        let (Some(opened), true) = (self.connected(), answer.len() <= MAX_BYTES) else { return };
        // As many at a time as there are permits: losing one costs a question.
        let Ok(permit) = self.keeping().try_acquire_owned() else { return };
        let (key, text) = (self.keys().answer(key), written(&answer, self.now()));
        let life = Expiration::PX(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        tokio::spawn(async move {
            if let Err(error) = opened.client().set::<(), _, _>(key, text, Some(life), None, false).await {
                tracing::debug!(error = super::told(&error), "an answer could not be shared");
            }
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_knows_its_age() {
        let at = DateTime::from_timestamp_millis(1_000_000).unwrap();
        let text = written("{\"a\":\n1}", at);
        let aged =
            |seconds| read(&text, at + chrono::Duration::seconds(seconds)).map(|it| (it.answer, it.age.as_secs()));
        assert_eq!(aged(7), Some(("{\"a\":\n1}".into(), 7)));
        assert_eq!(aged(-1).map(|(_, age)| age), Some(0), "from the future: it has just come");
        for wrong in ["", "{}", "x\n{}", "99999999999999999999\n{}"] {
            assert_eq!(read(wrong, at), None, "{wrong}");
        }
    }
}
