//! The database as evidence: read with plain SQL, beside the program and not through it. The columns are those of
//! `migrations`, and both stores have the same.

use std::collections::BTreeMap;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
use uuid::Uuid;

use super::checker::{Facts, Row, Step};
use super::{now_ms, on_postgres, postgres, postgres_rows};

/// Opens the file without being able to write to it.
fn open(data: &Path) -> SqliteConnection {
    let uri = format!("file:{}?mode=ro", data.join("ges.db").display());
    let mut connection = SqliteConnection::establish(&uri).expect("the database can be opened for reading");
    sql_query("PRAGMA busy_timeout = 5000").execute(&mut connection).unwrap();
    connection
}

/// The one number that a text brings.
fn count(data: &Path, text: &str) -> i64 {
    match on_postgres::of(data) {
        Some(address) => postgres::query(&address, text)[0].parse().unwrap(),
        None => sql_query(text).get_result::<Count>(&mut open(data)).unwrap().count,
    }
}

/// Writes into the database, as nobody should.
pub(crate) fn run(data: &Path, text: &str) {
    match on_postgres::of(data) {
        Some(address) => drop(postgres::query(&address, text)),
        None => {
            let mut connection = SqliteConnection::establish(data.join("ges.db").to_str().unwrap()).unwrap();
            sql_query("PRAGMA busy_timeout = 5000").execute(&mut connection).unwrap();
            sql_query(text).execute(&mut connection).unwrap();
        }
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many callbacks still move: they have work due, and do not merely wait for a time that is far.
pub(crate) fn moving(data: &Path) -> i64 {
    let soon = now_ms() + 60_000;
    let waits = format!("state = 0 AND start_at > {soon}");
    count(data, &format!("SELECT count(*) AS count FROM callbacks WHERE wake_at IS NOT NULL AND NOT ({waits})"))
}

/// How many messages and notifications are owed.
pub(crate) fn owed(data: &Path) -> i64 {
    count(data, "SELECT count(*) AS count FROM notices WHERE ending = 0")
}

/// How many callbacks got another slot because slots changed, all in all.
pub(crate) fn moved_to_other_slots(data: &Path) -> i64 {
    let cause = domain::callback::Cause::Recounted.code();
    count(data, &format!("SELECT count(*) AS count FROM history WHERE cause = {cause}"))
}

/// How many queues are being counted by other slots just now.
pub(crate) fn being_counted(data: &Path) -> i64 {
    count(data, "SELECT count(*) AS count FROM queues WHERE grid LIKE '~%'")
}

/// Makes it as if everything scheduled had been booked, and due, so much earlier. The program must not run.
pub(crate) fn let_time_pass(data: &Path, milliseconds: i64) {
    let mut connection = SqliteConnection::establish(&data.join("ges.db").display().to_string()).unwrap();
    let query = sql_query(
        "UPDATE callbacks SET desired_time = desired_time - ?1, start_at = start_at - ?1, wake_at = wake_at - ?1 \
         WHERE state = 0",
    );
    assert!(query.bind::<BigInt, _>(milliseconds).execute(&mut connection).unwrap() > 0, "nothing is scheduled");
}

#[derive(QueryableByName)]
struct CallbackRow {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Integer)]
    state: i32,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = BigInt)]
    attempt: i64,
    #[diesel(sql_type = BigInt)]
    queue: i64,
    #[diesel(sql_type = BigInt)]
    phone: i64,
    #[diesel(sql_type = BigInt)]
    desired_time: i64,
    #[diesel(sql_type = BigInt)]
    start_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    slot: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    wake_at: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    parked: Option<String>,
}

#[derive(QueryableByName)]
struct HistoryRow {
    #[diesel(sql_type = Binary)]
    callback: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Integer)]
    state: i32,
    #[diesel(sql_type = BigInt)]
    implied: i64,
}

#[derive(QueryableByName)]
struct SlotRow {
    #[diesel(sql_type = BigInt)]
    queue: i64,
    #[diesel(sql_type = BigInt)]
    start: i64,
    #[diesel(sql_type = BigInt)]
    booked: i64,
}

#[derive(QueryableByName)]
struct DepthRow {
    #[diesel(sql_type = BigInt)]
    queue: i64,
    #[diesel(sql_type = BigInt)]
    active: i64,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
}

/// Ids of all callbacks that are kept, the oldest first.
pub(crate) fn callbacks(data: &Path) -> Vec<Uuid> {
    if let Some(address) = on_postgres::of(data) {
        let found = postgres::query(&address, "SELECT encode(id, 'hex') FROM callbacks ORDER BY id");
        return found.iter().map(|id| id.parse().unwrap()).collect();
    }
    let found: Vec<IdRow> = sql_query("SELECT id FROM callbacks ORDER BY id").load(&mut open(data)).unwrap();
    found.iter().map(|row| uuid(&row.id)).collect()
}

/// Reads everything that the checker asks of the database, in one view of it.
pub(crate) fn read_into(data: &Path, facts: &mut Facts) {
    match on_postgres::of(data) {
        Some(address) => postgres_rows::read_into(&address, facts),
        None => {
            open(data).transaction(|connection| read_all(connection, facts)).expect("the database can be read");
            facts.read_at = now_ms();
        }
    }
}

fn read_all(connection: &mut SqliteConnection, facts: &mut Facts) -> QueryResult<()> {
    let callbacks: Vec<CallbackRow> = sql_query(
        "SELECT c.id, c.state, c.reason, c.version, c.attempt, c.queue, c.phone, c.desired_time, c.start_at, c.slot, \
         c.wake_at, p.reason AS parked FROM callbacks c LEFT JOIN parked p ON p.callback = c.id",
    )
    .load(connection)?;
    facts.rows = callbacks.into_iter().map(|row| (uuid(&row.id), Row::from(row))).collect();

    let steps: Vec<HistoryRow> =
        sql_query("SELECT callback, version, state, implied FROM history ORDER BY callback, version")
            .load(connection)?;
    let mut history: BTreeMap<Uuid, Vec<Step>> = BTreeMap::new();
    for step in steps {
        let kept = Step { version: step.version, state: state_name(step.state), implied: implied(step.implied) };
        history.entry(uuid(&step.callback)).or_default().push(kept);
    }
    facts.history = history;

    let slots: Vec<SlotRow> = sql_query("SELECT queue, start, booked FROM slots").load(connection)?;
    facts.slots = slots.into_iter().map(|slot| ((slot.queue, slot.start), slot.booked)).collect();

    let query = "SELECT queue, slot AS start, count(*) AS booked FROM holds GROUP BY 1, 2";
    let holds: Vec<SlotRow> = sql_query(query).load(connection)?;
    facts.holds = holds.into_iter().map(|slot| ((slot.queue, slot.start), slot.booked)).collect();

    let depths: Vec<DepthRow> = sql_query("SELECT queue, active FROM queue_depths").load(connection)?;
    facts.depths = depths.into_iter().map(|depth| (depth.queue, depth.active)).collect();
    Ok(())
}

impl From<CallbackRow> for Row {
    fn from(row: CallbackRow) -> Self {
        Self {
            state: state_name(row.state),
            reason: row.reason,
            version: row.version,
            attempt: row.attempt.try_into().expect("an attempt is small"),
            queue: row.queue,
            phone: row.phone,
            desired_time: row.desired_time,
            start_at: row.start_at,
            slot: row.slot,
            wake_at: row.wake_at,
            parked: row.parked,
        }
    }
}

fn uuid(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).expect("an id has 16 bytes")
}

pub(super) fn state_name(code: i32) -> &'static str {
    ["SCHEDULED", "QUEUED", "ROUTING", "PROCESSING", "COMPLETED"]
        [usize::try_from(code).expect("a state is not negative")]
}

/// States passed through, stored as octal digits: each is the state's number and one more.
pub(super) fn implied(digits: i64) -> Vec<&'static str> {
    if digits == 0 {
        return Vec::new();
    }
    let digits = format!("{digits:o}");
    let number = |digit: char| digit.to_digit(8).expect("an octal digit").cast_signed() - 1;
    digits.chars().map(|digit| state_name(number(digit))).collect()
}
