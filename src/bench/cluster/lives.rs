//! What callbacks cost in their whole lives: commands to both Redis servers, bytes of database, and how many updates
//! touched no index.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::table::{Table, number};
use super::super::{BenchError, Scale};
use super::bed::{Bed, Setup};
use super::figures::{Figures, Row};
use super::servers::Servers;

/// Immediate callbacks in the full run.
const CALLBACKS: u64 = 10_000;
/// Parts of them; the database is vacuumed after each, as it does by itself.
const PARTS: u64 = 8;
/// Of these, how many make the pages that are used again and again; what the others add is what callbacks leave behind.
const PARTS_BEFORE: u64 = 4;
/// How long a part may take until its callbacks have ended.
const ENDED_WITHIN: Duration = Duration::from_secs(300);
const ENDED: &str = "SELECT count(*) FROM callbacks WHERE state = 4 AND wake_at IS NULL";

pub(super) async fn run(servers: &Servers, scale: Scale, figures: &mut Figures) -> Result<(), BenchError> {
    let mut bed = Bed::start(servers, Setup { agents: 100_000, speed: 1000, ..Setup::default() }).await?;
    let mut table = Table::new("Whole lives of immediate callbacks, two nodes", &["what", "figure"]);
    idle(&bed, Duration::from_secs(scale.count(20)), &mut table, figures).await?;
    lives(&bed, scale.count(CALLBACKS) / PARTS, &mut table, figures).await?;
    table.print();
    // Sessions of the server tell what they have counted when they end.
    bed.stop().await?;
    hot_updates(&bed).await
}

/// What nodes ask when there is nothing to do.
async fn idle(bed: &Bed, window: Duration, table: &mut Table, figures: &mut Figures) -> Result<(), BenchError> {
    // What they do once when they start.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (own, commits) = (bed.servers.own.calls().await?, bed.database.commits().await?);
    tokio::time::sleep(window).await;
    let own = bed.servers.own.calls().await?.since(&own);
    let commits = bed.database.commits().await? - commits;
    let seconds = window.as_secs_f64();
    if bed.servers.own.is_used().await? {
        figures.note(Row::RedisIdle, own.all() as f64 / seconds);
    } else {
        figures.note_unused(Row::RedisIdle);
    }
    table.row([format!("idle, {seconds} s: commands to the own Redis"), own.text()]);
    table.row(["idle: transactions per second".to_owned(), number(commits / seconds)]);
    Ok(())
}

async fn lives(bed: &Bed, part: u64, table: &mut Table, figures: &mut Figures) -> Result<(), BenchError> {
    let (own, voice) = (bed.servers.own.calls().await?, bed.servers.voice.calls().await?);
    let commits = bed.database.commits().await?;
    let (mut first, mut last) = (0.0, 0.0);
    let mut sizes_before = BTreeMap::new();
    for round in 0..PARTS {
        Bed::book_now(&bed.externals(), part).await?;
        bed.until("callbacks have ended", ENDED, part * (round + 1), ENDED_WITHIN).await?;
        bed.database.run("VACUUM").await?;
        last = bed.database.bytes().await?;
        if round + 1 == PARTS_BEFORE {
            first = last;
            sizes_before = bed.database.sizes().await?.into_iter().collect();
        }
    }
    let callbacks = (part * PARTS) as f64;
    let own = bed.servers.own.calls().await?.since(&own);
    let voice = bed.servers.voice.calls().await?.since(&voice).outside_scripts();
    if bed.servers.own.is_used().await? {
        figures.note(Row::RedisImmediate, own.all() as f64 / callbacks);
    } else {
        figures.note_unused(Row::RedisImmediate);
    }
    figures.note(Row::VoiceRedis, voice.all() as f64 / callbacks);
    let grown_by = (part * (PARTS - PARTS_BEFORE)) as f64;
    figures.note(Row::Finished, (last - first) / grown_by);
    let versions = bed.database.number("SELECT count(*) FROM history").await? as f64;
    table.row(["callbacks".to_owned(), number(callbacks)]);
    table.row(["own Redis".to_owned(), own.text()]);
    table.row([
        "voice Redis, of the service, per callback".to_owned(),
        number(voice.of_the_service() as f64 / callbacks),
    ]);
    table.row(["voice Redis".to_owned(), voice.text()]);
    table.row(["versions of each".to_owned(), number(versions / callbacks)]);
    table.row(["transactions per callback".to_owned(), number((bed.database.commits().await? - commits) / callbacks)]);
    for (name, bytes) in bed.database.sizes().await? {
        let grown = bytes - sizes_before.get(&name).copied().unwrap_or_default();
        if grown > 0.0 {
            table.row([format!("bytes of one in {name}"), number(grown / grown_by)]);
        }
    }
    Ok(())
}

/// Of all updates, those that wrote no index entry.
async fn hot_updates(bed: &Bed) -> Result<(), BenchError> {
    let mut table = Table::new("Updates that touched no index (pg_stat_user_tables)", &["table", "updates", "HOT %"]);
    for name in ["callbacks", "slots", "queue_depths", "nodes", "writers"] {
        let of = |column: &str| format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = '{name}'");
        let all = bed.database.number(&of("n_tup_upd")).await?;
        let hot = bed.database.number(&of("n_tup_hot_upd")).await?;
        table.row([name.to_owned(), all.to_string(), number(hot as f64 * 100.0 / all.max(1) as f64)]);
    }
    table.print();
    Ok(())
}
