//! Whatever is sent out, kept in order, and answered as a test says.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::happening::{About, Kind};
use domain::ids::CallbackId;
use domain::notices::{Detail, Outcome, Sent};
use domain::ports::{Courier, Message, Push, PushContent};
use domain::push::{PushEvent, PushSettings};

use super::TestClock;

/// One thing that was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    /// URL of an endpoint, or the device.
    pub to: String,
    /// `webhook-id`.
    pub id: String,
    /// The kind of happening; none for a notification.
    pub kind: Option<Kind>,
    /// What a notification said.
    pub event: Option<PushEvent>,
    /// The callback it was about.
    pub callback: Option<CallbackId>,
    /// When it was sent.
    pub at: DateTime<Utc>,
}

#[derive(Default)]
struct Book {
    carried: Vec<Carried>,
    /// Answers to come, by receiver; then it is always taken.
    answers: HashMap<String, VecDeque<Answer>>,
    always: HashMap<String, Answer>,
    /// Answers to come to whatever is about one callback; they come first.
    about: HashMap<CallbackId, VecDeque<Answer>>,
    in_hand: HashMap<String, usize>,
    most_in_hand: HashMap<String, usize>,
}

#[derive(Clone)]
enum Answer {
    Says(Sent),
    Takes(Duration),
    Panics,
}

/// The courier.
pub struct FakeCourier {
    clock: Arc<TestClock>,
    book: Mutex<Book>,
}

impl FakeCourier {
    pub(super) fn new(clock: Arc<TestClock>) -> Self {
        Self { clock, book: Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("never poisoned")
    }

    /// Everything that was sent so far, in order.
    pub fn carried(&self) -> Vec<Carried> {
        self.book().carried.clone()
    }

    /// What was sent to one receiver.
    pub fn carried_to(&self, to: &str) -> Vec<Carried> {
        self.carried().into_iter().filter(|carried| carried.to == to).collect()
    }

    /// The next sendings to a receiver end so, one after the other.
    pub fn next(&self, to: &str, sent: impl IntoIterator<Item = Sent>) {
        self.book().answers.entry(to.to_owned()).or_default().extend(sent.into_iter().map(Answer::Says));
    }

    /// The next sendings about a callback end so, whoever they are for.
    pub fn next_about(&self, id: CallbackId, sent: impl IntoIterator<Item = Sent>) {
        self.book().about.entry(id).or_default().extend(sent.into_iter().map(Answer::Says));
    }

    /// The next sending to a receiver panics.
    pub fn panic_next(&self, to: &str) {
        self.book().answers.entry(to.to_owned()).or_default().push_back(Answer::Panics);
    }

    /// Every sending to a receiver ends so, until [`Self::heal`].
    pub fn always(&self, to: &str, outcome: Outcome, detail: Detail) {
        self.book().always.insert(to.to_owned(), Answer::Says(Sent::new(outcome, detail)));
    }

    /// Every sending to a receiver takes so long and is then taken, until [`Self::heal`].
    pub fn slow(&self, to: &str, time: Duration) {
        self.book().always.insert(to.to_owned(), Answer::Takes(time));
    }

    /// From now on everything is taken.
    pub fn heal(&self, to: &str) {
        self.book().always.remove(to);
    }

    /// The most that were under way to a receiver at one time.
    pub fn most_in_hand(&self, to: &str) -> usize {
        self.book().most_in_hand.get(to).copied().unwrap_or_default()
    }

    async fn carry(&self, carried: Carried) -> Sent {
        let (to, about) = (carried.to.clone(), carried.callback);
        let answer = {
            let mut book = self.book();
            book.carried.push(carried);
            let in_hand = book.in_hand.entry(to.clone()).or_default();
            *in_hand += 1;
            let in_hand = *in_hand;
            let most = book.most_in_hand.entry(to.clone()).or_default();
            *most = (*most).max(in_hand);
            let about = about.and_then(|id| book.about.get_mut(&id)?.pop_front());
            let next = about.or_else(|| book.answers.get_mut(&to)?.pop_front());
            next.or_else(|| book.always.get(&to).cloned())
        };
        if let Some(Answer::Takes(time)) = &answer {
            tokio::time::sleep(*time).await;
        }
        if let Some(in_hand) = self.book().in_hand.get_mut(&to) {
            *in_hand -= 1;
        }
        match answer {
            Some(Answer::Says(sent)) => sent,
            Some(Answer::Panics) => panic!("told to panic"),
            Some(Answer::Takes(_)) | None => Sent::new(Outcome::Done, Detail::Status(200)),
        }
    }
}

#[async_trait]
impl Courier for FakeCourier {
    async fn message(&self, message: Message) -> Sent {
        let callback = match &message.happening.about {
            About::Callback(news) => Some(news.id),
            About::Endpoint { .. } => None,
        };
        self.carry(Carried {
            to: message.url,
            id: message.id,
            kind: Some(message.happening.kind),
            event: None,
            callback,
            at: self.clock.time(),
        })
        .await
    }

    async fn push(&self, _settings: &PushSettings, push: Push) -> Sent {
        let (event, callback) = match push.content {
            PushContent::Callback { event, callback } => (Some(event), Some(callback.id)),
            PushContent::Given(_) => (None, None),
        };
        let at = self.clock.time();
        self.carry(Carried { to: push.target.target, id: push.id, kind: None, event, callback, at }).await
    }
}
