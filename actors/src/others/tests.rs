use uuid::Uuid;

use super::*;

fn id(number: usize) -> CallbackId {
    CallbackId::from_uuid(Uuid::from_u128(number as u128))
}

const LIVE: Live = Live { position: 3, estimated_wait_seconds: 60 };

#[tokio::test(start_paused = true)]
async fn a_place_counts_for_its_attempt_and_for_a_while() {
    let elsewhere = Elsewhere::default();
    elsewhere.put(id(1), 2, LIVE);
    assert_eq!(
        (elsewhere.live(id(1), 2), elsewhere.live(id(1), 3), elsewhere.live(id(2), 2)),
        (Some(LIVE), None, None)
    );
    tokio::time::advance(Duration::from_secs(60)).await;
    let nearer = Live { position: 2, ..LIVE };
    elsewhere.put(id(1), 2, nearer);
    tokio::time::advance(KNOWN_FOR - Duration::from_secs(1)).await;
    assert_eq!(elsewhere.live(id(1), 2), Some(nearer));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(elsewhere.live(id(1), 2), None);
    elsewhere.tidy();
    assert!(elsewhere.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_has_a_limit() {
    let elsewhere = Elsewhere::default();
    (0..=REMEMBERED).for_each(|number| elsewhere.put(id(number), 1, LIVE));
    assert_eq!(elsewhere.live(id(REMEMBERED), 1), None, "no room");
    elsewhere.put(id(0), 1, Live::UNKNOWN);
    assert_eq!(elsewhere.live(id(0), 1), Some(Live::UNKNOWN), "one that is known has its place");
    tokio::time::advance(KNOWN_FOR).await;
    elsewhere.tidy();
    elsewhere.put(id(REMEMBERED), 1, LIVE);
    assert_eq!((elsewhere.live(id(REMEMBERED), 1), elsewhere.lock().len()), (Some(LIVE), 1));
}
