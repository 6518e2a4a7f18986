use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use diesel::{Connection as _, SqliteConnection};

use super::*;

fn places(count: usize) -> InPlace {
    let reader = |_| Reader { connection: SqliteConnection::establish(":memory:").unwrap(), names: Arc::default() };
    InPlace::new((0..count).map(reader).collect())
}

fn works(_: &mut Reader) -> Result<u8, StoreError> {
    Ok(1)
}

/// Runs `meanwhile` while another thread reads in place and does not come to an end.
async fn while_one_reads<T>(places: &Arc<InPlace>, meanwhile: impl Future<Output = T>) -> T {
    let (begun, has_begun) = sync_channel(1);
    let (end, may_end) = sync_channel(1);
    let slow = {
        let places = places.clone();
        thread::spawn(move || {
            let read = |_: &mut Reader| {
                begun.send(()).unwrap();
                may_end.recv().unwrap();
                Ok(())
            };
            matches!(places.try_read(read), Attempt::Read(Ok(())))
        })
    };
    has_begun.recv().unwrap();
    let outcome = meanwhile.await;
    end.send(()).unwrap();
    assert!(slow.join().unwrap());
    outcome
}

#[tokio::test]
async fn a_free_connection_reads_at_once() {
    assert_eq!(places(1).read(works).await, Some(Ok(1)));
    assert_eq!(places(0).read(works).await, None);
}

#[tokio::test]
async fn nobody_waits_for_a_slow_read() {
    let one = Arc::new(places(1));
    assert_eq!(while_one_reads(&one, one.read(works)).await, None, "it goes to the threads instead");
    assert_eq!(one.read(works).await, Some(Ok(1)));
    let two = Arc::new(places(2));
    assert_eq!(while_one_reads(&two, two.read(works)).await, Some(Ok(1)), "on the other connection");
}

#[tokio::test]
async fn others_run_before_it_looks_again() {
    let places = Arc::new(places(1));
    let mut read = Box::pin(places.read(works));
    let mut polls = 0;
    let counted = std::future::poll_fn(|context| {
        polls += 1;
        read.as_mut().poll(context)
    });
    assert_eq!(while_one_reads(&places, counted).await, None);
    assert_eq!(polls, TRIES, "it gave way between two looks");
}

#[tokio::test]
async fn what_is_locked_goes_to_the_threads_and_what_is_unreadable_is_told() {
    let places = places(1);
    assert_eq!(places.read(|_| Err::<(), _>(StoreError::NotDone("database is locked".to_owned()))).await, None);
    let unreadable = StoreError::Unreadable("a state is not known".to_owned());
    assert_eq!(places.read(|_| Err::<(), _>(unreadable.clone())).await, Some(Err(unreadable.clone())));
}

#[tokio::test]
async fn a_connection_is_not_used_again_after_a_panic() {
    let places = Arc::new(places(1));
    let panicking = places.clone();
    let ended = thread::spawn(move || drop(panicking.try_read(|_| -> Result<(), StoreError> { panic!("on request") })));
    assert!(ended.join().is_err());
    assert_eq!(places.read(works).await, None);
}

/// How many of the reads that take `took` each are let through in the next `seconds`, one after the other.
fn let_through(patience: &mut Patience, from: Instant, took: Duration, seconds: u64) -> u64 {
    let (mut now, mut reads) = (from, 0);
    while now < from + Duration::from_secs(seconds) {
        if patience.rests(now) {
            now += Duration::from_millis(1);
        } else {
            patience.note(now, now + took);
            now += took;
            reads += 1;
        }
    }
    reads
}

#[test]
fn a_slow_disk_gets_few_reads_and_little_time() {
    let now = Instant::now();
    for (took_ms, most_reads, least_reads) in [(1, 1_000, 800), (5, 130, 90), (100, 10, 8), (3_000, 3, 2)] {
        let took = Duration::from_millis(took_ms);
        let reads = let_through(&mut Patience::default(), now, took, 10);
        assert!((least_reads..=most_reads).contains(&reads), "{reads} reads of {took_ms} ms in 10 s");
    }
}

#[test]
fn a_fast_disk_is_never_left_alone() {
    for took_us in [10, 100, 500] {
        let took = Duration::from_micros(took_us);
        let mut patience = Patience::default();
        let reads = let_through(&mut patience, Instant::now(), took, 2);
        assert_eq!(reads, 2_000_000 / took_us, "{took_us} us");
    }
}

#[test]
fn now_and_then_a_thread_may_lose_its_processor() {
    let (now, mut patience) = (Instant::now(), Patience::default());
    for _ in 0..1_000 {
        patience.note(now, now + Duration::from_millis(30));
        for _ in 0..80 {
            patience.note(now, now + Duration::from_micros(20));
        }
        assert!(!patience.rests(now));
    }
}
