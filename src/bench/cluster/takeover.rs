//! What becomes of the callbacks of a node that is killed, or asked to end, while 10,000 of its sessions are active. Judged
//! by rows of the database, by the journal of the engine, and by what the other node answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::super::load::{self, HearAnswer, MakeRequest, Until};
use super::super::memory::wait_for_sessions;
use super::super::table::{Table, number};
use super::super::target::Target;
use super::super::{BenchError, Scale, lateness, seed};
use super::bed::{Bed, Setup};
use super::figures::{Figures, Row};
use super::servers::Servers;

/// Active sessions of the node.
const SESSIONS: u64 = 10_000;
/// Callbacks beside them that fall due just when the node is dead: what the other one does is seen by the engine.
const DUE: u64 = 200;
/// From their booking until they fall due.
const DUE_IN: TimeDelta = TimeDelta::seconds(6);
/// Callbacks that are cancelled at the other node afterwards.
const CANCELLED: u64 = 100;
/// How long anything of this may take.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

type Ids = Arc<Mutex<Vec<String>>>;

fn collect(ids: &Ids) -> HearAnswer {
    let ids = ids.clone();
    Arc::new(move |_, answer| ids.lock().unwrap_or_else(PoisonError::into_inner).extend(seed::id_of(answer)))
}

/// The node with the sessions, taken out of the bed, and what it owns.
struct Busy {
    node: Target,
    ids: Ids,
    /// Its incarnation.
    owner: i64,
}

/// Two nodes, of which the first has so many active sessions in the line of an engine with one agent.
async fn busy(servers: &Servers, sessions: u64) -> Result<(Bed, Busy), BenchError> {
    let mut bed = Bed::start(servers, Setup { sessions: sessions * 2, ..Setup::default() }).await?;
    let node = bed.take_out(0)?;
    let ids = Ids::default();
    let make: MakeRequest = Arc::new(|number| seed::create(None, number, None));
    Bed::book(&[node.external], sessions, make, collect(&ids)).await?;
    let accepted = "SELECT count(*) FROM callbacks WHERE session IS NOT NULL";
    bed.until("callbacks were accepted", accepted, sessions, PATIENCE).await?;
    wait_for_sessions(&node, sessions).await?;
    let owner = bed.database.number("SELECT incarnation FROM nodes WHERE name = 'node-0'").await?;
    Ok((bed, Busy { node, ids, owner }))
}

/// Still of the node.
async fn owned(bed: &Bed, owner: i64) -> Result<u64, BenchError> {
    let text = format!("SELECT count(*) FROM callbacks WHERE owner = {owner} AND wake_at IS NOT NULL");
    Ok(u64::try_from(bed.database.number(&text).await?).unwrap_or_default())
}

pub(super) async fn killed(servers: &Servers, scale: Scale, figures: &mut Figures) -> Result<(), BenchError> {
    let sessions = scale.count(SESSIONS);
    let (mut bed, Busy { mut node, ids, owner }) = busy(servers, sessions).await?;
    let due_at = seed::now() + DUE_IN;
    let due = Ids::default();
    let make: MakeRequest = Arc::new(move |number| seed::create_aside(due_at, number));
    Bed::book(&[node.external], DUE, make, collect(&due)).await?;
    wait_until(due_at - TimeDelta::milliseconds(500)).await;
    let (killed_at, killed) = (seed::now(), Instant::now());
    node.kill()?;
    // The worst that there is: all of them want something, and at once.
    let now = killed_at.timestamp_millis();
    bed.database
        .run(&format!("UPDATE callbacks SET wake_at = {now} WHERE owner = {owner} AND session IS NOT NULL"))
        .await?;
    let all = owned(&bed, owner).await?;
    let (mut first_taken, mut left) = (None, all);
    while left > 0 {
        if killed.elapsed() > PATIENCE {
            return Err(BenchError::Broken(format!("{left} of {all} were not taken over")));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        left = owned(&bed, owner).await?;
        if left < all {
            first_taken.get_or_insert(killed.elapsed());
        }
    }
    let taken = killed.elapsed().as_secs_f64();
    let other = bed.node(0)?;
    let revived = wait_for_sessions(other, sessions).await?;
    let revived_after = killed.elapsed().as_secs_f64();
    let (first_served, last_served) = served(&bed, &due, killed_at).await?;
    let cancelled = cancel_some(other.external, &ids).await?;

    figures.note(Row::TakeoverFirst, first_served);
    figures.note(Row::TakeoverAll, taken.max(last_served));
    let title = format!("kill -9 of a node with {sessions} active sessions, all of them due at once, seconds after it");
    let mut table = Table::new(&title, &["what", "figure", "aim"]);
    let first_taken = first_taken.unwrap_or_default().as_secs_f64();
    table.row(["first row of the other node".to_owned(), number(first_taken), String::new()]);
    table.row(["first due callback handed to the engine".to_owned(), number(first_served), "6".to_owned()]);
    table.row([format!("last of {DUE} due callbacks handed over"), number(last_served), "15".to_owned()]);
    table.row([format!("all {all} rows of the other node"), number(taken), "15".to_owned()]);
    table.row([format!("{revived:.0} sessions on the other node"), number(revived_after), String::new()]);
    table.row([format!("of {CANCELLED} cancels there answered 200"), cancelled.to_string(), CANCELLED.to_string()]);
    table.print();
    check_cancelled(cancelled)?;
    bed.stop().await
}

/// When the first and the last of those that fell due entered the engine, in seconds after the kill.
async fn served(bed: &Bed, due: &Ids, killed_at: DateTime<Utc>) -> Result<(f64, f64), BenchError> {
    let due = due.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let entries = lateness::entries(bed.journal())?;
        let mut at: Vec<DateTime<Utc>> = due.iter().filter_map(|id| entries.get(id)?.first().copied()).collect();
        at.sort();
        if let ([first, ..], true) = (at.as_slice(), at.len() == due.len()) {
            let after = |at: &DateTime<Utc>| (*at - killed_at).num_milliseconds() as f64 / 1000.0;
            return Ok((after(first), at.last().map_or(0.0, after)));
        }
        if Instant::now() > deadline {
            return Err(BenchError::Broken(format!("{} of {} due callbacks were handed over", at.len(), due.len())));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Cancels the youngest ones, which are last in the line; how many were answered 200.
async fn cancel_some(address: SocketAddr, ids: &Ids) -> Result<u64, BenchError> {
    let ids: Arc<[String]> = ids.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect();
    let make: MakeRequest = Arc::new(move |number| {
        seed::cancel(ids.get(usize::try_from(number).unwrap_or_default()).map_or("", String::as_str))
    });
    let until = Until { requests: CANCELLED, elapsed: PATIENCE };
    Ok(load::run(address, 4, until, make, Arc::new(|_, _| ())).await?.ok)
}

fn check_cancelled(cancelled: u64) -> Result<(), BenchError> {
    if cancelled == CANCELLED {
        Ok(())
    } else {
        Err(BenchError::Broken(format!(
            "only {cancelled} of {CANCELLED} callbacks could be cancelled at the other node"
        )))
    }
}

pub(super) async fn drained(servers: &Servers, scale: Scale, figures: &mut Figures) -> Result<(), BenchError> {
    let sessions = scale.count(SESSIONS);
    let (mut bed, Busy { node, ids, owner }) = busy(servers, sessions).await?;
    let began = Instant::now();
    tokio::task::block_in_place(|| node.stop())?;
    let seconds = began.elapsed().as_secs_f64();
    let unclaimed = owned(&bed, owner).await?;
    let cancelled = cancel_some(bed.node(0)?.external, &ids).await?;
    let kept = bed.database.number("SELECT count(*) FROM callbacks").await?;
    let broken = bed
        .database
        .number(
            "SELECT count(*) FROM callbacks c
        WHERE c.version <> (SELECT count(*) FROM history h WHERE h.callback = c.id)",
        )
        .await?;
    // Whoever has not ended is worked on by a living node, at the latest when it is due.
    let others = bed
        .until(
            "callbacks of the node that is gone are with the other one",
            &format!("SELECT count(*) FROM callbacks WHERE wake_at IS NULL OR owner IS DISTINCT FROM {owner}"),
            sessions,
            PATIENCE,
        )
        .await;
    let found_after = began.elapsed().as_secs_f64();
    let booked = ids.lock().unwrap_or_else(PoisonError::into_inner).len() as i64;
    let lost = (booked - kept).max(0) + broken;
    figures.note(Row::DrainSeconds, seconds);
    figures.note(Row::DrainLost, lost as f64);
    let mut table =
        Table::new(&format!("Drain (SIGTERM) of a node with {sessions} active sessions"), &["what", "figure"]);
    table.row(["seconds until it had ended".to_owned(), number(seconds)]);
    table.row(["callbacks lost".to_owned(), lost.to_string()]);
    table.row(["rows that still named it then".to_owned(), unclaimed.to_string()]);
    table.row(["seconds until the other node had all of them".to_owned(), number(found_after)]);
    table.row([format!("of {CANCELLED} cancels at the other node answered 200"), cancelled.to_string()]);
    table.print();
    others?;
    check_cancelled(cancelled)?;
    bed.stop().await
}

async fn wait_until(at: DateTime<Utc>) {
    tokio::time::sleep((at - seed::now()).to_std().unwrap_or_default()).await;
}
