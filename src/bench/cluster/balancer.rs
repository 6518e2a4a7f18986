//! What stands in front of the internal listeners: each connection goes to the next node that takes it. It knows
//! nothing of health, so whoever is gone costs a refused connection and no more.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::super::BenchError;

/// A started balancer. Goes when it is dropped, with its connections.
pub(super) struct Balancer {
    address: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Balancer {
    /// Starts one without targets.
    ///
    /// # Errors
    /// If no port can be had.
    pub(super) async fn start() -> Result<Self, BenchError> {
        let failed = |error: std::io::Error| BenchError::Target(error.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let targets: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let task = tokio::spawn(balance(listener, targets.clone()));
        Ok(Self { address, targets, task })
    }

    /// Where clients connect.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on new connections go to these.
    pub(super) fn send_to(&self, targets: Vec<SocketAddr>) {
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn balance(listener: TcpListener, targets: Arc<Mutex<Vec<SocketAddr>>>) {
    let mut turn = 0_usize;
    while let Ok((mut client, _)) = listener.accept().await {
        let mut all = targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        turn = turn.wrapping_add(1);
        let first = turn.checked_rem(all.len()).unwrap_or_default();
        all.rotate_left(first);
        tokio::spawn(async move {
            for target in all {
                if let Ok(mut server) = TcpStream::connect(target).await {
                    // What one side ends is over for the other.
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}
