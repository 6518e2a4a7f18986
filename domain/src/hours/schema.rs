//! What editors are told of calendars, which are read by hand.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{ALWAYS, BusinessHours, HoursRef, Weekly};

impl JsonSchema for BusinessHours {
    fn schema_name() -> Cow<'static, str> {
        "BusinessHours".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let weekly = generator.subschema_for::<Weekly>();
        json_schema!({ "description": "When a queue is open.", "anyOf": [{ "const": ALWAYS }, weekly] })
    }
}

impl JsonSchema for HoursRef {
    fn schema_name() -> Cow<'static, str> {
        "HoursRef".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let in_place = generator.subschema_for::<BusinessHours>();
        json_schema!({ "description": "The name of a calendar, or one in place.", "anyOf": [{ "type": "string" }, in_place] })
    }
}
