//! A small HTTP/1.1 client on a plain socket: it keeps its connection, has a deadline for everything, and
//! tells *surely not sent* from *perhaps done*, which is what a checker has to know about a lost answer.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest time for one request, from the first byte out to the last byte in.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);
/// Longest body that is read.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// What the server said.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// One that no server gave, for judges of answers to be judged themselves.
    pub(crate) fn made_up(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.as_bytes().to_vec() }
    }

    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` if it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// `status.code` of the envelope.
    pub(crate) fn code(&self) -> Option<i64> {
        self.json()["status"]["code"].as_i64()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The server cannot have seen the request.
    NotSent(io::Error),
    /// It may have seen it, and may have done it.
    Perhaps(io::Error),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(error) => write!(f, "not sent: {error}"),
            Self::Perhaps(error) => write!(f, "not answered: {error}"),
        }
    }
}

/// One connection that is opened when it is needed.
pub(crate) struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
    connection: Option<BufReader<TcpStream>>,
    /// When the last request had left for the server.
    sent_at: Instant,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new(), connection: None, sent_at: Instant::now() }
    }

    /// Adds a header to every request.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Goes on with another server; nothing happens if it is the same.
    pub(crate) fn turn_to(&mut self, address: SocketAddr) {
        if self.address != address {
            self.address = address;
            self.connection = None;
        }
    }

    /// When the last request had left for the server.
    pub(crate) fn sent_at(&self) -> Instant {
        self.sent_at
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Answer, Lost> {
        self.request("GET", path, &[], b"")
    }

    pub(crate) fn post_json(&mut self, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, Lost> {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        self.request("POST", path, &all, body.as_bytes())
    }

    /// Sends one request and reads its answer.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Lost> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.address, body.len());
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);

        let deadline = Instant::now() + DEADLINE;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(connect(self.address).map_err(Lost::NotSent)?),
        };
        connection.get_mut().write_all(&bytes).map_err(Lost::Perhaps)?;
        self.sent_at = Instant::now();
        let answer = read_answer(&mut connection, deadline).map_err(Lost::Perhaps)?;
        let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !closes {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

/// Opens a plain connection for tests that write their own bytes.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(DEADLINE))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Reads one answer from a connection that a test wrote to by hand.
pub(crate) fn read_answer(from: &mut BufReader<TcpStream>, deadline: Instant) -> io::Result<Answer> {
    let mut line = read_line(from, deadline)?;
    // An interim answer (1xx) has a head of its own and is followed by the real one.
    while line.split(' ').nth(1).is_some_and(|status| status.starts_with('1')) {
        while !read_line(from, deadline)?.is_empty() {}
        line = read_line(from, deadline)?;
    }
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| invalid("no status in the first line"))?;
    let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
    loop {
        let line = read_line(from, deadline)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header without a colon"))?;
        answer.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    if answer.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        read_chunks(from, &mut answer.body, deadline)?;
    } else if let Some(length) = answer.header("content-length") {
        let length = length.parse().map_err(|_| invalid("a content length that is no number"))?;
        read_exactly(from, &mut answer.body, length, deadline)?;
    } else if !matches!(status, 204 | 304) {
        arm(from, deadline)?;
        from.take(MAX_BODY).read_to_end(&mut answer.body)?;
    }
    Ok(answer)
}

fn read_chunks(from: &mut BufReader<TcpStream>, body: &mut Vec<u8>, deadline: Instant) -> io::Result<()> {
    loop {
        let size = read_line(from, deadline)?;
        let size = size.split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size.trim(), 16).map_err(|_| invalid("a chunk without a size"))?;
        read_exactly(from, body, size, deadline)?;
        let after = read_line(from, deadline)?;
        if size == 0 {
            return Ok(());
        }
        if !after.is_empty() {
            return Err(invalid("a chunk longer than its size"));
        }
    }
}

fn read_exactly(from: &mut BufReader<TcpStream>, body: &mut Vec<u8>, bytes: u64, deadline: Instant) -> io::Result<()> {
    if bytes > MAX_BODY {
        return Err(invalid("a body beyond reason"));
    }
    arm(from, deadline)?;
    let read = from.take(bytes).read_to_end(body)?;
    if u64::try_from(read).unwrap_or_default() == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_line(from: &mut BufReader<TcpStream>, deadline: Instant) -> io::Result<String> {
    arm(from, deadline)?;
    let mut line = String::new();
    if from.take(64 * 1024).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Lets the next read wait no longer than `deadline`.
fn arm(from: &BufReader<TcpStream>, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    from.get_ref().set_read_timeout(Some(left))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
