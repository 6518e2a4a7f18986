//! What happens when the journal cannot be written; everything else is in the contract tests.

use super::*;
use chrono::{DateTime, Utc};
use domain::callback::{Reply, Signal};
use domain::numbers::PhoneNumber;
use domain::ports::{Details, SignalError};
use domain::queue::CallOptions;

struct Still(Instant);

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + self.0.elapsed()
    }
}

#[derive(Default)]
struct Listener(Mutex<Vec<&'static str>>);

#[async_trait]
impl Inbox for Listener {
    async fn signal(&self, _: TenantId, _: CallbackId, signal: Signal) -> Result<Reply, SignalError> {
        self.0.lock().unwrap().push(signal.event.name());
        Ok(Reply::Done)
    }
}

fn invitation(n: u128, clock: &Still) -> Invitation {
    Invitation {
        tenant: TenantId::from_name("demo"),
        id: CallbackId::from_uuid(uuid::Uuid::from_u128(n)),
        attempt: 1,
        not_after: clock.now() + chrono::Duration::days(1),
        queue: QueueName::new("support").unwrap(),
        phone: PhoneNumber::from_digits(15_551_230_000),
        desired_time: clock.now(),
        call: CallOptions::usual(&QueueName::new("support").unwrap()),
        details: Details::default(),
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await; // the clock is paused: this takes no time
    }
    panic!("waited in vain until {what}");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_everything_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let clock = Arc::new(Still(Instant::now()));
    let simulator = Simulator::open(SimulatorSettings::default(), &path, clock.clone()).unwrap();
    let listener = Arc::new(Listener::default());
    simulator.attach(listener.clone());
    let said = || listener.0.lock().unwrap().clone();
    simulator.start(invitation(1, &clock)).await.unwrap();
    until("it waits", || said().last() == Some(&"queued")).await;

    let healthy = std::mem::replace(&mut simulator.shared.core().journal, Journal::on_full_disk());
    let refused = simulator.start(invitation(2, &clock)).await;
    assert!(matches!(refused, Err(RoutingError::NotDone(_))), "{refused:?}");
    let unclosed = simulator.close_register(TenantId::from_name("demo"), invitation(3, &clock).id);
    assert!(matches!(unclosed, Err(RoutingError::NotDone(_))), "{unclosed:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(said(), ["accepted", "queued", "routing"], "nobody is dialled without a line about it");
    assert!(simulator.check().await.is_err());

    simulator.shared.core().journal = healthy;
    until("it is finished", || said().last() == Some(&"completed")).await;
    assert_eq!(simulator.check().await, Ok(()));
    simulator.start(invitation(2, &clock)).await.unwrap();
    let entered = Journal::read(&path).unwrap();
    let of_two = entered.iter().filter(|entry| entry.callback == invitation(2, &clock).id).count();
    assert_eq!(of_two, 1, "the start that was not done left nothing behind");
}
