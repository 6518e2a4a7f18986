//! Finding callbacks as the desk does it: names as people write them.

use std::collections::BTreeSet;

use actors::testing::{TENANT, World, booking, queue_name, tenant_id};
use chrono::TimeDelta;
use domain::callback::{NewCallback, State};
use domain::ids::CallbackId;
use domain::ports::{Found, Named, SearchError};
use domain::search::{Order, Search};
use domain::tenant::TenantDocument;
use serde_json::json;

use super::support::Service;

async fn service() -> Service {
    let free = json!({"executionBufferSeconds": 0, "duplicatePolicy": "allow", "throttleParameters": []});
    let (mut german, mut support) = (free.clone(), free);
    german["defaultRegion"] = "DE".into();
    support["aliases"] = json!(["help"]);
    let document = json!({"tenant": TENANT, "queues": {queue_name().as_str(): support, "berlin": german}});
    let document: TenantDocument = serde_json::from_value(document).unwrap();
    let world = World::new();
    world.settings.put(document.resolve(tenant_id()).unwrap());
    Service::start(world).await
}

fn named(queues: &[&str], phone_number: Option<&str>) -> Named {
    Named {
        queues: queues.iter().map(|name| (*name).to_owned()).collect(),
        phone_number: phone_number.map(str::to_owned),
    }
}

async fn found(service: &Service, named: Named) -> Result<BTreeSet<CallbackId>, SearchError> {
    let desk = service.tree.search_desk();
    let Found { callbacks, next } = desk.search(tenant_id(), named, Search::all(Order::NewestFirst, 100)).await?;
    assert_eq!(next, None);
    Ok(callbacks.into_iter().map(|callback| callback.id).collect())
}

#[tokio::test(start_paused = true)]
async fn queues_and_numbers_are_found_as_they_are_written() {
    let service = service().await;
    let book = async |queue: &str, phone: &str| {
        let desired_time = Some(service.now() + TimeDelta::hours(1));
        let new = NewCallback { service_name: queue.into(), phone_number: phone.into(), ..booking(desired_time) };
        service.desk.submit(tenant_id(), new).await.unwrap().id
    };
    let canada = book("support", "(416) 555-0101").await;
    let berlin = book("berlin", "030 901820").await;
    let abroad = book("berlin", "+1 416 555 0101").await;
    let all = BTreeSet::from([canada, berlin, abroad]);
    assert_eq!(found(&service, named(&[], None)).await, Ok(all));
    assert_eq!(found(&service, named(&["help"], None)).await, Ok([canada].into()), "an alias");
    assert_eq!(found(&service, named(&["gone", "bad\u{1}"], None)).await, Ok([].into()));
    assert_eq!(found(&service, named(&["bad\u{1}"], None)).await, Ok([].into()), "no queue, not all of them");
    assert_eq!(found(&service, named(&[], Some("416-555-0101"))).await, Ok([canada, abroad].into()));
    assert_eq!(found(&service, named(&["berlin"], Some("+14165550101"))).await, Ok([abroad].into()));
    assert_eq!(found(&service, named(&["berlin"], Some("030/901820"))).await, Ok([berlin].into()));
    assert_eq!(found(&service, named(&["gone"], Some("+14165550101"))).await, Ok([].into()));
    assert_eq!(found(&service, named(&[], Some("nobody"))).await, Err(SearchError::NotANumber));
    service.cancel(canada).await.unwrap();
    let ended = Search { states: [State::Completed].into(), ..Search::all(Order::OldestFirst, 100) };
    let desk = service.tree.search_desk();
    let page = desk.search(tenant_id(), Named::default(), ended).await.unwrap();
    assert_eq!(page.callbacks.iter().map(|callback| callback.id).collect::<Vec<_>>(), [canada]);
}
