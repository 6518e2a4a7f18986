//! Clients on a connection each, who work through one list of requests while the program dies under them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::http::{Answer, Client, Lost};
use crate::harness::load::Address;
use crate::harness::service::Service;
use crate::harness::{api, poll};

pub(super) const REQUESTS: u64 = 10_000;
const CONNECTIONS: u64 = 256;
/// A run in which somebody has no answer after this long has failed.
const RUN_WITHIN: Duration = Duration::from_secs(240);
/// How long a client waits before it repeats a request that was lost or not taken.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) struct Clients<T> {
    line: Line,
    threads: Vec<thread::JoinHandle<T>>,
}

/// What all clients of a run share.
#[derive(Clone, Default)]
pub(super) struct Line {
    /// Where the program is; nowhere while it is down.
    address: Address,
    /// The next request that nobody has taken yet.
    next: Arc<AtomicU64>,
    /// Requests that are done.
    done: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl<T: Send + 'static> Clients<T> {
    /// Lets every client `work` until there is no request left for it.
    pub(super) fn start(work: impl Fn(Line) -> T + Clone + Send + 'static) -> Self {
        let line = Line::default();
        let start_one = |_| {
            let (line, work) = (line.clone(), work.clone());
            thread::spawn(move || work(line))
        };
        let threads = (0..CONNECTIONS).map(start_one).collect();
        Self { line, threads }
    }

    pub(super) fn up(&self, service: &Service) {
        *self.line.address.lock().unwrap() = Some(service.external());
    }

    pub(super) fn down(&self) {
        *self.line.address.lock().unwrap() = None;
    }

    /// Waits until so many more requests are done, or the last of them, closely: a kill is to hit the middle of the
    /// work.
    pub(super) fn wait_for(&self, more: u64) {
        let done = || self.line.done.load(Ordering::Relaxed);
        let wanted = (done() + more).min(REQUESTS);
        let deadline = Instant::now() + RUN_WITHIN;
        while done() < wanted {
            assert!(Instant::now() < deadline, "no answers any more");
            thread::park_timeout(Duration::from_micros(200));
        }
    }

    /// Waits until everything is done; what each client has to tell.
    pub(super) fn join(self) -> Vec<T> {
        let done = || (self.line.done.load(Ordering::Relaxed) == REQUESTS).then_some(());
        let all_done = poll::try_until(RUN_WITHIN, done);
        self.line.over.store(true, Ordering::Relaxed);
        let told = self.threads.into_iter().map(|thread| thread.join().expect("a client never panics")).collect();
        assert!(all_done.is_some(), "some requests have no answer");
        told
    }
}

impl Line {
    /// A client that is nowhere yet.
    pub(super) fn client() -> Client {
        api::client(SocketAddr::from(([127, 0, 0, 1], 1)))
    }

    /// The number of the next request; none once they are all taken.
    pub(super) fn take(&self) -> Option<u64> {
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < REQUESTS)
    }

    pub(super) fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends one and the same request until it is answered; `lost` counts answers that were not. None if the run is
    /// over before.
    pub(super) fn ask(
        &self,
        client: &mut Client,
        lost: &mut u64,
        send: impl Fn(&mut Client) -> Result<Answer, Lost>,
    ) -> Option<Answer> {
        while !self.over.load(Ordering::Relaxed) {
            let address = *self.address.lock().unwrap();
            if let Some(address) = address {
                client.turn_to(address);
                match send(client) {
                    Ok(answer) if answer.status < 500 => return Some(answer),
                    // Full for the moment: 503.
                    Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                    Err(_) => *lost += 1,
                }
            }
            thread::park_timeout(PAUSE);
        }
        None
    }
}
