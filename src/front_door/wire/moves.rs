//! The bodies of holds, moves and repetitions.

use chrono::{DateTime, Utc};
use domain::callback::Idempotency;
use domain::ids::{CallbackId, HoldId};
use domain::ports::{NewHold, Recreation};

use super::create::{MAX_PHONE_CHARS, MAX_SERVICE_CHARS, captcha_token, desired_time};
use super::{Loose, members, object, parse_id};
use crate::front_door::error::Problem;

/// Longest id as written, in characters; a UUID has 36.
const MAX_ID_CHARS: usize = 64;

members! {
    struct HoldMembers<'de> {
        "serviceName" => service_name: Loose<'de>,
        "desiredTime" => desired_time: Loose<'de>,
        "phoneNumber" => phone_number: Loose<'de>,
    }
}

/// Reads what a place is to be held for. `idempotency` comes from the request's head and the raw body.
pub(crate) fn new_hold(body: &[u8], idempotency: Option<Idempotency>) -> Result<NewHold, Problem> {
    let members: HoldMembers<'_> = object(body)?;
    Ok(NewHold {
        service_name: members.service_name.required_text("serviceName", MAX_SERVICE_CHARS)?.into_owned(),
        desired_time: required_time(members.desired_time)?,
        phone_number: members.phone_number.text("phoneNumber", MAX_PHONE_CHARS)?.map(Into::into),
        idempotency,
    })
}

/// A time that has to be named.
fn required_time(member: Loose<'_>) -> Result<DateTime<Utc>, Problem> {
    desired_time(member)?.ok_or_else(|| Problem::bad("desiredTime", "is required"))
}

/// The hold that a booking takes over, if it names one.
pub(super) fn hold_of(member: Loose<'_>, desired_time: Option<DateTime<Utc>>) -> Result<Option<HoldId>, Problem> {
    let Some(text) = member.text("holdId", MAX_ID_CHARS)? else { return Ok(None) };
    if desired_time.is_none() {
        return Err(Problem::bad("desiredTime", "is required with holdId"));
    }
    parse_id("holdId", &text).map(Some)
}

members! {
    struct MoveMembers<'de> {
        "id" => id: Loose<'de>,
        "desiredTime" => desired_time: Loose<'de>,
        "alwaysCheckCapacity" => always_check_capacity: Loose<'de>,
        "captchaToken" => captcha_token: Loose<'de>,
    }
}

/// Reads which hold is given up: `{"id": "<uuid>"}`.
pub(crate) fn hold_id(body: &[u8]) -> Result<HoldId, Problem> {
    parse_id("id", &object::<MoveMembers<'_>>(body)?.id.required_text("id", MAX_ID_CHARS)?)
}

/// Reads which callback is moved, and to when.
pub(crate) fn reschedule(body: &[u8]) -> Result<(CallbackId, DateTime<Utc>), Problem> {
    let members: MoveMembers<'_> = object(body)?;
    let id = parse_id("id", &members.id.required_text("id", MAX_ID_CHARS)?)?;
    Ok((id, required_time(members.desired_time)?))
}

/// Reads which callback is made once more, and how. `idempotency` comes from the request's head and the raw body.
pub(crate) fn recreation(body: &[u8], idempotency: Option<Idempotency>) -> Result<(CallbackId, Recreation), Problem> {
    let members: MoveMembers<'_> = object(body)?;
    let id = parse_id("id", &members.id.required_text("id", MAX_ID_CHARS)?)?;
    let again = Recreation {
        desired_time: desired_time(members.desired_time)?,
        always_check_capacity: members.always_check_capacity.flag("alwaysCheckCapacity")?.unwrap_or(false),
        idempotency,
        counted_headers: Vec::new(),
        captcha: captcha_token(members.captcha_token, "captchaToken")?,
    };
    Ok((id, again))
}
