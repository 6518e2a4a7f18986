//! The scripted engine as a node of Orchestration's REST interface: it can die, and come back without its sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::super::receiver::{Received, Receiver, Say};
use super::{Manner, Memory, Ors, Seen, Work};

/// How long it takes where it is slow: less than the service waits.
const SLOW: Duration = Duration::from_millis(1_500);
/// How long it takes where it is too late: more than the service waits.
const TOO_LATE: Duration = Duration::from_secs(4);

impl Ors {
    /// Takes sessions on a port of its own.
    pub(crate) fn listen() -> Self {
        let memory: Arc<Mutex<Memory>> = Arc::default();
        let mine = memory.clone();
        let server = Receiver::with(move |received| answer(&mine, received));
        Self { memory, stop: Arc::default(), reader: None, server: Some(server) }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        self.server.as_ref().expect("it listens").url("")
    }

    /// Dies with all its sessions.
    pub(crate) fn die(&mut self) {
        let mut memory = self.memory.lock().unwrap();
        memory.deaths += 1;
        memory.sessions.clear();
        drop(memory);
        self.server.as_mut().expect("it listens").close();
    }

    /// Comes back in the same place, and knows nothing.
    pub(crate) fn come_back(&mut self) {
        self.server.as_mut().expect("it listens").open();
    }
}

fn answer(memory: &Arc<Mutex<Memory>>, received: &Received) -> Say {
    let parts: Vec<&str> = received.path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["scxml", "session", "start"] => start(memory, &received.body),
        ["scxml", "session", session, what @ ("terminate" | "query")] => about(memory, session, what),
        _ => Say::status(404),
    }
}

fn start(memory: &Arc<Mutex<Memory>>, body: &str) -> Say {
    let fields: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let (id, attempt): (Uuid, u32) = (fields["callbackId"].parse().unwrap(), fields["attempt"].parse().unwrap());
    let manner = Manner::of(&fields["phoneNumber"]);
    let life = {
        let mut memory = memory.lock().unwrap();
        memory.seen.push(Seen { action: "start".into(), callback: Some(id), attempt });
        memory.deaths
    };
    let address = fields["replyTo"].strip_prefix("http://").unwrap().parse().unwrap();
    let work = Work { address, tenant: fields["tenant"].clone(), memory: memory.clone(), life };
    let taken = Say::json(200, &serde_json::json!({ "sessionId": format!("scripted-{id}-{attempt}") }));
    match (manner, attempt) {
        (Manner::Refuses, _) => return Say::status(403),
        (Manner::NeverBegins, 1) => return Say::BreakOff,
        _ => drop(std::thread::spawn(move || work.begin(id, attempt, manner))),
    }
    match manner {
        Manner::AnswersTooLate => Say::late(TOO_LATE, taken),
        Manner::Slow => Say::late(SLOW, taken),
        _ => taken,
    }
}

fn about(memory: &Arc<Mutex<Memory>>, session: &str, what: &str) -> Say {
    let named = session.strip_prefix("scripted-").and_then(|name| name.rsplit_once('-'));
    let named = named.and_then(|(id, attempt)| Some((id.parse::<Uuid>().ok()?, attempt.parse::<u32>().ok()?)));
    let Some((id, attempt)) = named else { return Say::status(404) };
    let mut memory = memory.lock().unwrap();
    memory.seen.push(Seen { action: what.into(), callback: Some(id), attempt });
    let how = memory.sessions.get(&(id, attempt)).copied().unwrap_or("unknown");
    if what == "query" {
        memory.asked_after.push((id, attempt));
    }
    match how {
        "alive" => Say::status(200),
        _ => Say::status(404),
    }
}
