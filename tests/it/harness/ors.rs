//! Orchestration by a script: it reads the stream over a plain socket, or takes sessions over HTTP (`rest`), and answers
//! over plain HTTP, well or badly, as the last four digits of the number ask for. What it read and what it was answered stays known.

mod rest;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::http::Client;
use super::redis::{Connection, entry};

/// Pause between two tries, and between two reads of a Redis that is away.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one read waits on the server, in milliseconds.
const BLOCK_MS: &str = "200";
/// Tries of one signal.
const TRIES: u32 = 400;

/// What the last four digits of a number ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Everything as it should be.
    Serves,
    /// `failed` before `accepted`.
    Refuses,
    /// Asks for its attempt only once it was asked after.
    AnswersLate,
    /// Every signal twice, and some after later ones.
    RepeatsAndReorders,
    /// Two flows begin for one entry.
    BeginsTwice,
    /// Forgets the first attempt after it was granted, and serves the next.
    Forgets,
    /// Never asks for its attempt, and reports all the same.
    NeverAsks,
    /// Over HTTP: begins at once, and answers later than anybody waits.
    AnswersTooLate,
    /// Over HTTP: of the first start nothing comes, not even an answer; the next is served.
    NeverBegins,
    /// Over HTTP: takes its time for every answer to a start.
    Slow,
}

impl Manner {
    /// The digits that ask for it.
    pub(crate) const fn digits(self) -> u32 {
        match self {
            Self::Serves => 1000,
            Self::Refuses => 1001,
            Self::AnswersLate => 1002,
            Self::RepeatsAndReorders => 1003,
            Self::BeginsTwice => 1004,
            Self::Forgets => 1005,
            Self::NeverAsks => 1006,
            Self::AnswersTooLate => 1007,
            Self::NeverBegins => 1008,
            Self::Slow => 1009,
        }
    }

    fn of(phone: &str) -> Self {
        let all = [
            Self::Refuses,
            Self::AnswersLate,
            Self::RepeatsAndReorders,
            Self::BeginsTwice,
            Self::Forgets,
            Self::NeverAsks,
            Self::AnswersTooLate,
            Self::NeverBegins,
            Self::Slow,
        ];
        all.into_iter().find(|it| phone.ends_with(&it.digits().to_string())).unwrap_or(Self::Serves)
    }
}

/// An entry as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) action: String,
    /// The callback; none for a ping.
    pub(crate) callback: Option<Uuid>,
    pub(crate) attempt: u32,
}

/// A signal that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) callback: Uuid,
    pub(crate) attempt: u32,
    pub(crate) session: String,
    pub(crate) event: String,
    pub(crate) status: u16,
}

#[derive(Default)]
struct Memory {
    seen: Vec<Seen>,
    said: Vec<Said>,
    /// Where sessions are: how the ping of an attempt is answered.
    sessions: BTreeMap<(Uuid, u32), &'static str>,
    asked_after: Vec<(Uuid, u32)>,
    /// How often it died: what an earlier life began is silent.
    deaths: u32,
}

/// The engine.
pub(crate) struct Ors {
    memory: Arc<Mutex<Memory>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    server: Option<super::receiver::Receiver>,
}

impl Ors {
    /// Reads the stream from its beginning.
    pub(crate) fn start(redis_port: u16) -> Self {
        let (memory, stop): (Arc<Mutex<Memory>>, Arc<AtomicBool>) = Default::default();
        let reader = Reader { port: redis_port, memory: memory.clone(), stop: stop.clone(), last: "0".into() };
        Self { memory, stop, reader: Some(std::thread::spawn(move || reader.run())), server: None }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.memory().seen.clone()
    }

    pub(crate) fn said(&self) -> Vec<Said> {
        self.memory().said.clone()
    }

    /// Attempts of a callback that were read, in order.
    pub(crate) fn starts_of(&self, id: Uuid) -> Vec<u32> {
        let seen = self.seen();
        seen.iter().filter(|it| it.action == "start" && it.callback == Some(id)).map(|it| it.attempt).collect()
    }

    /// What was said of a callback: attempt, event and status.
    pub(crate) fn said_of(&self, id: Uuid) -> Vec<(u32, String, u16)> {
        let said = self.said().into_iter().filter(|it| it.callback == id);
        said.map(|it| (it.attempt, it.event, it.status)).collect()
    }
}

impl Drop for Ors {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let ended = reader.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the scripted engine panicked");
        }
    }
}

struct Reader {
    port: u16,
    memory: Arc<Mutex<Memory>>,
    stop: Arc<AtomicBool>,
    last: String,
}

impl Reader {
    fn run(mut self) {
        let mut connection = None;
        while !self.stop.load(Ordering::Relaxed) {
            let open = connection.take().map(Ok).unwrap_or_else(|| Connection::open(self.port));
            connection = open.and_then(|open| self.read(open)).ok();
            if connection.is_none() {
                // A Redis that comes back empty counts its entries anew.
                self.last = "0".into();
                std::thread::park_timeout(PAUSE);
            }
        }
    }

    fn read(&mut self, mut open: Connection) -> std::io::Result<Connection> {
        let words = ["XREAD", "COUNT", "100", "BLOCK", BLOCK_MS, "STREAMS", "NewCallbackStream", &self.last];
        let answer = open.ask(&words)?;
        for stream in answer.list() {
            for it in stream.list()[1].list() {
                let (id, fields) = entry(it);
                self.last = id;
                self.take(fields);
            }
        }
        Ok(open)
    }

    fn take(&self, fields: BTreeMap<String, String>) {
        let callback = fields.get("callbackId").map(|text| text.parse().unwrap());
        let attempt = fields.get("attempt").map_or(0, |text| text.parse().unwrap());
        self.memory.lock().unwrap().seen.push(Seen { action: fields["action"].clone(), callback, attempt });
        let address = fields["replyTo"].strip_prefix("http://").unwrap().parse().unwrap();
        let tenant = fields.get("tenant").cloned().unwrap_or_default();
        let work = Work { address, tenant, memory: self.memory.clone(), life: 0 };
        match (fields["action"].as_str(), callback) {
            ("start", Some(id)) => {
                let manner = Manner::of(&fields["phoneNumber"]);
                std::thread::spawn(move || work.begin(id, attempt, manner));
            }
            ("ping", _) => {
                let asked: serde_json::Value = serde_json::from_str(&fields["attempts"]).unwrap();
                std::thread::spawn(move || work.answer(&asked));
            }
            _ => {}
        }
    }
}

/// Work on one entry.
struct Work {
    address: SocketAddr,
    tenant: String,
    memory: Arc<Mutex<Memory>>,
    /// The life of the engine in which it began.
    life: u32,
}

impl Work {
    /// Sends a signal until it is answered with anything but 503.
    fn say(&self, id: Uuid, attempt: u32, session: &str, signal: (u64, &str, Option<&str>)) -> u16 {
        let (seq, event, reason) = signal;
        let mut client = Client::new(self.address);
        let body = json!({"attempt": attempt, "seq": seq, "event": event, "sessionId": session, "reason": reason});
        let path = format!("/ges/v1/callbacks/{id}/signals");
        for _ in 0..TRIES {
            if self.memory.lock().unwrap().deaths != self.life {
                return 0;
            }
            match client.post_json(&path, &[("ContactCenterID", &self.tenant)], &body.to_string()) {
                Ok(answer) if answer.status != 503 => {
                    let said = Said {
                        callback: id,
                        attempt,
                        session: session.to_owned(),
                        event: event.to_owned(),
                        status: answer.status,
                    };
                    self.memory.lock().unwrap().said.push(said);
                    return answer.status;
                }
                _ => std::thread::park_timeout(PAUSE),
            }
        }
        0
    }

    fn is(&self, id: Uuid, attempt: u32, how: &'static str) {
        self.memory.lock().unwrap().sessions.insert((id, attempt), how);
    }

    fn begin(&self, id: Uuid, attempt: u32, manner: Manner) {
        let session = format!("scripted-{id}-{attempt}");
        self.is(id, attempt, "alive");
        match manner {
            Manner::Refuses => drop(self.say(id, attempt, &session, (1, "failed", None))),
            Manner::AnswersLate => {
                while !self.memory.lock().unwrap().asked_after.contains(&(id, attempt)) {
                    std::thread::park_timeout(PAUSE);
                }
                self.serve(id, attempt, &session);
            }
            Manner::RepeatsAndReorders => self.repeat_and_reorder(id, attempt, &session),
            Manner::BeginsTwice => {
                let other = format!("{session}-again");
                let first = self.say(id, attempt, &session, (1, "accepted", None));
                let second = self.say(id, attempt, &other, (1, "accepted", None));
                assert_eq!((first, second), (200, 409), "an attempt is granted once");
                self.serve(id, attempt, &session);
            }
            Manner::Forgets if attempt == 1 => {
                self.say(id, attempt, &session, (1, "accepted", None));
                self.say(id, attempt, &session, (2, "queued", None));
                self.is(id, attempt, "unknown");
            }
            Manner::NeverAsks => self.work(id, attempt, &session),
            Manner::Serves | Manner::Forgets | Manner::AnswersTooLate | Manner::NeverBegins | Manner::Slow => {
                self.serve(id, attempt, &session)
            }
        }
    }

    fn serve(&self, id: Uuid, attempt: u32, session: &str) {
        if self.say(id, attempt, session, (1, "accepted", None)) == 200 {
            self.work(id, attempt, session);
        }
    }

    fn work(&self, id: Uuid, attempt: u32, session: &str) {
        let steps = [
            (2, "queued", None),
            (3, "routing", None),
            (4, "dial-result", Some("CONNECTED")),
            (5, "processing", None),
            (6, "completed", Some("AGENT_CONNECTED")),
        ];
        for step in steps {
            if self.say(id, attempt, session, step) != 200 {
                return;
            }
        }
        self.is(id, attempt, "ended");
    }

    fn repeat_and_reorder(&self, id: Uuid, attempt: u32, session: &str) {
        let steps = [
            (1, "accepted", None),
            (1, "accepted", None),
            (3, "routing", None),
            (2, "queued", None),
            (3, "routing", None),
            (5, "processing", None),
            (4, "dial-result", Some("CONNECTED")),
            (5, "processing", None),
            (6, "completed", Some("AGENT_CONNECTED")),
            (6, "completed", Some("AGENT_CONNECTED")),
            (5, "processing", None),
        ];
        for step in steps {
            self.say(id, attempt, session, step);
        }
    }

    /// Answers a ping in one request.
    fn answer(&self, asked: &serde_json::Value) {
        let mut signals = Vec::new();
        let mut ids = Vec::new();
        for it in asked.as_array().unwrap() {
            let id: Uuid = it["callbackId"].as_str().unwrap().parse().unwrap();
            let attempt = u32::try_from(it["attempt"].as_u64().unwrap()).unwrap();
            let how = self.memory.lock().unwrap().sessions.get(&(id, attempt)).copied().unwrap_or("unknown");
            signals.push(json!({"callbackId": id, "attempt": attempt, "seq": 100, "event": how}));
            ids.push((id, attempt));
        }
        let tenant = asked[0]["tenant"].as_str().unwrap();
        let mut client = Client::new(self.address);
        let body = json!({ "signals": signals }).to_string();
        let answer = client.post_json("/ges/v1/callbacks/signals", &[("ContactCenterID", tenant)], &body);
        let answer = answer.expect("the service answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.memory.lock().unwrap().asked_after.extend(ids);
    }
}
