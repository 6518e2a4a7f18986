//! Settings in force: what routing is told of them, and reading them again.

use std::time::Duration;

use actors::testing::{FakeRouting, Fault, Op, World, booking, queue_name, tenant, tenant_id};
use domain::callback::{NewCallback, Options, PushTarget};
use domain::ports::Unserved;
use domain::queue::{CallDirection, Overridable, QueueSettings};

use super::support::Service;

#[tokio::test(start_paused = true)]
async fn routing_is_told_what_queue_and_booking_say() {
    let world = World::new();
    world.settings.put(tenant(QueueSettings {
        virtual_queue: Some("VQ_Support".to_owned()),
        route_point: Some("8001".to_owned()),
        priority: Some(5),
        call_direction: CallDirection::UserOriginated,
        dial_attempts: 7,
        overridable: vec![Overridable::Priority],
        routing_options: [("_agent_preview".to_owned(), "true".to_owned())].into(),
        ..Default::default()
    }));
    let service = Service::start(world).await;
    service.world.routing.answer(service.inbox.clone(), FakeRouting::whole_call());
    let options = Options {
        priority: Some(9.0),
        route_point: Some("9999".to_owned()),
        push_targets: vec![PushTarget { channel: "FCM".to_owned(), target: "device".to_owned() }],
        ..Options::default()
    };
    service.desk.submit(tenant_id(), NewCallback { options, ..booking(None) }).await.unwrap();
    service.until_entered(1).await;
    let invitation = service.world.routing.entered()[0].invitation.clone();
    assert_eq!((invitation.queue, invitation.call.virtual_queue.as_str()), (queue_name(), "VQ_Support"));
    assert_eq!((invitation.call.priority, invitation.call.route_point.as_deref()), (Some(9.0), Some("8001")));
    assert_eq!((invitation.call.dial_attempts, invitation.call.direction), (7, CallDirection::UserOriginated));
    assert_eq!(invitation.call.routing_options["_agent_preview"], "true");
}

#[tokio::test(start_paused = true)]
async fn settings_are_read_again_when_somebody_asks() {
    let service = Service::start(World::new()).await;
    let settings = service.tree.settings();
    let readings = || service.world.faults.calls(Op::Tenants);
    let before = readings();
    let at = settings.refresh().await.unwrap();
    assert!(at <= service.now() && readings() > before);
    let before = readings();
    let (one, other) = tokio::join!(settings.refresh(), settings.refresh());
    assert!(one.is_ok() && other.is_ok() && readings() > before);
    service.world.faults.set(Op::Tenants, Fault::NotDone);
    assert_eq!(settings.refresh().await, Err(Unserved::Busy));
    service.world.faults.heal();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(settings.refresh().await.is_ok());
    service.assert_no_restarts();
}
