//! A stop under load, as a service manager does it: who has asked gets an answer, nothing that was confirmed
//! is lost, and the exit code says that all went well.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::harness::http::{self, Lost};
use crate::harness::service::{Options, Service};
use crate::harness::{api, poll};

const CLIENTS: usize = 16;
const SLOW_CLIENTS: usize = 8;
/// A request that was written so long before the stop has surely been read by the server. A younger one may
/// still lie in a socket that is closed because nothing seemed to come: HTTP/1.1 has no cure for that.
const SURELY_READ: Duration = Duration::from_millis(100);

/// What the clients saw.
#[derive(Default)]
struct Seen {
    confirmed: Mutex<Vec<Uuid>>,
    answered: AtomicU64,
    /// When the requests without an answer had been sent.
    unanswered: Mutex<Vec<Instant>>,
}

#[test]
fn a_stop_under_load_answers_what_is_in_flight_and_exits_0() {
    let mut service = Service::start(Options::fast());
    let external = service.external();
    let seen = Arc::new(Seen::default());
    let spawn_one = |number| {
        let seen = seen.clone();
        std::thread::spawn(move || book_until_refused(external, number, &seen))
    };
    let clients: Vec<_> = (0..CLIENTS).map(spawn_one).collect();
    wait_for_answers(&seen, 200);
    let slow: Vec<_> = (0..SLOW_CLIENTS).map(|_| HalfSent::new(external)).collect();
    wait_for_answers(&seen, 200);

    let asked_at = Instant::now();
    service.ask_to_end();
    for request in slow {
        let answer = request.finish();
        assert_eq!(answer.status, 200, "{}", answer.text());
        seen.confirmed.lock().unwrap().push(api::id_of(&answer).unwrap());
    }
    let status = service.wait_for_end();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(status.code(), Some(0), "{status}");
    let unanswered = seen.unanswered.lock().unwrap();
    let in_flight = unanswered.iter().filter(|sent_at| **sent_at + SURELY_READ < asked_at).count();
    assert_eq!(in_flight, 0, "requests in flight got no answer");

    service.restart();
    let mut client = api::client(service.external());
    let confirmed = seen.confirmed.lock().unwrap();
    assert!(confirmed.len() > 100, "only {} creates were confirmed", confirmed.len());
    for id in confirmed.iter() {
        let answer = api::retrieve(&mut client, *id).unwrap();
        assert_eq!(answer.status, 200, "{id} was confirmed and is gone: {}", answer.text());
    }
}

#[test]
fn while_it_drains_it_says_so_and_goes_on_serving() {
    let mut service = Service::start(Options::fast().with("GES_DRAIN_SECONDS", 5));
    let mut internal = http::Client::new(service.internal());
    service.ask_to_end();
    poll::until("it to say that it is not ready", Duration::from_secs(4), || {
        (internal.get("/ges/v1/health/ready").unwrap().status == 503).then_some(())
    });
    let answer = api::create(&mut api::client(service.external()), None, &api::booking("+14165550000", None)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(service.wait_for_end().code(), Some(0));
}

#[test]
fn a_stop_without_load_is_quick() {
    let mut service = Service::start(Options::fast());
    // A connection that is open and asks for nothing must not hold the program back.
    let mut idle = api::client(service.external());
    api::create(&mut idle, None, &api::booking("+14165550000", None)).unwrap();
    let started = Instant::now();
    assert_eq!(service.sigterm().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(15), "the stop took {:?}", started.elapsed());
}

fn wait_for_answers(seen: &Seen, more: u64) {
    let before = seen.answered.load(Ordering::Relaxed);
    poll::until("answers under load", Duration::from_secs(30), || {
        (seen.answered.load(Ordering::Relaxed) >= before + more).then_some(())
    });
}

/// A request whose head and half its body have been sent: it is in flight for certain.
struct HalfSent {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl HalfSent {
    fn new(address: SocketAddr) -> Self {
        let body = api::booking("+14165550000", None);
        let mut stream = http::connect(address).unwrap();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: ges\r\nX-API-Key: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            api::CREATE,
            api::KEY,
            body.len()
        );
        let (half, rest) = body.as_bytes().split_at(body.len() / 2);
        stream.write_all(&[head.as_bytes(), half].concat()).unwrap();
        Self { stream, rest: rest.to_vec() }
    }

    fn finish(mut self) -> http::Answer {
        self.stream.write_all(&self.rest).unwrap();
        http::read_answer(&mut BufReader::new(self.stream), Instant::now() + http::DEADLINE).unwrap()
    }
}

fn book_until_refused(address: SocketAddr, number: usize, seen: &Seen) {
    let mut client = api::client(address);
    let body = api::booking(&format!("+1416555{:04}", 2000 + number), None);
    loop {
        match api::create(&mut client, None, &body) {
            Ok(answer) => {
                seen.answered.fetch_add(1, Ordering::Relaxed);
                match answer.status {
                    200 => seen.confirmed.lock().unwrap().push(api::id_of(&answer).unwrap()),
                    // Load shedding and drain are honest answers.
                    503 => assert!(answer.header("retry-after").is_some(), "{}", answer.text()),
                    status => panic!("{status} {}", answer.text()),
                }
            }
            Err(Lost::NotSent(_)) => return,
            Err(Lost::Perhaps(_)) => {
                seen.unanswered.lock().unwrap().push(client.sent_at());
                return;
            }
        }
    }
}
