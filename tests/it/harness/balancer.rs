//! A load balancer for plain TCP: each connection goes to the next target that takes it. It knows nothing of health, so
//! whoever is gone costs a refused connection and no more, as with a balancer in front of real nodes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a target may take to take a connection.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);

/// A started balancer. It ends with the process; a dropped one refuses nobody.
pub(crate) struct Balancer {
    address: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    /// Starts one without targets.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let targets: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let known = targets.clone();
        let next = AtomicUsize::new(0);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let all = known.lock().unwrap().clone();
                let first = next.fetch_add(1, Ordering::Relaxed);
                let in_turn = (0..all.len()).map(|step| all[(first + step) % all.len()]);
                let server = in_turn.into_iter().find_map(|it| TcpStream::connect_timeout(&it, CONNECT_WITHIN).ok());
                // Without a server the client's connection ends here.
                if let Some(server) = server {
                    join(client, server);
                }
            }
        });
        Self { address, targets }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on new connections go to these.
    pub(crate) fn send_to(&self, targets: Vec<SocketAddr>) {
        *self.targets.lock().unwrap() = targets;
    }
}

fn join(client: TcpStream, server: TcpStream) {
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            let _ = copy(&mut from, &mut to);
            // What one side ends is over for the other.
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
}

fn copy(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
    let mut bytes = [0; 16 << 10];
    loop {
        match from.read(&mut bytes)? {
            0 => return Ok(()),
            count => to.write_all(&bytes[..count])?,
        }
    }
}
