//! A load balancer for plain TCP: each connection goes to the next target that takes it. It knows nothing of health, so
//! whoever is gone costs a refused connection and no more, as with a balancer in front of real nodes.
//!
//! Its line can be made bad: slow, silent in one direction or both, cut. With one target it is a bad line to that one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

/// How long a target may take to take a connection.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
/// Pause between two looks at whether a silent line speaks again.
const LOOK: Duration = Duration::from_millis(5);

/// How the line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Line {
    /// Good.
    #[default]
    Open,
    /// Everything is this late, in both directions.
    Slow(Duration),
    /// What is sent in any direction is not delivered.
    Silent,
    /// What targets answer is not delivered.
    Deaf,
}

/// Whence bytes come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Target,
}

/// Client and target.
type Pair = (TcpStream, TcpStream);

#[derive(Default)]
struct Shared {
    targets: Mutex<Vec<SocketAddr>>,
    line: Mutex<Line>,
    open: Mutex<Vec<Weak<Pair>>>,
}

/// A started balancer. It ends with the process; a dropped one refuses nobody.
pub(crate) struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Balancer {
    /// Starts one without targets.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared: Arc<Shared> = Arc::default();
        let known = shared.clone();
        let next = AtomicUsize::new(0);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let all = known.targets.lock().unwrap().clone();
                let first = next.fetch_add(1, Ordering::Relaxed);
                let in_turn = (0..all.len()).map(|step| all[(first + step) % all.len()]);
                let server = in_turn.into_iter().find_map(|it| TcpStream::connect_timeout(&it, CONNECT_WITHIN).ok());
                // Without a server the client's connection ends here.
                if let Some(server) = server {
                    join(&known, client, server);
                }
            }
        });
        Self { address, shared }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on new connections go to these.
    pub(crate) fn send_to(&self, targets: Vec<SocketAddr>) {
        *self.shared.targets.lock().unwrap() = targets;
    }

    /// From now on the line is like this.
    pub(crate) fn set(&self, line: Line) {
        *self.shared.line.lock().unwrap() = line;
    }

    /// Ends every connection; what was under way is lost.
    pub(crate) fn cut(&self) {
        for pair in self.shared.open.lock().unwrap().drain(..).filter_map(|pair| pair.upgrade()) {
            end(&pair);
        }
    }
}

fn end(pair: &Pair) {
    let _ = (pair.0.shutdown(Shutdown::Both), pair.1.shutdown(Shutdown::Both));
}

fn join(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let pair = Arc::new((client, server));
    let mut open = shared.open.lock().unwrap();
    open.retain(|it| it.strong_count() > 0);
    open.push(Arc::downgrade(&pair));
    for from in [From::Client, From::Target] {
        let (pair, shared) = (pair.clone(), shared.clone());
        thread::spawn(move || {
            let _ = match from {
                From::Client => copy(&shared, from, &pair.0, &pair.1),
                From::Target => copy(&shared, from, &pair.1, &pair.0),
            };
            // What one side ends is over for the other.
            end(&pair);
        });
    }
}

fn copy(shared: &Shared, whence: From, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut bytes = [0; 16 << 10];
    loop {
        let count = from.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        loop {
            let line = *shared.line.lock().unwrap();
            match line {
                Line::Slow(by) => thread::sleep(by),
                // Bytes of a connection that is cut meanwhile go nowhere.
                Line::Silent => {}
                Line::Deaf if whence == From::Target => {}
                Line::Open | Line::Deaf => break,
            }
            if matches!(line, Line::Slow(_)) {
                break;
            }
            thread::park_timeout(LOOK);
        }
        to.write_all(&bytes[..count])?;
    }
}
