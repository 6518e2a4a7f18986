//! Parts of rows of happenings and notices, as they are read.

use chrono::{DateTime, Utc};
use domain::happening::{HappeningId, Kind};
use domain::ids::{CallbackId, TenantId};
use domain::notices::{Detail, Ending};
use domain::ports::{NoticeView, StoreError};
use domain::push::{PushEvent, PushResult};
use uuid::Uuid;

use super::super::rows::{instant, small, unreadable};

/// Seq, target, callback, ending, attempts, wake-up, tries, kind.
pub(super) type NoticeRow = (i64, i64, Option<Vec<u8>>, i64, i64, Option<i64>, Option<String>, Option<i64>);

pub(super) fn place(seq: i64) -> Result<u64, StoreError> {
    u64::try_from(seq).map_err(|_| unreadable("a place in a feed is negative"))
}

pub(super) fn byte(value: i64) -> Result<u8, StoreError> {
    u8::try_from(value).map_err(|_| unreadable("a target is out of range"))
}

pub(super) fn callback_id(bytes: &[u8]) -> Result<CallbackId, StoreError> {
    Uuid::from_slice(bytes).map(CallbackId::from_uuid).map_err(|_| unreadable("an id is no UUID"))
}

pub(super) fn kind(code: i64) -> Result<Kind, StoreError> {
    let kind = i16::try_from(code).ok().and_then(Kind::from_code);
    kind.ok_or_else(|| unreadable("a kind of happening is not known"))
}

/// Reads `instant:code …`; the first may have been cut and is then left out.
pub(super) fn tries(text: &str) -> Vec<(DateTime<Utc>, Detail)> {
    let one = |word: &str| {
        let (at, code) = word.split_once(':')?;
        Some((instant(at.parse().ok()?).ok()?, Detail::from_code(code.parse().ok()?)))
    };
    text.split(' ').filter_map(one).filter(|(at, _)| at.timestamp() > 0).collect()
}

/// None where the happening is not kept any more.
pub(super) fn notice_view(
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

pub(super) fn read_push_note(note: &str) -> Result<(PushEvent, PushResult), StoreError> {
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
