//! What the adapter asks for, in which order, and what it makes of the answers.

use std::sync::Arc;

use chrono::Utc;
use domain::callback::SignalEvent;
use domain::ids::{QueueName, SessionId};
use domain::numbers::PhoneNumber;
use domain::ports::{AttemptRef, Closing, Details, Invitation, Routing, RoutingError};
use domain::queue::CallOptions;
use ges::routing::ors_stream::{self, Action};

use super::super::bench::{ScriptedInbox, asked, id, tenant};
use super::{REPLY_TO, adapter};
use crate::harness::free_port;
use crate::harness::outside::{Heard, Outside, Says};

const START: &str = "/scxml/session/start";

fn invited(n: u128, regions: &[&str]) -> Invitation {
    let queue = QueueName::new("support").unwrap();
    let now = Utc::now();
    let mut call = CallOptions::usual(&queue);
    call.regions = regions.iter().map(|region| (*region).to_owned()).collect();
    Invitation {
        tenant: tenant(),
        id: id(n),
        attempt: 1,
        not_after: now + chrono::Duration::days(1),
        queue,
        phone: PhoneNumber::from_digits(15_551_230_000),
        desired_time: now,
        call,
        details: Details::default(),
    }
}

fn known(n: u128, session: &str) -> AttemptRef {
    AttemptRef { session: SessionId::new(session).ok(), ..asked(n, 1) }
}

/// Starts sessions named after themselves, and knows none of them.
fn takes(name: &'static str) -> impl Fn(&Heard) -> Says + Send + Sync {
    move |heard| match heard.path.as_str() {
        START => Says::Answer(200, format!(r#"{{"sessionId":"{name}"}}"#)),
        _ => Says::Answer(404, String::new()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_says_what_an_entry_of_the_stream_says() {
    let node = Outside::start(takes("s-1"));
    let (rest, _) = adapter(&[(node.url() + "/base", "eu")], &["eu"], ScriptedInbox::new());
    node.say(|_| Says::Answer(200, r#"{"sessionId":"s-1"}"#.into()));
    let invitation = invited(1, &["us", "ap"]);
    assert_eq!(rest.start(invitation.clone()).await, Ok(()));
    let heard = node.heard().pop().unwrap();
    assert_eq!((heard.method.as_str(), heard.path.as_str()), ("POST", "/base/scxml/session/start"));
    assert_eq!(heard.header("content-type"), "application/x-www-form-urlencoded");
    let mut fields: std::collections::HashMap<_, _> = heard.form().into_iter().collect();
    assert_eq!(fields.remove("src").as_deref(), Some("http://flows/callback.scxml"));
    let entry = ors_stream::read(&fields).unwrap();
    assert_eq!(entry.reply_to, REPLY_TO);
    let Action::Start(read) = entry.action else { panic!("{:?}", entry.action) };
    assert_eq!((read.id, read.attempt, read.phone), (invitation.id, 1, invitation.phone));
    assert_eq!(read.call.regions, ["us", "ap", "eu"], "the rule of the queue, then what is preferred everywhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_is_tried_only_after_one_that_surely_did_nothing() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let answers: [(Option<u16>, Option<Says>); 7] = [
        (None, None),
        (Some(503), Some(Says::Answer(503, String::new()))),
        (Some(403), Some(Says::Answer(403, String::new()))),
        (Some(500), Some(Says::Answer(500, String::new()))),
        (Some(1), Some(Says::Nothing)),
        (Some(2), Some(Says::Silence)),
        (Some(200), Some(Says::half())),
    ];
    for (n, (kind, says)) in (1..).zip(answers) {
        let first = Outside::start(move |_| says.clone().unwrap_or(Says::Nothing));
        let second = Outside::start(takes("second"));
        let url = if kind.is_none() { nobody.clone() } else { first.url() };
        let (rest, board) = adapter(&[(url, "eu"), (second.url(), "us")], &["eu"], ScriptedInbox::new());
        let began = std::time::Instant::now();
        let answer = rest.start(invited(n, &[])).await;
        let other = second.count(START);
        match kind {
            None | Some(503) => {
                assert_eq!((&answer, other), (&Ok(()), 1), "{kind:?}");
                assert!(board.is_down(0));
                assert_eq!(rest.start(invited(n + 100, &[])).await, Ok(()));
                assert_eq!(first.count(START), usize::from(kind.is_some()), "from now on it is tried last");
            }
            Some(403) => assert!(matches!(answer, Err(RoutingError::Refused(_))) && other == 0, "{answer:?}"),
            Some(200) => assert_eq!((answer, other), (Ok(()), 0), "its head says that it was taken"),
            _ => {
                assert!(matches!(answer, Err(RoutingError::Perhaps(_))) && other == 0, "{kind:?}: {answer:?}");
                assert!(began.elapsed() < std::time::Duration::from_secs(8), "within the patience of a session");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_is_what_every_node_says_and_nothing_less() {
    let inbox = ScriptedInbox::new();
    let (one, other) = (Outside::start(takes("s-1")), Outside::start(takes("s-1")));
    let (rest, board) = adapter(&[(one.url(), "eu"), (other.url(), "us")], &["eu"], inbox.clone());
    rest.start(invited(1, &[])).await.unwrap();
    let heard = || inbox.heard().iter().map(|it| (it.id, it.signal.event.clone())).collect::<Vec<_>>();

    for silent in [Says::Answer(500, String::new()), Says::Answer(400, String::new()), Says::Nothing] {
        let says = silent.clone();
        other.say(move |_| says.clone());
        assert!(matches!(rest.ping(vec![asked(1, 1)]).await, Err(RoutingError::Perhaps(_))), "{silent:?}");
    }
    assert!(board.is_down(1));
    let before = other.heard().len();
    assert!(rest.ping(vec![asked(1, 1)]).await.is_err(), "a node that is down is not asked, and says nothing");
    assert_eq!((heard(), other.heard().len()), (vec![], before));

    // A fresh view of the same nodes, that knows the session from the callback.
    let (rest, _) = adapter(&[(one.url(), "eu"), (other.url(), "us")], &["eu"], inbox.clone());
    other.say(takes("s-1"));
    rest.ping(vec![asked(1, 1)]).await.unwrap();
    assert_eq!(heard(), [], "nobody knows under which name to ask");
    rest.ping(vec![known(1, "a/b c")]).await.unwrap();
    assert_eq!(heard(), [(id(1), SignalEvent::Unknown)]);
    assert_eq!(one.heard().pop().unwrap().path, "/scxml/session/a%2Fb%20c/query");
    other.say(|_| Says::Answer(200, "{}".into()));
    rest.ping(vec![known(2, "s-2")]).await.unwrap();
    other.say(|_| Says::Answer(200, r#"{"state":"ended","reason":"AGENT_CONNECTED"}"#.into()));
    rest.ping(vec![known(3, "s-3")]).await.unwrap();
    let events: Vec<_> = heard().into_iter().map(|(_, event)| event.name()).collect();
    assert_eq!(events, ["unknown", "alive", "ended"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_wherever_the_session_is_and_repeated_until_it_is_heard() {
    let (one, other) = (Outside::start(takes("s-1")), Outside::start(takes("s-1")));
    let (rest, _) = adapter(&[(one.url(), "eu"), (other.url(), "us")], &["eu"], ScriptedInbox::new());
    rest.close(asked(1, 1), Closing::Everything).await.unwrap();
    assert!(one.heard().is_empty() && other.heard().is_empty(), "there is nobody to be told; the fence refuses");
    other.say(|_| Says::Answer(503, String::new()));
    let answer = rest.close(known(1, "s-1"), Closing::Everything).await;
    assert!(matches!(answer, Err(RoutingError::Perhaps(_))), "one may still have it: {answer:?}");
    other.say(|_| Says::Answer(200, String::new()));
    rest.close(known(1, "s-1"), Closing::Everything).await.unwrap();
    let told = other.heard().pop().unwrap();
    assert_eq!((told.method.as_str(), told.path.as_str()), ("POST", "/scxml/session/s-1/terminate"));
    assert_eq!(told.form()["callbackId"], id(1).to_string());
    rest.close(known(2, "s-2"), Closing::AllButTalk).await.unwrap();
    assert_eq!(other.heard().pop().unwrap().path, "/scxml/session/s-2/event/ges.ended", "people talk");
    // Gone everywhere is as good as ended.
    other.say(takes("s-1"));
    rest.close(known(3, "s-3"), Closing::Everything).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_out_before_it_is_known_where_to_reply() {
    let node = Outside::start(takes("s-1"));
    let (_, board) = adapter(&[(node.url(), "eu")], &[], ScriptedInbox::new());
    let client = Arc::new(ges::clients::http::HttpClient::new(&Default::default(), Arc::new(super::Deaf)).unwrap());
    let settings = ges::routing::ors_rest::RestSettings { scxml_url: None, quiet: std::time::Duration::ZERO };
    let clock = Arc::new(ges::clock::SystemClock::default());
    let rest = ges::routing::ors_rest::OrsRest::new(settings, board, client, Arc::default(), clock);
    assert!(matches!(rest.start(invited(1, &[])).await, Err(RoutingError::NotDone(_))));
    rest.begin(ScriptedInbox::new(), REPLY_TO.into());
    assert_eq!(rest.start(invited(1, &[])).await, Ok(()));
    assert_eq!(node.count(START), 1);
    assert!(!node.heard()[0].form().contains_key("src"));
}
