//! One entry of the stream, written and read: the service writes it, an engine (or our stand-in for one) reads it. The
//! fields are a contract; `docs/ors.md` has it in full.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SecondsFormat, Utc};
use domain::callback::Options;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{AttemptRef, Details, Invitation};
use domain::queue::{CallDirection, CallOptions};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// User data above this goes without the entry, in bytes: the engine fetches it.
pub const MAX_USER_DATA_BYTES: usize = 8 << 10;
/// Version of the contract.
const VERSION: &str = "1";
/// A question is of no use to a reader who comes later than this.
const PING_LIFE: chrono::Duration = chrono::Duration::minutes(5);

/// Fields with their values, in the order in which they are written.
pub(super) type Fields = Vec<(&'static str, String)>;

/// What an entry asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Begin an attempt. User data above [`MAX_USER_DATA_BYTES`] is not in it.
    Start(Box<Invitation>),
    /// End every attempt of a callback unless agent and customer already talk.
    Cancel {
        /// Whose callback.
        tenant: TenantId,
        /// The callback.
        id: CallbackId,
    },
    /// Say how these attempts are.
    Ping(Vec<AttemptRef>),
}

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What is asked for.
    pub action: Action,
    /// Where signals go to: the base URL of the service's internal listener.
    pub reply_to: String,
}

/// Why an entry makes no sense. No value is shown: there may be a phone number in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryError {
    /// Of a later contract, or no entry of ours.
    #[error("the entry has another version")]
    OtherVersion,
    /// An action that this reader does not know.
    #[error("the entry asks for an unknown action")]
    UnknownAction,
    /// A field is missing or cannot be read.
    #[error("the field {0} is missing or cannot be read")]
    Field(&'static str),
}

/// How the call is to be made, as far as it has no field of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallDetails {
    service_name: QueueName,
    call_direction: CallDirection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    survey_route_point: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dial_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call_progress_guard_ms: Option<u32>,
    dial_attempts: u32,
    dial_retry_seconds: u32,
    snooze_seconds: u32,
    pushed_expiry_seconds: u32,
    hold_enabled: bool,
    attach_user_data: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    routing_options: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    booking: Options,
}

/// An attempt that is asked after.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    tenant: TenantId,
    callback_id: CallbackId,
    attempt: u32,
}

/// The form of every instant in an entry: two of them compare as texts.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The entry of a start.
pub(super) fn start(invitation: &Invitation, reply_to: &str, now: DateTime<Utc>) -> Result<Fields, serde_json::Error> {
    let call = &invitation.call;
    let mut fields = vec![
        ("v", VERSION.to_owned()),
        ("action", "start".to_owned()),
        ("tenant", invitation.tenant.to_string()),
        ("callbackId", invitation.id.to_string()),
        ("attempt", invitation.attempt.to_string()),
        ("notAfter", instant(invitation.not_after)),
        ("virtualQueue", call.virtual_queue.clone()),
        ("phoneNumber", invitation.phone.e164()),
        ("desiredTime", instant(invitation.desired_time)),
        ("language", call.language.clone()),
        ("options", serde_json::to_string(&details_of(invitation))?),
        ("replyTo", reply_to.to_owned()),
        ("ts", instant(now)),
    ];
    if !call.regions.is_empty() {
        fields.push(("region", call.regions.join(",")));
    }
    if let Some(priority) = call.priority {
        fields.push(("priority", priority.to_string()));
    }
    for (name, value) in [("routePoint", &call.route_point), ("target", &call.target)] {
        if let Some(value) = value {
            fields.push((name, value.clone()));
        }
    }
    if let Some(data) = &invitation.details.user_data {
        // Empty: there is some, and it has to be fetched.
        fields.push(("userData", if data.len() > MAX_USER_DATA_BYTES { String::new() } else { data.clone() }));
    }
    Ok(fields)
}

fn details_of(invitation: &Invitation) -> CallDetails {
    let call = invitation.call.clone();
    CallDetails {
        service_name: invitation.queue.clone(),
        call_direction: call.direction,
        survey_route_point: call.survey_route_point,
        dial_prefix: call.dial_prefix,
        display_name: call.display_name,
        display_number: call.display_number,
        call_progress_guard_ms: call.call_progress_guard_ms,
        dial_attempts: call.dial_attempts,
        dial_retry_seconds: call.dial_retry_seconds,
        snooze_seconds: call.snooze_seconds,
        pushed_expiry_seconds: call.pushed_expiry_seconds,
        hold_enabled: call.hold_enabled,
        attach_user_data: call.attach_user_data,
        routing_options: call.routing_options,
        // Addresses of devices are for the notifier alone.
        booking: Options { push_targets: Vec::new(), ..invitation.details.options.clone() },
    }
}

/// The entry of a cancel but for `attempt` and `notAfter`, which the register knows.
pub(super) fn cancel(tenant: TenantId, id: CallbackId, reply_to: &str, now: DateTime<Utc>) -> Fields {
    vec![
        ("v", VERSION.to_owned()),
        ("action", "cancel".to_owned()),
        ("tenant", tenant.to_string()),
        ("callbackId", id.to_string()),
        ("unless", "processing".to_owned()),
        ("replyTo", reply_to.to_owned()),
        ("ts", instant(now)),
    ]
}

/// The entry of a question after attempts.
pub(super) fn ping(attempts: &[AttemptRef], reply_to: &str, now: DateTime<Utc>) -> Result<Fields, serde_json::Error> {
    let asked: Vec<Asked> =
        attempts.iter().map(|it| Asked { tenant: it.tenant, callback_id: it.id, attempt: it.attempt }).collect();
    Ok(vec![
        ("v", VERSION.to_owned()),
        ("action", "ping".to_owned()),
        ("notAfter", instant(now + PING_LIFE)),
        ("attempts", serde_json::to_string(&asked)?),
        ("replyTo", reply_to.to_owned()),
        ("ts", instant(now)),
    ])
}

/// Reads an entry.
///
/// # Errors
/// [`EntryError`] says what is wrong with it, without a value.
pub fn read(fields: &HashMap<String, String>) -> Result<Entry, EntryError> {
    let of = Reading(fields);
    if of.text("v")? != VERSION {
        return Err(EntryError::OtherVersion);
    }
    let action = match of.text("action")? {
        "start" => Action::Start(Box::new(of.invitation()?)),
        "cancel" => Action::Cancel { tenant: of.parsed("tenant")?, id: of.parsed("callbackId")? },
        "ping" => {
            let asked: Vec<Asked> = of.json("attempts")?;
            let attempt =
                |it: Asked| AttemptRef { tenant: it.tenant, id: it.callback_id, attempt: it.attempt, session: None };
            Action::Ping(asked.into_iter().map(attempt).collect())
        }
        _ => return Err(EntryError::UnknownAction),
    };
    Ok(Entry { action, reply_to: of.text("replyTo")?.to_owned() })
}

struct Reading<'a>(&'a HashMap<String, String>);

impl<'a> Reading<'a> {
    fn optional(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str)
    }

    fn text(&self, name: &'static str) -> Result<&'a str, EntryError> {
        self.optional(name).ok_or(EntryError::Field(name))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, EntryError> {
        self.text(name)?.parse().map_err(|_| EntryError::Field(name))
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, name: &'static str) -> Result<T, EntryError> {
        serde_json::from_str(self.text(name)?).map_err(|_| EntryError::Field(name))
    }

    fn instant(&self, name: &'static str) -> Result<DateTime<Utc>, EntryError> {
        DateTime::parse_from_rfc3339(self.text(name)?).map(|at| at.to_utc()).map_err(|_| EntryError::Field(name))
    }

    fn invitation(&self) -> Result<Invitation, EntryError> {
        let details: CallDetails = self.json("options")?;
        let digits = self.text("phoneNumber")?.strip_prefix('+').and_then(|digits| digits.parse().ok());
        let owned = |name| self.optional(name).map(str::to_owned);
        let regions = self.optional("region").unwrap_or_default();
        Ok(Invitation {
            tenant: self.parsed("tenant")?,
            id: self.parsed("callbackId")?,
            attempt: self.parsed("attempt")?,
            not_after: self.instant("notAfter")?,
            queue: details.service_name,
            phone: digits.map(PhoneNumber::from_digits).ok_or(EntryError::Field("phoneNumber"))?,
            desired_time: self.instant("desiredTime")?,
            call: CallOptions {
                virtual_queue: self.text("virtualQueue")?.to_owned(),
                target: owned("target"),
                route_point: owned("routePoint"),
                survey_route_point: details.survey_route_point,
                language: self.text("language")?.to_owned(),
                priority: self.optional("priority").and_then(|text| text.parse().ok()),
                regions: regions.split(',').filter(|region| !region.is_empty()).map(str::to_owned).collect(),
                direction: details.call_direction,
                dial_prefix: details.dial_prefix,
                display_name: details.display_name,
                display_number: details.display_number,
                call_progress_guard_ms: details.call_progress_guard_ms,
                dial_attempts: details.dial_attempts,
                dial_retry_seconds: details.dial_retry_seconds,
                snooze_seconds: details.snooze_seconds,
                pushed_expiry_seconds: details.pushed_expiry_seconds,
                hold_enabled: details.hold_enabled,
                attach_user_data: details.attach_user_data,
                routing_options: details.routing_options,
            },
            details: Details { options: details.booking, user_data: owned("userData").filter(|it| !it.is_empty()) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation(user_data: Option<String>) -> Invitation {
        let queue = QueueName::new("support").unwrap();
        let at = DateTime::from_timestamp_millis(1_800_000_000_123).unwrap();
        let mut call = CallOptions::usual(&queue);
        call.regions = vec!["eu-west".into(), "us-east".into()];
        call.priority = Some(7.5);
        call.target = Some("?:Skill>3".into());
        call.routing_options.insert("_urs_virtual_queue".into(), "vq".into());
        Invitation {
            tenant: TenantId::from_name("demo"),
            id: CallbackId::from_uuid(uuid::Uuid::from_u128(7)),
            attempt: 3,
            not_after: at + chrono::Duration::days(1),
            queue,
            phone: PhoneNumber::from_digits(15_551_230_000),
            desired_time: at,
            call,
            details: Details { options: Options { channel: Some("web".into()), ..Options::default() }, user_data },
        }
    }

    fn read_back(fields: Fields) -> Result<Entry, EntryError> {
        read(&fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let now = DateTime::from_timestamp_millis(1_800_000_000_000).unwrap();
        let reply_to = "http://ges.ges:3050".to_owned();
        let short = invitation(Some(r#"{"a":"b"}"#.to_owned()));
        let entry = read_back(start(&short, &reply_to, now).unwrap()).unwrap();
        assert_eq!(entry, Entry { action: Action::Start(Box::new(short.clone())), reply_to: reply_to.clone() });
        let cancelled = read_back(cancel(short.tenant, short.id, &reply_to, now)).unwrap();
        assert_eq!(cancelled.action, Action::Cancel { tenant: short.tenant, id: short.id });
        let asked = vec![AttemptRef { tenant: short.tenant, id: short.id, attempt: 3, session: None }];
        assert_eq!(read_back(ping(&asked, &reply_to, now).unwrap()).unwrap().action, Action::Ping(asked));
    }

    #[test]
    fn long_user_data_stays_behind_and_says_so() {
        let now = DateTime::UNIX_EPOCH;
        for (bytes, kept) in [(MAX_USER_DATA_BYTES, true), (MAX_USER_DATA_BYTES + 1, false)] {
            let fields = start(&invitation(Some("x".repeat(bytes))), "http://a", now).unwrap();
            let data = fields.iter().find(|(name, _)| *name == "userData").map(|(_, value)| value.len());
            assert_eq!(data, Some(if kept { bytes } else { 0 }));
        }
        let without = start(&invitation(None), "http://a", now).unwrap();
        assert!(!without.iter().any(|(name, _)| *name == "userData"));
    }

    #[test]
    fn what_makes_no_sense_is_told_without_its_value() {
        let fields = start(&invitation(None), "http://a", DateTime::UNIX_EPOCH).unwrap();
        let with = |name: &'static str, value: &str| {
            let change = |(known, old): (&'static str, String)| (known, if known == name { value.into() } else { old });
            read_back(fields.clone().into_iter().map(change).collect())
        };
        assert_eq!(with("v", "2"), Err(EntryError::OtherVersion));
        assert_eq!(with("action", "dance"), Err(EntryError::UnknownAction));
        for name in ["tenant", "callbackId", "attempt", "notAfter", "phoneNumber", "desiredTime", "options"] {
            assert_eq!(with(name, "nonsense"), Err(EntryError::Field(name)));
        }
    }
}
