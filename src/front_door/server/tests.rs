//! The listeners over real sockets: what slow, silent, oversized and too many clients get, and how a drain ends.

mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::front_door::testing::{CANCEL, Fake, ID, KEY, Mood, door, settings, until};
use crate::front_door::{BindError, DoorLimits, DoorSettings, Doors, serve};
use domain::event::Event;

/// Longer than anything here takes, shorter than anybody's patience.
const DEADLINE: Duration = Duration::from_secs(10);

async fn open(limits: DoorLimits) -> (Doors, Arc<Fake>) {
    let (door, fake) = door();
    (serve(settings(limits), door).await.unwrap(), fake)
}

fn cancel_request() -> String {
    let body = format!(r#"{{"id":"{ID}"}}"#);
    let length = body.len();
    format!("POST {CANCEL} HTTP/1.1\r\nhost: ges\r\nx-api-key: {KEY}\r\ncontent-length: {length}\r\n\r\n{body}")
}

struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything until the other side closes.
    async fn rest(&mut self) -> String {
        let mut text = Vec::new();
        let read = tokio::time::timeout(DEADLINE, self.0.read_to_end(&mut text)).await.expect("still open");
        // A close with unread input arrives as a reset; what came before it counts.
        let _ = read;
        String::from_utf8_lossy(&text).into_owned()
    }

    /// One whole answer of a connection that stays open.
    async fn answer(&mut self) -> String {
        let mut text = String::new();
        let mut part = [0; 1024];
        let read = async {
            loop {
                let count = self.0.read(&mut part).await.unwrap();
                text += std::str::from_utf8(&part[..count]).unwrap();
                let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    length.is_some_and(|length| length.parse() == Ok(body.len()))
                });
                if whole || count == 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, read).await.expect("no answer");
        text
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (doors, _) = open(DoorLimits::default()).await;
    let (door, _) = door();
    let taken = DoorSettings { internal: doors.internal, ..settings(DoorLimits::default()) };
    let error: BindError = serve(taken, door).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {} (internal listener)", doors.internal));
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn both_listeners_serve_and_keep_connections() {
    let (doors, _) = open(DoorLimits::default()).await;
    for address in [doors.external, doors.internal] {
        let mut client = Client::connect(address).await;
        for _ in 0..3 {
            client.send(&cancel_request()).await;
            assert!(client.answer().await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
    }
}

#[tokio::test]
async fn http2_is_spoken_without_an_upgrade() {
    let (doors, _) = open(DoorLimits::default()).await;
    let stream = hyper_util::rt::TokioIo::new(TcpStream::connect(doors.external).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut client, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://ges{CANCEL}")).header("x-api-key", KEY);
    let body = http_body_util::Full::new(bytes::Bytes::from(format!(r#"{{"id":"{ID}"}}"#)));
    let response = client.send_request(request.body(body).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
}

#[tokio::test]
async fn who_says_nothing_or_too_little_is_let_go() {
    let short = Duration::from_millis(200);
    let (doors, _) = open(DoorLimits { first_request: short, idle: short, ..DoorLimits::default() }).await;
    let head = "POST / HTTP/1.1\r\nhost: ges\r\n";
    for said in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST", head] {
        let mut client = Client::connect(doors.external).await;
        client.send(said).await;
        client.rest().await;
    }
    // After an answer the quiet time counts from its end.
    let mut client = Client::connect(doors.external).await;
    client.send(&cancel_request()).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn half_a_body_is_answered_and_closed() {
    let limits = DoorLimits { body_gap: Duration::from_millis(100), ..DoorLimits::default() };
    let (doors, _) = open(limits).await;
    let mut client = Client::connect(doors.external).await;
    let head = format!("POST {CANCEL} HTTP/1.1\r\nhost: ges\r\nx-api-key: {KEY}\r\ncontent-length: 100\r\n\r\n{{");
    client.send(&head).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""code":408"#), "{answer}");
}

#[tokio::test]
async fn a_request_has_at_most_a_hundred_header_fields() {
    let (doors, _) = open(DoorLimits::default()).await;
    for (fields, status) in [(100, "404"), (101, "431")] {
        let mut client = Client::connect(doors.external).await;
        let more: String = (2..fields).map(|number| format!("x-{number}: 1\r\n")).collect();
        client.send(&format!("GET / HTTP/1.1\r\nhost: ges\r\nconnection: close\r\n{more}\r\n")).await;
        let answer = client.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{fields} fields: {answer}");
    }
}

#[tokio::test]
async fn oversized_heads_and_bodies_are_refused() {
    let (doors, fake) = open(DoorLimits { head_bytes: 8 << 10, ..DoorLimits::default() }).await;
    let mut client = Client::connect(doors.external).await;
    client.send(&format!("GET / HTTP/1.1\r\nhost: ges\r\nx: {}\r\n\r\n", "x".repeat(20_000))).await;
    let answer = client.rest().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");

    let mut client = Client::connect(doors.external).await;
    let head = format!("POST {CANCEL} HTTP/1.1\r\nhost: ges\r\nx-api-key: {KEY}\r\ncontent-length: 99999999\r\n\r\n");
    client.send(&head).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains(r#""code":413"#), "{answer}");
    assert_eq!(fake.count(|event| *event == Event::BodyTooLong), 1);

    let mut client = Client::connect(doors.external).await;
    client.send("not http at all\r\n\r\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn one_connection_too_many_is_turned_away_at_once() {
    let (doors, fake) = open(DoorLimits { external_connections: 2, ..DoorLimits::default() }).await;
    let mut first = Client::connect(doors.external).await;
    let mut second = Client::connect(doors.external).await;
    for client in [&mut first, &mut second] {
        client.send(&cancel_request()).await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    let answer = Client::connect(doors.external).await.rest().await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert_eq!(fake.count(|event| *event == Event::Shed), 1);
    // The internal listener has places of its own, and a place that is free again is given.
    let mut internal = Client::connect(doors.internal).await;
    internal.send("GET /ges/v1/health/live HTTP/1.1\r\nhost: ges\r\n\r\n").await;
    assert!(internal.answer().await.starts_with("HTTP/1.1 200 OK\r\n"));
    drop(first);
    let admitted = async {
        loop {
            let mut client = Client::connect(doors.external).await;
            let request = cancel_request();
            if client.0.write_all(request.as_bytes()).await.is_ok() && client.answer_or_close().await.contains(" 200 ")
            {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, admitted).await.unwrap();
}

impl Client {
    /// What comes first, also if the connection is reset.
    async fn answer_or_close(&mut self) -> String {
        let mut part = [0; 1024];
        let count = tokio::time::timeout(DEADLINE, self.0.read(&mut part)).await.unwrap().unwrap_or_default();
        String::from_utf8_lossy(&part[..count]).into_owned()
    }
}

#[tokio::test]
async fn a_drain_answers_what_is_in_flight_and_closes_what_is_idle() {
    let (doors, fake) = open(DoorLimits::default()).await;
    let address = doors.external;
    let mut silent = Client::connect(address).await;
    let mut idle = Client::connect(address).await;
    idle.send(&cancel_request()).await;
    idle.answer().await;
    let gate = Arc::new(Notify::new());
    *fake.mood.lock().unwrap() = Mood::Waits(Arc::clone(&gate));
    let mut busy = Client::connect(address).await;
    busy.send(&format!(
        "POST /engagement/v3/callbacks/create HTTP/1.1\r\nhost: ges\r\nx-api-key: {KEY}\r\ncontent-length: {}\r\n\r\n{}",
        BOOKING.len(),
        BOOKING
    ))
    .await;
    until(|| fake.booked.lock().unwrap().len() == 1).await;

    let drained = tokio::spawn(doors.shutdown(DEADLINE));
    assert_eq!(silent.rest().await, "");
    assert_eq!(idle.rest().await, "");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    assert!(!drained.is_finished());
    gate.notify_one();
    let answer = busy.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("connection: close"), "{answer}");
    assert_eq!(tokio::time::timeout(DEADLINE, drained).await.unwrap().unwrap(), 0);
}

const BOOKING: &str = r#"{"serviceName":"support","phoneNumber":"+14165550101"}"#;

#[tokio::test]
async fn a_drain_cuts_what_does_not_end() {
    let (doors, fake) = open(DoorLimits::default()).await;
    *fake.mood.lock().unwrap() = Mood::Hangs;
    let mut busy = Client::connect(doors.external).await;
    busy.send(&cancel_request()).await;
    busy.send("x").await;
    until(|| doors.tasks.len() == 3).await;
    let began = tokio::time::Instant::now();
    assert_eq!(doors.shutdown(Duration::from_millis(50)).await, 1);
    assert!(began.elapsed() < DEADLINE);
    assert_eq!(busy.rest().await, "");
}

/// Ten thousand silent clients, or as many as the limit of open files allows: the others are served, and the
/// memory of each is bounded.
#[tokio::test]
async fn idle_connections_in_thousands_disturb_nobody() {
    /// Both ends live in this process; the server's part is the larger.
    const BYTES_EACH: usize = 16 << 10;

    // Two files for each connection, and some for the tests beside this one.
    let many = 10_000.min(open_files().saturating_sub(600) / 2);
    let (doors, _) = open(DoorLimits { first_request: DEADLINE * 6, ..DoorLimits::default() }).await;
    let before = resident_bytes();
    let mut idle = Vec::with_capacity(many);
    for _ in 0..many {
        idle.push(TcpStream::connect(doors.external).await.unwrap());
    }
    until(|| doors.tasks.len() >= many).await;
    let mut client = Client::connect(doors.external).await;
    client.send(&cancel_request()).await;
    assert!(client.answer().await.starts_with("HTTP/1.1 200 OK\r\n"));
    let each = resident_bytes().saturating_sub(before) / many.max(1);
    println!("{many} idle connections, {each} bytes each");
    assert!(each < BYTES_EACH, "{each} bytes for each connection");
}

/// How many files this process may open.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}
