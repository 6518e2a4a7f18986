//! Rows of happenings and notices, to the domain's types.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::callback::Reason;
use domain::happening::{About, CallbackNews, Happening, HappeningId, Kind};
use domain::ids::{QueueName, TenantId};
use domain::notices::{Channel, Claimed, Detail, Ending, Lane, NoticeKey};
use domain::numbers::PhoneNumber;
use domain::ports::{EndpointRecord, NoticeQuery, NoticeView, Owed, StoreError};
use domain::push::{PushEvent, PushResult};

use super::{callback_id, implied, instant, millis, small, state, stored, unreadable, whole};
use crate::stores::command::notices::{PUSH_LANE, WEBHOOK_LANE};

/// Seq, target, callback, ending, attempts, wake-up, tries, kind.
pub(in crate::stores) type NoticeRow = (i64, i64, Option<Vec<u8>>, i64, i64, Option<i64>, Option<String>, Option<i64>);

/// Seq, kind, at, callback, queue, version, state, implied, note, phone.
pub(in crate::stores) type HappeningRow =
    (i64, i64, i64, Option<Vec<u8>>, Option<i64>, i64, i64, i64, Option<String>, Option<i64>);

/// Key, kind, name, since when it fails, when it was switched off.
pub(in crate::stores) type LaneRow = (i64, i64, String, Option<i64>, Option<i64>);

/// Seq, target, attempts, owner, wake-up, expiry.
pub(in crate::stores) type DueNoticeRow = (i64, i64, i64, Option<i64>, i64, Option<i64>);

/// A notice that is due, before anything is looked up about it.
pub(in crate::stores) struct Due {
    pub(in crate::stores) key: NoticeKey,
    pub(in crate::stores) attempts: i64,
    pub(in crate::stores) owner: Option<i64>,
    pub(in crate::stores) wake_at: i64,
    pub(in crate::stores) expires_at: Option<i64>,
}

/// Where a notice is queued up: kind and name of the lane, and when it was switched off.
pub(in crate::stores) type LaneOfDue = (i64, String, Option<i64>);

/// What is handed to whoever takes a notice on.
pub(in crate::stores) fn claimed(
    due: &Due,
    (lane_kind, name, disabled_at): LaneOfDue,
    happening: Happening,
) -> Result<Claimed, StoreError> {
    Ok(Claimed {
        key: due.key,
        lane: if lane_kind == PUSH_LANE { Lane::Push } else { Lane::Webhook { endpoint: name } },
        tenant: happening.tenant,
        attempt: small(due.attempts, "a number of tries")?.saturating_add(1),
        interrupted: due.owner.is_some(),
        lane_disabled: disabled_at.is_some(),
        expires_at: due.expires_at.map(instant).transpose()?,
        happening,
    })
}

/// Makes a happening of its row; `queue` is the name of the row's queue, if it has one.
pub(in crate::stores) fn happening(
    tenant: TenantId,
    queue: Option<QueueName>,
    row: HappeningRow,
) -> Result<Happening, StoreError> {
    let (seq, kind_code, at, callback, _, version, state_code, implied_code, note, phone) = row;
    let kind = kind(kind_code)?;
    let about = match (callback, queue) {
        (Some(callback), Some(queue)) => {
            let (reason, push) = match kind {
                Kind::Push => (None, Some(read_push_note(note.as_deref().unwrap_or_default())?)),
                _ => (note.map(|text| Reason::new(&text)).transpose().map_err(|_| unreadable("a reason"))?, None),
            };
            About::Callback(CallbackNews {
                id: callback_id(&callback)?,
                queue,
                version: small(version, "a version")?,
                state: state(state_code)?,
                passed: implied(implied_code)?,
                reason,
                push,
                phone: phone.and_then(|digits| u64::try_from(digits).ok()).map(PhoneNumber::from_digits),
            })
        }
        _ => About::Endpoint { name: note.unwrap_or_default() },
    };
    Ok(Happening { tenant, seq: place(seq)?, kind, at: instant(at)?, about })
}

/// An endpoint of its lane, with how many messages it is owed.
pub(in crate::stores) fn endpoint_record(lane: LaneRow, owed: i64) -> Result<EndpointRecord, StoreError> {
    let (_, _, name, failing_since, disabled_at) = lane;
    Ok(EndpointRecord {
        name,
        failing_since: failing_since.map(instant).transpose()?,
        disabled_at: disabled_at.map(instant).transpose()?,
        owed: whole(owed),
    })
}

/// What is owed over each channel, of how many are due per kind of lane, and since when.
pub(in crate::stores) fn owed_by_channel(found: &[(i64, i64, i64)], at: DateTime<Utc>) -> Vec<Owed> {
    let owed = |channel: Channel, lane_kind: i64| {
        let row = found.iter().find(|(kind, ..)| *kind == lane_kind);
        let (due, oldest) = row.map_or((0, millis(at)), |(_, due, oldest)| (*due, *oldest));
        Owed { channel, due: whole(due), oldest: Duration::from_millis(whole(millis(at) - oldest)) }
    };
    vec![owed(Channel::Push, PUSH_LANE), owed(Channel::Webhook, WEBHOOK_LANE)]
}

/// Whether notices of a lane of that kind and name are asked for.
pub(in crate::stores) fn asks_for(query: &NoticeQuery, lane_kind: i64, name: &str) -> bool {
    match query {
        NoticeQuery::Endpoint { endpoint, .. } => lane_kind == WEBHOOK_LANE && name == endpoint,
        NoticeQuery::Push { .. } => lane_kind == PUSH_LANE,
        NoticeQuery::Happening(_) => true,
    }
}

/// The places that are asked for: before the first, from the second on.
pub(in crate::stores) fn places_asked_for(query: &NoticeQuery) -> (i64, i64) {
    match query {
        NoticeQuery::Endpoint { before, .. } | NoticeQuery::Push { before } => {
            (before.map_or(i64::MAX, |seq| i64::try_from(seq).unwrap_or(i64::MAX)), 0)
        }
        NoticeQuery::Happening(seq) => (stored(*seq).saturating_add(1), stored(*seq)),
    }
}

pub(in crate::stores) fn place(seq: i64) -> Result<u64, StoreError> {
    u64::try_from(seq).map_err(|_| unreadable("a place in a feed is negative"))
}

pub(in crate::stores) fn byte(value: i64) -> Result<u8, StoreError> {
    u8::try_from(value).map_err(|_| unreadable("a target is out of range"))
}

fn kind(code: i64) -> Result<Kind, StoreError> {
    let kind = i16::try_from(code).ok().and_then(Kind::from_code);
    kind.ok_or_else(|| unreadable("a kind of happening is not known"))
}

/// Reads `instant:code …`; the first may have been cut and is then left out.
fn tries(text: &str) -> Vec<(DateTime<Utc>, Detail)> {
    let one = |word: &str| {
        let (at, code) = word.split_once(':')?;
        Some((instant(at.parse().ok()?).ok()?, Detail::from_code(code.parse().ok()?)))
    };
    text.split(' ').filter_map(one).filter(|(at, _)| at.timestamp() > 0).collect()
}

/// None where the happening is not kept any more.
pub(in crate::stores) fn notice_view(
    tenant: TenantId,
    endpoint: Option<String>,
    row: NoticeRow,
) -> Result<Option<NoticeView>, StoreError> {
    let (seq, target, callback, ending, attempts, wake_at, tried, kind_code) = row;
    let Some(kind_code) = kind_code else { return Ok(None) };
    let ending = match i16::try_from(ending).unwrap_or(-1) {
        0 => None,
        code => Some(Ending::from_code(code).ok_or_else(|| unreadable("an ending is not known"))?),
    };
    Ok(Some(NoticeView {
        happening: HappeningId::new(tenant, place(seq)?),
        kind: kind(kind_code)?,
        callback: callback.as_deref().map(callback_id).transpose()?,
        endpoint,
        target: byte(target)?,
        ending,
        attempts: small(attempts, "a number of tries")?,
        next_at: wake_at.map(instant).transpose()?,
        tries: tries(tried.as_deref().unwrap_or_default()),
    }))
}

fn read_push_note(note: &str) -> Result<(PushEvent, PushResult), StoreError> {
    let words = note.split_once(' ');
    let read = words.and_then(|(event, result)| Some((PushEvent::from_name(event)?, PushResult::from_name(result)?)));
    read.ok_or_else(|| unreadable("what became of a notification"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_read_as_far_as_they_are_whole() {
        let read = tries("4000:503 1900000000000:2 1900000005000:204");
        let words: Vec<_> = read.iter().map(|(_, detail)| detail.words()).collect();
        assert_eq!(words, ["answered 503", "no answer", "answered 204"]);
        assert_eq!(tries("0000:503 x :"), []);
        assert_eq!(tries(""), []);
    }
}
