//! The body and the header of `POST /statistics/operations/get-statistic-ex`.

use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;
use serde_json::Value;

use crate::front_door::error::{Kind, Problem};

/// The youngest age that can be asked for, and what is meant without one.
pub(crate) const LEAST_AGE: Duration = Duration::from_secs(15);

/// Reads a request for statistics and writes it anew: compact, and equal for equal requests however they are
/// laid out. What the statistics service may know beyond the contract is passed on.
pub(crate) fn request(body: &[u8]) -> Result<String, Problem> {
    if body.trim_ascii().is_empty() {
        return Err(Problem::new(
            Kind::BadParameter,
            "The body is empty; it must be a JSON object with data.statistics.",
        ));
    }
    let request: Value = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let rule = format!("The body is not valid JSON, or nested too deeply, at line {line}, column {column}.");
        Problem::new(Kind::BadParameter, rule)
    })?;
    let members =
        request.as_object().ok_or_else(|| Problem::new(Kind::BadParameter, "The body must be a JSON object."))?;
    let data = match members.get("data") {
        Some(Value::Object(data)) => data,
        Some(_) => return Err(Problem::bad("data", "must be an object")),
        None => return Err(Problem::bad("data", "is required")),
    };
    let statistics = match data.get("statistics") {
        Some(Value::Array(statistics)) => statistics,
        Some(_) => return Err(Problem::bad("data.statistics", "must be an array")),
        None => return Err(Problem::bad("data.statistics", "is required")),
    };
    statistics.iter().try_for_each(check)?;
    Ok(request.to_string())
}

fn check(statistic: &Value) -> Result<(), Problem> {
    let Some(members) = statistic.as_object() else {
        return Err(Problem::bad("data.statistics", "must hold objects"));
    };
    for (name, required) in [("name", false), ("objectId", true), ("objectType", true)] {
        match members.get(name) {
            Some(Value::String(_)) => {}
            None if !required => {}
            None => return Err(Problem::bad(&format!("data.statistics.{name}"), "is required")),
            Some(_) => return Err(Problem::bad(&format!("data.statistics.{name}"), "must be a string")),
        }
    }
    Ok(())
}

/// The greatest age of an answer that will do: `max-age` of `Cache-Control`, at least 15 s. Whatever else stands
/// there, or cannot be read, means the same as nothing.
pub(crate) fn max_age(headers: &HeaderMap) -> Duration {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    let ages = values.flat_map(|value| value.split(',')).filter_map(|directive| {
        let (name, age) = directive.split_once('=')?;
        let digits = age.trim().trim_matches('"');
        let named = name.trim().eq_ignore_ascii_case("max-age") && !digits.is_empty();
        // A number too long to be read is a very great age.
        (named && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().unwrap_or(u64::MAX))
    });
    ages.min().map_or(LEAST_AGE, Duration::from_secs).max(LEAST_AGE)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn equal_requests_are_written_alike() {
        let plain = request(br#"{"data":{"statistics":[{"objectType":"Queue","objectId":"q","name":"EWT"}]},"x":1}"#);
        let laid_out = request(b"{ \"x\" : 1,\n \"data\": {\"statistics\": [ {\"objectType\":\"Queue\",\"objectId\":\"q\",\"name\":\"EWT\"} ]}}");
        assert_eq!(plain.unwrap(), laid_out.unwrap());
        assert!(request(br#"{"data":{"statistics":[]}}"#).is_ok());
    }

    #[test]
    fn a_request_that_breaks_a_rule_is_told_which() {
        for (body, message) in [
            ("", "The body is empty; it must be a JSON object with data.statistics."),
            (" \n", "The body is empty; it must be a JSON object with data.statistics."),
            ("{", "The body is not valid JSON, or nested too deeply, at line 1, column 1."),
            ("[]", "The body must be a JSON object."),
            ("{}", "data is required."),
            (r#"{"data":1}"#, "data must be an object."),
            (r#"{"data":{}}"#, "data.statistics is required."),
            (r#"{"data":{"statistics":{}}}"#, "data.statistics must be an array."),
            (r#"{"data":{"statistics":[1]}}"#, "data.statistics must hold objects."),
            (r#"{"data":{"statistics":[{"objectType":"Q"}]}}"#, "data.statistics.objectId is required."),
            (
                r#"{"data":{"statistics":[{"objectId":"q","objectType":7}]}}"#,
                "data.statistics.objectType must be a string.",
            ),
        ] {
            assert_eq!(request(body.as_bytes()).unwrap_err(), Problem::new(Kind::BadParameter, message), "{body}");
        }
    }

    #[test]
    fn the_least_age_is_fifteen_seconds() {
        for (value, seconds) in [
            ("max-age=60", 60),
            ("Max-Age = 60", 60),
            ("no-transform, max-age=\"20\"", 20),
            ("max-age=60, max-age=30", 30),
            ("max-age=15", 15),
            ("max-age=14", 15),
            ("max-age=0", 15),
            ("no-cache", 15),
            ("no-store", 15),
            ("max-age=", 15),
            ("max-age=-1", 15),
            ("max-age=soon", 15),
            ("s-maxage=60", 15),
            ("max-age=99999999999999999999999", u64::MAX),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
            assert_eq!(max_age(&headers), Duration::from_secs(seconds), "{value}");
        }
        assert_eq!(max_age(&HeaderMap::new()), LEAST_AGE);
    }
}
