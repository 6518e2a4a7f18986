//! Writing what a run of bookings and steps has decided: a statement per table, however many they are. A batch has them
//! all locked, so every conditional write finds what was seen; if one does not, nothing of the batch stays.

use std::borrow::Cow;

use domain::callback::{Callback, Cause, Reason, State};
use domain::ids::SessionId;
use domain::ports::Change;
use futures::future::try_join4;
use uuid::Uuid;

use super::super::errors::{Sql, SqlError};
use super::super::names::QueueKey;
use super::super::statement::{Bind, execute, rows, statements};
use super::Batch;
use super::steps::Run;
use crate::stores::command::Book;
use crate::stores::rows::{FORMAT, implied_code, millis, stored, turn_until};

statements! {
    DetailsNumbers = "SELECT nextval(pg_get_serial_sequence('details', 'id')) FROM generate_series(1, ?::bigint)";
    AddDetails = "INSERT INTO details (id, options, user_data)
        SELECT * FROM unnest(?::bigint[], ?::bytea[], ?::bytea[])";
    AddCallbacks = "INSERT INTO callbacks (id, format, version, tenant, queue, phone, state, hand_off, attempt,
        refusals, last_seq, dialled, owes_terminate, desired_time, expires_at, start_at, wake_at, owner, ended_at,
        slot, session, reason, details, devices, turn_seconds, turn_until)
        SELECT id, ?::smallint, version, tenant, queue, phone, state, hand_off, attempt, refusals, last_seq, dialled,
        owes_terminate, desired_time, expires_at, start_at, wake_at, owner, ended_at, slot, session, reason, details,
        devices, turn_seconds, turn_until
        FROM unnest(?::bytea[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
        ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
        ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[],
        ?::bigint[])
        AS u(id, version, tenant, queue, phone, state, hand_off, attempt, refusals, last_seq, dialled, owes_terminate,
        desired_time, expires_at, start_at, wake_at, owner, ended_at, slot, session, reason, details, devices,
        turn_seconds, turn_until)";
    // A parked callback stays set aside whatever is applied to it, until it ends or is taken up again.
    ChangeCallbacks = "UPDATE callbacks c SET version = u.version, state = u.state, hand_off = u.hand_off,
        attempt = u.attempt, refusals = u.refusals, last_seq = u.last_seq, dialled = u.dialled,
        owes_terminate = u.owes_terminate, desired_time = u.desired_time, expires_at = u.expires_at,
        start_at = u.start_at, wake_at = CASE WHEN u.state <> 4
            AND EXISTS (SELECT 1 FROM parked p WHERE p.callback = c.id) THEN NULL ELSE u.wake_at END,
        owner = u.owner, ended_at = u.ended_at, slot = u.slot, session = u.session, reason = u.reason,
        devices = u.devices, turn_until = u.turn_until
        FROM unnest(?::bytea[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
        ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
        ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::bigint[], ?::bigint[])
        AS u(id, tenant, expected_version, expected_owner, version, state, hand_off, attempt, refusals, last_seq,
        dialled, owes_terminate, desired_time, expires_at, start_at, wake_at, owner, ended_at, slot, session, reason,
        devices, turn_until)
        WHERE c.id = u.id AND c.tenant = u.tenant AND c.version = u.expected_version AND c.format = ?
        AND (u.expected_owner IS NULL OR c.owner = u.expected_owner) RETURNING c.id";
    AddHistories = "INSERT INTO history (callback, version, at, cause, state, implied, attempt)
        SELECT * FROM unnest(?::bytea[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[])";
    RemoveParkedOf = "DELETE FROM parked WHERE callback = ANY (?)";
}

/// Rows of `history`.
#[derive(Default)]
pub(super) struct Histories {
    ids: Vec<Uuid>,
    versions: Vec<i64>,
    ats: Vec<i64>,
    causes: Vec<i64>,
    states: Vec<i64>,
    implied: Vec<i64>,
    attempts: Vec<i64>,
}

/// One of them.
pub(super) struct Entry {
    pub(super) version: i64,
    pub(super) at: i64,
    pub(super) cause: Cause,
    pub(super) state: i64,
    pub(super) implied: i64,
    pub(super) attempt: i64,
}

impl Histories {
    pub(super) fn push(&mut self, id: Uuid, entry: Entry) {
        self.ids.push(id);
        self.versions.push(entry.version);
        self.ats.push(entry.at);
        self.causes.push(entry.cause.code().into());
        self.states.push(entry.state);
        self.implied.push(entry.implied);
        self.attempts.push(entry.attempt);
    }
}

fn histories(run: &Run<'_>) -> Histories {
    let mut histories = Histories::default();
    let mut add = |callback: &Callback, cause, implied: &[State], at| {
        let entry = Entry {
            version: callback.version.into(),
            at: millis(at),
            cause,
            state: callback.state.code().into(),
            implied: implied_code(implied),
            attempt: callback.attempt.into(),
        };
        histories.push(callback.id.as_uuid(), entry);
    };
    for (book, _) in &run.books {
        add(&book.callback, Cause::Booked, &[], book.booked_at);
    }
    for (change, _) in &run.changes {
        add(&change.callback, change.saving.cause, &change.saving.implied, change.at);
    }
    histories
}

fn bytes(uuids: &[Uuid]) -> Vec<&[u8]> {
    uuids.iter().map(|uuid| uuid.as_bytes().as_slice()).collect()
}

/// Columns that bookings and steps both write, in the order of [`AddCallbacks`] from `version` on, without what stands
/// between.
struct Columns<'a> {
    ids: Vec<Uuid>,
    tenants: Vec<i64>,
    version: Vec<i64>,
    state: Vec<i64>,
    hand_off: Vec<i64>,
    attempt: Vec<i64>,
    refusals: Vec<i64>,
    last_seq: Vec<i64>,
    dialled: Vec<i64>,
    owes_terminate: Vec<i64>,
    desired_time: Vec<i64>,
    expires_at: Vec<i64>,
    start_at: Vec<i64>,
    wake_at: Vec<Option<i64>>,
    owner: Vec<Option<i64>>,
    ended_at: Vec<Option<i64>>,
    slot: Vec<Option<i64>>,
    session: Vec<Option<&'a str>>,
    reason: Vec<Option<&'a str>>,
    devices: Vec<i64>,
    turn_until: Vec<Option<i64>>,
}

impl<'a> Columns<'a> {
    fn of(all: &[(&'a Callback, QueueKey)]) -> Self {
        fn each<'a, T>(all: &[(&'a Callback, QueueKey)], of: impl Fn(&'a Callback) -> T) -> Vec<T> {
            all.iter().map(|(callback, _)| of(callback)).collect()
        }
        Self {
            ids: each(all, |it| it.id.as_uuid()),
            tenants: all.iter().map(|(_, key)| key.tenant).collect(),
            version: each(all, |it| it.version.into()),
            state: each(all, |it| it.state.code().into()),
            hand_off: each(all, |it| it.hand_off.code().into()),
            attempt: each(all, |it| it.attempt.into()),
            refusals: each(all, |it| it.refusals.into()),
            last_seq: each(all, |it| stored(it.last_seq)),
            dialled: each(all, |it| it.dialled.into()),
            owes_terminate: each(all, |it| it.owes_terminate.into()),
            desired_time: each(all, |it| millis(it.desired_time)),
            expires_at: each(all, |it| millis(it.expires_at)),
            start_at: each(all, |it| millis(it.start_at)),
            wake_at: each(all, |it| it.wake_at.map(millis)),
            owner: each(all, |it| it.owner.map(|owner| owner.0)),
            ended_at: each(all, |it| it.ended_at.map(millis)),
            slot: each(all, |it| it.slot.map(millis)),
            session: each(all, |it| it.session.as_ref().map(SessionId::as_str)),
            reason: each(all, |it| it.reason.as_ref().map(Reason::as_str)),
            devices: each(all, |it| it.devices.code().into()),
            turn_until: each(all, turn_until),
        }
    }

    /// Where each of them stands: what a booking and a step write in the same order.
    fn standing(&self) -> [Bind<'_>; 14] {
        [
            self.state.as_slice().into(),
            self.hand_off.as_slice().into(),
            self.attempt.as_slice().into(),
            self.refusals.as_slice().into(),
            self.last_seq.as_slice().into(),
            self.dialled.as_slice().into(),
            self.owes_terminate.as_slice().into(),
            self.desired_time.as_slice().into(),
            self.expires_at.as_slice().into(),
            self.start_at.as_slice().into(),
            self.wake_at.as_slice().into(),
            self.owner.as_slice().into(),
            self.ended_at.as_slice().into(),
            self.slot.as_slice().into(),
        ]
    }
}

impl Batch<'_> {
    /// Writes what was decided. What takes locks of its own, counters and heads, comes last and sorted.
    pub(super) async fn write(&mut self, run: Run<'_>) -> Sql<()> {
        let details = self.add_details(&run.books).await?;
        let (histories, places) = (histories(&run), self.changed_places(&run.view));
        self.ready().await?;
        let work = &*self;
        // In one message.
        try_join4(
            work.write_books(&run.books, &details),
            work.write_changes(&run.changes),
            work.add_histories(&histories),
            work.write_slots(&places),
        )
        .await?;
        self.write_places(&run.view, &run.gone_holds).await?;
        self.write_counts(&run).await?;
        for (change, key) in &run.changes {
            if change.saving.cause == Cause::CancelledByAdmin {
                self.note_cancelled(change, *key).await?;
            }
        }
        self.announce(&run.announced).await
    }

    /// Prepares what is sent at once.
    async fn ready(&self) -> Sql<()> {
        self.connection.ready::<AddCallbacks>().await?;
        self.connection.ready::<ChangeCallbacks>().await?;
        self.connection.ready::<AddHistories>().await?;
        self.ready_slots().await
    }

    async fn write_books(&self, books: &[(&Book, QueueKey)], details: &[Option<i64>]) -> Sql<()> {
        if books.is_empty() {
            return Ok(());
        }
        let all: Vec<_> = books.iter().map(|(book, key)| (&book.callback, *key)).collect();
        let columns = Columns::of(&all);
        let queues: Vec<i64> = books.iter().map(|(_, key)| key.queue).collect();
        let phones: Vec<i64> = books.iter().map(|(book, _)| stored(book.callback.phone.digits())).collect();
        let seconds = |book: &Book| book.callback.originated.map(|it| i64::from(it.within_seconds));
        let turn_seconds: Vec<Option<i64>> = books.iter().map(|(book, _)| seconds(book)).collect();
        let id_bytes = bytes(&columns.ids);
        let mut binds: Vec<Bind<'_>> = vec![
            FORMAT.into(),
            id_bytes.as_slice().into(),
            columns.version.as_slice().into(),
            columns.tenants.as_slice().into(),
            queues.as_slice().into(),
            phones.as_slice().into(),
        ];
        binds.extend(columns.standing());
        binds.extend([
            Bind::from(columns.session.as_slice()),
            columns.reason.as_slice().into(),
            details.into(),
            columns.devices.as_slice().into(),
            turn_seconds.as_slice().into(),
            columns.turn_until.as_slice().into(),
        ]);
        execute::<AddCallbacks>(self.connection, &binds).await.map(drop)
    }

    /// The numbers of the details of each booking; none where there are none.
    async fn add_details(&mut self, books: &[(&Book, QueueKey)]) -> Sql<Vec<Option<i64>>> {
        let has = |book: &Book| book.options.is_some() || book.user_data.is_some();
        let with: Vec<&Book> = books.iter().map(|(book, _)| *book).filter(|book| has(book)).collect();
        if with.is_empty() {
            return Ok(vec![None; books.len()]);
        }
        let count = i64::try_from(with.len()).unwrap_or_default();
        let numbers: Vec<(i64,)> = rows::<DetailsNumbers, _>(self.connection, &[count.into()]).await?;
        let numbers: Vec<i64> = numbers.into_iter().map(|(number,)| number).collect();
        let options: Vec<Option<&[u8]>> = with.iter().map(|book| book.options.as_deref()).collect();
        let user_data: Vec<Option<&[u8]>> = with.iter().map(|book| book.user_data.as_deref()).collect();
        let binds = [numbers.as_slice().into(), options.as_slice().into(), user_data.as_slice().into()];
        execute::<AddDetails>(self.connection, &binds).await?;
        let mut numbers = numbers.into_iter();
        Ok(books.iter().map(|(book, _)| if has(book) { numbers.next() } else { None }).collect())
    }

    async fn write_changes(&self, changes: &[(Cow<'_, Change>, QueueKey)]) -> Sql<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let all: Vec<_> = changes.iter().map(|(change, key)| (&change.callback, *key)).collect();
        let columns = Columns::of(&all);
        let versions: Vec<i64> = changes.iter().map(|(change, _)| change.expected_version.into()).collect();
        let owners: Vec<Option<i64>> =
            changes.iter().map(|(change, _)| change.expected_owner.map(|owner| owner.0)).collect();
        let id_bytes = bytes(&columns.ids);
        let mut binds: Vec<Bind<'_>> = vec![
            id_bytes.as_slice().into(),
            columns.tenants.as_slice().into(),
            versions.as_slice().into(),
            owners.as_slice().into(),
            columns.version.as_slice().into(),
        ];
        binds.extend(columns.standing());
        binds.extend([
            Bind::from(columns.session.as_slice()),
            columns.reason.as_slice().into(),
            columns.devices.as_slice().into(),
            columns.turn_until.as_slice().into(),
            FORMAT.into(),
        ]);
        let written: Vec<(Vec<u8>,)> = rows::<ChangeCallbacks, _>(self.connection, &binds).await?;
        if written.len() != changes.len() {
            return Err(SqlError::Again("a locked callback has changed"));
        }
        let ended = changes.iter().filter(|(change, _)| change.callback.state == State::Completed);
        let ended: Vec<Uuid> = ended.map(|(change, _)| change.callback.id.as_uuid()).collect();
        if !ended.is_empty() {
            execute::<RemoveParkedOf>(self.connection, &[bytes(&ended).as_slice().into()]).await?;
        }
        Ok(())
    }

    pub(super) async fn add_histories(&self, entries: &Histories) -> Sql<()> {
        if entries.ids.is_empty() {
            return Ok(());
        }
        let id_bytes = bytes(&entries.ids);
        let binds = [
            id_bytes.as_slice().into(),
            entries.versions.as_slice().into(),
            entries.ats.as_slice().into(),
            entries.causes.as_slice().into(),
            entries.states.as_slice().into(),
            entries.implied.as_slice().into(),
            entries.attempts.as_slice().into(),
        ];
        execute::<AddHistories>(self.connection, &binds).await.map(drop)
    }
}
