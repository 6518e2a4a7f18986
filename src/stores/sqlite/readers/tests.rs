use std::pin::{Pin, pin};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Waker};

use diesel::Connection as _;
use diesel::sql_types::BigInt;
use tempfile::TempDir;

use super::super::statement::first;
use super::*;

statements! {
    AddNumber = "INSERT INTO numbers VALUES (1)";
    CountNumbers -> (BigInt) = "SELECT count(*) FROM numbers";
}

/// A file with a table `numbers`, and so many threads that read it.
fn start(threads: usize, manner: Manner) -> (TempDir, SqliteConnection, Readers) {
    start_with(threads, manner, None)
}

/// As [`start`], with somebody who hears of turns.
fn watched(threads: usize, observer: Arc<dyn Observer>) -> (TempDir, SqliteConnection, Readers) {
    start_with(threads, Manner::Snapshot, Some(observer))
}

fn start_with(
    threads: usize,
    manner: Manner,
    observer: Option<Arc<dyn Observer>>,
) -> (TempDir, SqliteConnection, Readers) {
    let folder = TempDir::new().unwrap();
    let connect = || SqliteConnection::establish(folder.path().join("db").to_str().unwrap()).unwrap();
    let mut writer = connect();
    writer.batch_execute("PRAGMA journal_mode = WAL; CREATE TABLE numbers (n INTEGER)").unwrap();
    let reader = |_| Reader { connection: connect(), names: Arc::default() };
    let readers = Readers::start((0..threads).map(reader).collect(), "test", manner, observer).unwrap();
    (folder, writer, readers)
}

fn tenant(name: &str) -> TenantId {
    TenantId::from_name(name)
}

fn count(reader: &mut Reader) -> Result<i64, StoreError> {
    first::<CountNumbers, (i64,)>(&mut reader.connection, &[]).map_err(not_read).map(|row| row.unwrap().0)
}

/// A request that says when it has begun and ends when it is told to.
fn slow() -> (impl FnOnce(&mut Reader) -> Result<i64, StoreError> + Send + 'static, Receiver<()>, SyncSender<()>) {
    let (begun, has_begun) = sync_channel(1);
    let (end, may_end) = sync_channel(1);
    let request = move |reader: &mut Reader| {
        begun.send(()).unwrap();
        may_end.recv().unwrap();
        count(reader)
    };
    (request, has_begun, end)
}

/// Lets the request be made, and demands that it waits.
fn make<T>(request: &mut Pin<&mut impl Future<Output = T>>) {
    assert!(request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test]
async fn a_slow_read_keeps_only_its_own_thread() {
    let (_folder, _writer, readers) = start(2, Manner::Snapshot);
    let (request, has_begun, end) = slow();
    let mut slow = pin!(readers.read(request));
    make(&mut slow);
    has_begun.recv().unwrap();
    // Far more than one thread would ever answer together.
    for _ in 0..500 {
        assert_eq!(readers.read(count).await, Ok(0));
    }
    end.send(()).unwrap();
    assert_eq!(slow.await, Ok(0));
}

#[tokio::test]
async fn what_waits_behind_a_slow_read_is_taken_by_another_thread() {
    let (_folder, _writer, readers) = start(2, Manner::Snapshot);
    let ((one, one_has_begun, end_one), (two, two_has_begun, end_two)) = (slow(), slow());
    let (mut one, mut two) = (pin!(readers.read(one)), pin!(readers.read(two)));
    make(&mut one);
    make(&mut two);
    one_has_begun.recv().unwrap();
    two_has_begun.recv().unwrap();
    // Both threads are busy, so these gather; the next one is slow again.
    let (three, three_has_begun, end_three) = slow();
    let (mut three, mut four) = (pin!(readers.read(three)), pin!(readers.read(count)));
    make(&mut three);
    make(&mut four);
    end_one.send(()).unwrap();
    three_has_begun.recv().unwrap();
    end_two.send(()).unwrap();
    assert_eq!(four.await, Ok(0), "it was made while the slow one before it ran");
    end_three.send(()).unwrap();
    assert_eq!((one.await, two.await, three.await), (Ok(0), Ok(0), Ok(0)));
}

#[tokio::test]
async fn a_read_sees_what_was_committed_before_it_was_made() {
    let (_folder, mut writer, readers) = start(1, Manner::Snapshot);
    let (request, has_begun, end) = slow();
    let mut slow = pin!(readers.read(move |reader| {
        count(reader)?;
        request(reader)
    }));
    make(&mut slow);
    has_begun.recv().unwrap();
    // The only thread has a snapshot without this row.
    execute::<AddNumber>(&mut writer, &[]).unwrap();
    let mut later = pin!(readers.read(count));
    make(&mut later);
    end.send(()).unwrap();
    assert_eq!(slow.await, Ok(0));
    assert_eq!(later.await, Ok(1));
}

#[tokio::test]
async fn reads_that_wait_together_share_a_snapshot() {
    let (_folder, mut writer, readers) = start(1, Manner::Snapshot);
    let (hold, has_begun, end_hold) = slow();
    let mut hold = pin!(readers.read(hold));
    make(&mut hold);
    has_begun.recv().unwrap();
    let (between, between_has_begun, end_between) = slow();
    let mut before = pin!(readers.read(count));
    let mut between = pin!(readers.read(between));
    let mut after = pin!(readers.read(count));
    make(&mut before);
    make(&mut between);
    make(&mut after);
    end_hold.send(()).unwrap();
    between_has_begun.recv().unwrap();
    execute::<AddNumber>(&mut writer, &[]).unwrap();
    end_between.send(()).unwrap();
    assert_eq!((before.await, between.await, after.await), (Ok(0), Ok(0), Ok(0)));
    assert_eq!(readers.read(count).await, Ok(1));
}

#[tokio::test]
async fn one_request_too_many_is_refused_at_once_and_another_tenant_finds_room() {
    let (_folder, _writer, readers) = start(1, Manner::Snapshot);
    let (request, has_begun, end) = slow();
    let mut slow = pin!(readers.read(request));
    make(&mut slow);
    has_begun.recv().unwrap();
    let greedy = || Box::pin(readers.read_in(Some(tenant("greedy")), count));
    let mut waiting: Vec<_> = (0..MAX_WAITING - MAX_WAITING / 8).map(|_| greedy()).collect();
    waiting.iter_mut().for_each(|request| make(&mut request.as_mut()));
    assert_eq!(greedy().await, Err(StoreError::NotDone("too many reads are waiting".to_owned())));
    let mut modest = pin!(readers.read_in(Some(tenant("modest")), count));
    make(&mut modest);
    end.send(()).unwrap();
    assert_eq!(modest.await, Ok(0));
    for request in waiting {
        assert_eq!(request.await, Ok(0));
    }
    assert_eq!(greedy().await, Ok(0));
}

#[tokio::test]
async fn whoever_asks_for_little_waits_for_one_of_each_other_tenant() {
    let turns = Arc::new(Recorder::default());
    let (_folder, _writer, readers) = watched(1, turns.clone());
    let (hold, has_begun, end) = slow();
    let mut hold = pin!(readers.read(hold));
    make(&mut hold);
    has_begun.recv().unwrap();
    let taken: Arc<Mutex<Vec<&str>>> = Arc::default();
    let ask = |name: &'static str| {
        let taken = taken.clone();
        let mut asked = Box::pin(readers.read_in(Some(tenant(name)), move |reader: &mut Reader| {
            taken.lock().unwrap().push(name);
            count(reader)
        }));
        make(&mut asked.as_mut());
        asked
    };
    let mut all: Vec<_> = (0..500).flat_map(|_| ["noisy", "loud"]).map(&ask).collect();
    let mut housekeeping = Box::pin(readers.read(count));
    make(&mut housekeeping.as_mut());
    all.push(ask("quiet"));
    all.push(ask("quiet"));
    end.send(()).unwrap();
    for asked in all {
        assert_eq!(asked.await, Ok(0));
    }
    assert_eq!((hold.await, housekeeping.await), (Ok(0), Ok(0)));
    let taken = taken.lock().unwrap();
    let quiet: Vec<usize> = (0..taken.len()).filter(|place| taken[*place] == "quiet").collect();
    assert_eq!(quiet, [2, 5], "after one of each other, in each round: {:?}", &taken[..8]);
    // Those that stood first in their lanes, in the order of their turns; housekeeping is not told.
    assert_eq!(turns.turns(), [0, 1, 3]);
}

#[tokio::test]
async fn a_turn_does_not_bring_a_request_into_an_older_snapshot() {
    let (_folder, mut writer, readers) = start(1, Manner::Snapshot);
    let (hold, has_begun, end_hold) = slow();
    let mut hold = pin!(readers.read_in(Some(tenant("noisy")), hold));
    make(&mut hold);
    has_begun.recv().unwrap();
    let mut older: Vec<_> = (0..3).map(|_| Box::pin(readers.read_in(Some(tenant("noisy")), count))).collect();
    older.iter_mut().for_each(|request| make(&mut request.as_mut()));
    let (between, between_has_begun, end_between) = slow();
    let mut between = pin!(readers.read_in(Some(tenant("loud")), between));
    make(&mut between);
    end_hold.send(()).unwrap();
    between_has_begun.recv().unwrap();
    // The snapshot is older than this row, and the next turn is of a request that is younger.
    execute::<AddNumber>(&mut writer, &[]).unwrap();
    let mut younger = pin!(readers.read_in(Some(tenant("quiet")), count));
    make(&mut younger);
    end_between.send(()).unwrap();
    assert_eq!(younger.await, Ok(1));
    assert_eq!((hold.await, between.await), (Ok(0), Ok(0)));
    for request in older {
        assert!(request.await.is_ok());
    }
}

/// Remembers how many turns were waited for.
#[derive(Default)]
struct Recorder(Mutex<Vec<u64>>);

impl Recorder {
    fn turns(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Recorder {
    fn note(&self, event: Event) {
        if let Event::TurnsWaited { turns } = event {
            self.0.lock().unwrap().push(turns);
        }
    }
}

#[tokio::test]
async fn who_stops_waiting_is_passed_over() {
    let (_folder, _writer, readers) = start(1, Manner::Snapshot);
    let (request, has_begun, end) = slow();
    let mut slow = pin!(readers.read(request));
    make(&mut slow);
    has_begun.recv().unwrap();
    let (ran, has_run) = sync_channel(1);
    {
        let mut given_up = pin!(readers.read(move |_| {
            ran.send(()).unwrap();
            Ok(())
        }));
        make(&mut given_up);
    }
    end.send(()).unwrap();
    assert_eq!(readers.read(count).await, Ok(0));
    assert!(has_run.recv().is_err(), "it was dropped without being run");
}

#[tokio::test]
async fn a_panic_ends_its_request_and_not_the_thread() {
    for manner in [Manner::Snapshot, Manner::Plain] {
        let (_folder, _writer, readers) = start(1, manner);
        let answer: Result<(), _> = readers.read(|_| panic!("on request")).await;
        assert_eq!(answer, Err(StoreError::NotDone("the reader gave no answer".to_owned())));
        assert_eq!(readers.read(count).await, Ok(0));
    }
}

#[tokio::test]
async fn dropping_it_answers_what_waits() {
    let (_folder, _writer, readers) = start(1, Manner::Snapshot);
    let (reply, mut answer) = oneshot::channel();
    {
        let (request, has_begun, end) = slow();
        let mut slow = pin!(readers.read(request));
        make(&mut slow);
        has_begun.recv().unwrap();
        let request: Request = Box::new(move |reader| drop(reply.send(reader.and_then(count))));
        assert!(readers.shared.lock().push(None, request).is_ok());
        end.send(()).unwrap();
    }
    drop(readers);
    assert_eq!(answer.try_recv(), Ok(Ok(0)), "the threads have ended, so it is there already");
}
