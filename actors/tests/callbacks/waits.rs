//! What is told of waits, from the settings in force and what routing reports.

use actors::testing::{plain_queue, queue_name, tenant, tenant_id};
use domain::ids::{QueueName, TenantId};
use domain::ports::{QueueStatusError, SubmitError, Unserved};
use domain::queue::QueueSettings;
use domain::wait::{Mode, NoEstimate, QueueReport};

use super::support::{SOON, Service};

fn report() -> QueueReport {
    QueueReport {
        agents: Some(2),
        free_agents: 0,
        waiting: 3,
        on_hold: 1,
        served: 10,
        served_over_seconds: 50.0,
        mean_busy_seconds: Some(12.0),
        expected_wait_seconds: Some(7),
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_found_by_each_of_its_names() {
    let alias = QueueName::new("help").unwrap();
    let settings =
        QueueSettings { aliases: vec![alias], virtual_queue: Some("VQ_Support".into()), ..Default::default() };
    let service = Service::with(settings).await;
    let waits = service.tree.waits();
    let names = [queue_name().as_str().to_owned(), "help".into(), "VQ_Support".into(), "other".into()];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asked = |mode, on_hold| waits.expected_waits(tenant_id(), &names, mode, on_hold).unwrap();
    let unknown = Err(NoEstimate::UnknownQueue);
    let silent = Err(NoEstimate::NotReported);
    assert_eq!(asked(Mode::Agents, false), [silent, silent, silent, unknown]);
    service.world.routing.set_report(&queue_name(), report());
    assert_eq!(asked(Mode::Agents, false), [Ok(24), Ok(24), Ok(24), unknown]);
    assert_eq!(asked(Mode::Agents, true), [Ok(30), Ok(30), Ok(30), unknown]);
    assert_eq!(asked(Mode::Throughput, false), [Ok(20), Ok(20), Ok(20), unknown]);
    assert_eq!(asked(Mode::Reported, false), [Ok(7), Ok(7), Ok(7), unknown]);
    let stranger = TenantId::from_name("stranger");
    assert_eq!(waits.expected_waits(stranger, &names, Mode::Agents, false), Err(Unserved::Busy));
}

#[tokio::test(start_paused = true)]
async fn a_queue_offers_what_can_be_made_before_it_closes() {
    let service = Service::with(QueueSettings { immediate_blackout_seconds: 0, ..Default::default() }).await;
    let waits = service.tree.waits();
    assert_eq!(waits.queue_status(tenant_id(), "other"), Err(QueueStatusError::UnknownQueue));
    service.world.routing.set_report(&queue_name(), report());
    let status = waits.queue_status(tenant_id(), queue_name().as_str()).unwrap();
    assert_eq!((status.wait_seconds, status.offers_immediate, status.offers_scheduled), (Some(24), true, true));
    // New settings count at once: closed all week.
    let shut = serde_json::from_str(r#"{"zone":"UTC","weekly":{}}"#).unwrap();
    service.world.settings.put(tenant(QueueSettings { hours: shut, ..Default::default() }));
    let closed = || waits.queue_status(tenant_id(), queue_name().as_str()).is_ok_and(|it| !it.offers_immediate);
    actors::testing::until("the new hours count", SOON, closed).await;
}

#[tokio::test(start_paused = true)]
async fn without_agents_nothing_is_promised_for_now_if_the_queue_asks_for_them() {
    let service = Service::with(QueueSettings { logged_in_check: true, ..plain_queue() }).await;
    assert!(service.try_create().await.is_ok(), "what routing does not know refuses nothing");
    service.world.routing.set_report(&queue_name(), QueueReport { agents: Some(0), ..report() });
    assert_eq!(service.try_create().await, Err(SubmitError::NoAgents));
    service.schedule(service.now() + chrono::Duration::hours(1)).await;
    service.world.routing.set_report(&queue_name(), report());
    assert!(service.try_create().await.is_ok());
    let service = Service::with(plain_queue()).await;
    service.world.routing.set_report(&queue_name(), QueueReport { agents: Some(0), ..report() });
    assert!(service.try_create().await.is_ok(), "the queue does not ask");
}
