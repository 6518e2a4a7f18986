//! The service as seen by clients that mean harm, or do not know better: requests made up from its own
//! OpenAPI document, ten thousand connections that say nothing, and requests that are slow, half, or too
//! large. None of it may end in a 5xx, in memory without bound, or in a service that serves no more.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::service::{Folder, Options, Service};
use crate::harness::{api, http};

const MIB: u64 = 1024 * 1024;
/// Descriptors that the idle connections and everything else of this process take.
const DESCRIPTORS: u64 = 11_000;
const IDLE_CONNECTIONS: usize = 10_000;
/// What a connection may cost while nothing happens on it. hyper keeps 8 kB to read and 8 kB to write; the rest
/// is the task with its routing and timers.
const IDLE_CONNECTION_BYTES: u64 = 40 * 1024;
/// What abuse may cost beyond that, whatever it is.
const ABUSE_BYTES: u64 = 192 * MIB;

/// The checks that a made-up request is judged by.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[test]
fn requests_made_up_from_the_document_find_nothing() {
    let schemathesis = std::env::var("SCHEMATHESIS").expect("`make test` installs schemathesis and names it here");
    let service = Service::start(Options::fast());
    let scratch = Folder::new();
    let base = format!("http://{}", service.internal());
    let report = std::fs::File::create(scratch.beside("report")).unwrap();
    let status = Command::new(schemathesis)
        .args(["run", &format!("{base}/engagement/v3/openapi.json"), "--url", &base])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", CHECKS])
        .args(["--header", &format!("X-API-Key: {}", api::KEY), "--header", "ContactCenterID: demo"])
        .args(["--seed", "1", "--request-timeout", "15", "--generation-database", "none", "--no-color"])
        .current_dir(scratch.beside("."))
        .stdin(Stdio::null())
        .stdout(report.try_clone().unwrap())
        .stderr(report)
        .status()
        .expect("schemathesis can be run");
    let report = std::fs::read_to_string(scratch.beside("report")).unwrap();
    assert!(status.success(), "schemathesis found something ({status}):\n{report}");
    println!("{report}");
    assert_serves(&service);
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_hinder_nobody() {
    let allowed = open_files_limit();
    assert!(allowed >= DESCRIPTORS, "only {allowed} open files are allowed; `make test` raises that");
    let service = Service::start(Options::fast());
    let before = service.resident_bytes();
    let external = service.external();

    // Each has asked once: a connection that never asked is closed sooner.
    let openers = 8;
    let open_some = |_| {
        thread::spawn(move || {
            (0..IDLE_CONNECTIONS / openers).map(|_| ask_once(external)).collect::<Vec<BufReader<TcpStream>>>()
        })
    };
    let opened: Vec<_> = (0..openers).map(open_some).collect();
    let connections: Vec<_> = opened.into_iter().flat_map(|opener| opener.join().unwrap()).collect();
    assert_eq!(connections.len(), IDLE_CONNECTIONS);

    let asked = Instant::now();
    assert_serves(&service);
    let took = asked.elapsed();
    let each = service.resident_bytes().saturating_sub(before) / connections.len() as u64;
    println!("{IDLE_CONNECTIONS} idle connections: {each} bytes each, a request beside them takes {took:?}");
    assert!(took < Duration::from_secs(5), "a request beside idle connections took {took:?}");
    assert!(each <= IDLE_CONNECTION_BYTES, "an idle connection costs {each} bytes");
}

#[test]
fn slow_half_and_oversized_requests_leave_it_healthy_and_small() {
    let service = Service::start(Options::fast());
    let before = service.resident_bytes();
    let external = service.external();
    let abuses: [fn(SocketAddr); 6] =
        [never_speak, stop_in_the_head, stop_in_the_body, send_too_much, announce_too_much, send_garbage];
    let running: Vec<_> = abuses
        .iter()
        .map(|abuse| {
            let abuse = *abuse;
            thread::spawn(move || abuse(external))
        })
        .collect();
    // While all of that goes on, others are served.
    for _ in 0..20 {
        assert_serves(&service);
    }
    for abuse in running {
        abuse.join().unwrap();
    }
    assert_serves(&service);
    let grown = service.resident_bytes().saturating_sub(before);
    println!("abuse cost {} kB", grown / 1024);
    assert!(grown <= ABUSE_BYTES, "abuse cost {} MiB", grown / MIB);
}

/// A connection without a request is closed by the server.
fn never_speak(address: SocketAddr) {
    let silent: Vec<_> = (0..200).map(|_| http::connect(address).unwrap()).collect();
    for mut connection in silent {
        connection.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let mut byte = [0];
        assert_eq!(connection.read(&mut byte).expect("it is closed in time"), 0);
    }
}

/// Half a head, byte by byte, until nobody listens any more.
fn stop_in_the_head(address: SocketAddr) {
    let mut slow: Vec<_> = (0..50).map(|_| http::connect(address).unwrap()).collect();
    let head = format!("POST {} HTTP/1.1\r\nHost: ges\r\nX-Filler: {}", api::CREATE, "x".repeat(100));
    for byte in head.as_bytes() {
        slow.retain_mut(|connection| connection.write_all(&[*byte]).is_ok());
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// A body that stops in its middle is answered 408 after a while, or the connection is closed.
fn stop_in_the_body(address: SocketAddr) {
    let halves: Vec<_> = (0..100).map(|_| post(address, 1000, br#"{"serviceName":"#)).collect();
    for connection in halves {
        let deadline = Instant::now() + Duration::from_secs(40);
        if let Ok(answer) = http::read_answer(&mut BufReader::new(connection), deadline) {
            assert_eq!((answer.status, answer.code()), (408, Some(408)), "{}", answer.text());
        }
    }
}

/// Bodies above the limit are answered 413, wherever the client is with sending.
fn send_too_much(address: SocketAddr) {
    let body = format!(r#"{{"userData":{{"filler":"{}"}}}}"#, "x".repeat(2_000_000));
    for _ in 0..30 {
        let mut connection = http::connect(address).unwrap();
        connection.write_all(head(body.len() as u64).as_bytes()).unwrap();
        // The server may hang up in the middle of what it will not read.
        let sent = connection.write_all(body.as_bytes());
        match http::read_answer(&mut BufReader::new(connection), Instant::now() + http::DEADLINE) {
            Ok(answer) => assert_eq!((answer.status, answer.code()), (413, Some(413)), "{}", answer.text()),
            Err(error) => assert!(sent.is_err(), "neither an answer nor a hang-up: {error}"),
        }
    }
}

/// A length is judged before the body comes.
fn announce_too_much(address: SocketAddr) {
    for _ in 0..50 {
        let connection = post(address, 10_000_000_000, b"{");
        let answer = http::read_answer(&mut BufReader::new(connection), Instant::now() + http::DEADLINE).unwrap();
        assert_eq!((answer.status, answer.code()), (413, Some(413)), "{}", answer.text());
    }
    let filler = format!("X-Filler: {}\r\n", "x".repeat(100_000));
    let mut connection = http::connect(address).unwrap();
    // As above: it may hang up before all of the head is out.
    drop(connection.write_all(format!("GET / HTTP/1.1\r\nHost: ges\r\n{filler}\r\n").as_bytes()));
    if let Ok(answer) = http::read_answer(&mut BufReader::new(connection), Instant::now() + http::DEADLINE) {
        assert_eq!(answer.status, 431);
    }
}

/// What is no HTTP gets a bare 400 or a closed connection.
fn send_garbage(address: SocketAddr) {
    let garbage: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: minus one\r\n\r\n",
    ];
    for bytes in garbage.iter().cycle().take(200) {
        let mut connection = http::connect(address).unwrap();
        connection.write_all(bytes).unwrap();
        if let Ok(answer) = http::read_answer(&mut BufReader::new(connection), Instant::now() + Duration::from_secs(1))
        {
            assert!((400..=431).contains(&answer.status) || answer.status == 505, "{}", answer.status);
        }
    }
}

fn head(length: u64) -> String {
    let (path, key) = (api::CREATE, api::KEY);
    format!(
        "POST {path} HTTP/1.1\r\nHost: ges\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Sends a head that announces `length` bytes, and the beginning of the body.
fn post(address: SocketAddr, length: u64, beginning: &[u8]) -> TcpStream {
    let mut connection = http::connect(address).unwrap();
    connection.write_all(&[head(length).as_bytes(), beginning].concat()).unwrap();
    connection
}

/// Opens a connection, asks one small thing, and keeps it.
fn ask_once(address: SocketAddr) -> BufReader<TcpStream> {
    let mut connection = http::connect(address).unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\nHost: ges\r\n\r\n").unwrap();
    let mut connection = BufReader::with_capacity(1024, connection);
    let answer = http::read_answer(&mut connection, Instant::now() + http::DEADLINE).unwrap();
    assert_eq!(answer.status, 404, "{}", answer.text());
    connection
}

fn assert_serves(service: &Service) {
    let answer = api::create(&mut api::client(service.external()), None, &api::booking("+14165550000", None)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let ready = http::Client::new(service.internal()).get("/ges/v1/health/ready").unwrap();
    assert_eq!(ready.status, 200, "{}", ready.text());
}

/// Open files that this process may have.
fn open_files_limit() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    match line.split_whitespace().next() {
        Some("unlimited") => u64::MAX,
        number => number.unwrap().parse().unwrap(),
    }
}
