//! What routing reports: the bodies of `POST /ges/v1/callbacks/{id}/signals` about one attempt, of its batch form, and
//! of `POST /ges/v1/queues/reports`.

use std::marker::PhantomData;

use domain::callback::{Live, Reason, Signal, SignalEvent};
use domain::ids::{CallbackId, QueueName, SessionId};
use domain::wait::{MAX_SERVED, QueueReport};
use serde::de::{Deserialize, Deserializer, MapAccess};

use super::{Loose, Members, ObjectVisitor, object, parse_id, skip};
use crate::front_door::error::Problem;

/// Highest `seq`: what a double counts exactly.
const MAX_SEQ: i64 = 1 << 53;
/// Signals, or reports of queues, in one request.
const MAX_BATCH: usize = 500;
/// Longest time in a report, in seconds: a year.
const MAX_REPORTED_SECONDS: f64 = 31_536_000.0;

#[derive(Default)]
struct SignalMembers<'a> {
    callback_id: Loose<'a>,
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
            "callbackId" => self.callback_id = from.next_value()?,
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
    signal_of(object(body)?)
}

/// One signal of many with its callback, or why it cannot be read.
pub(crate) type Batched = Result<(CallbackId, Signal), Problem>;

/// Reads many signals with their callbacks, in their order; each that breaks a rule of form tells that for itself.
pub(crate) fn batch(body: &[u8]) -> Result<Vec<Batched>, Problem> {
    let members: ListMembers<SignalMembers<'_>> = object(body)?;
    let read = |Item(mut members): Item<SignalMembers<'_>>| {
        let id = std::mem::take(&mut members.callback_id).required_text("callbackId", 64)?;
        Ok((parse_id("callbackId", &id)?, signal_of(members)?))
    };
    Ok(members.listed("signals")?.into_iter().map(read).collect())
}

/// Reads how queues are.
pub(crate) fn reports(body: &[u8]) -> Result<Vec<(QueueName, QueueReport)>, Problem> {
    let members: ListMembers<ReportMembers<'_>> = object(body)?;
    members.listed("queues")?.into_iter().map(|Item(members)| report_of(members)).collect()
}

/// A body that is a list of objects under one name.
struct ListMembers<M>(Option<Vec<Item<M>>>);

impl<M> Default for ListMembers<M> {
    fn default() -> Self {
        Self(None)
    }
}

/// One object of the list.
struct Item<M>(M);

impl<'de, M: Members<'de>> Deserialize<'de> for Item<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor::<M>(PhantomData)).map(Self)
    }
}

impl<'de, M: Members<'de>> Members<'de> for ListMembers<M> {
    fn take<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error> {
        match name {
            "signals" | "queues" => self.0 = Some(from.next_value()?),
            _ => skip(from)?,
        }
        Ok(())
    }
}

impl<M> ListMembers<M> {
    fn listed(self, field: &str) -> Result<Vec<Item<M>>, Problem> {
        let list = self.0.ok_or_else(|| Problem::bad(field, "is required"))?;
        if list.len() > MAX_BATCH {
            return Err(Problem::bad(field, format!("must have at most {MAX_BATCH} entries")));
        }
        Ok(list)
    }
}

#[derive(Default)]
struct ReportMembers<'a> {
    queue: Loose<'a>,
    agents: Loose<'a>,
    free_agents: Loose<'a>,
    waiting: Loose<'a>,
    on_hold: Loose<'a>,
    served: Loose<'a>,
    served_over_seconds: Loose<'a>,
    mean_busy_seconds: Loose<'a>,
    expected_wait_seconds: Loose<'a>,
}

impl<'de> Members<'de> for ReportMembers<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error> {
        match name {
            "queue" => self.queue = from.next_value()?,
            "agents" => self.agents = from.next_value()?,
            "freeAgents" => self.free_agents = from.next_value()?,
            "waiting" => self.waiting = from.next_value()?,
            "onHold" => self.on_hold = from.next_value()?,
            "served" => self.served = from.next_value()?,
            "servedOverSeconds" => self.served_over_seconds = from.next_value()?,
            "meanBusySeconds" => self.mean_busy_seconds = from.next_value()?,
            "expectedWaitSeconds" => self.expected_wait_seconds = from.next_value()?,
            _ => skip(from)?,
        }
        Ok(())
    }
}

fn report_of(members: ReportMembers<'_>) -> Result<(QueueName, QueueReport), Problem> {
    let queue = members.queue.required_text("queue", 255)?;
    let queue = QueueName::new(&queue).map_err(|_| Problem::bad("queue", "must not contain control characters"))?;
    let count = |member: Loose<'_>, field: &str, max: u32| {
        let number = member.whole(field, 0, i64::from(max))?;
        Ok::<_, Problem>(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
    };
    let seconds = |member: Loose<'_>, field: &str| member.number(field, 0.0, MAX_REPORTED_SECONDS);
    let most_served = u32::try_from(MAX_SERVED).unwrap_or(u32::MAX);
    let expected = members.expected_wait_seconds.whole("expectedWaitSeconds", 0, MAX_REPORTED_SECONDS as i64)?;
    let report = QueueReport {
        agents: count(members.agents, "agents", u32::MAX)?,
        free_agents: count(members.free_agents, "freeAgents", u32::MAX)?.unwrap_or_default(),
        waiting: count(members.waiting, "waiting", u32::MAX)?.unwrap_or_default(),
        on_hold: count(members.on_hold, "onHold", u32::MAX)?.unwrap_or_default(),
        served: count(members.served, "served", most_served)?.unwrap_or_default(),
        served_over_seconds: seconds(members.served_over_seconds, "servedOverSeconds")?.unwrap_or_default(),
        mean_busy_seconds: seconds(members.mean_busy_seconds, "meanBusySeconds")?,
        expected_wait_seconds: expected.and_then(|seconds| i32::try_from(seconds).ok()),
    };
    Ok((queue, report))
}

fn signal_of(members: SignalMembers<'_>) -> Result<Signal, Problem> {
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
