//! Many at once, on many threads and in real time.

use actors::testing::{FakeRouting, World, booking, tenant_id, until};
use domain::callback::{Canceller, State};
use domain::event::ActorKind;

use super::support::{Service, seconds};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn creates_cancels_and_reports_from_many_threads() {
    let service = Service::start_with(World::new(), 150).await;
    let script = FakeRouting::whole_call().into_iter().map(|(pause, event)| (pause / 50, event)).collect();
    service.world.routing.answer(service.inbox.clone(), script);
    let clients = (0..8).map(|client| {
        let desk = service.desk.clone();
        tokio::spawn(async move {
            for round in 0..100 {
                let id = desk.submit(tenant_id(), booking(None)).await.expect("a booking is kept").id;
                if (client + round) % 3 == 0 {
                    // Too late is a fair answer; anything else is not.
                    let cancelled = desk.cancel(tenant_id(), id, Canceller::Api).await;
                    assert!(matches!(cancelled, Ok(()) | Err(domain::ports::CancelError::NotCancellable(_))));
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("no client fails");
    }
    until("all ended", seconds(60), || {
        let rows = service.world.store.rows();
        rows.len() == 800 && rows.iter().all(|row| row.callback.state == State::Completed)
    })
    .await;
    until("nothing is owed", seconds(60), || service.world.store.rows().iter().all(|row| row.callback.is_settled()))
        .await;
    for row in service.world.store.rows() {
        let attempts = service.world.routing.attempts_of(row.callback.id);
        assert!(attempts.len() <= 1, "called twice: {attempts:?}");
        assert!(row.history.iter().map(|entry| entry.version).eq(1..=row.callback.version), "a gap in the history");
    }
    until("no session is left", seconds(10), || service.world.recorder.living(ActorKind::Session) == 0).await;
    service.assert_no_restarts();
}
