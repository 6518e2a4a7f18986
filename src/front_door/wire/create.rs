//! The body of `POST /callbacks/create`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use domain::callback::{Idempotency, NewCallback, OfferType, Options, PushTarget};
use domain::captcha::CaptchaToken;
use domain::push::Receiver;
use domain::secret::Secret;
use domain::user_data::{AttachError, MAX_BYTES};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::moves::hold_of;
use super::user_data::UserData;
use super::{Loose, ObjectVisitor, members, object, short_hash, time};
use crate::front_door::error::Problem;

/// Longest name of a service in characters; no queue has a longer one.
pub(crate) const MAX_SERVICE_CHARS: usize = domain::ids::QueueName::MAX_CHARS;
/// Longest phone number as written, in characters: E.164 has 15 digits, the rest is decoration.
pub(crate) const MAX_PHONE_CHARS: usize = 64;
/// Longest language tag in characters (BCP 47 asks for 35).
pub(crate) const MAX_LANGUAGE_CHARS: usize = 35;
/// Longest other text in characters.
pub(crate) const MAX_TEXT_CHARS: usize = 255;
/// Longest push token in characters; FCM's have about 200.
pub(crate) const MAX_TOKEN_CHARS: usize = 4_096;
/// Most devices to notify.
pub(crate) const MAX_PUSH_TARGETS: usize = 10;
/// Largest threshold in seconds and largest priority.
pub(crate) const MAX_NUMBER: f64 = 1e9;

/// What the booking widget's default language is; saying it is saying nothing.
const USUAL_LANGUAGE: &str = "en-US";
/// What old clients send for a text that was not said.
const UNSPECIFIED: &str = "<unspecified>";

members! {
    struct CreateMembers<'de> {
        "serviceName" => service_name: Loose<'de>,
        "phoneNumber" => phone_number: Loose<'de>,
        "desiredTime" => desired_time: Loose<'de>,
        "cbOfferType" => cb_offer_type: Loose<'de>,
        "language" => language: Loose<'de>,
        "inboundVQ" => inbound_vq: Loose<'de>,
        "offerThreshold" => offer_threshold: Loose<'de>,
        "channel" => channel: Loose<'de>,
        "offerTiming" => offer_timing: Loose<'de>,
        "cbOriginationIxnId" => cb_origination_ixn_id: Loose<'de>,
        "surveyRP" => survey_rp: Loose<'de>,
        "priority" => priority: Loose<'de>,
        "routePoint" => route_point: Loose<'de>,
        "userData" => user_data: UserData,
        "captchaToken" => captcha_token: Loose<'de>,
        "pushTargets" => push_targets: PushList<'de>,
        "pushChannel" => push_channel: Loose<'de>,
        "pushTarget" => push_target: Loose<'de>,
        "alwaysCheckCapacity" => always_check_capacity: Loose<'de>,
        "holdId" => hold_id: Loose<'de>,
    }
}

/// `pushTargets`, as far as its limits allow to keep it.
#[derive(Default)]
enum PushList<'a> {
    #[default]
    Absent,
    /// Not an array of objects.
    Odd,
    TooMany,
    Items(Vec<PushMembers<'a>>),
}

members! {
    struct PushMembers<'de> {
        "channel" => channel: Loose<'de>,
        "target" => target: Loose<'de>,
    }
}

/// One entry of the list: an object, or something odd that is passed over.
struct PushItem<'a>(Option<PushMembers<'a>>);

/// Implements the scalar visits of an [`Odd`-like](PushList::Odd) value once for both visitors below.
macro_rules! scalars_are {
    ($odd:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($odd)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($odd)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($odd)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($odd)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($odd)
        }
    };
}
pub(super) use scalars_are;

impl<'de: 'a, 'a> Deserialize<'de> for PushItem<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for ItemVisitor<'a> {
            type Value = PushItem<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            scalars_are!(PushItem(None));

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(PushItem(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(PushItem(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<Self::Value, A::Error> {
                ObjectVisitor::<PushMembers<'de>>(PhantomData).visit_map(from).map(Some).map(PushItem)
            }
        }

        deserializer.deserialize_any(ItemVisitor(PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for PushList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for ListVisitor<'a> {
            type Value = PushList<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            scalars_are!(PushList::Odd);

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(PushList::Absent)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                while from.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(PushList::Odd)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = PushList::Items(Vec::new());
                while let PushList::Items(kept) = &mut list {
                    match items.next_element::<PushItem<'de>>()? {
                        None => return Ok(list),
                        Some(_) if kept.len() == MAX_PUSH_TARGETS => list = PushList::TooMany,
                        Some(PushItem(Some(item))) => kept.push(item),
                        Some(PushItem(None)) => list = PushList::Odd,
                    }
                }
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(list)
            }
        }

        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// Reads a booking. `idempotency` comes from the request's head and the raw body.
pub(crate) fn new_callback(body: &[u8], idempotency: Option<Idempotency>) -> Result<NewCallback, Problem> {
    let members: CreateMembers<'_> = object(body)?;
    let desired_time = desired_time(members.desired_time)?;
    Ok(NewCallback {
        service_name: members.service_name.required_text("serviceName", MAX_SERVICE_CHARS)?.into_owned(),
        phone_number: members.phone_number.required_text("phoneNumber", MAX_PHONE_CHARS)?.into_owned(),
        desired_time,
        always_check_capacity: members.always_check_capacity.flag("alwaysCheckCapacity")?.unwrap_or(false),
        options: Options {
            cb_offer_type: offer_type(members.cb_offer_type)?,
            language: said(members.language, "language", MAX_LANGUAGE_CHARS, USUAL_LANGUAGE)?,
            inbound_vq: said(members.inbound_vq, "inboundVQ", MAX_TEXT_CHARS, "")?,
            offer_threshold: members.offer_threshold.number("offerThreshold", -MAX_NUMBER, MAX_NUMBER)?,
            channel: said(members.channel, "channel", MAX_TEXT_CHARS, "")?,
            offer_timing: said(members.offer_timing, "offerTiming", MAX_TEXT_CHARS, UNSPECIFIED)?,
            cb_origination_ixn_id: said(
                members.cb_origination_ixn_id,
                "cbOriginationIxnId",
                MAX_TEXT_CHARS,
                UNSPECIFIED,
            )?,
            survey_rp: said(members.survey_rp, "surveyRP", MAX_TEXT_CHARS, "")?,
            priority: members.priority.number("priority", -MAX_NUMBER, MAX_NUMBER)?,
            route_point: said(members.route_point, "routePoint", MAX_TEXT_CHARS, "")?,
            push_targets: push_targets(members.push_targets, members.push_channel, members.push_target)?,
        },
        user_data: user_data(members.user_data)?,
        idempotency,
        counted_headers: Vec::new(),
        captcha: captcha_token(members.captcha_token, "captchaToken")?,
        hold: hold_of(members.hold_id, desired_time)?,
    })
}

/// A token, if one came; the queue says whether it is needed.
pub(crate) fn captcha_token(member: Loose<'_>, field: &str) -> Result<Option<CaptchaToken>, Problem> {
    let token = member.text(field, MAX_TOKEN_CHARS)?;
    Ok(token.map(|text| CaptchaToken { hash: short_hash(text.as_bytes()), text: Secret::new(text) }))
}

/// A time that cannot be read is refused, never taken for "now": nobody wants to be called by mistake.
pub(super) fn desired_time(member: Loose<'_>) -> Result<Option<chrono::DateTime<chrono::Utc>>, Problem> {
    const RULE: &str = "must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z";
    match member {
        Loose::Absent => Ok(None),
        Loose::Text(text) => time::parse(&text).map(Some).ok_or_else(|| Problem::bad("desiredTime", RULE)),
        _ => Err(Problem::bad("desiredTime", RULE)),
    }
}

/// Both official clients send a whole sentence that begins with "ASAP" unless told otherwise: only the exact
/// words count, anything else is as good as nothing.
fn offer_type(member: Loose<'_>) -> Result<Option<OfferType>, Problem> {
    match member {
        Loose::Absent => Ok(None),
        Loose::Text(text) => Ok(match text.as_ref() {
            "ASAP" => Some(OfferType::Asap),
            "SCHEDULED" => Some(OfferType::Scheduled),
            "COMBINED_SCHEDULED_AND_ASAP" => Some(OfferType::CombinedScheduledAndAsap),
            _ => None,
        }),
        _ => Err(Problem::bad("cbOfferType", "must be a string")),
    }
}

/// An optional text; `usual` is what everybody means who says nothing.
fn said(member: Loose<'_>, field: &str, max: usize, usual: &str) -> Result<Option<String>, Problem> {
    Ok(member.text(field, max)?.filter(|text| text != usual).map(Cow::into_owned))
}

pub(super) fn user_data(data: UserData) -> Result<Option<String>, Problem> {
    match data {
        UserData::Absent => Ok(None),
        // As it is kept: numbers may be longer than they came.
        UserData::Object(text) if text.len() > MAX_BYTES => Err(AttachError::TooLong.into()),
        UserData::Object(text) => Ok(Some(text).filter(|text| text != "{}")),
        UserData::NotAnObject => Err(Problem::bad("userData", "must be a JSON object, or the JSON text of one")),
        UserData::HasNul => Err(Problem::bad("userData", "must not contain the character U+0000")),
    }
}

/// The list, or else the pair of members that it replaced in June 2019.
fn push_targets(list: PushList<'_>, channel: Loose<'_>, target: Loose<'_>) -> Result<Vec<PushTarget>, Problem> {
    match list {
        PushList::Odd => Err(Problem::bad("pushTargets", "must be an array of objects with channel and target")),
        PushList::TooMany => Err(Problem::bad("pushTargets", format!("must have at most {MAX_PUSH_TARGETS} entries"))),
        PushList::Items(items) => items
            .into_iter()
            .map(|item| push_target(item.channel, "pushTargets.channel", item.target, "pushTargets.target"))
            .collect(),
        PushList::Absent if channel.is_absent() && target.is_absent() => Ok(Vec::new()),
        PushList::Absent => push_target(channel, "pushChannel", target, "pushTarget").map(|target| vec![target]),
    }
}

pub(super) fn push_target(
    channel: Loose<'_>,
    channel_field: &str,
    target: Loose<'_>,
    field: &str,
) -> Result<PushTarget, Problem> {
    let channel = channel.required_text(channel_field, MAX_TEXT_CHARS)?;
    if !Receiver::CHANNELS.contains(&channel.as_ref()) {
        return Err(Problem::bad(channel_field, "must be FCM or HTTP"));
    }
    let target = target.required_text(field, MAX_TOKEN_CHARS)?;
    Ok(PushTarget { channel: channel.into_owned(), target: target.into_owned() })
}
