//! Reads request bodies under four limits: length, memory of all bodies together, a gap between two parts, and
//! the content type.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use domain::event::Event;
use domain::fair::FairPermit;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;

use super::error::{Kind, Problem};
use super::guard::Context;
use super::router::Shared;

/// Bodies up to this long are bounded by the number of requests in flight and need no share of the memory.
const SMALL_BYTES: usize = 16 << 10;

/// The memory that somebody's body takes.
pub(crate) type Share = FairPermit<Option<Arc<str>>>;

/// A whole body, with its share of the memory for as long as it lives.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    _share: Option<Share>,
}

/// What a body has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Csv,
}

impl Media {
    const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
        }
    }
}

/// Reads the body of a request that must carry JSON.
pub(crate) async fn read(
    shared: &Shared,
    context: &Context,
    headers: &HeaderMap,
    body: Body,
) -> Result<Whole, Problem> {
    read_as(shared, context, headers, body, Media::Json).await
}

/// Reads the body of a request that must carry this.
pub(crate) async fn read_as(
    shared: &Shared,
    context: &Context,
    headers: &HeaderMap,
    mut body: Body,
    media: Media,
) -> Result<Whole, Problem> {
    let limit = shared.limits.body_bytes;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_long(shared));
    }
    let mut share = None;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(part) = next_part(shared, &mut body).await? {
        let length = first.len() + rest.len() + part.len();
        if length > limit {
            return Err(too_long(shared));
        }
        if length > SMALL_BYTES {
            grow(shared, context, &mut share, length)?;
        }
        if first.is_empty() {
            first = part;
        } else {
            rest.extend_from_slice(&part);
        }
    }
    context.body_is_read();
    let bytes = if rest.is_empty() { first } else { Bytes::from([first, rest.freeze()].concat()) };
    if !bytes.is_empty() && !is_of(headers, media) {
        return Err(Problem::new(Kind::WrongType, format!("Content-Type must be {}.", media.name())));
    }
    Ok(Whole { bytes, _share: share })
}

async fn next_part(shared: &Shared, body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = tokio::time::timeout(shared.limits.body_gap, body.frame()).await;
        match frame.map_err(|_| too_slow())? {
            None => return Ok(None),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                // Trailers: nothing in them is for us.
                Err(_) => {}
            },
            // The client went away, or broke the framing: whoever still listens gets a 400.
            Some(Err(_)) => {
                return Err(Problem::new(Kind::BadParameter, "The body ended before its announced length."));
            }
        }
    }
}

/// A share of the memory for a long answer of so many bytes, if it needs one.
pub(crate) fn share(shared: &Shared, context: &Context, bytes: usize) -> Result<Option<Share>, Problem> {
    let mut share = None;
    if bytes > SMALL_BYTES {
        grow(shared, context, &mut share, bytes)?;
    }
    Ok(share)
}

/// Takes a share of the memory for `length` bytes in all.
fn grow(shared: &Shared, context: &Context, share: &mut Option<Share>, length: usize) -> Result<(), Problem> {
    let has_room = match share {
        Some(held) => held.grow_to(length),
        None => {
            *share = shared.body_memory.try_take(&context.tenant(), length);
            share.is_some()
        }
    };
    if has_room {
        return Ok(());
    }
    shared.door.observer.note(match context.tenant() {
        Some(tenant) => Event::OverShare { tenant },
        None => Event::Shed,
    });
    Err(Problem::shed())
}

fn too_long(shared: &Shared) -> Problem {
    shared.door.observer.note(Event::BodyTooLong);
    Problem::new(Kind::TooLong, format!("The body must have at most {} bytes.", shared.limits.body_bytes))
}

pub(crate) fn too_slow() -> Problem {
    Problem::new(Kind::TooSlow, "The request body did not arrive in time.")
}

/// `application/json` or a type built on it, or `text/csv`, whatever its parameters; silence is taken for it.
fn is_of(headers: &HeaderMap, wanted: Media) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let Some(media) = value.to_str().ok().and_then(|text| text.split(';').next()) else { return false };
    let media = media.trim().to_ascii_lowercase();
    media == wanted.name() || (wanted == Media::Json && media.starts_with("application/") && media.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_known_by_its_media_type() {
        for (content_type, expected) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("Application/JSON ;charset=\"UTF-8\"", true),
            ("application/merge-patch+json", true),
            ("text/json", false),
            ("text/plain", false),
            ("application/jsonl", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            assert_eq!(is_of(&headers, Media::Json), expected, "{content_type}");
        }
        assert!(is_of(&HeaderMap::new(), Media::Json));
        let table = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"))]);
        assert!(is_of(&table, Media::Csv) && !is_of(&table, Media::Json));
    }
}
