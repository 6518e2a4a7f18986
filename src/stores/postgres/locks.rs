//! What a batch locks, and what it reads under those locks.
//!
//! Every node takes locks in this order: advisory locks, keys and tokens, callbacks, holds, slots, depths, heads of
//! happenings; and each of these sorted. After that a batch waits for nobody, so no two can wait for each other.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use domain::ids::{CallbackId, HoldId, TenantId};

use super::errors::Sql;
use super::statement::{Connection, execute, statements};
use crate::stores::names::QueueKey;

statements! {
    LockNumbers = "SELECT CASE WHEN l.alone = 1 THEN pg_advisory_xact_lock(l.number)
        ELSE pg_advisory_xact_lock_shared(l.number) END IS NULL
        FROM (SELECT number, alone FROM unnest(?::bigint[], ?::bigint[]) AS u(number, alone) ORDER BY number) l";
    LockHeads = "INSERT INTO happening_heads (tenant, last) SELECT t, 0 FROM unnest(?::bigint[]) AS u(t) ORDER BY t
        ON CONFLICT (tenant) DO UPDATE SET last = happening_heads.last";
}

/// What an advisory lock is about. The numbers are part of the lock's number, so they are the same in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// By which grid a queue is counted: shared by whoever takes places in it, alone for whoever names or changes it.
    Grid = 1,
    /// The callbacks of a number that wait in a queue, while they are counted.
    Waiting = 2,
    /// The key of a repetition that is not a booking's.
    Key = 3,
    /// The call-ins of a tenant.
    CallIns = 4,
    /// The audit log of a tenant.
    Audit = 5,
    /// Documents, keys and secrets, of all tenants: names and hashes are unique among all of them.
    Document = 6,
    /// The holds of a queue, while they are counted.
    Holds = 8,
}

/// What is done with the callbacks of a number that wait.
#[derive(Debug, Clone)]
pub(super) struct WaitingOf {
    pub(super) tenant: TenantId,
    pub(super) queue: domain::ids::QueueName,
    /// One of them may end, so they and their slots are locked.
    pub(super) ends: bool,
}

/// How a slot is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) takers: i64,
    /// The least that a taker takes it to have.
    pub(super) capacity: i64,
    /// The latest instant at which one is judged.
    pub(super) at: i64,
}

/// Everything that the commands of one batch need.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// Whether each is taken alone.
    advisory: BTreeMap<i64, bool>,
    pub(super) callbacks: BTreeSet<CallbackId>,
    pub(super) holds: BTreeSet<HoldId>,
    /// By queue and start.
    pub(super) slots: BTreeMap<(i64, i64), Wanted>,
    /// Queues whose rules are judged, or whose depth changes beside those.
    pub(super) depths: BTreeSet<i64>,
    /// Queues whose depth perhaps changes.
    pub(super) moving: BTreeSet<i64>,
    /// Tenants.
    pub(super) heads: BTreeSet<i64>,
    /// Tenants of bookings and steps that are told of.
    pub(super) telling: BTreeSet<i64>,
    /// Queues whose grid is read.
    pub(super) grids: BTreeSet<i64>,
    /// By queue and number.
    pub(super) waiting: BTreeMap<(i64, i64), WaitingOf>,
    /// Queue, end of the day, value. The depth of the queue stands for their lock.
    pub(super) values: BTreeSet<(i64, i64, [u8; 16])>,
    /// Queue and length. The depth of the queue stands for their lock.
    pub(super) windows: BTreeSet<(i64, i64)>,
}

fn number(topic: Topic, whose: &[&[u8]]) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[topic as u8]);
    for part in whose {
        hasher.update(part);
    }
    let mut first = [0; 8];
    first.iter_mut().zip(hasher.finalize().as_bytes()).for_each(|(to, from)| *to = *from);
    i64::from_be_bytes(first)
}

impl Locks {
    /// Nobody else has it meanwhile.
    pub(super) fn alone(&mut self, topic: Topic, whose: &[&[u8]]) {
        self.advisory.insert(number(topic, whose), true);
    }

    /// Nobody has it alone meanwhile.
    pub(super) fn shared(&mut self, topic: Topic, whose: &[&[u8]]) {
        self.advisory.entry(number(topic, whose)).or_insert(false);
    }

    /// The grid of a queue is read, and stays.
    pub(super) fn grid(&mut self, queue: i64) {
        self.shared(Topic::Grid, &[&queue.to_be_bytes()]);
        self.grids.insert(queue);
    }

    /// A slot is taken from, if it has a place; its grid stays.
    pub(super) fn take_slot(&mut self, key: QueueKey, start: i64, capacity: u32, at: i64) {
        self.grid(key.queue);
        let first = Wanted { takers: 0, capacity: i64::MAX, at };
        let wanted = self.slots.entry((key.queue, start)).or_insert(first);
        wanted.takers += 1;
        wanted.capacity = if wanted.takers == 1 { capacity.into() } else { wanted.capacity.min(capacity.into()) };
        wanted.at = wanted.at.max(at);
    }

    /// A place comes back to a slot, or moves.
    pub(super) fn slot(&mut self, queue: i64, start: i64) {
        self.slots.entry((queue, start)).or_default();
    }

    /// Depths and heads are changed last, each by one statement in their order, so nothing else of them has to be locked
    /// before; unless some are, or the batch is written in several parts.
    pub(super) fn complete(&mut self, is_in_parts: bool) {
        if is_in_parts || !self.depths.is_empty() || self.waiting.values().any(|waiting| waiting.ends) {
            self.depths.append(&mut self.moving);
            self.heads.append(&mut self.telling);
        }
    }

    /// A grid that is not known to have a name may get one in this batch, which writes the row of its queue.
    pub(super) fn name_grids(&mut self, named: &HashSet<i64>) {
        let perhaps: Vec<i64> = self.grids.iter().copied().filter(|queue| !named.contains(queue)).collect();
        for queue in perhaps {
            self.alone(Topic::Grid, &[&queue.to_be_bytes()]);
        }
    }

    /// Prepares what [`Self::take_advisory`] sends.
    pub(super) async fn ready(connection: &Connection) -> Sql<()> {
        connection.ready::<LockNumbers>().await
    }

    /// Takes the advisory locks: before anything else of the batch.
    pub(super) async fn take_advisory(&self, connection: &Connection) -> Sql<()> {
        if self.advisory.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i64> = self.advisory.keys().copied().collect();
        let alone: Vec<i64> = self.advisory.values().map(|alone| i64::from(*alone)).collect();
        execute::<LockNumbers>(connection, &[numbers.as_slice().into(), alone.as_slice().into()]).await.map(drop)
    }

    /// Takes the heads: after everything else.
    pub(super) async fn take_heads(&self, connection: &mut Connection) -> Sql<()> {
        if self.heads.is_empty() {
            return Ok(());
        }
        let heads: Vec<i64> = self.heads.iter().copied().collect();
        execute::<LockHeads>(connection, &[heads.as_slice().into()]).await.map(drop)
    }
}
