//! Reads the stream as a consumer group does: an entry counts as handled only once the simulator's journal has it, so a
//! process that was killed reads again what it had not finished. A Redis that is gone is waited for; a stream or a
//! group that is gone is made anew and read from its beginning.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Routing as _, RoutingError};
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::StreamsInterface as _;
use fred::types::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use crate::redis::{self, Password, Use, told};
use crate::routing::ors_stream::{self, Action, StreamSettings};
use crate::routing::simulator::Simulator;

/// The group, and the only consumer in it.
const GROUP: &str = "ors";
const CONSUMER: &str = "simulate-ors";
/// Entries read at once.
const BATCH: u64 = 500;
/// How long a read waits on the server, in milliseconds.
const BLOCK_MS: u64 = 5_000;
/// A read that takes longer than this has lost its connection.
const READ: Duration = Duration::from_secs(15);
/// Pause after something went wrong.
const PAUSE: Duration = Duration::from_secs(1);

/// An entry as it stands in the stream: its id, and its fields unless it was taken away since.
type Raw = (String, Option<HashMap<String, String>>);

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// What was given to us before and not finished.
    Unfinished,
    /// What is new.
    New,
}

/// See the module.
pub(super) struct Reader {
    settings: StreamSettings,
    simulator: Arc<Simulator>,
    addresses: Arc<Addresses>,
}

impl Reader {
    pub(super) fn new(settings: StreamSettings, simulator: Arc<Simulator>, addresses: Arc<Addresses>) -> Self {
        Self { settings, simulator, addresses }
    }

    /// Reads until `stop`.
    pub(super) async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let read = async {
                let password = Password::new(self.settings.redis.password.clone());
                let link = redis::open(&self.settings.redis, &password, Use::BlockingReads).await?;
                let ended = self.read(link.client()).await;
                link.quit().await;
                ended
            };
            let ended: Result<(), String> = tokio::select! {
                () = stop.cancelled() => return,
                ended = read => ended,
            };
            if let Err(error) = ended {
                tracing::warn!(error, "the stream cannot be read and is opened again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Reads over one connection for as long as that works.
    async fn read(&self, client: &Client) -> Result<(), String> {
        self.make_group(client).await?;
        let mut from = From::Unfinished;
        loop {
            let next = timeout(READ, self.next(client, from)).await.map_err(|_| "no answer to a read".to_owned())?;
            let raw = match next {
                Ok(raw) => raw,
                Err(error) if error.details().starts_with("NOGROUP") || error.details().starts_with("UNBLOCKED") => {
                    self.make_group(client).await?;
                    continue;
                }
                Err(error) => return Err(told(&error)),
            };
            from = match (from, raw.is_empty()) {
                (From::Unfinished, true) => From::New,
                (from, _) => from,
            };
            if !self.handle(client, raw).await? {
                // What could not be taken now is tried again from the list of the unfinished.
                from = From::Unfinished;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn make_group(&self, client: &Client) -> Result<(), String> {
        let made: Result<(), Error> = client.xgroup_create(self.settings.stream.as_str(), GROUP, "0", true).await;
        match made {
            Err(error) if !error.details().starts_with("BUSYGROUP") => Err(told(&error)),
            _ => Ok(()),
        }
    }

    async fn next(&self, client: &Client, from: From) -> Result<Vec<Raw>, Error> {
        let (id, block) = match from {
            From::Unfinished => ("0", None),
            From::New => (">", Some(BLOCK_MS)),
        };
        let stream = self.settings.stream.as_str();
        let answer: Value = client.xreadgroup(GROUP, CONSUMER, Some(BATCH), block, false, stream, id).await?;
        Ok(entries(answer))
    }

    /// Hands entries to the simulator in their order and marks them finished. False if one could not be taken now: it
    /// and those after it stay unfinished.
    async fn handle(&self, client: &Client, raw: Vec<Raw>) -> Result<bool, String> {
        let mut finished = Vec::with_capacity(raw.len());
        let mut all = true;
        for (id, fields) in raw {
            if !self.take(fields.as_ref()).await {
                all = false;
                break;
            }
            finished.push(id);
        }
        if !finished.is_empty() {
            let acked: Result<u64, Error> = client.xack(self.settings.stream.as_str(), GROUP, finished).await;
            acked.map_err(|error| told(&error))?;
        }
        Ok(all)
    }

    /// True if the entry is finished: taken, or of no use.
    async fn take(&self, fields: Option<&HashMap<String, String>>) -> bool {
        let Some(fields) = fields else { return true };
        let entry = match ors_stream::read(fields) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::warn!(%error, "an entry of the stream is left out");
                return true;
            }
        };
        self.addresses.said(&entry.reply_to);
        let taken = match entry.action {
            Action::Start(invitation) => self.simulator.enter(&invitation).map(drop),
            Action::Cancel { tenant, id } => self.simulator.close_register(tenant, id),
            Action::Ping(attempts) => self.simulator.ping(attempts).await,
        };
        // A refusal is told by a signal where it has to be told; only what surely did not arrive has to come again.
        !matches!(taken, Err(RoutingError::NotDone(_)))
    }
}

/// The entries in an answer to `XREADGROUP` or `XREAD` of one stream.
pub fn entries(answer: Value) -> Vec<Raw> {
    let streams = answer.into_array();
    let of_first = streams.into_iter().next().map(Value::into_array).and_then(|mut parts| parts.pop());
    of_first.map(Value::into_array).unwrap_or_default().into_iter().filter_map(entry).collect()
}

fn entry(value: Value) -> Option<Raw> {
    let mut parts = value.into_array().into_iter();
    let id = parts.next()?.into_string()?;
    let fields = parts.next().filter(|fields| !fields.is_null()).map(|fields| {
        let mut texts = fields.into_array().into_iter().map(|value| value.into_string().unwrap_or_default());
        let mut map = HashMap::new();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            map.insert(name, value);
        }
        map
    });
    Some((id, fields))
}
