//! What editors are told of calendars, which are read by hand.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::document::{ALWAYS, BusinessHours, Written};
use super::{DayList, Days, HoursRef};

impl JsonSchema for BusinessHours {
    fn schema_name() -> Cow<'static, str> {
        "BusinessHours".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let written = generator.subschema_for::<Written>();
        let keys = json_schema!({
            "description": "A section of an office-hours service, in the product's keys.",
            "type": "object",
            "patternProperties": {
                "^_(bh_regular|bh_add|holiday|effective_dates)[0-9]*$": { "type": "string" },
                "^_(timezone|name|service|type|ttl|ors|ors_lb_strategy|id)$": { "type": "string" },
            },
            "additionalProperties": false,
            "required": ["_timezone"],
        });
        json_schema!({ "description": "When a queue is open.", "anyOf": [{ "const": ALWAYS }, written, keys] })
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

impl JsonSchema for Days {
    fn schema_name() -> Cow<'static, str> {
        "Days".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        const DATE: &str = "[0-9]{4}-[0-9]{2}-[0-9]{2}";
        const DAY: &str = "[0-9]{2}-[0-9]{2}";
        json_schema!({
            "description": "A date or a range of dates, both ends included, once (2026-12-25, 2026-12-24..) or every year \
                            (12-25, 12-24..01-02).",
            "type": "string",
            "pattern": format!(r"^({DATE}(\.\.({DATE})?)?|\.\.{DATE}|{DAY}(\.\.{DAY})?)$"),
        })
    }
}

impl JsonSchema for DayList {
    fn schema_name() -> Cow<'static, str> {
        "DayList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let days = generator.subschema_for::<Days>();
        json_schema!({ "description": "Dates, one or a list.", "anyOf": [days.clone(), { "type": "array", "items": days }] })
    }
}
