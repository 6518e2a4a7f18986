//! The rows of PostgreSQL as evidence: read with plain SQL, beside the program and not through it.

use serde_json::Value;
use uuid::Uuid;

use ges::stores::postgres::Address;

use super::checker::{Facts, Row, Step};
use super::database::{implied, state_name};
use super::now_ms;
use super::postgres::{query, try_query};

const CALLBACKS: &str = "SELECT json_build_array(encode(c.id, 'hex'), c.state, c.reason, c.version, c.attempt, c.queue,
    c.phone, c.desired_time, c.start_at, c.slot, c.wake_at, p.reason) AS row
    FROM callbacks c LEFT JOIN parked p ON p.callback = c.id";
const HISTORY: &str = "SELECT json_build_array(encode(callback, 'hex'), version, state, implied) AS row FROM history
    ORDER BY callback, version";
const SLOTS: &str = "SELECT json_build_array(queue, start, booked) AS row FROM slots";
const HOLDS: &str = "SELECT json_build_array(queue, slot, count(*)) AS row FROM holds GROUP BY queue, slot";
const DEPTHS: &str = "SELECT json_build_array(queue, active) AS row FROM queue_depths";

/// The callbacks that still move: they have work due, and do not merely wait for a time that is far. None if the database
/// does not say.
pub(crate) fn moving(address: &Address) -> Option<Vec<Uuid>> {
    let soon = now_ms() + 60_000;
    let text = format!(
        "SELECT encode(id, 'hex') FROM callbacks
        WHERE wake_at IS NOT NULL AND NOT (state = 0 AND start_at > {soon})"
    );
    try_query(address, &text).ok()?.iter().map(|id| id.parse().ok()).collect()
}

/// The number of a queue of the tenant `demo`.
pub(crate) fn queue_number(address: &Address, name: &str) -> Option<i64> {
    let text = format!(
        "SELECT q.key FROM queues q JOIN tenants t ON t.key = q.tenant WHERE t.name = 'demo' AND q.name = '{name}'"
    );
    query(address, &text).first()?.parse().ok()
}

/// Reads everything that the checker asks of the database. It is one statement, so that all is seen at one instant.
pub(crate) fn read_into(address: &Address, facts: &mut Facts) {
    let lists = [CALLBACKS, HISTORY, SLOTS, HOLDS, DEPTHS]
        .map(|text| format!("(SELECT coalesce(json_agg(row), '[]') FROM ({text}) AS all_rows)"));
    let found = query(address, &format!("SELECT json_build_array({})::text", lists.join(", ")));
    let [callbacks, steps, slots, holds, depths]: [Vec<Value>; 5] = serde_json::from_str(&found[0]).unwrap();
    facts.rows = callbacks.iter().map(|row| (uuid(&row[0]), callback(row))).collect();
    facts.history.clear();
    for step in steps {
        let state = state_name(i32::try_from(number(&step[2])).unwrap());
        let kept = Step { version: number(&step[1]), state, implied: implied(number(&step[3])) };
        facts.history.entry(uuid(&step[0])).or_default().push(kept);
    }
    let places = |rows: &[Value]| rows.iter().map(|it| ((number(&it[0]), number(&it[1])), number(&it[2]))).collect();
    facts.slots = places(&slots);
    facts.holds = places(&holds);
    facts.depths = depths.iter().map(|it| (number(&it[0]), number(&it[1]))).collect();
    facts.read_at = now_ms();
}

fn callback(row: &Value) -> Row {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Row {
        state: state_name(i32::try_from(number(&row[1])).unwrap()),
        reason: text(&row[2]),
        version: number(&row[3]),
        attempt: u32::try_from(number(&row[4])).unwrap(),
        queue: number(&row[5]),
        phone: number(&row[6]),
        desired_time: number(&row[7]),
        start_at: number(&row[8]),
        slot: row[9].as_i64(),
        wake_at: row[10].as_i64(),
        parked: text(&row[11]),
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

fn uuid(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().expect("an id has 16 bytes")
}
