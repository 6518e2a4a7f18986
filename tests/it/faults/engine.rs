//! Orchestration as a script that can be told to be slow, to refuse, to be late, to die and to forget. It keeps to the
//! contract of `docs/ors.md`: nobody is rung before `accepted` was answered 200, or before the desired time. What it
//! does stands in a journal; the last four digits of a number choose how a callback of it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::harness::http::Client;
use crate::harness::journal::{Entry, What};
use crate::harness::now_ms;
use crate::harness::redis::{Connection, entry};

const PAUSE: Duration = Duration::from_millis(20);
/// How long one read waits on the server, in milliseconds.
const BLOCK_MS: &str = "200";
/// A signal is repeated for so long.
const REPEATED_FOR: Duration = Duration::from_secs(300);
/// How late a slow engine asks for its attempt.
const SLOW: Duration = Duration::from_secs(2);

/// How it takes what begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mood {
    #[default]
    Serves,
    Slow,
    Refuses,
    /// Asks for its attempt only once it was asked after.
    Late,
    /// Reads, and asks for nothing.
    Rests,
}

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Runs,
    Talks,
    Ended(Option<&'static str>),
}

#[derive(Default)]
struct Memory {
    journal: Vec<Entry>,
    sessions: BTreeMap<(Uuid, u32), Stage>,
    /// Which session was let in for an attempt.
    granted: BTreeMap<(Uuid, u32), String>,
    asked_after: BTreeSet<(Uuid, u32)>,
    closed: BTreeSet<Uuid>,
    mood: Mood,
    /// Rises with every death: work of an earlier life does nothing any more.
    life: u64,
    dead: bool,
}

#[derive(Default)]
struct Shared {
    memory: Mutex<Memory>,
    stop: AtomicBool,
    /// Where the stream is.
    port: AtomicU16,
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }
}

/// The engine.
pub(super) struct Engine {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

impl Engine {
    /// Reads the stream from its beginning, once it knows where that is.
    pub(super) fn start() -> Self {
        let shared: Arc<Shared> = Arc::default();
        let reader = Reader { shared: shared.clone(), last: "0".into() };
        Self { shared, reader: Some(thread::spawn(move || reader.run())) }
    }

    /// From now on the stream is there.
    pub(super) fn read_from(&self, port: u16) {
        self.shared.port.store(port, Ordering::Relaxed);
    }

    pub(super) fn journal(&self) -> Vec<Entry> {
        self.shared.memory().journal.clone()
    }

    pub(super) fn be(&self, mood: Mood) {
        self.shared.memory().mood = mood;
    }

    /// Dies with every session. With `everything` it will not know either what had ended.
    pub(super) fn die(&self, everything: bool) {
        let mut memory = self.shared.memory();
        memory.life += 1;
        memory.dead = true;
        memory.sessions.retain(|_, stage| !everything && matches!(stage, Stage::Ended(_)));
    }

    pub(super) fn come_back(&self) {
        self.shared.memory().dead = false;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            assert!(reader.join().is_ok() || thread::panicking(), "the scripted engine panicked");
        }
    }
}

struct Reader {
    shared: Arc<Shared>,
    /// Ids are instants, so they rise whatever becomes of the server.
    last: String,
}

impl Reader {
    fn run(mut self) {
        let mut connection = None;
        while !self.shared.stop.load(Ordering::Relaxed) {
            if self.shared.memory().dead {
                thread::park_timeout(PAUSE);
                continue;
            }
            let open =
                connection.take().map(Ok).unwrap_or_else(|| Connection::open(self.shared.port.load(Ordering::Relaxed)));
            connection = open.and_then(|open| self.read(open)).ok();
            if connection.is_none() {
                thread::park_timeout(PAUSE);
            }
        }
    }

    fn read(&mut self, mut open: Connection) -> std::io::Result<Connection> {
        let words = ["XREAD", "COUNT", "100", "BLOCK", BLOCK_MS, "STREAMS", "NewCallbackStream", &self.last];
        let answer = open.ask(&words)?;
        if let crate::harness::redis::Reply::List(streams) = answer {
            for it in streams.iter().flat_map(|stream| stream.list()[1].list()) {
                let (id, fields) = entry(it);
                self.last = id;
                self.take(&fields);
            }
        }
        Ok(open)
    }

    fn take(&self, fields: &BTreeMap<String, String>) {
        let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let work = Work {
            shared: self.shared.clone(),
            address: text("replyTo").strip_prefix("http://").unwrap().parse().unwrap(),
            tenant: text("tenant"),
            id: text("callbackId").parse().unwrap_or_default(),
            attempt: text("attempt").parse().unwrap_or_default(),
            phone: text("phoneNumber"),
            desired: DateTime::parse_from_rfc3339(&text("desiredTime")).map_or(Utc::now(), |at| at.to_utc()),
            life: self.shared.memory().life,
        };
        match text("action").as_str() {
            "start" => {
                let mut memory = self.shared.memory();
                memory.journal.push(work.line(What::Entered, None));
                memory.sessions.entry((work.id, work.attempt)).or_insert(Stage::Runs);
                drop(memory);
                thread::spawn(move || work.begin());
            }
            "cancel" => {
                let mut memory = self.shared.memory();
                let talks = memory.sessions.iter().any(|((id, _), stage)| *id == work.id && *stage == Stage::Talks);
                if !talks && memory.closed.insert(work.id) {
                    memory.journal.push(work.line(What::Closed, None));
                }
            }
            "ping" => {
                let asked: serde_json::Value = serde_json::from_str(&text("attempts")).unwrap();
                thread::spawn(move || work.answer(&asked));
            }
            _ => {}
        }
    }
}

/// Work on one entry.
struct Work {
    shared: Arc<Shared>,
    address: SocketAddr,
    tenant: String,
    id: Uuid,
    attempt: u32,
    phone: String,
    desired: DateTime<Utc>,
    life: u64,
}

/// The session cannot go on: it was refused, closed, or has died.
struct Over;

impl Work {
    fn line(&self, event: What, session: Option<&str>) -> Entry {
        let session = session.map(str::to_owned);
        Entry { at: now_ms(), event, callback: self.id, attempt: self.attempt, session }
    }

    fn lives(&self) -> bool {
        self.shared.memory().life == self.life && !self.shared.stop.load(Ordering::Relaxed)
    }

    /// Writes down what happens now, unless it must not happen any more.
    fn note(&self, event: What, session: &str) -> Result<(), Over> {
        let mut memory = self.shared.memory();
        let closed = memory.closed.contains(&self.id) && matches!(event, What::Dialled | What::Processing);
        if memory.life != self.life || closed {
            return Err(Over);
        }
        memory.journal.push(self.line(event, Some(session)));
        if event == What::Accepted {
            memory.granted.entry((self.id, self.attempt)).or_insert_with(|| session.to_owned());
        }
        if event == What::Processing {
            memory.sessions.insert((self.id, self.attempt), Stage::Talks);
        }
        Ok(())
    }

    fn end(&self, session: &str, reason: Option<&'static str>) {
        let mut memory = self.shared.memory();
        let other = memory.granted.get(&(self.id, self.attempt)).is_some_and(|granted| granted != session);
        if memory.life == self.life && !other {
            memory.sessions.insert((self.id, self.attempt), Stage::Ended(reason));
            memory.journal.push(self.line(What::Ended, None));
        }
    }

    /// Sends a signal until it is answered with anything but 503; the status.
    fn say(&self, session: &str, seq: u64, event: &str, reason: Option<&str>) -> Result<u16, Over> {
        let body = json!({
            "attempt": self.attempt, "seq": seq, "event": event, "sessionId": session, "reason": reason
        })
        .to_string();
        let path = format!("/ges/v1/callbacks/{}/signals", self.id);
        let until = Instant::now() + REPEATED_FOR;
        while self.lives() && Instant::now() < until {
            match Client::new(self.address).post_json(&path, &[("ContactCenterID", &self.tenant)], &body) {
                Ok(answer) if answer.status < 500 => return if self.lives() { Ok(answer.status) } else { Err(Over) },
                _ => thread::park_timeout(PAUSE),
            }
        }
        Err(Over)
    }

    /// As [`Self::say`], if it has to be taken for the session to go on.
    fn report(&self, session: &str, seq: u64, event: &str, reason: Option<&str>) -> Result<(), Over> {
        if self.say(session, seq, event, reason)? == 200 { Ok(()) } else { Err(Over) }
    }

    fn wait_until(&self, is_there: impl Fn(&Memory) -> bool) -> Result<(), Over> {
        while !is_there(&self.shared.memory()) {
            if !self.lives() {
                return Err(Over);
            }
            thread::park_timeout(PAUSE);
        }
        Ok(())
    }

    fn begin(self) {
        let session = format!("{}-{}-{}", self.id, self.attempt, Uuid::new_v4().simple());
        let ended = self.invited(&session).and_then(|()| self.serve(&session));
        self.end(&session, ended.ok());
    }

    /// Asks to be let in.
    fn invited(&self, session: &str) -> Result<(), Over> {
        let mood = self.shared.memory().mood;
        let began = Instant::now();
        match mood {
            Mood::Serves => {}
            Mood::Slow => self.wait_until(|_| began.elapsed() >= SLOW)?,
            Mood::Late => self.wait_until(|memory| memory.asked_after.contains(&(self.id, self.attempt)))?,
            Mood::Rests => self.wait_until(|memory| memory.mood != Mood::Rests)?,
            Mood::Refuses => {
                self.say(session, 1, "failed", None)?;
                return Err(Over);
            }
        }
        if self.phone.ends_with("0005") {
            self.say(session, 1, "failed", None)?;
            return Err(Over);
        }
        self.report(session, 1, "accepted", None)?;
        self.note(What::Accepted, session)?;
        if self.phone.ends_with("0003") {
            // A second flow began for the same entry.
            let other = format!("{session}-again");
            if self.say(&other, 1, "accepted", None)? == 200 {
                self.note(What::Accepted, &other)?;
            }
        }
        Ok(())
    }

    /// From the line to the end of the talk; the reason of the end.
    fn serve(&self, session: &str) -> Result<&'static str, Over> {
        if self.phone.ends_with("0002") {
            // Repeated, and out of order.
            self.report(session, 3, "routing", None)?;
            self.say(session, 2, "queued", None)?;
            self.say(session, 3, "routing", None)?;
        } else {
            self.report(session, 2, "queued", None)?;
            self.report(session, 3, "routing", None)?;
        }
        let desired = self.desired;
        self.wait_until(|_| Utc::now() >= desired)?;
        self.note(What::Dialled, session)?;
        if self.phone.ends_with("0001") {
            self.say(session, 4, "dial-result", Some("BUSY"))?;
            self.say(session, 5, "completed", Some("FAIL_CALL_TO_CUSTOMER"))?;
            return Ok("FAIL_CALL_TO_CUSTOMER");
        }
        self.say(session, 4, "dial-result", Some("CONNECTED"))?;
        self.note(What::Processing, session)?;
        self.say(session, 5, "processing", None)?;
        self.say(session, 6, "completed", Some("AGENT_CONNECTED"))?;
        if self.phone.ends_with("0002") {
            self.say(session, 5, "processing", None)?;
            self.say(session, 6, "completed", Some("AGENT_CONNECTED"))?;
        }
        Ok("AGENT_CONNECTED")
    }

    /// Answers a question in one request. If that gets lost, it is asked again.
    fn answer(&self, asked: &serde_json::Value) {
        let mut signals = Vec::new();
        let mut tenant = "";
        for it in asked.as_array().unwrap() {
            tenant = it["tenant"].as_str().unwrap();
            let id: Uuid = it["callbackId"].as_str().unwrap().parse().unwrap();
            let attempt = u32::try_from(it["attempt"].as_u64().unwrap()).unwrap();
            let mut memory = self.shared.memory();
            memory.asked_after.insert((id, attempt));
            let (event, reason) = match memory.sessions.get(&(id, attempt)) {
                Some(Stage::Runs | Stage::Talks) => ("alive", None),
                Some(Stage::Ended(reason)) => ("ended", *reason),
                None => ("unknown", None),
            };
            signals.push(json!({"callbackId": id, "attempt": attempt, "seq": 100, "event": event, "reason": reason}));
        }
        let body = json!({ "signals": signals }).to_string();
        let _ = Client::new(self.address).post_json("/ges/v1/callbacks/signals", &[("ContactCenterID", tenant)], &body);
    }
}
