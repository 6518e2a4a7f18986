//! Webhooks and the feed on the whole program, which is killed again and again while it delivers: every event arrives,
//! in the order of its callback and under the same id, and whoever reads the feed meanwhile misses nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::harness::http::Client;
use crate::harness::load::{Address, Load};
use crate::harness::receiver::{Received, Receiver, Say};
use crate::harness::service::{Folder, Options, Service, run_to_end};
use crate::harness::{api, database, poll, seed};

const KILLS: usize = 5;
/// How long everything may take to come to its end after the last kill.
const SETTLE_WITHIN: Duration = Duration::from_secs(240);
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Makes the demo tenant what a document says, before the program is started or beside it.
pub(crate) fn apply(folder: &Folder, options: &Options, document: &str) {
    std::fs::write(folder.beside("demo.yaml"), document).unwrap();
    let path = folder.beside("demo.yaml").display().to_string();
    let output = run_to_end(folder, options, &["apply", "-f", &path]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A queue without limits, so that a test can book as it likes.
pub(crate) const UNLIMITED: &str = "executionBufferSeconds: 0, duplicateLimit: 100, throttleDailyLimit: 1000000, \
     throttleWindows: [], maxQueued: 1000000, slotCapacity: 1000000";

/// The program, allowed to reach receivers on this machine.
pub(crate) fn options() -> Options {
    Options::fast().with("GES_ALLOW_PRIVATE_DESTINATIONS", "true").with("WEBHOOK_KEY", KEY)
}

/// Waits until every callback has come to rest and nothing is owed.
pub(crate) fn settle(folder: &Folder) {
    let data = folder.data();
    poll::until("everything has ended and been delivered", SETTLE_WITHIN, || {
        (database::moving(&data) == 0 && database::owed(&data) == 0).then_some(())
    });
}

/// Reads the feed to its end, from a cursor on; returns the next one.
fn read_on(client: &mut Client, mut after: Option<String>, events: &mut Vec<Value>) -> Option<String> {
    loop {
        let query = after.as_ref().map_or_else(|| "limit=500".into(), |after| format!("limit=500&after={after}"));
        let Ok(answer) = client.get(&format!("/engagement/v3/events?{query}")) else { return after };
        if answer.status != 200 {
            return after;
        }
        let data = &answer.json()["data"];
        assert_eq!(data.get("missed"), None);
        events.extend(data["events"].as_array().unwrap().iter().cloned());
        after = Some(data["next"].as_str().unwrap().to_owned());
        if data["more"] == false {
            return after;
        }
    }
}

/// The whole feed.
pub(crate) fn feed(service: &Service) -> Vec<Value> {
    let mut events = Vec::new();
    read_on(&mut api::client(service.external()), None, &mut events);
    events
}

/// Reads the feed as it grows, through every outage of the service.
struct Reader {
    address: Address,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Value>>,
}

impl Reader {
    fn start() -> Self {
        let (address, stop) = (Address::default(), Arc::new(AtomicBool::new(false)));
        let (at, over) = (address.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let (mut events, mut after) = (Vec::new(), None);
            let mut client = api::client(SocketAddr::from(([127, 0, 0, 1], 1)));
            loop {
                let ends = over.load(Ordering::Relaxed);
                if let Some(address) = *at.lock().unwrap() {
                    client.turn_to(address);
                    after = read_on(&mut client, after.take(), &mut events);
                }
                if ends {
                    return events;
                }
                thread::park_timeout(Duration::from_millis(3));
            }
        });
        Self { address, stop, thread }
    }

    fn stop(self) -> Vec<Value> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// A receiver that fails now and then, but the same message no more than once. Each of its answers is remembered.
struct Moody {
    receiver: Receiver,
    answers: Arc<Mutex<Vec<&'static str>>>,
}

fn moody(seed: u64) -> Moody {
    let answers: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let heard = answers.clone();
    let state = Mutex::new((StdRng::seed_from_u64(seed), HashSet::new()));
    let receiver = Receiver::with(move |message: &Received| {
        let mut state = state.lock().unwrap();
        let (dice, failed) = &mut *state;
        let may_fail = failed.insert(message.header("webhook-id").to_owned());
        let (name, say) = match dice.random_range(0..100) {
            0..4 if may_fail => ("503", Say::status(503)),
            4..8 if may_fail => ("500", Say::status(500)),
            8..12 if may_fail => ("broken off", Say::BreakOff),
            12..16 => ("late", Say::late(Duration::from_millis(200), Say::status(200))),
            _ => ("taken", Say::status(204)),
        };
        heard.lock().unwrap().push(name);
        say
    });
    Moody { receiver, answers }
}

#[test]
fn every_event_arrives_in_order_although_the_program_is_killed() {
    let seed = seed();
    let mut dice = StdRng::seed_from_u64(seed);
    let (moody, folder, options) = (moody(seed), Folder::new(), options());
    apply(
        &folder,
        &options,
        &format!(
            "tenant: demo\nqueues: {{support: {{{UNLIMITED}}}}}\neventFeed: {{enabled: true}}\n\
             webhooks: {{crm: {{url: '{}', secret: {{env: WEBHOOK_KEY}}}}}}\n",
            moody.receiver.url("/hook")
        ),
    );
    let mut service = Service::start_in(folder.clone(), options);
    let (load, reader) = (Load::start(2, seed), Reader::start());
    for _ in 0..KILLS {
        *reader.address.lock().unwrap() = Some(service.external());
        load.up(service.external());
        load.wait_for_answers(dice.random_range(60..150));
        service.kill9();
        load.down();
        *reader.address.lock().unwrap() = None;
        service.restart();
    }
    *reader.address.lock().unwrap() = Some(service.external());
    load.up(service.external());
    let told = load.stop();
    settle(&folder);
    let (read, whole) = (reader.stop(), feed(&service));
    assert_eq!(read, whole, "whoever reads on while it grows reads the whole feed");
    let counts = assert_delivered(&moody.receiver.received(), &whole);
    let answers = moody.answers.lock().unwrap().iter().fold(BTreeMap::<_, u32>::new(), |mut sums, answer| {
        *sums.entry(*answer).or_default() += 1;
        sums
    });
    println!(
        "{KILLS} kills, {} callbacks, {} events, {counts} messages beyond the first, answers {answers:?}",
        told.creations.len(),
        whole.len(),
    );
    assert!(told.creations.len() > 100 && whole.len() > 400);
    assert!(service.sigterm().success());
}

/// Each event arrived, signed and the same each time, and those of one callback in their order. Returns how many
/// arrived again.
fn assert_delivered(received: &[Received], feed: &[Value]) -> usize {
    let places: HashMap<&str, usize> =
        feed.iter().enumerate().map(|(place, event)| (event["id"].as_str().unwrap(), place)).collect();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut last: HashMap<String, usize> = HashMap::new();
    for message in received {
        let id = message.header("webhook-id");
        let place = *places.get(id).unwrap_or_else(|| panic!("{id} stands nowhere in the feed"));
        assert_eq!(message.json(), feed[place]);
        assert!(message.header("webhook-signature").starts_with("v1,"));
        *seen.entry(id).or_default() += 1;
        let callback = feed[place]["data"]["callbackId"].as_str().unwrap().to_owned();
        let before = last.insert(callback, place);
        assert!(before.is_none_or(|before| before <= place), "{id} came after a later event of its callback");
    }
    assert_eq!(seen.len(), feed.len(), "an event was never delivered");
    received.len() - seen.len()
}
