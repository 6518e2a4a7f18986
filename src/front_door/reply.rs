//! Writes answers: the envelope around data and around refusals, and problem documents for who asks for them.

pub(crate) mod slots;
pub(crate) mod written;

use std::array;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::body::Share;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::ids::CorrelationId;
use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::{Frame, SizeHint};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::error::Problem;
use super::internal::Mistake;
use super::wire::time::Stamp;
use written::{SHORT_BYTES, Written};

/// Room for an ordinary answer, so that writing one allocates once.
const USUAL_BYTES: usize = 384;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    code: u16,
    message: &'a str,
    corr_id: CorrelationId,
}

#[derive(Serialize)]
struct Envelope<'a, D> {
    status: Status<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<D>,
}

/// 200 with `data` in the envelope.
pub(crate) fn success<D: Serialize>(corr_id: CorrelationId, data: D) -> Response {
    let status = Status { code: 0, message: "Successful", corr_id };
    json(StatusCode::OK, JSON, &Envelope { status, data: Some(data) })
}

/// 200 with data that is written already and may be somebody else's answer too, as [`slots::written`] does: the brace
/// behind it closes the envelope. The body keeps its share of the memory until it is sent.
pub(crate) fn success_written(corr_id: CorrelationId, data: Written, share: Option<Share>) -> Response {
    let status = Status { code: 0, message: "Successful", corr_id };
    let mut head = Vec::with_capacity(USUAL_BYTES);
    head.extend_from_slice(b"{\"status\":");
    if serde_json::to_writer(&mut head, &status).is_err() {
        // Writing plain structs into memory cannot fail; an empty 500 is the honest rest.
        return json(StatusCode::INTERNAL_SERVER_ERROR, JSON, &());
    }
    head.extend_from_slice(b",\"data\":");
    let may_differ = data.len() >= SHORT_BYTES;
    let (pieces, coding) = match data {
        Written::Plain(data) => ([Bytes::from(head), data, Bytes::new()], None),
        Written::Deflated(data) => (data.behind(&head), Some(GZIP)),
    };
    let length = pieces.iter().map(Bytes::len).sum::<usize>();
    let mut response = Response::new(Body::new(Pieces { left: pieces.into_iter(), _share: share }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if may_differ || coding.is_some() {
        headers.insert(VARY, HeaderValue::from(ACCEPT_ENCODING));
    }
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, coding);
    }
    response
}

/// A body that is there already, piece by piece.
struct Pieces {
    left: array::IntoIter<Bytes, 3>,
    _share: Option<Share>,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.left.find(|piece| !piece.is_empty()).map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.as_slice().iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        let bytes: usize = self.left.as_slice().iter().map(Bytes::len).sum();
        SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

/// Any JSON document without the envelope: health.
pub(crate) fn plain(status: StatusCode, document: &impl Serialize) -> Response {
    json(status, JSON, document)
}

fn json(status: StatusCode, content_type: HeaderValue, document: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(USUAL_BYTES);
    // Writing plain structs into memory cannot fail; an empty 500 is the honest rest.
    let status = match serde_json::to_writer(&mut body, document) {
        Ok(()) => status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// How a client wants refusals written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// The contract's envelope.
    Envelope,
    /// RFC 9457, because `Accept` names it.
    Problem,
}

impl Style {
    pub(crate) fn asked_by(headers: &HeaderMap) -> Self {
        let named = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| {
                text.split(',')
                    .filter_map(|range| range.split(';').next())
                    .any(|media| media.trim().eq_ignore_ascii_case("application/problem+json"))
            })
        };
        if headers.get_all(ACCEPT).iter().any(named) { Self::Problem } else { Self::Envelope }
    }
}

/// Slot start → free places, as text: both official clients type it so.
pub(crate) struct Slots<'a>(pub(crate) &'a [(DateTime<Utc>, u32)]);

impl Serialize for Slots<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (start, free) in self.0 {
            map.serialize_entry(&Stamp(*start), &format_args!("{free}"))?;
        }
        map.end()
    }
}

/// What a refusal tells beside its sentence.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<Slots<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mistakes: Option<Vec<Mistake>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemDocument<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: u16,
    corr_id: CorrelationId,
    #[serde(flatten)]
    details: Details<'a>,
}

/// The answer to a refusal. Keeps `Allow`, which the router sets on the placeholder.
pub(crate) fn refusal(placeholder: &Response, problem: &Problem, style: Style, corr_id: CorrelationId) -> Response {
    let row = problem.kind.row();
    let mistakes = problem.mistakes.as_ref().map(|mistakes| mistakes.iter().map(Mistake::from).collect());
    let details = Details { slots: problem.slots.as_deref().map(Slots), mistakes };
    let mut response = match style {
        Style::Envelope => {
            let status = Status { code: row.code, message: &problem.message, corr_id };
            let says = details.slots.is_some() || details.mistakes.is_some();
            json(row.status, JSON, &Envelope { status, data: says.then_some(details) })
        }
        Style::Problem => {
            let document = ProblemDocument {
                r#type: format!("urn:ges:problem:{}", row.name),
                title: row.status.canonical_reason().unwrap_or("Error"),
                status: row.status.as_u16(),
                detail: &problem.message,
                code: row.code,
                corr_id,
                details,
            };
            json(row.status, PROBLEM_JSON, &document)
        }
    };
    if let Some(allow) = placeholder.headers().get(ALLOW) {
        response.headers_mut().insert(ALLOW, allow.clone());
    }
    if let Some(seconds) = problem.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A complete HTTP/1.1 answer for a connection that is closed before anything is read from it.
pub(crate) fn raw_refusal(problem: &Problem) -> Vec<u8> {
    let row = problem.kind.row();
    let status = Status { code: row.code, message: &problem.message, corr_id: CorrelationId::generate() };
    let body = serde_json::to_vec(&Envelope::<()> { status, data: None }).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {}\r\n{CONTENT_TYPE}: application/json\r\n{CONTENT_LENGTH}: {}\r\n{RETRY_AFTER}: {}\r\nconnection: \
         close\r\n\r\n",
        row.status,
        body.len(),
        problem.retry_after().unwrap_or_default(),
    );
    [head.into_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_documents_are_for_who_names_them() {
        for (accept, expected) in [
            ("application/json", Style::Envelope),
            ("*/*", Style::Envelope),
            ("application/problem+json", Style::Problem),
            ("application/json;q=0.5, Application/Problem+JSON;q=1", Style::Problem),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Style::asked_by(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn a_raw_refusal_is_a_whole_answer() {
        let text = String::from_utf8(raw_refusal(&Problem::shed())).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(body.starts_with(r#"{"status":{"code":500,"#), "{body}");
    }
}
