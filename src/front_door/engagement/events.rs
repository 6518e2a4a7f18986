//! Read what has happened, in order. Our own addition: the product has no such operation.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use domain::keys::Scope;
use domain::ports::{FeedPage, NewsError};
use serde::Serialize;
use utoipa::ToSchema;

use super::schemas::{Refusals, SuccessStatus};
use super::{Entered, enter};
use crate::event_document::EventDocument;
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::news::{FeedQuery, feed_query};

/// What is left of a request's time when a reader has waited as long as it may.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);

/// A stretch of the feed.
#[derive(Serialize, ToSchema)]
struct EventsData<'a> {
    /// In order, without a gap; empty if nothing has happened.
    events: Vec<EventDocument<'a>>,
    /// What to send as `after` next time.
    #[schema(pattern = "^[0-9]{1,19}$", example = "1042")]
    next: String,
    /// There is more already: ask again at once.
    more: bool,
    /// Present, and true, if events behind `after` had been removed before they were read.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missed: bool,
}

/// Events of a contact centre.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct EventsResponse {
    status: SuccessStatus,
    #[schema(inline)]
    data: EventsData<'static>,
}

/// Read what has happened to callbacks, in the order in which it became durable.
///
/// Remember `next` and send it as `after` the next time: whoever was away reads on where they were. An event never
/// appears before a cursor that was given out already. With `wait` the answer comes as soon as something happens.
#[utoipa::path(
    get,
    path = "/engagement/v3/events",
    operation_id = "events",
    tag = "Events",
    params(
        ("after" = Option<String>, Query, description = "`next` of the answer before; `end` for the end of the feed. \
                                                         Absent: from the oldest event that is kept.",
            pattern = "^([0-9]{1,18}|end)$"),
        ("limit" = Option<u32>, Query, description = "Events at most, 1 to 500; 100 if absent.",
            minimum = 1, maximum = 500),
        ("wait" = Option<u32>, Query, description = "Seconds to wait for an event if there is none, 0 to 20; 0 if absent. \
                                                     Few readers of a contact centre wait at the same time; the others are \
                                                     answered at once.",
            minimum = 0, maximum = 20),
    ),
    responses((status = 200, description = "The events.", body = EventsResponse), Refusals),
)]
pub(crate) async fn events(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let Entered { context, caller, .. } = enter(&shared, request, Scope::EventsRead).await?;
    let FeedQuery { from, limit, wait } = feed_query(query.as_deref())?;
    let wait = wait.min(shared.limits.request.saturating_sub(ANSWER_MARGIN));
    let page = shared.door.news.feed(caller.tenant, from, limit, wait).await?;
    Ok(reply::success(context.corr_id(), shown(&page)))
}

fn shown(page: &FeedPage) -> EventsData<'_> {
    EventsData {
        events: page.happenings.iter().map(|happening| EventDocument::new(happening, page.phone_number)).collect(),
        next: page.next.to_string(),
        more: page.more,
        missed: page.missed,
    }
}

impl From<NewsError> for Problem {
    fn from(error: NewsError) -> Self {
        match error {
            NewsError::NotFound => Self::new(Kind::NotFound, "No such endpoint or event is known in this tenant."),
            NewsError::SwitchedOff => Self::new(
                Kind::Forbidden,
                "The feed of events is not switched on for this contact centre (eventFeed.enabled).",
            ),
            NewsError::Disabled => Self::new(Kind::Conflict, "The endpoint is switched off in the settings."),
            NewsError::Unserved(unserved) => unserved.into(),
        }
    }
}
