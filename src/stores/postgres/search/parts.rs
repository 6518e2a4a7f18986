//! Parts of what is looked through: a stretch of the table, or the next rows of lists that are there anyway.

use domain::ports::StoreError;
use domain::search::Order;
use uuid::Uuid;

use super::super::pool::Reader;
use super::super::statement::{Bind, first, rows, statements};
use super::Hunt;
use crate::stores::rows::{FORMAT, sql_limit, stored};
use crate::stores::search::{IDS_OF_STREAM, Lists, MAX_STREAMS, Part, STRETCH, SeenRow, uuid};

/// Callbacks without an owner that are looked at for those on their way to an agent. One of these is due, so it comes
/// before all that only wait for their time.
pub(in crate::stores::postgres) const MAX_UNOWNED: i64 = 20_000;

statements! {
    QueuesOfTenant = "SELECT key FROM queues WHERE tenant = ? LIMIT ?";
    OlderEnd = "SELECT id FROM callbacks WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?";
    NewerEnd = "SELECT id FROM callbacks WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?";
    OlderRows = "SELECT id, queue, state, phone, desired_time, details FROM callbacks
        WHERE id < ? AND id >= ? AND tenant = ? AND format = ? AND desired_time >= ? AND desired_time < ?
        AND (1 << state) & ? <> 0 AND queue BETWEEN ?::bigint AND ?::bigint AND phone BETWEEN ? AND ? ORDER BY id DESC";
    NewerRows = "SELECT id, queue, state, phone, desired_time, details FROM callbacks
        WHERE id > ? AND id <= ? AND tenant = ? AND format = ? AND desired_time >= ? AND desired_time < ?
        AND (1 << state) & ? <> 0 AND queue BETWEEN ?::bigint AND ?::bigint AND phone BETWEEN ? AND ? ORDER BY id";
    // OFFSET 0 keeps the planner from walking through the table in the order of ids, which looks cheap to it.
    OlderWaiting = "SELECT id, queue, state, phone, desired_time, details FROM (SELECT * FROM callbacks
        WHERE queue = ANY (?::bigint[]) AND phone = ANY (?) AND ended_at IS NULL OFFSET 0) w
        WHERE tenant = ? AND format = ? AND id < ? ORDER BY id DESC LIMIT ?";
    NewerWaiting = "SELECT id, queue, state, phone, desired_time, details FROM (SELECT * FROM callbacks
        WHERE queue = ANY (?::bigint[]) AND phone = ANY (?) AND ended_at IS NULL OFFSET 0) w
        WHERE tenant = ? AND format = ? AND id > ? ORDER BY id LIMIT ?";
    OlderActive = "SELECT id, queue, state, phone, desired_time, details FROM (
        (SELECT * FROM callbacks WHERE owner IS NOT NULL AND wake_at IS NOT NULL OFFSET 0) UNION ALL
        (SELECT * FROM callbacks WHERE owner IS NULL AND wake_at IS NOT NULL ORDER BY owner, wake_at LIMIT ?)) w
        WHERE state IN (1, 2) AND tenant = ? AND format = ? AND id < ? ORDER BY id DESC LIMIT ?";
    NewerActive = "SELECT id, queue, state, phone, desired_time, details FROM (
        (SELECT * FROM callbacks WHERE owner IS NOT NULL AND wake_at IS NOT NULL OFFSET 0) UNION ALL
        (SELECT * FROM callbacks WHERE owner IS NULL AND wake_at IS NOT NULL ORDER BY owner, wake_at LIMIT ?)) w
        WHERE state IN (1, 2) AND tenant = ? AND format = ? AND id > ? ORDER BY id LIMIT ?";
    OlderParked = "SELECT c.id, c.queue, c.state, c.phone, c.desired_time, c.details
        FROM parked p JOIN callbacks c ON c.id = p.callback WHERE c.state IN (1, 2) AND c.tenant = ? AND c.format = ?
        AND p.callback < ? ORDER BY p.callback DESC LIMIT ?";
    NewerParked = "SELECT c.id, c.queue, c.state, c.phone, c.desired_time, c.details
        FROM parked p JOIN callbacks c ON c.id = p.callback WHERE c.state IN (1, 2) AND c.tenant = ? AND c.format = ?
        AND p.callback > ? ORDER BY p.callback LIMIT ?";
    // now() is the same all the statement long, so the index can be searched by it.
    UnownedDue = "SELECT count(*) FROM (SELECT 1 FROM callbacks
        WHERE owner IS NULL AND wake_at <= (extract(epoch FROM now()) * 1000)::bigint LIMIT ?) d";
}

/// A list of callbacks that is there anyway.
#[derive(Debug, Clone)]
pub(super) enum List {
    /// Unfinished callbacks of numbers in queues.
    Waiting { queues: Vec<i64>, phones: Vec<i64> },
    /// Callbacks on their way to an agent, but for those that are set aside.
    Active,
    /// What is set aside on its way to an agent.
    Parked,
}

impl Reader {
    /// The lists in which everything that is wanted stands, if there are such.
    pub(super) async fn lists(&mut self, hunt: &Hunt<'_>) -> Result<Option<Vec<List>>, StoreError> {
        match hunt.lists() {
            Lists::None => Ok(None),
            Lists::ByState => {
                let most = MAX_UNOWNED + 1;
                let due: Option<(i64,)> = first::<UnownedDue, _>(&self.connection, &[most.into()]).await?;
                let few = due.is_none_or(|(count,)| count < most);
                Ok(few.then(|| vec![List::Active, List::Parked]))
            }
            Lists::ByNumber => {
                let queues: Vec<i64> = match &hunt.queues {
                    Some(queues) => queues.iter().copied().collect(),
                    None => self.queues_of(hunt.tenant).await?,
                };
                let phones: Vec<i64> = hunt.search.phones.iter().map(|phone| stored(phone.digits())).collect();
                let few = queues.len() * phones.len() <= MAX_STREAMS;
                Ok(few.then(|| vec![List::Waiting { queues, phones }]))
            }
        }
    }

    async fn queues_of(&mut self, tenant: i64) -> Result<Vec<i64>, StoreError> {
        let binds = [tenant.into(), sql_limit(MAX_STREAMS + 1).into()];
        let found: Vec<(i64,)> = rows::<QueuesOfTenant, _>(&self.connection, &binds).await?;
        Ok(found.into_iter().map(|(key,)| key).collect())
    }

    /// What comes behind `from`.
    pub(super) async fn part(&mut self, hunt: &Hunt<'_>, from: Uuid) -> Result<Part, StoreError> {
        let Some(wanted) = &hunt.streams else { return self.stretch(hunt, from).await };
        let mut lists = Vec::with_capacity(wanted.len());
        for list in wanted {
            lists.push(self.rows_of(hunt, list, from).await?);
        }
        let (rows, end) = hunt.merge(lists, |row: &SeenRow| uuid(&row.0).unwrap_or_default());
        Ok(Part { looked_at: rows.len(), rows, end })
    }

    async fn stretch(&mut self, hunt: &Hunt<'_>, from: Uuid) -> Result<Part, StoreError> {
        let connection = &mut self.connection;
        let binds = [Bind::Bytes(from.as_bytes()), sql_limit(STRETCH - 1).into()];
        let order = hunt.search.order;
        let end: Option<(Vec<u8>,)> = match order {
            Order::NewestFirst => first::<OlderEnd, _>(connection, &binds).await?,
            Order::OldestFirst => first::<NewerEnd, _>(connection, &binds).await?,
        };
        let end = end.map(|(id,)| uuid(&id)).transpose()?;
        let until = end.unwrap_or(match order {
            Order::NewestFirst => Uuid::nil(),
            Order::OldestFirst => Uuid::max(),
        });
        let mut binds = vec![Bind::Bytes(from.as_bytes()), Bind::Bytes(until.as_bytes())];
        binds.extend(hunt.conditions().map(Bind::from));
        let rows = match order {
            Order::NewestFirst => rows::<OlderRows, SeenRow>(connection, &binds).await?,
            Order::OldestFirst => rows::<NewerRows, SeenRow>(connection, &binds).await?,
        };
        Ok(Part { rows, end, looked_at: STRETCH })
    }

    async fn rows_of(&mut self, hunt: &Hunt<'_>, list: &List, from: Uuid) -> Result<Vec<SeenRow>, StoreError> {
        let connection = &mut self.connection;
        let own = [hunt.tenant.into(), FORMAT.into(), Bind::Bytes(from.as_bytes()), sql_limit(IDS_OF_STREAM).into()];
        let found = match (list, hunt.search.order) {
            (List::Waiting { queues, phones }, order) => {
                let binds = [[queues.as_slice().into(), phones.as_slice().into()].as_slice(), own.as_slice()].concat();
                match order {
                    Order::NewestFirst => rows::<OlderWaiting, _>(connection, &binds).await?,
                    Order::OldestFirst => rows::<NewerWaiting, _>(connection, &binds).await?,
                }
            }
            (List::Active, order) => {
                let binds = [[MAX_UNOWNED.into()].as_slice(), own.as_slice()].concat();
                match order {
                    Order::NewestFirst => rows::<OlderActive, _>(connection, &binds).await?,
                    Order::OldestFirst => rows::<NewerActive, _>(connection, &binds).await?,
                }
            }
            (List::Parked, Order::NewestFirst) => rows::<OlderParked, _>(connection, &own).await?,
            (List::Parked, Order::OldestFirst) => rows::<NewerParked, _>(connection, &own).await?,
        };
        Ok(found)
    }
}
