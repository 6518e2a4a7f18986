//! A receiver of what the program sends out: a small HTTP/1.1 server that keeps every request and answers as its test
//! says: at once, late, in half, not at all; and it can be closed and opened again in the same place.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::poll;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Milliseconds since 1970 at which it was read whole.
    pub(crate) at_ms: i64,
}

impl Received {
    /// A header; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// With a status, more header lines and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// So late, and then so.
    Late(Duration, Box<Say>),
    /// The connection ends without an answer.
    BreakOff,
    /// The head of a 200 that announces a body, and then the end.
    Half,
}

impl Say {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), String::new())
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::Status(status, vec![("Content-Type", "application/json".to_owned())], body.to_string())
    }

    pub(crate) fn late(pause: Duration, then: Self) -> Self {
        Self::Late(pause, Box::new(then))
    }
}

type Manner = dyn Fn(&Received) -> Say + Send + Sync;

struct Shared {
    received: Mutex<Vec<Received>>,
    /// Answers to come, before the manner is asked.
    script: Mutex<VecDeque<Say>>,
    manner: Box<Manner>,
    open: AtomicBool,
}

/// The server. Ends with the value.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<thread::JoinHandle<()>>,
}

impl Receiver {
    /// A receiver that takes everything with 204.
    pub(crate) fn start() -> Self {
        Self::with(|_| Say::status(204))
    }

    /// A receiver with a manner of its own.
    pub(crate) fn with(manner: impl Fn(&Received) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            script: Mutex::default(),
            manner: Box::new(manner),
            open: AtomicBool::new(true),
        });
        let address = listener.local_addr().unwrap();
        let acceptor = Some(accept(listener, shared.clone()));
        Self { address, shared, acceptor }
    }

    /// Where it is, with a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next requests are answered so, one after the other. What is left of an earlier list counts no more.
    pub(crate) fn next(&self, answers: impl IntoIterator<Item = Say>) {
        *self.shared.script.lock().unwrap() = answers.into_iter().collect();
    }

    /// Everything received so far, in the order in which it was read.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// What was received for one path.
    pub(crate) fn received_at(&self, path: &str) -> Vec<Received> {
        self.received().into_iter().filter(|it| it.path == path).collect()
    }

    /// Waits until so many requests have come.
    pub(crate) fn until(&self, count: usize, within: Duration) -> Vec<Received> {
        poll::until(&format!("{count} requests"), within, || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
    }

    /// Refuses connections from now on.
    pub(crate) fn close(&mut self) {
        self.shared.open.store(false, Ordering::SeqCst);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().unwrap();
        }
    }

    /// Takes connections again, in the same place.
    pub(crate) fn open(&mut self) {
        let listener =
            poll::until("the port is free", Duration::from_secs(10), || TcpListener::bind(self.address).ok());
        self.shared.open.store(true, Ordering::SeqCst);
        self.acceptor = Some(accept(listener, self.shared.clone()));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.acceptor.is_some() {
            self.close();
        }
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for stream in listener.incoming() {
            if !shared.open.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let shared = shared.clone();
            thread::spawn(move || serve(stream, &shared));
        }
    })
}

/// Serves one connection until it ends.
fn serve(stream: TcpStream, shared: &Shared) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream) {
        if !shared.open.load(Ordering::SeqCst) {
            return;
        }
        shared.received.lock().unwrap().push(request.clone());
        let scripted = shared.script.lock().unwrap().pop_front();
        let say = scripted.unwrap_or_else(|| (shared.manner)(&request));
        if !answer(stream.get_mut(), say) {
            return;
        }
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Received { path, headers, body: String::from_utf8(body).unwrap(), at_ms: super::now_ms() })
}

/// Whether the connection goes on.
fn answer(stream: &mut TcpStream, say: Say) -> bool {
    match say {
        Say::Status(status, headers, body) => {
            let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = format!("HTTP/1.1 {status} X\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).is_ok()
        }
        Say::Late(pause, then) => {
            thread::park_timeout(pause);
            answer(stream, *then)
        }
        Say::BreakOff => false,
        Say::Half => {
            drop(stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{"));
            false
        }
    }
}
