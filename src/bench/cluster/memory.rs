//! Resident memory of one of several nodes: idle, and per active session.

use std::time::Duration;

use super::super::BenchError;
use super::super::memory::{mebibytes, wait_for_sessions};
use super::super::table::{Table, number};
use super::bed::{Bed, Setup};
use super::figures::{Figures, Row};
use super::servers::Servers;

/// Sessions that the budget speaks of.
const BUDGETED: f64 = 100_000.0;

pub(super) async fn run(servers: &Servers, sessions: u64, figures: &mut Figures) -> Result<(), BenchError> {
    // One agent at speed 1: nearly every callback waits in the line, accepted, as long as the bench looks.
    let mut bed = Bed::start(servers, Setup { nodes: 1, sessions: sessions * 2, ..Setup::default() }).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let node = bed.node(0)?;
    let idle = node.resident_bytes()?;
    Bed::book_now(&bed.externals(), sessions).await?;
    let active = wait_for_sessions(node, sessions).await?;
    let full = node.resident_bytes()?;
    let each = full.saturating_sub(idle) as f64 / active;
    let budgeted = mebibytes(idle) + each * BUDGETED / 1_048_576.0;
    figures.note(Row::MemoryIdle, mebibytes(idle));
    figures.note(Row::MemoryActive, budgeted);
    let mut table = Table::new("Memory of one of several nodes", &["what", "figure"]);
    table.row(["idle, MiB".to_owned(), number(mebibytes(idle))]);
    table.row([format!("with {active:.0} active sessions, MiB"), number(mebibytes(full))]);
    table.row(["bytes per active session".to_owned(), number(each)]);
    table.row(["at that, with 100,000, MiB".to_owned(), number(budgeted)]);
    table.print();
    bed.stop().await
}
