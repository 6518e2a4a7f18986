//! The shapes of call-in requests.

use domain::ids::{CallInId, CallbackId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{SuccessStatus, user_data, uuid};

/// A call-in request. Unknown members are ignored; `null` counts as left out; texts must not contain U+0000.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct CallInRequestParams {
    /// Click-to-call-in group.
    #[schema(rename = "groupName", min_length = 1, max_length = 255)]
    group_name: String,
    /// Number the customer will call from; without a country code it is read in the region of the group.
    #[schema(rename = "fromPhoneNumber", nullable = false, max_length = 64)]
    from_phone_number: Option<String>,
    #[schema(rename = "userData", schema_with = user_data, required = false)]
    user_data: (),
    #[schema(rename = "callbackServiceId", schema_with = callback_id, required = false)]
    callback_service_id: (),
}

fn callback_id() -> utoipa::openapi::Schema {
    match uuid() {
        utoipa::openapi::Schema::Object(mut schema) => {
            schema.description = Some("Existing callback to tie this request to.".to_owned());
            schema.into()
        }
        other => other,
    }
}

/// What the customer has to dial, and until when.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallInData<'a> {
    #[schema(schema_with = uuid)]
    pub(crate) id: CallInId,
    /// Number to dial.
    pub(crate) to_phone_number: String,
    pub(crate) group_name: &'a str,
    /// Milliseconds since the Unix epoch from when on the request is void.
    pub(crate) expiration_time: i64,
    /// Digits to enter, the first not 0. Present only when the group uses access codes.
    #[schema(nullable = false, minimum = 100, maximum = 999_999_999)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_code: Option<u32>,
    /// Present only when it was in the request.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from_phone_number: Option<String>,
    /// Present only when it was in the request.
    #[schema(schema_with = uuid, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) callback_service_id: Option<CallbackId>,
}

/// Answer to a call-in request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct CallInResponse {
    status: SuccessStatus,
    data: CallInData<'static>,
}
