//! Services that stand outside, played by the tests over real HTTP: they do as they are told, and count what they
//! received.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest that a server holds on to a silent connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest body that is read.
const MAX_BODY: usize = 1 << 20;

/// One request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The members of a form.
    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap()
}

/// What a server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// A whole answer.
    Answer(u16, String),
    /// As many bytes as are there, as they are: half an answer, or no HTTP at all. Then it closes.
    Raw(String),
    /// Closes without a word.
    Nothing,
    /// Never answers.
    Silence,
}

impl Says {
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self::Answer(200, value.to_string())
    }

    /// A head that promises more than comes.
    pub(crate) fn half() -> Self {
        Self::Raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"succ".to_owned())
    }
}

type Script = dyn Fn(&Heard) -> Says + Send + Sync;

struct Shared {
    script: Mutex<Arc<Script>>,
    heard: Mutex<Vec<Heard>>,
    /// While it is closed, requests are taken and wait for their answer.
    gate: (Mutex<bool>, Condvar),
    ending: AtomicBool,
}

/// A server on a free port of this machine. Ends with the value.
pub(crate) struct Outside {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Outside {
    /// Answers each request by `script`.
    pub(crate) fn start(script: impl Fn(&Heard) -> Says + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            heard: Mutex::default(),
            gate: (Mutex::new(true), Condvar::new()),
            ending: AtomicBool::new(false),
        });
        let mine = shared.clone();
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if mine.ending.load(Ordering::SeqCst) {
                    return;
                }
                let (mine, Ok(stream)) = (mine.clone(), stream) else { continue };
                // A connection ends with its client, or after a minute of silence.
                std::thread::spawn(move || drop(converse(&mine, stream)));
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers by another script from now on.
    pub(crate) fn say(&self, script: impl Fn(&Heard) -> Says + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Requests so far, in the order of their arrival.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// How many requests came for a path.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.heard().iter().filter(|heard| heard.path == path).count()
    }

    /// Takes requests but answers none until [`Self::release`].
    pub(crate) fn hold(&self) {
        *self.shared.gate.0.lock().unwrap() = false;
    }

    pub(crate) fn release(&self) {
        *self.shared.gate.0.lock().unwrap() = true;
        self.shared.gate.1.notify_all();
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.release();
        // Wakes the one that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn converse(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    while let Some(heard) = read(&mut reader)? {
        shared.heard.lock().unwrap().push(heard.clone());
        let (open, changed) = &shared.gate;
        drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        let script = shared.script.lock().unwrap().clone();
        let stream = reader.get_mut();
        match script(&heard) {
            Says::Answer(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes())?;
            }
            Says::Raw(text) => return stream.write_all(text.as_bytes()),
            Says::Nothing => return Ok(()),
            Says::Silence => {
                // Until the client gives up.
                let mut rest = Vec::new();
                return reader.read_to_end(&mut rest).map(drop);
            }
        }
    }
    Ok(())
}

fn read(from: &mut BufReader<TcpStream>) -> io::Result<Option<Heard>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
    assert!(length <= MAX_BODY, "a body of {length} bytes");
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(Heard { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() }))
}
