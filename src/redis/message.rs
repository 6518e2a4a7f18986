//! Messages between nodes, as they go over the wire: JSON with a version. What a node does not know it leaves alone, so
//! that nodes of different versions live side by side.

use domain::callback::Live;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::Hint;
use domain::wait::QueueReport;
use serde::{Deserialize, Serialize};

use super::outbox::{Batch, HeardOf};

/// The version that is written and read. It rises when an older node could misread a message.
const VERSION: u32 = 1;
/// Longer messages are neither sent nor read.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Why a message was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// Another version.
    Version,
    /// Longer than [`MAX_BYTES`].
    Length,
    /// Not what a message looks like.
    Form,
}

/// What a message says.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    /// Who sent it: a number that each start of a node draws.
    pub(super) from: u64,
    /// Something that only the sender waits for.
    pub(super) echo: Option<u64>,
    /// The hints in it.
    pub(super) hints: Vec<Hint>,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// Callback, attempt, and position and wait if they were told.
type HeardOnWire = (CallbackId, u32, Option<(i32, i32)>);

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    from: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    echo: Option<u64>,
    #[serde(default, skip_serializing_if = "is_not")]
    settings: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changed: Vec<(TenantId, CallbackId)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heard: Vec<HeardOnWire>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    queues: Vec<(TenantId, QueueName, Report)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_not(value: &bool) -> bool {
    !*value
}

/// How a queue is. Members that a version does not know are left out of its picture.
#[derive(Serialize, Deserialize)]
struct Report {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agents: Option<u32>,
    free: u32,
    waiting: u32,
    held: u32,
    served: u32,
    over: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    busy: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait: Option<i32>,
}

impl From<QueueReport> for Report {
    fn from(it: QueueReport) -> Self {
        Self {
            agents: it.agents,
            free: it.free_agents,
            waiting: it.waiting,
            held: it.on_hold,
            served: it.served,
            over: it.served_over_seconds,
            busy: it.mean_busy_seconds,
            wait: it.expected_wait_seconds,
        }
    }
}

impl From<Report> for QueueReport {
    fn from(it: Report) -> Self {
        Self {
            agents: it.agents,
            free_agents: it.free,
            waiting: it.waiting,
            on_hold: it.held,
            served: it.served,
            served_over_seconds: it.over,
            mean_busy_seconds: it.busy,
            expected_wait_seconds: it.wait,
        }
    }
}

/// The text of a message; none if it cannot be written within [`MAX_BYTES`].
pub(super) fn write(from: u64, echo: Option<u64>, batch: Batch) -> Option<String> {
    let heard = |(id, HeardOf { attempt, live }): (CallbackId, HeardOf)| {
        (id, attempt, live.map(|live| (live.position, live.estimated_wait_seconds)))
    };
    let wire = Wire {
        v: VERSION,
        from,
        echo,
        settings: batch.settings,
        changed: batch.changed,
        heard: batch.heard.into_iter().map(heard).collect(),
        queues: batch.reported.into_iter().map(|((tenant, queue), it)| (tenant, queue, it.into())).collect(),
    };
    serde_json::to_string(&wire).ok().filter(|text| text.len() <= MAX_BYTES)
}

/// What a message says.
///
/// # Errors
/// It is not for this version, or not one of ours.
pub(super) fn read(bytes: &[u8]) -> Result<Message, Unread> {
    if bytes.len() > MAX_BYTES {
        return Err(Unread::Length);
    }
    let Versioned { v } = serde_json::from_slice(bytes).map_err(|_| Unread::Form)?;
    if v != VERSION {
        return Err(Unread::Version);
    }
    let wire: Wire = serde_json::from_slice(bytes).map_err(|_| Unread::Form)?;
    let changed = wire.changed.into_iter().map(|(tenant, id)| Hint::Changed { tenant, id });
    let heard = wire.heard.into_iter().map(|(id, attempt, live)| Hint::Heard {
        id,
        attempt,
        live: live.map(|(position, estimated_wait_seconds)| Live { position, estimated_wait_seconds }),
    });
    let reported =
        wire.queues.into_iter().map(|(tenant, queue, it)| Hint::Reported { tenant, queue, report: it.into() });
    let hints = wire.settings.then_some(Hint::SettingsChanged).into_iter().chain(changed).chain(heard).chain(reported);
    Ok(Message { from: wire.from, echo: wire.echo, hints: hints.collect() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> CallbackId {
        CallbackId::from_uuid(Uuid::from_u128(number))
    }

    fn report() -> QueueReport {
        QueueReport {
            agents: Some(3),
            free_agents: 1,
            waiting: 2,
            on_hold: 4,
            served: 32,
            served_over_seconds: 80.5,
            mean_busy_seconds: Some(30.25),
            expected_wait_seconds: Some(7),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let tenant = TenantId::from_name("a");
        let queue = QueueName::new("sales & \"support\"").unwrap();
        let live = Live { position: 3, estimated_wait_seconds: -1 };
        let batch = Batch {
            settings: true,
            changed: vec![(tenant, id(1))],
            heard: vec![(id(2), HeardOf { attempt: 4, live: Some(live) }), (id(3), HeardOf { attempt: 1, live: None })],
            reported: vec![((tenant, queue.clone()), report())],
        };
        let text = write(u64::MAX, Some(9), batch).unwrap();
        let hints = vec![
            Hint::SettingsChanged,
            Hint::Changed { tenant, id: id(1) },
            Hint::Heard { id: id(2), attempt: 4, live: Some(live) },
            Hint::Heard { id: id(3), attempt: 1, live: None },
            Hint::Reported { tenant, queue, report: report() },
        ];
        assert_eq!(read(text.as_bytes()), Ok(Message { from: u64::MAX, echo: Some(9), hints }));
    }

    #[test]
    fn what_is_not_for_this_version_is_left_alone() {
        let empty = Message { from: 7, echo: None, hints: vec![] };
        for (text, expected) in [
            (r#"{"v":1,"from":7}"#, Ok(empty)),
            (r#"{"v":2,"from":"a name","changed":17}"#, Err(Unread::Version)),
            (r#"{"v":1,"from":"a name"}"#, Err(Unread::Form)),
            (r#"{"v":1,"from":7,"heard":[["x",1,null]]}"#, Err(Unread::Form)),
            ("", Err(Unread::Form)),
            ("[]", Err(Unread::Form)),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
        let more = read(br#"{"v":1,"from":7,"colour":"blue","settings":true}"#).unwrap();
        assert_eq!(more.hints, [Hint::SettingsChanged], "members that are new hinder nobody");
        assert_eq!(read(&vec![b' '; MAX_BYTES + 1]), Err(Unread::Length));
    }

    #[test]
    fn the_fullest_message_is_short_enough() {
        let queue = |number: usize| QueueName::new(&format!("{number:03}{}", "ü".repeat(252))).unwrap();
        let tenant = TenantId::from_name("a");
        let live = Some(Live { position: i32::MIN, estimated_wait_seconds: i32::MIN });
        let outbox = super::super::outbox::Outbox::default();
        for number in 0..5_000 {
            outbox.put(Hint::Changed { tenant, id: id(number) });
            outbox.put(Hint::Heard { id: id(number), attempt: u32::MAX, live });
            outbox.put(Hint::Reported { tenant, queue: queue(number as usize % 999), report: report() });
        }
        let batch = outbox.take();
        assert_eq!(batch.len(), 5_200);
        let text = write(u64::MAX, None, batch).unwrap();
        println!("the fullest message has {} bytes", text.len());
    }

    proptest! {
        #[test]
        fn nothing_that_comes_over_the_wire_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
