//! The bodies of call-in requests and of matches, and what a list of requests is asked with.

use domain::call_in::{Codes, Presented, State};
use domain::callback::Idempotency;
use domain::ids::CallInGroupName;
use domain::ports::{CallInOrder, CallInQuery, IncomingCall, NewCallIn};

use super::create::{MAX_PHONE_CHARS, user_data};
use super::query::Query;
use super::user_data::UserData;
use super::{Loose, members, object, parse_id};
use crate::front_door::error::Problem;

/// Longest name of a group in characters.
pub(crate) const MAX_GROUP_CHARS: usize = CallInGroupName::MAX_CHARS;
/// Longest code that is read at all, in characters: whatever a caller may have typed.
pub(crate) const MAX_CODE_CHARS: usize = 64;
/// Longest word in a query; a UUID has 36 characters.
const MAX_WORD_CHARS: usize = 64;

members! {
    struct CallInMembers<'de> {
        "groupName" => group_name: Loose<'de>,
        "fromPhoneNumber" => from_phone_number: Loose<'de>,
        "userData" => user_data: UserData,
        "callbackServiceId" => callback_service_id: Loose<'de>,
    }
}

/// Reads a call-in request. `idempotency` comes from the request's head and the raw body.
pub(crate) fn new_call_in(body: &[u8], idempotency: Option<Idempotency>) -> Result<NewCallIn, Problem> {
    let members: CallInMembers<'_> = object(body)?;
    let callback = members.callback_service_id.text("callbackServiceId", MAX_WORD_CHARS)?;
    Ok(NewCallIn {
        group_name: members.group_name.required_text("groupName", MAX_GROUP_CHARS)?.into_owned(),
        from_phone_number: text(members.from_phone_number, "fromPhoneNumber", MAX_PHONE_CHARS)?,
        user_data: user_data(members.user_data)?,
        callback: callback.map(|text| parse_id("callbackServiceId", &text)).transpose()?,
        idempotency,
    })
}

fn text(member: Loose<'_>, field: &str, max: usize) -> Result<Option<String>, Problem> {
    Ok(member.text(field, max)?.map(Into::into))
}

members! {
    struct MatchMembers<'de> {
        "groupName" => group_name: Loose<'de>,
        "accessCode" => access_code: Loose<'de>,
        "ani" => ani: Loose<'de>,
        "dnis" => dnis: Loose<'de>,
    }
}

/// Reads what an incoming call brings; at least one criterion must be there.
pub(crate) fn incoming_call(body: &[u8], idempotency: Option<Idempotency>) -> Result<IncomingCall, Problem> {
    let members: MatchMembers<'_> = object(body)?;
    let call = IncomingCall {
        group_name: text(members.group_name, "groupName", MAX_GROUP_CHARS)?,
        access_code: access_code(members.access_code)?,
        ani: text(members.ani, "ani", MAX_PHONE_CHARS)?,
        dnis: text(members.dnis, "dnis", MAX_PHONE_CHARS)?,
        idempotency,
    };
    let given = call.access_code != Presented::Absent || call.ani.is_some() || call.dnis.is_some();
    if given { Ok(call) } else { Err(Problem::bad("accessCode, ani or dnis", "is required")) }
}

/// Digits that a caller typed, as a number or as text. What can be no code is nobody's, not a mistake of the flow.
fn access_code(member: Loose<'_>) -> Result<Presented<u32>, Problem> {
    let typed = match member {
        Loose::Number(number) => number.to_string().into(),
        other => match other.text("accessCode", MAX_CODE_CHARS)? {
            Some(text) => text,
            None => return Ok(Presented::Absent),
        },
    };
    let digits = u32::try_from(typed.len()).is_ok_and(|length| Codes::DIGITS.contains(&length))
        && typed.bytes().all(|byte| byte.is_ascii_digit())
        && !typed.starts_with('0');
    let code = typed.parse().ok().filter(|_| digits);
    Ok(code.map_or(Presented::Unreadable, Presented::Value))
}

/// Reads what a list is asked with: the caller's number as written, and the rest.
pub(crate) fn call_in_query(query: Query<'_>) -> Result<(Option<String>, CallInQuery), Problem> {
    let word = |name: &'static str| query.text(&[name], MAX_WORD_CHARS);
    let state = match word("state")? {
        None => None,
        Some(name) => Some(State::from_name(&name).ok_or_else(|| Problem::bad("state", STATE_RULE))?),
    };
    let group = match query.text(&["group"], MAX_GROUP_CHARS)? {
        None => None,
        Some(name) => {
            let group = CallInGroupName::new(&name);
            Some(group.map_err(|_| Problem::bad("group", "must not contain control characters"))?)
        }
    };
    let order = match word("sort")?.as_deref() {
        None | Some("-created") => CallInOrder::NewestFirst,
        Some("created") => CallInOrder::OldestFirst,
        Some(_) => return Err(Problem::bad("sort", "must be created or -created")),
    };
    let after = word("cursor")?.map(|text| parse_id("cursor", &text)).transpose()?;
    let limit = query.page_limit()?;
    let ani = query.text(&["ani"], MAX_PHONE_CHARS)?.map(Into::into);
    Ok((ani, CallInQuery { state, group, caller: None, order, after, limit }))
}

const STATE_RULE: &str = "must be one of WAITING, MATCHED, EXPIRED, CANCELLED";
