//! Resident memory: idle, and per active session.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::load::{self, Until};
use super::table::{Table, number};
use super::target::Target;
use super::{BenchError, Scale, seed};

/// Sessions that are active at once in the full run.
const SESSIONS: u64 = 100_000;
/// How long the sessions may take to be accepted.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(180);
/// What one idle actor of ractor takes by itself, in bytes, as measured with an empty actor.
const RACTOR_BYTES: f64 = 8_700.0;

pub(super) async fn run(scale: Scale) -> Result<(), BenchError> {
    let sessions = scale.count(SESSIONS);
    let folder = seed::folder().await?;
    // One agent at speed 1: nearly every callback waits in the queue, accepted, as long as the bench looks.
    let environment = [
        ("GES_DATA_DIR", folder.text()),
        ("GES_LOG_LEVEL", "WARN".to_owned()),
        ("GES_SIM_AGENTS", "1".to_owned()),
        ("GES_SESSION_LIMIT", (sessions * 2).to_string()),
    ];
    let service = Target::start(&["serve"], &environment).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = service.resident_bytes()?;

    let until = Until { requests: sessions, elapsed: Duration::from_secs(600) };
    let make: load::MakeRequest = Arc::new(|number| seed::create(None, number, None));
    let seen = load::run(service.external, 64, until, make, Arc::new(|_, _| ())).await?;
    if seen.ok != sessions {
        return Err(BenchError::Broken(format!("{} of {sessions} creates were not answered 200", seen.refused)));
    }
    let active = wait_for_sessions(&service, sessions).await?;
    let full = service.resident_bytes()?;
    let per_session = (full.saturating_sub(idle)) as f64 / active;

    let mut table = Table::new("Memory of one node, simulator included", &["what", "figure", "aim"]);
    table.row(["idle, MiB".to_owned(), number(mebibytes(idle)), "40".to_owned()]);
    table.row([format!("with {active:.0} active sessions, MiB"), number(mebibytes(full)), "1100".to_owned()]);
    table.row(["bytes per active session".to_owned(), number(per_session), String::new()]);
    table.row([
        "of which ours, beside ractor's 8,700".to_owned(),
        number(per_session - RACTOR_BYTES),
        "1500".to_owned(),
    ]);
    table.print();
    service.stop()
}

pub(super) async fn wait_for_sessions(service: &Target, wanted: u64) -> Result<f64, BenchError> {
    let deadline = Instant::now() + ACCEPTED_WITHIN;
    // A handful has been served by the one agent meanwhile.
    let enough = wanted as f64 * 0.99;
    loop {
        let active = service.metric(r#"ges_actors{kind="session"}"#).await?;
        if active >= enough {
            return Ok(active);
        }
        if Instant::now() > deadline {
            return Err(BenchError::Broken(format!("only {active} of {wanted} sessions are active")));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
