//! The models of the clients: what they make of the `data` of each operation.

use super::reading::{Kind, Member, optional, used};

const ID: &[Member] = &[used("id", Kind::Uuid)];

/// Of a booking and a cancel.
pub(crate) const BY_ID: Kind = Kind::Object(ID);

const STATES: &[&str] = &["SCHEDULED", "QUEUED", "ROUTING", "PROCESSING", "COMPLETED"];

pub(crate) const CALLBACK: Kind = Kind::Object(&[
    used("id", Kind::Uuid),
    used("desiredTime", Kind::Time),
    used("callbackState", Kind::Word(STATES)),
    optional("callbackReason", Kind::Text),
    used("phoneNumber", Kind::Text),
    optional("positionInQueue", Kind::Number),
    optional("estimatedWaitTime", Kind::Number),
]);

const SLOT: &[Member] = &[
    used("utcTime", Kind::Time),
    used("localTime", Kind::Time),
    used("capacity", Kind::Number),
    used("total", Kind::Number),
];

pub(crate) const AVAILABILITY: Kind =
    Kind::Object(&[used("slots", Kind::List(SLOT)), used("durationMin", Kind::Number), used("timezone", Kind::Text)]);

pub(crate) const OPEN_FOR: Kind = Kind::Object(&[used("openFor", Kind::Number)]);

pub(crate) const QUEUE_STATUS: Kind = Kind::Object(&[
    used("ewt", Kind::Number),
    used("offerImmediateCallback", Kind::Switch),
    used("offerScheduledCallback", Kind::Switch),
]);

/// A list, and no object.
pub(crate) const WAITS: Kind = Kind::List(&[
    used("virtualQueue", Kind::Text),
    used("estimatedWaitTime", Kind::Number),
    used("message", Kind::Text),
    used("resultCode", Kind::Number),
]);

pub(crate) const CALL_IN: Kind = Kind::Object(&[
    used("id", Kind::Uuid),
    used("toPhoneNumber", Kind::Text),
    used("groupName", Kind::Text),
    used("expirationTime", Kind::Number),
    optional("accessCode", Kind::Number),
    optional("fromPhoneNumber", Kind::Text),
    optional("callbackServiceId", Kind::Uuid),
]);

/// Neither client hands out anything of it.
pub(crate) const STATISTICS: Kind = Kind::Opaque;

/// What a full slot proposes: both type it as texts by texts, and read it only where somebody does it by hand.
pub(crate) const PROPOSALS: Kind = Kind::Object(&[used("slots", Kind::Texts)]);
