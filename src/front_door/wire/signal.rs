//! The body of `POST /ges/v1/callbacks/{id}/signals`: what routing reports about one attempt.

use domain::callback::{Live, Reason, Signal, SignalEvent};
use domain::ids::SessionId;
use serde::de::MapAccess;

use super::{Loose, Members, object, skip};
use crate::front_door::error::Problem;

/// Highest `seq`: what a double counts exactly.
const MAX_SEQ: i64 = 1 << 53;

#[derive(Default)]
struct SignalMembers<'a> {
    attempt: Loose<'a>,
    seq: Loose<'a>,
    event: Loose<'a>,
    session_id: Loose<'a>,
    reason: Loose<'a>,
    position: Loose<'a>,
    estimated_wait_time: Loose<'a>,
}

impl<'de> Members<'de> for SignalMembers<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error> {
        match name {
            "attempt" => self.attempt = from.next_value()?,
            "seq" => self.seq = from.next_value()?,
            "event" => self.event = from.next_value()?,
            "sessionId" => self.session_id = from.next_value()?,
            "reason" => self.reason = from.next_value()?,
            "position" => self.position = from.next_value()?,
            "estimatedWaitTime" => self.estimated_wait_time = from.next_value()?,
            _ => skip(from)?,
        }
        Ok(())
    }
}

/// Reads one signal.
pub(crate) fn signal(body: &[u8]) -> Result<Signal, Problem> {
    let members: SignalMembers<'_> = object(body)?;
    let missing = |field: &str| Problem::bad(field, "is required");
    let attempt = members.attempt.whole("attempt", 1, i64::from(u32::MAX))?.ok_or_else(|| missing("attempt"))?;
    let seq = members.seq.whole("seq", 0, MAX_SEQ)?.ok_or_else(|| missing("seq"))?;
    let word = members.event.required_text("event", Reason::MAX_BYTES)?;
    let session = session(members.session_id)?;
    let reason = reason(members.reason)?;
    let event = match word.as_ref() {
        "accepted" if session.is_none() => return Err(Problem::bad("sessionId", "is required for event accepted")),
        "accepted" => SignalEvent::Accepted,
        "queued" => SignalEvent::Queued,
        "routing" => SignalEvent::Routing,
        "processing" => SignalEvent::Processing,
        "dial-result" => {
            SignalEvent::DialResult(reason.ok_or_else(|| Problem::bad("reason", "is required for event dial-result"))?)
        }
        "completed" => SignalEvent::Completed(reason),
        "failed" => SignalEvent::Failed(reason),
        "position" => SignalEvent::Position(Live {
            position: live(members.position, "position")?,
            estimated_wait_seconds: live(members.estimated_wait_time, "estimatedWaitTime")?,
        }),
        "alive" => SignalEvent::Alive,
        "ended" => SignalEvent::Ended(reason),
        "unknown" => SignalEvent::Unknown,
        _ => return Err(Problem::bad("event", EVENT_RULE)),
    };
    let (attempt, seq) = (u32::try_from(attempt).unwrap_or(u32::MAX), u64::try_from(seq).unwrap_or_default());
    Ok(Signal { attempt, seq, session, event })
}

const EVENT_RULE: &str = "must be one of accepted, queued, routing, processing, dial-result, completed, failed, \
                          position, alive, ended, unknown";

fn session(member: Loose<'_>) -> Result<Option<SessionId>, Problem> {
    let Some(text) = member.text("sessionId", SessionId::MAX_CHARS)? else { return Ok(None) };
    SessionId::new(&text).map(Some).map_err(|_| Problem::bad("sessionId", "must not contain control characters"))
}

fn reason(member: Loose<'_>) -> Result<Option<Reason>, Problem> {
    let Some(text) = member.text("reason", Reason::MAX_BYTES)? else { return Ok(None) };
    Reason::new(&text).map(Some).map_err(|rule| Problem::bad("reason", format!("is refused: {rule}")))
}

/// A live value; −1 is "unknown", and so is silence.
fn live(member: Loose<'_>, field: &str) -> Result<i32, Problem> {
    let value = member.whole(field, -1, i64::from(i32::MAX))?.unwrap_or(-1);
    Ok(i32::try_from(value).unwrap_or(-1))
}
