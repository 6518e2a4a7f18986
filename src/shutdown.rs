//! When the process is asked to end.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Resolves at the first SIGTERM or SIGINT. A second one ends the process at once: whoever asks twice does not
/// want to wait, and a kill loses nothing.
///
/// # Errors
/// If the system does not let signals be heard.
pub async fn requested() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(name)
}

/// As [`requested`], for parts that wait for a token: it is cancelled with the first signal, and also if signals
/// cannot be heard, because a service that cannot be asked to end should not begin.
pub fn token() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        match requested().await {
            Ok(signal) => tracing::info!(signal, "asked to end; a second signal ends at once"),
            Err(error) => tracing::error!(%error, "signals cannot be heard"),
        }
        cancelled.cancel();
    });
    token
}
