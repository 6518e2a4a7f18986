//! Notices: taken on, written back, owed again and removed.
//!
//! What changes the feed of a tenant, its lanes, or which notice about a callback is the next one, has the head of the
//! tenant's feed: so does whoever announces a step. Notices themselves are locked without waiting: who finds one in
//! somebody else's hands leaves it there.

mod announcing;

use domain::happening::Kind;
use domain::notices::{Detail, Ending, Verdict};
use domain::ports::{EndpointMood, Renew, Settle, Settled};
use domain::webhooks::FAILING_MAX;

use super::super::errors::Sql;
use super::super::locks::Locks;
use super::super::statement::{Bind, execute, first, rows, statements};
use super::Batch;
use crate::stores::binds;
use crate::stores::command::Outcome;
use crate::stores::command::notices::{ClaimRows, ForgetRows, NoticeCommand, WEBHOOK_LANE, push_note};
use crate::stores::rows::{millis, stored};
pub(super) use announcing::Announced;

statements! {
    ClaimNotices = "WITH free AS (
            SELECT n.lane, n.seq, n.target
            FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[])
                AS u(lane, seq, target, attempts, wake_at)
            JOIN notices n ON n.lane = u.lane AND n.seq = u.seq AND n.target = u.target
                AND n.attempts = u.attempts AND n.wake_at = u.wake_at
            WHERE n.ending = 0 FOR UPDATE OF n SKIP LOCKED
        ) UPDATE notices n SET owner = ?, attempts = n.attempts + 1, wake_at = ? FROM free f
        WHERE n.lane = f.lane AND n.seq = f.seq AND n.target = f.target RETURNING n.lane, n.seq, n.target";
    // Not tried: as if it had not been taken on.
    PutBack = "WITH mine AS (
            SELECT lane, seq, target FROM notices
            WHERE lane = ? AND seq = ? AND target = ? AND owner = ? AND attempts = ? AND ending = 0
            FOR UPDATE SKIP LOCKED
        ) UPDATE notices n SET wake_at = ?, owner = NULL, attempts = n.attempts - 1 FROM mine m
        WHERE n.lane = m.lane AND n.seq = m.seq AND n.target = m.target";
    SettleNotice = "WITH mine AS (
            SELECT lane, seq, target FROM notices
            WHERE lane = ? AND seq = ? AND target = ? AND owner = ? AND attempts = ? AND ending = 0
            FOR UPDATE SKIP LOCKED
        ) UPDATE notices n SET ending = ?, wake_at = ?, owner = NULL,
        tries = right(coalesce(n.tries || ' ', '') || ?::text, 400) FROM mine m
        WHERE n.lane = m.lane AND n.seq = m.seq AND n.target = m.target RETURNING n.callback";
    ReleaseNext = "UPDATE notices SET wake_at = ? WHERE lane = ? AND target = 0 AND wake_at IS NULL AND seq =
        (SELECT min(n.seq) FROM notices n WHERE n.callback = ? AND n.lane = ? AND n.ending = 0)";
    LaneOf = "SELECT tenant, name FROM lanes WHERE key = ?";
    LaneIsWell = "UPDATE lanes SET failing_since = NULL WHERE key = ? AND failing_since IS NOT NULL";
    LaneFails = "UPDATE lanes SET failing_since = ? WHERE key = ? AND failing_since IS NULL";
    DisableLane = "UPDATE lanes SET disabled_at = ? WHERE key = ? AND disabled_at IS NULL AND failing_since <= ?";
    EnableLane = "UPDATE lanes SET disabled_at = NULL, failing_since = NULL
        WHERE tenant = ? AND kind = 1 AND name = ? AND disabled_at IS NOT NULL";
    AddEndpointHappening = "INSERT INTO happenings (tenant, seq, kind, at, version, state, implied, note)
        VALUES (?, ?, ?, ?, 0, 0, 0, ?)";
    // As the one at another place, with a kind and a note of its own.
    AddFollowing = "INSERT INTO happenings (tenant, seq, kind, at, callback, queue, version, state, implied, note)
        SELECT tenant, ?::bigint, ?::smallint, ?::bigint, callback, queue, version, state, 0, ?::text
        FROM happenings WHERE tenant = ? AND seq = ?";
    // An earlier one about the same callback that is owed comes first.
    RenewNotice = "UPDATE notices r SET ending = 0, attempts = 0, wake_at = CASE WHEN EXISTS
            (SELECT 1 FROM notices n WHERE n.callback = r.callback AND n.lane = r.lane AND n.ending = 0)
            THEN NULL ELSE ?::bigint END
        WHERE lane = ? AND seq = ? AND target = 0 AND ending <> 0 AND (? OR ending <> 1)";
    OweLate = "INSERT INTO notices (lane, seq, target, callback, ending, attempts, wake_at)
        SELECT l.key, h.seq, 0, h.callback, 0, 0, CASE WHEN EXISTS
            (SELECT 1 FROM notices n WHERE n.callback = h.callback AND n.lane = l.key AND n.ending = 0)
            THEN NULL ELSE ?::bigint END
        FROM lanes l JOIN happenings h ON h.tenant = l.tenant WHERE l.key = ? AND h.seq = ?
        AND NOT EXISTS (SELECT 1 FROM notices n WHERE n.lane = l.key AND n.seq = h.seq AND n.target = 0)";
    ForgetNotices = "DELETE FROM notices WHERE lane = ANY (?::bigint[]) AND seq <= ? AND ending <> 0";
    ForgetHappenings = "DELETE FROM happenings WHERE tenant = ? AND seq <= ?";
}

impl Batch<'_> {
    pub(super) fn declare_notices(&self, command: &NoticeCommand, locks: &mut Locks) {
        let tenant = match command {
            // Nothing but the notices themselves.
            NoticeCommand::Claim(_) => None,
            NoticeCommand::Settle(settle) if matches!(settle.verdict, Verdict::Later(_)) => None,
            NoticeCommand::Settle(settle) => self.names.known_tenant(settle.tenant),
            NoticeCommand::Renew(renew) => self.names.known_tenant(renew.tenant),
            NoticeCommand::Enable { tenant, .. } => self.names.known_tenant(*tenant),
            NoticeCommand::Forget(forget) => Some(forget.tenant),
        };
        locks.heads.extend(tenant);
    }

    pub(super) async fn notices(&mut self, command: &NoticeCommand) -> Sql<Outcome> {
        Ok(match command {
            NoticeCommand::Claim(claim) => Outcome::Each(self.claim_notices(claim).await?),
            NoticeCommand::Settle(settle) => Outcome::Settled(self.settle(settle).await?),
            NoticeCommand::Renew(renew) => Outcome::Count(self.renew(renew).await?),
            NoticeCommand::Forget(forget) => Outcome::Count(self.forget_happenings(forget).await?),
            NoticeCommand::Enable { tenant, endpoint } => {
                let Some(tenant) = self.names.known_tenant(*tenant) else { return Ok(Outcome::Count(0)) };
                let binds = [tenant.into(), endpoint.as_str().into()];
                Outcome::Count(execute::<EnableLane>(self.connection, &binds).await?.min(1))
            }
        })
    }

    async fn claim_notices(&mut self, claim: &ClaimRows) -> Sql<Vec<bool>> {
        let column = |of: &dyn Fn(&crate::stores::command::notices::ClaimRow) -> i64| -> Vec<i64> {
            claim.rows.iter().map(of).collect()
        };
        let lanes = column(&|row| row.key.lane.0);
        let seqs = column(&|row| stored(row.key.seq));
        let targets = column(&|row| row.key.target.into());
        let (attempts, wakes) = (column(&|row| row.attempts), column(&|row| row.wake_at));
        let binds = [
            lanes.as_slice().into(),
            seqs.as_slice().into(),
            targets.as_slice().into(),
            attempts.as_slice().into(),
            wakes.as_slice().into(),
            claim.owner.0.into(),
            millis(claim.lease_until).into(),
        ];
        let mut written: Vec<(i64, i64, i64)> = rows::<ClaimNotices, _>(self.connection, &binds).await?;
        written.sort_unstable();
        let keys = lanes.into_iter().zip(seqs).zip(targets).map(|((lane, seq), target)| (lane, seq, target));
        Ok(keys.map(|key| written.binary_search(&key).is_ok()).collect())
    }

    async fn settle(&mut self, settle: &Settle) -> Sql<Settled> {
        let lane = settle.key.lane.0;
        if let Verdict::Later(at) = settle.verdict {
            let [lane, seq, target, owner, attempt] = condition(settle);
            let binds = [lane, seq, target, owner, attempt, millis(at).into()];
            let written = execute::<PutBack>(self.connection, &binds).await? > 0;
            return Ok(Settled { written, ..Settled::default() });
        }
        let Some(callback) = self.settle_row(settle).await? else { return Ok(Settled::default()) };
        let mut settled = Settled { written: true, ..Settled::default() };
        let found: Option<(i64, String)> = first::<LaneOf, _>(self.connection, &[lane.into()]).await?;
        let Some((tenant, name)) = found else { return Ok(settled) };
        if let (Verdict::Settled(_), Some(callback)) = (settle.verdict, &callback) {
            let binds = [millis(settle.at).into(), lane.into(), callback.as_slice().into(), lane.into()];
            settled.released = execute::<ReleaseNext>(self.connection, &binds).await? > 0;
        }
        settled.disabled = self.note_mood(settle).await?;
        if settled.disabled {
            self.tell_of_disabling(settle, tenant, &name).await?;
            settled.released |= !settle.told_of_disabling.is_empty();
        }
        if let (Some(told), Some(callback)) = (&settle.told, &callback) {
            let seq = self.next_place(tenant).await?;
            let note = push_note(told.event, told.result);
            let binds = binds::told(seq, tenant, settle, &note);
            execute::<AddFollowing>(self.connection, &binds).await?;
            self.owe_messages(tenant, &told.endpoints, seq, Some(callback), settle.at).await?;
            settled.released |= !told.endpoints.is_empty();
        }
        Ok(settled)
    }

    async fn tell_of_disabling(&mut self, settle: &Settle, tenant: i64, name: &str) -> Sql<()> {
        let seq = self.next_place(tenant).await?;
        let kind = i64::from(Kind::EndpointDisabled.code());
        let binds = [tenant.into(), seq.into(), kind.into(), millis(settle.at).into(), name.into()];
        execute::<AddEndpointHappening>(self.connection, &binds).await?;
        self.owe_messages(tenant, &settle.told_of_disabling, seq, None, settle.at).await
    }

    /// The callback that the notice is about, if it was still in the hands of its owner. Whoever has it locked is about to
    /// take it on.
    async fn settle_row(&mut self, settle: &Settle) -> Sql<Option<Option<Vec<u8>>>> {
        let (ending, wake_at) = match settle.verdict {
            Verdict::Settled(ending) => (i64::from(ending.code()), None),
            Verdict::Again(at) | Verdict::Later(at) => (0, Some(millis(at))),
        };
        let tried = format!("{}:{}", millis(settle.at), settle.detail.code());
        let [lane, seq, target, owner, attempt] = condition(settle);
        let binds = [lane, seq, target, owner, attempt, ending.into(), wake_at.into(), tried.as_str().into()];
        let row: Option<(Option<Vec<u8>>,)> = first::<SettleNotice, _>(self.connection, &binds).await?;
        Ok(row.map(|(callback,)| callback))
    }

    /// Whether the endpoint was switched off by that.
    async fn note_mood(&mut self, settle: &Settle) -> Sql<bool> {
        let (lane, at) = (Bind::Integer(settle.key.lane.0), millis(settle.at));
        match settle.endpoint {
            EndpointMood::Unknown => return Ok(false),
            EndpointMood::Well => {
                execute::<LaneIsWell>(self.connection, &[lane]).await?;
                return Ok(false);
            }
            EndpointMood::Failing | EndpointMood::Gone => {
                execute::<LaneFails>(self.connection, &[at.into(), lane]).await?;
            }
        }
        let failing_since = if settle.endpoint == EndpointMood::Gone { at } else { millis(settle.at - FAILING_MAX) };
        Ok(execute::<DisableLane>(self.connection, &[at.into(), lane, failing_since.into()]).await? > 0)
    }

    async fn renew(&mut self, renew: &Renew) -> Sql<u64> {
        let Some(tenant) = self.names.known_tenant(renew.tenant) else { return Ok(0) };
        let lane = self.lane(tenant, WEBHOOK_LANE, &renew.endpoint).await?;
        let at: Bind<'_> = millis(renew.at).into();
        let mut renewed = 0;
        for seq in &renew.seqs {
            let (lane, seq) = (lane.into(), stored(*seq).into());
            let again = execute::<RenewNotice>(self.connection, &[at, lane, seq, renew.delivered_too.into()]).await?;
            let owed = if again == 0 { execute::<OweLate>(self.connection, &[at, lane, seq]).await? } else { again };
            renewed += owed.min(1);
        }
        Ok(renewed)
    }

    async fn forget_happenings(&mut self, forget: &ForgetRows) -> Sql<u64> {
        let until = Bind::Integer(forget.until);
        execute::<ForgetNotices>(self.connection, &[forget.lanes.as_slice().into(), until]).await?;
        execute::<ForgetHappenings>(self.connection, &[forget.tenant.into(), until]).await
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

// What the statements above write as plain numbers.
const _: () = {
    assert!(Ending::Delivered.code() == 1 && Ending::Dropped.code() == 4);
    assert!(WEBHOOK_LANE == 1 && Detail::NotReached.code() == 1);
};
