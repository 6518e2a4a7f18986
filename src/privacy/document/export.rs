//! What is kept of a number.

use chrono::{DateTime, Utc};
use domain::callback::Options;
use domain::numbers::PhoneNumber;
use domain::ports::{HeldCallIn, HistoryEntry, Record};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};

use super::stamp;
use crate::privacy::PrivacyError;

/// Free data as it was sent.
fn free_data() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .description(Some("What was sent along."))
        .into()
}

fn raw(text: Option<String>) -> Result<Option<Box<RawValue>>, PrivacyError> {
    text.map(RawValue::from_string).transpose().map_err(|_| PrivacyError::Unreadable)
}

/// One step of a callback's life.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedStep {
    version: u32,
    #[schema(format = DateTime)]
    at: String,
    /// Why.
    cause: &'static str,
    callback_state: &'static str,
    attempt: u32,
}

/// A callback with everything of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedCallback {
    #[schema(format = Uuid)]
    id: String,
    /// Its queue.
    service_name: String,
    phone_number: String,
    #[schema(format = DateTime)]
    desired_time: String,
    callback_state: &'static str,
    /// Why it ended.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_reason: Option<String>,
    #[schema(nullable = false, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    /// Routing's session.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// The rarer members of the booking, by their names in it; devices among them.
    #[schema(schema_with = free_data)]
    options: Options,
    /// What was sent along or attached since.
    #[schema(schema_with = free_data, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<Box<RawValue>>,
    history: Vec<ExportedStep>,
}

impl ExportedCallback {
    pub(in crate::privacy) fn new(record: Record) -> Result<Self, PrivacyError> {
        let Record { callback, details, history } = record;
        let step = |entry: HistoryEntry| ExportedStep {
            version: entry.version,
            at: stamp(entry.at),
            cause: entry.cause.name(),
            callback_state: entry.state.name(),
            attempt: entry.attempt,
        };
        Ok(Self {
            id: callback.id.to_string(),
            service_name: callback.queue.into(),
            phone_number: callback.phone.e164(),
            desired_time: stamp(callback.desired_time),
            callback_state: callback.state.name(),
            callback_reason: callback.reason.map(|reason| reason.as_str().to_owned()),
            ended_at: callback.ended_at.map(stamp),
            session_id: callback.session.map(Into::into),
            options: details.options,
            user_data: raw(details.user_data)?,
            history: history.into_iter().map(step).collect(),
        })
    }

    /// Rough length of its text.
    pub(in crate::privacy) fn bytes(&self) -> usize {
        self.user_data.as_ref().map_or(0, |data| data.get().len()) + self.history.len() * 128
    }
}

/// A call-in with everything of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedCallIn {
    #[schema(format = Uuid)]
    id: String,
    state: &'static str,
    group_name: String,
    /// Number to dial.
    to_phone_number: String,
    /// Number that the customer said to call from.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    from_phone_number: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    access_code: Option<u32>,
    /// The callback that it is tied to.
    #[schema(nullable = false, format = Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_service_id: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// What was sent along.
    #[schema(schema_with = free_data, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<Box<RawValue>>,
}

/// Everything that is kept of a number, or a page of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportDocument {
    phone_number: String,
    /// When it was told.
    #[schema(format = DateTime)]
    at: String,
    /// Oldest first.
    pub(in crate::privacy) callbacks: Vec<ExportedCallback>,
    /// Of the number, or tied to one of its callbacks; oldest first, 1,000 at most.
    pub(in crate::privacy) call_ins: Vec<ExportedCallIn>,
    /// Call-ins beyond those.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    pub(in crate::privacy) call_ins_left_out: u64,
    /// Counts of the number per day and queue: kept as a keyed hash and a figure each.
    pub(in crate::privacy) counted_values: u64,
    /// Answers under idempotency keys that name one of those: kept as hashes of key and body, and an id.
    pub(in crate::privacy) idempotency_keys: u64,
    /// Where to go on; absent if this is all.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) next_cursor: Option<String>,
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ExportDocument {
    pub(in crate::privacy) fn new(phone: PhoneNumber, at: DateTime<Utc>) -> Self {
        Self {
            phone_number: phone.e164(),
            at: stamp(at),
            callbacks: Vec::new(),
            call_ins: Vec::new(),
            call_ins_left_out: 0,
            counted_values: 0,
            idempotency_keys: 0,
            next_cursor: None,
        }
    }

    pub(in crate::privacy) fn take_call_ins(&mut self, held: Vec<HeldCallIn>) -> Result<(), PrivacyError> {
        for HeldCallIn { call_in, user_data } in held {
            self.call_ins.push(ExportedCallIn {
                id: call_in.id.to_string(),
                state: call_in.state.name(),
                group_name: call_in.group.into(),
                to_phone_number: call_in.number.e164(),
                from_phone_number: call_in.caller.map(PhoneNumber::e164),
                access_code: call_in.code,
                callback_service_id: call_in.callback.map(|id| id.to_string()),
                created_at: stamp(call_in.created_at),
                expires_at: stamp(call_in.expires_at),
                user_data: raw(user_data)?,
            });
        }
        Ok(())
    }

    /// Where to go on; none if this is all.
    pub fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }

    /// Takes in the page that comes after it.
    pub fn append(&mut self, page: Self) {
        self.callbacks.extend(page.callbacks);
        self.next_cursor = page.next_cursor;
    }
}
