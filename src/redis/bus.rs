//! The bus: one client, which sends what gathers and hears what others send.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::event::{BusEnd, Event};
use domain::ports::{Bus, Clock, Connector, Ear, Hint, Observer, Probe};
use fred::clients::SubscriberClient;
use fred::interfaces::{ClientLike as _, EventInterface as _, PubsubInterface as _};
use fred::types::{ClientState, Message as Heard};
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::client::{self, Link, RedisSettings};
use super::keys::Keys;
use super::message;
use super::outbox::{Batch, Outbox, Urgency};
use super::pace::Pace;
use super::password::Password;
use super::told;

/// The name of both the client and the dependency.
const NAME: &str = "redis";
/// What is urgent waits for so long for more to go with it.
const GATHER: Duration = Duration::from_millis(5);
/// What is not urgent goes once in this time.
const CALM: Duration = Duration::from_secs(1);
/// How long what was sent may take to be heard by its own sender.
const ECHO: Duration = Duration::from_secs(3);
/// Answers that are being put away at the same time.
const KEEPING: usize = 64;
/// What somebody who reads why it is down also has to know.
const REDUCED: &str = "until it is back nodes find out within seconds what they would have been told at once, \
                       positions and expected waits that only another node was told are -1, and each node asks for \
                       statistics itself";

/// What the bus needs to know.
#[derive(Clone)]
pub struct BusSettings {
    /// Where the Redis is.
    pub redis: RedisSettings,
    /// A secret that the nodes of one installation share, and only they.
    pub installation: [u8; 32],
}

/// The way to other nodes through Redis.
pub struct RedisBus {
    shared: Arc<Shared>,
    redis: RedisSettings,
    password: Password,
    opened: ArcSwapOption<Opened>,
    clock: Arc<dyn Clock>,
    keeping: Arc<Semaphore>,
}

/// What the tasks of an open client use, too.
struct Shared {
    keys: Keys,
    /// Tells this node's own messages from those of others.
    me: u64,
    outbox: Outbox,
    ear: OnceLock<Ear>,
    /// The last echo that was heard.
    echo: watch::Sender<u64>,
    observer: Arc<dyn Observer>,
}

/// An open client with the tasks that send and hear. They end with it.
pub(super) struct Opened {
    link: Link<SubscriberClient>,
    _tasks: [AbortOnDropHandle<()>; 3],
}

impl Opened {
    pub(super) fn client(&self) -> &SubscriberClient {
        self.link.client()
    }
}

impl RedisBus {
    /// Prepares it. Nothing is opened before the connector's actor does it.
    pub fn new(settings: BusSettings, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        let shared = Shared {
            keys: Keys::new(settings.installation),
            me: high ^ low,
            outbox: Outbox::default(),
            ear: OnceLock::new(),
            echo: watch::Sender::new(0),
            observer,
        };
        Self {
            shared: Arc::new(shared),
            password: Password::new(settings.redis.password.clone()),
            redis: settings.redis,
            opened: ArcSwapOption::empty(),
            clock,
            keeping: Arc::new(Semaphore::new(KEEPING)),
        }
    }

    /// Its password, which may be replaced.
    pub fn password(&self) -> Password {
        self.password.clone()
    }

    /// The client, if its connection stands.
    pub(super) fn connected(&self) -> Option<Arc<Opened>> {
        self.opened.load_full().filter(|opened| opened.client().state() == ClientState::Connected)
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn keeping(&self) -> Arc<Semaphore> {
        Arc::clone(&self.keeping)
    }

    /// Sends something and waits until it is heard: the whole way is open.
    async fn hears_itself(&self) -> Result<(), String> {
        let opened = self.connected().ok_or_else(|| "it is not connected".to_owned())?;
        let mut heard = self.shared.echo.subscribe();
        let echo = heard.borrow_and_update().wrapping_add(1);
        let text = message::write(self.shared.me, Some(echo), Batch::default()).unwrap_or_default();
        self.shared.publish(opened.client(), text).await?;
        let back = timeout(ECHO, heard.wait_for(|last| *last >= echo)).await;
        match back {
            Ok(Ok(_)) => Ok(()),
            _ => Err("what is sent is not heard".to_owned()),
        }
    }
}

impl Shared {
    fn note(&self, end: BusEnd, count: usize) {
        if count > 0 {
            self.observer.note(Event::BusEnded { end, count: u64::try_from(count).unwrap_or(u64::MAX) });
        }
    }

    async fn publish(&self, client: &SubscriberClient, text: String) -> Result<(), String> {
        // How many heard it is known of one server alone, and says nothing of the others.
        client.publish::<i64, _, _>(self.keys.channel(), text).await.map(drop).map_err(|error| told(&error))
    }

    /// Sends what gathers, as often as its pace allows, for ever.
    async fn send(&self, client: &SubscriberClient) {
        let mut pace = Pace::new(Instant::now());
        let mut last: Option<Instant> = None;
        loop {
            let now = Instant::now();
            match self.outbox.urgency() {
                Urgency::Nothing => {
                    self.outbox.more().await;
                    continue;
                }
                Urgency::Calm => {
                    let at = pace.next(now).max(last.unwrap_or(now) + CALM);
                    if timeout_at(at, self.outbox.more()).await.is_ok() {
                        continue;
                    }
                }
                Urgency::Urgent => sleep_until(pace.next(now + GATHER)).await,
            }
            let now = Instant::now();
            pace.spend(now);
            last = Some(now);
            let batch = self.outbox.take();
            let hints = batch.len();
            match message::write(self.me, None, batch) {
                Some(text) if client.state() == ClientState::Connected => match self.publish(client, text).await {
                    Ok(()) => self.note(BusEnd::Sent, 1),
                    // It may have arrived. Whoever has not heard it finds out by itself.
                    Err(_) => self.note(BusEnd::Dropped, hints),
                },
                _ => self.note(BusEnd::Dropped, hints),
            }
        }
    }

    /// Takes in what others send, until the client is gone.
    async fn hear(&self, mut messages: broadcast::Receiver<Heard>) {
        loop {
            match messages.recv().await {
                Ok(heard) => self.on_message(&heard),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    self.note(BusEnd::Dropped, usize::try_from(missed).unwrap_or(usize::MAX));
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn on_message(&self, heard: &Heard) {
        let read = heard.value.as_bytes().map_or(Err(message::Unread::Form), message::read);
        let message = match read {
            Ok(message) => message,
            Err(why) => {
                tracing::debug!(?why, "a message of another node is left alone");
                return self.note(BusEnd::Ignored, 1);
            }
        };
        if message.from == self.me {
            if let Some(echo) = message.echo {
                self.echo.send_replace(echo);
            }
            return;
        }
        // Others find out about their own way by themselves: that is no message to this node.
        if message.hints.is_empty() {
            return;
        }
        self.note(BusEnd::Received, 1);
        if let Some(ear) = self.ear.get() {
            message.hints.into_iter().for_each(ear);
        }
    }
}

impl Bus for RedisBus {
    fn reaches_others(&self) -> bool {
        true
    }

    fn tell(&self, hint: Hint) {
        // What is told while nobody can hear it would be old by the time that somebody can.
        let given_up = if self.opened.load().is_some() { self.shared.outbox.put(hint) } else { 1 };
        self.shared.note(BusEnd::Dropped, given_up);
    }

    fn listen(&self, ear: Ear) {
        let _listening_already = self.shared.ear.set(ear);
    }
}

#[async_trait]
impl Connector for RedisBus {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn open(&self) -> Result<(), String> {
        let link = client::open_listening(&self.redis, &self.password).await?;
        let client = link.client().clone();
        let hearing = {
            let (shared, messages) = (Arc::clone(&self.shared), client.message_rx());
            AbortOnDropHandle::new(tokio::spawn(async move { shared.hear(messages).await }))
        };
        // After every connection anew: a server forgets who listened.
        let subscribing = AbortOnDropHandle::new(client.manage_subscriptions());
        client.subscribe(self.shared.keys.channel()).await.map_err(|error| told(&error))?;
        self.shared.note(BusEnd::Dropped, self.shared.outbox.clear());
        let sending = {
            let shared = Arc::clone(&self.shared);
            AbortOnDropHandle::new(tokio::spawn(async move { shared.send(&client).await }))
        };
        self.opened.store(Some(Arc::new(Opened { link, _tasks: [hearing, subscribing, sending] })));
        self.hears_itself().await
    }

    async fn check(&self) -> Result<(), String> {
        self.hears_itself().await
    }

    async fn close(&self) {
        if let Some(opened) = self.opened.swap(None) {
            opened.link.quit().await;
        }
    }
}

#[async_trait]
impl Probe for RedisBus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn required(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), String> {
        self.hears_itself().await.map_err(|why| format!("{why}; {REDUCED}"))
    }
}
