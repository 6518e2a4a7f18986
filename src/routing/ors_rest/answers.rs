//! What answers of Orchestration mean: three-valued for what was asked for, and never more than they say.

use domain::callback::Reason;
use domain::ids::SessionId;
use http::StatusCode;
use http::header::SET_COOKIE;
use serde_json::Value;

use crate::clients::http::{Answer, CallError};

/// The cookie in which Orchestration names a session, too.
const COOKIE: &str = "ORSSESSIONID=";
/// Names under which answers name a session, in order of preference.
const NAMES: [&str; 5] = ["sessionId", "sessionid", "session_id", "_sessionid", "id"];

/// What became of a call that asks a node to do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// It was done.
    Taken(Option<SessionId>),
    /// The node answered that it will not.
    Refused(String),
    /// There is no such session on this node.
    NotFound,
    /// Surely not done.
    NotDone(String),
    /// Perhaps done.
    Perhaps(String),
}

/// How a session is, as one node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// It lives.
    Alive,
    /// It has ended, with its reason.
    Ended(Option<Reason>),
    /// The node surely has no such session.
    Gone,
    /// The node says nothing that can be relied on.
    Silent(String),
}

/// Reads the answer to a request that changes something.
pub(super) fn done(answer: &Result<Answer, CallError>) -> Effect {
    let (status, session) = match answer {
        Ok(answer) => (answer.status, session_of(answer)),
        // The head says what became of it; only the rest did not come.
        Err(error) => match (error, error.status()) {
            (_, Some(status)) => (status, None),
            (CallError::NotDone(cause), None) => return Effect::NotDone(cause.to_string()),
            (CallError::Perhaps { cause, .. }, None) => return Effect::Perhaps(cause.to_string()),
        },
    };
    let told = format!("it answered {}", status.as_u16());
    match status {
        status if status.is_success() => Effect::Taken(session),
        StatusCode::NOT_FOUND | StatusCode::GONE => Effect::NotFound,
        // They say "later" of a request that was not begun.
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE => Effect::NotDone(told),
        status if status.is_client_error() => Effect::Refused(told),
        // Redirects are not followed.
        status if status.is_redirection() => Effect::NotDone(told),
        _ => Effect::Perhaps(told),
    }
}

/// Reads the answer to a question.
pub(super) fn found(answer: &Result<Answer, CallError>) -> Found {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Found::Silent(error.cause().to_string()),
    };
    match answer.status {
        StatusCode::NOT_FOUND => Found::Gone,
        status if status.is_success() => state_of(&answer.body),
        status => Found::Silent(format!("it answered {}", status.as_u16())),
    }
}

/// Alive, unless the answer says in so many words that it has ended.
fn state_of(body: &[u8]) -> Found {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    if value.get("state").and_then(Value::as_str) != Some("ended") {
        return Found::Alive;
    }
    let reason = value.get("reason").and_then(Value::as_str);
    Found::Ended(reason.and_then(|text| Reason::new(text).ok()))
}

/// The session that an answer to a start names: in JSON, as plain text, or in its cookie.
fn session_of(answer: &Answer) -> Option<SessionId> {
    let from_json = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(Value::Object(members)) => {
            NAMES.iter().find_map(|name| members.get(*name)).and_then(Value::as_str).map(str::to_owned)
        }
        Ok(Value::String(text)) => Some(text),
        Ok(_) => None,
        Err(_) => std::str::from_utf8(&answer.body).ok().map(|text| text.trim().to_owned()),
    };
    let plain =
        |text: &String| !text.is_empty() && !text.contains(|it: char| it.is_whitespace() || "<>\"/".contains(it));
    let named = from_json.filter(plain).and_then(|text| SessionId::new(&text).ok());
    named.or_else(|| {
        let mut cookies = answer.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let value = cookies.find_map(|cookie| cookie.trim().strip_prefix(COOKIE))?;
        SessionId::new(value.split(';').next().unwrap_or_default()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::Cause;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    fn answer(status: u16, body: &str) -> Result<Answer, CallError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Ok(Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body })
    }

    fn broken(status: Option<u16>) -> Result<Answer, CallError> {
        let status = status.map(|status| StatusCode::from_u16(status).unwrap());
        Err(CallError::Perhaps { cause: Cause::Slow, status })
    }

    #[test]
    fn answers_to_a_start_are_done_surely_not_or_perhaps() {
        let session = |text: &str| Effect::Taken(SessionId::new(text).ok());
        let later = |status: u16| Effect::NotDone(format!("it answered {status}"));
        for (given, expected) in [
            (answer(200, r#"{"sessionId":"0K8F"}"#), session("0K8F")),
            (answer(201, r#"{"other":1,"_sessionid":"a~b"}"#), session("a~b")),
            (answer(200, r#""quoted""#), session("quoted")),
            (answer(200, "QTH0O5J3A0000001\r\n"), session("QTH0O5J3A0000001")),
            (answer(200, "<html>a page</html>"), Effect::Taken(None)),
            (answer(204, ""), Effect::Taken(None)),
            (answer(400, ""), Effect::Refused("it answered 400".to_owned())),
            (answer(403, ""), Effect::Refused("it answered 403".to_owned())),
            (answer(404, ""), Effect::NotFound),
            (answer(429, ""), later(429)),
            (answer(503, ""), later(503)),
            (answer(302, ""), later(302)),
            (answer(500, ""), Effect::Perhaps("it answered 500".to_owned())),
            (answer(504, ""), Effect::Perhaps("it answered 504".to_owned())),
            (Err(CallError::NotDone(Cause::Lookup)), Effect::NotDone(Cause::Lookup.to_string())),
            (broken(None), Effect::Perhaps(Cause::Slow.to_string())),
            (broken(Some(200)), Effect::Taken(None)),
            (broken(Some(403)), Effect::Refused("it answered 403".to_owned())),
        ] {
            assert_eq!(done(&given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_cookie_names_the_session_too() {
        let mut given = answer(200, "").unwrap();
        given.headers.append(SET_COOKIE, HeaderValue::from_static("other=1"));
        given.headers.append(SET_COOKIE, HeaderValue::from_static("ORSSESSIONID=A1~n1; Path=/"));
        assert_eq!(done(&Ok(given)), Effect::Taken(SessionId::new("A1~n1").ok()));
    }

    #[test]
    fn only_a_404_says_that_a_session_is_gone() {
        assert_eq!(found(&answer(404, "")), Found::Gone);
        assert_eq!(found(&answer(200, r#"{"state":"running"}"#)), Found::Alive);
        assert_eq!(found(&answer(200, "anything")), Found::Alive);
        let ended = |reason| Found::Ended(reason);
        assert_eq!(found(&answer(200, r#"{"state":"ended"}"#)), ended(None));
        let connected = r#"{"state":"ended","reason":"AGENT_CONNECTED"}"#;
        assert_eq!(found(&answer(200, connected)), ended(Some(Reason::AGENT_CONNECTED)));
        for other in
            [answer(400, ""), answer(410, ""), answer(500, ""), answer(302, ""), broken(None), broken(Some(404))]
        {
            assert!(matches!(found(&other), Found::Silent(_)), "{other:?}");
        }
        assert!(matches!(found(&Err(CallError::NotDone(Cause::Slow))), Found::Silent(_)));
    }
}
