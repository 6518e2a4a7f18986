//! Happenings and notices: written with the step that causes them, taken on, and written back.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel::{QueryResult, SqliteConnection};
use domain::callback::{Callback, Reason, State};
use domain::happening::{Announcement, Kind, OwedPush};
use domain::notices::{Detail, Ending, Verdict};
use domain::ports::{EndpointMood, Renew, Settle, Settled};
use domain::webhooks::FAILING_MAX;

use super::super::rows::{implied_code, millis, stored};
use super::super::statement::{Bind, execute, first, statements};
use super::Writer;
use crate::stores::binds;
use crate::stores::command::Outcome;
use crate::stores::command::notices::{ClaimRows, ForgetRows, NoticeCommand, PUSH_LANE, WEBHOOK_LANE, push_note};

// Without statistics SQLite would rather walk through a whole lane than use the index of what is owed: it is named
// where it is meant.
statements! {
    NextPlace -> (BigInt) = "INSERT INTO happening_heads (tenant, last) VALUES (?, 1)
        ON CONFLICT (tenant) DO UPDATE SET last = last + 1 RETURNING last";
    AddHappening = "INSERT INTO happenings (tenant, seq, kind, at, callback, queue, version, state, implied, note)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    // As the one at another place, with a kind and a note of its own.
    AddFollowing = "INSERT INTO happenings (tenant, seq, kind, at, callback, queue, version, state, implied, note)
        SELECT tenant, ?, ?, ?, callback, queue, version, state, 0, ? FROM happenings WHERE tenant = ? AND seq = ?";
    AddLane = "INSERT INTO lanes (tenant, kind, name) VALUES (?, ?, ?) ON CONFLICT (tenant, kind, name) DO NOTHING";
    FindLane -> (BigInt) = "SELECT key FROM lanes WHERE tenant = ? AND kind = ? AND name = ?";
    LaneOf -> (BigInt, Text) = "SELECT tenant, name FROM lanes WHERE key = ?";
    // An earlier one about the same callback comes first: this one then waits without an instant of its own.
    OweMessage = "INSERT INTO notices (lane, seq, target, callback, ending, attempts, wake_at)
        SELECT l.key, ?, 0, ?, 0, 0, CASE WHEN EXISTS
            (SELECT 1 FROM notices n INDEXED BY notices_owed
            WHERE n.callback = ? AND n.lane = l.key AND n.ending = 0) THEN NULL ELSE ? END
        FROM lanes l WHERE l.tenant = ? AND l.kind = 1 AND l.name = ? AND l.disabled_at IS NULL";
    OwePush = "INSERT INTO notices (lane, seq, target, callback, ending, attempts, wake_at, expires_at)
        VALUES (?, ?, ?, ?, 0, 0, ?, ?)";
    // A newer notification says more than those that nobody has begun to send.
    Supersede = "UPDATE notices INDEXED BY notices_owed SET ending = 4, wake_at = NULL
        WHERE callback = ? AND lane = ? AND ending = 0 AND owner IS NULL";
    ClaimNotice = "UPDATE notices SET owner = ?, attempts = attempts + 1, wake_at = ?
        WHERE lane = ? AND seq = ? AND target = ? AND ending = 0 AND attempts = ? AND wake_at = ?";
    // Not tried: as if it had not been taken on.
    PutBack = "UPDATE notices SET wake_at = ?, owner = NULL, attempts = attempts - 1
        WHERE lane = ? AND seq = ? AND target = ? AND owner = ? AND attempts = ? AND ending = 0";
    SettleNotice -> (Nullable<Binary>) = "UPDATE notices SET ending = ?, wake_at = ?, owner = NULL,
        tries = substr(ifnull(tries || ' ', '') || ?, -400)
        WHERE lane = ? AND seq = ? AND target = ? AND owner = ? AND attempts = ? AND ending = 0 RETURNING callback";
    ReleaseNext = "UPDATE notices SET wake_at = ? WHERE lane = ? AND target = 0 AND wake_at IS NULL AND seq =
        (SELECT min(n.seq) FROM notices n INDEXED BY notices_owed
        WHERE n.callback = ? AND n.lane = ? AND n.ending = 0)";
    LaneIsWell = "UPDATE lanes SET failing_since = NULL WHERE key = ? AND failing_since IS NOT NULL";
    LaneFails = "UPDATE lanes SET failing_since = ? WHERE key = ? AND failing_since IS NULL";
    DisableLane = "UPDATE lanes SET disabled_at = ? WHERE key = ? AND disabled_at IS NULL AND failing_since <= ?";
    EnableLane = "UPDATE lanes SET disabled_at = NULL, failing_since = NULL
        WHERE tenant = ? AND kind = 1 AND name = ? AND disabled_at IS NOT NULL";
    RenewNotice = "INSERT INTO notices (lane, seq, target, callback, ending, attempts, wake_at)
        SELECT ?, h.seq, 0, h.callback, 0, 0, CASE WHEN EXISTS
            (SELECT 1 FROM notices n INDEXED BY notices_owed
            WHERE n.callback = h.callback AND n.lane = ? AND n.ending = 0) THEN NULL ELSE ? END
        FROM happenings h WHERE h.tenant = ? AND h.seq = ?
        ON CONFLICT (lane, seq, target) DO UPDATE SET ending = 0, attempts = 0, wake_at = excluded.wake_at
        WHERE notices.ending <> 0 AND (? OR notices.ending <> 1)";
    ForgetHappenings = "DELETE FROM happenings WHERE tenant = ? AND seq <= ?";
    ForgetNotices = "DELETE FROM notices WHERE lane = ? AND seq <= ? AND ending <> 0";
}

impl Writer {
    pub(super) fn notices(&mut self, command: &NoticeCommand) -> QueryResult<Outcome> {
        Ok(match command {
            NoticeCommand::Claim(claim) => Outcome::Each(self.claim_notices(claim)?),
            NoticeCommand::Settle(settle) => Outcome::Settled(self.settle(settle)?),
            NoticeCommand::Renew(renew) => Outcome::Count(self.renew(renew)?),
            NoticeCommand::Forget(forget) => Outcome::Count(self.forget_happenings(forget)?),
            NoticeCommand::Enable { tenant, endpoint } => {
                let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, *tenant)? else {
                    return Ok(Outcome::Count(0));
                };
                let binds = [tenant.into(), endpoint.as_str().into()];
                Outcome::Count(u64::from(execute::<EnableLane>(&mut self.connection, &binds)? > 0))
            }
        })
    }

    /// Writes what a step means to the outside, in the step's own transaction.
    pub(super) fn announce(
        &mut self,
        callback: &Callback,
        implied: &[State],
        announcement: &Announcement,
        at: DateTime<Utc>,
    ) -> QueryResult<()> {
        let key = self.fresh.resolve(&self.names, &mut self.connection, callback.tenant, &callback.queue)?;
        let uuid = callback.id.as_uuid();
        let id = uuid.as_bytes().as_slice();
        let seq = next_place(&mut self.connection, key.tenant)?;
        execute::<AddHappening>(
            &mut self.connection,
            &[
                key.tenant.into(),
                seq.into(),
                i64::from(announcement.kind.code()).into(),
                millis(at).into(),
                id.into(),
                key.queue.into(),
                i64::from(callback.version).into(),
                i64::from(callback.state.code()).into(),
                implied_code(implied).into(),
                callback.reason.as_ref().map(Reason::as_str).into(),
            ],
        )?;
        for endpoint in &announcement.endpoints {
            owe_message(&mut self.connection, key.tenant, endpoint, seq, Some(id), at)?;
        }
        match announcement.push {
            Some(push) => owe_push(&mut self.connection, key.tenant, push, seq, id, at),
            None => Ok(()),
        }
    }

    fn claim_notices(&mut self, claim: &ClaimRows) -> QueryResult<Vec<bool>> {
        let claimed = claim.rows.iter().map(|row| {
            let binds = [
                claim.owner.0.into(),
                millis(claim.lease_until).into(),
                row.key.lane.0.into(),
                stored(row.key.seq).into(),
                i64::from(row.key.target).into(),
                row.attempts.into(),
                row.wake_at.into(),
            ];
            Ok(execute::<ClaimNotice>(&mut self.connection, &binds)? > 0)
        });
        claimed.collect()
    }

    fn settle(&mut self, settle: &Settle) -> QueryResult<Settled> {
        let lane = settle.key.lane.0;
        if let Verdict::Later(at) = settle.verdict {
            let [lane, seq, target, owner, attempt] = condition(settle);
            let binds = [millis(at).into(), lane, seq, target, owner, attempt];
            let written = execute::<PutBack>(&mut self.connection, &binds)? > 0;
            return Ok(Settled { written, ..Settled::default() });
        }
        let Some(callback) = self.settle_row(settle)? else { return Ok(Settled::default()) };
        let mut settled = Settled { written: true, ..Settled::default() };
        let Some((tenant, name)) = first::<LaneOf, (i64, String)>(&mut self.connection, &[lane.into()])? else {
            return Ok(settled);
        };
        if let (Verdict::Settled(_), Some(callback)) = (settle.verdict, &callback) {
            let id = callback.as_slice();
            let binds = [millis(settle.at).into(), lane.into(), id.into(), lane.into()];
            settled.released = execute::<ReleaseNext>(&mut self.connection, &binds)? > 0;
        }
        settled.disabled = self.note_mood(settle)?;
        if settled.disabled {
            let seq = next_place(&mut self.connection, tenant)?;
            let binds = endpoint_happening(tenant, seq, &name, settle.at);
            execute::<AddHappening>(&mut self.connection, &binds)?;
            for endpoint in &settle.told_of_disabling {
                owe_message(&mut self.connection, tenant, endpoint, seq, None, settle.at)?;
            }
            settled.released |= !settle.told_of_disabling.is_empty();
        }
        if let (Some(told), Some(callback)) = (&settle.told, &callback) {
            let seq = next_place(&mut self.connection, tenant)?;
            let note = push_note(told.event, told.result);
            let binds = binds::told(seq, tenant, settle, &note);
            execute::<AddFollowing>(&mut self.connection, &binds)?;
            for endpoint in &told.endpoints {
                owe_message(&mut self.connection, tenant, endpoint, seq, Some(callback), settle.at)?;
            }
            settled.released |= !told.endpoints.is_empty();
        }
        Ok(settled)
    }

    /// The callback that the notice is about, if it was still in the hands of its owner.
    fn settle_row(&mut self, settle: &Settle) -> QueryResult<Option<Option<Vec<u8>>>> {
        let (ending, wake_at) = match settle.verdict {
            Verdict::Settled(ending) => (i64::from(ending.code()), None),
            Verdict::Again(at) | Verdict::Later(at) => (0, Some(millis(at))),
        };
        let tried = format!("{}:{}", millis(settle.at), settle.detail.code());
        let [lane, seq, target, owner, attempt] = condition(settle);
        let binds = [ending.into(), wake_at.into(), tried.as_str().into(), lane, seq, target, owner, attempt];
        let row: Option<(Option<Vec<u8>>,)> = first::<SettleNotice, _>(&mut self.connection, &binds)?;
        Ok(row.map(|(callback,)| callback))
    }

    /// Whether the endpoint was switched off by that.
    fn note_mood(&mut self, settle: &Settle) -> QueryResult<bool> {
        let (lane, at) = (Bind::Integer(settle.key.lane.0), millis(settle.at));
        match settle.endpoint {
            EndpointMood::Unknown => return Ok(false),
            EndpointMood::Well => {
                execute::<LaneIsWell>(&mut self.connection, &[lane])?;
                return Ok(false);
            }
            EndpointMood::Failing | EndpointMood::Gone => {
                execute::<LaneFails>(&mut self.connection, &[at.into(), lane])?;
            }
        }
        let failing_since = if settle.endpoint == EndpointMood::Gone { at } else { millis(settle.at - FAILING_MAX) };
        Ok(execute::<DisableLane>(&mut self.connection, &[at.into(), lane, failing_since.into()])? > 0)
    }

    fn renew(&mut self, renew: &Renew) -> QueryResult<u64> {
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, renew.tenant)? else { return Ok(0) };
        let lane = lane(&mut self.connection, tenant, WEBHOOK_LANE, &renew.endpoint)?;
        let mut renewed = 0;
        for seq in &renew.seqs {
            let binds = [
                lane.into(),
                lane.into(),
                millis(renew.at).into(),
                tenant.into(),
                stored(*seq).into(),
                i64::from(renew.delivered_too).into(),
            ];
            renewed += u64::from(execute::<RenewNotice>(&mut self.connection, &binds)? > 0);
        }
        Ok(renewed)
    }

    fn forget_happenings(&mut self, forget: &ForgetRows) -> QueryResult<u64> {
        let until = Bind::Integer(forget.until);
        for lane in &forget.lanes {
            execute::<ForgetNotices>(&mut self.connection, &[(*lane).into(), until])?;
        }
        let gone = execute::<ForgetHappenings>(&mut self.connection, &[forget.tenant.into(), until])?;
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }
}

/// Which notice it is, and that it is still in the hands of the one who took it on.
fn condition(settle: &Settle) -> [Bind<'static>; 5] {
    [
        settle.key.lane.0.into(),
        stored(settle.key.seq).into(),
        i64::from(settle.key.target).into(),
        settle.owner.0.into(),
        i64::from(settle.attempt).into(),
    ]
}

fn endpoint_happening(tenant: i64, seq: i64, name: &str, at: DateTime<Utc>) -> [Bind<'_>; 10] {
    let kind = i64::from(Kind::EndpointDisabled.code());
    [
        tenant.into(),
        seq.into(),
        kind.into(),
        millis(at).into(),
        Bind::Null,
        Bind::Null,
        0.into(),
        0.into(),
        0.into(),
        name.into(),
    ]
}

fn next_place(connection: &mut SqliteConnection, tenant: i64) -> QueryResult<i64> {
    let row: Option<(i64,)> = first::<NextPlace, _>(connection, &[tenant.into()])?;
    row.map(|(seq,)| seq).ok_or(diesel::result::Error::NotFound)
}

/// The number of a lane; a new one if it has none.
fn lane(connection: &mut SqliteConnection, tenant: i64, kind: i64, name: &str) -> QueryResult<i64> {
    let binds = [tenant.into(), kind.into(), name.into()];
    if let Some((key,)) = first::<FindLane, (i64,)>(connection, &binds)? {
        return Ok(key);
    }
    execute::<AddLane>(connection, &binds)?;
    let row: Option<(i64,)> = first::<FindLane, _>(connection, &binds)?;
    row.map(|(key,)| key).ok_or(diesel::result::Error::NotFound)
}

fn owe_message(
    connection: &mut SqliteConnection,
    tenant: i64,
    endpoint: &str,
    seq: i64,
    callback: Option<&[u8]>,
    at: DateTime<Utc>,
) -> QueryResult<()> {
    let binds = [seq.into(), callback.into(), callback.into(), millis(at).into(), tenant.into(), Bind::Text(endpoint)];
    if execute::<OweMessage>(connection, &binds)? > 0 {
        return Ok(());
    }
    // Nothing was written: the endpoint is switched off, or it is owed something for the first time.
    if execute::<AddLane>(connection, &[tenant.into(), WEBHOOK_LANE.into(), endpoint.into()])? > 0 {
        execute::<OweMessage>(connection, &binds)?;
    }
    Ok(())
}

fn owe_push(
    connection: &mut SqliteConnection,
    tenant: i64,
    push: OwedPush,
    seq: i64,
    callback: &[u8],
    at: DateTime<Utc>,
) -> QueryResult<()> {
    let lane = lane(connection, tenant, PUSH_LANE, "")?;
    execute::<Supersede>(connection, &[callback.into(), lane.into()])?;
    for target in 0..push.targets {
        let binds = [
            lane.into(),
            seq.into(),
            i64::from(target).into(),
            callback.into(),
            millis(at).into(),
            millis(push.expires_at).into(),
        ];
        execute::<OwePush>(connection, &binds)?;
    }
    Ok(())
}

// What the statements above write as plain numbers.
const _: () = {
    assert!(Ending::Delivered.code() == 1 && Ending::Dropped.code() == 4);
    assert!(WEBHOOK_LANE == 1 && Detail::NotReached.code() == 1);
};
