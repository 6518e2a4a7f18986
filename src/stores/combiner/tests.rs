use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;

/// A command of a test: its outcome is its number.
#[derive(Debug, Clone)]
struct Step {
    number: u32,
    ids: Vec<CallbackId>,
    rows: usize,
    tenant: Option<TenantId>,
}

impl Command for Step {
    type Outcome = u32;

    fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    fn touches(&self) -> &[CallbackId] {
        &self.ids
    }

    fn bytes(&self) -> usize {
        100
    }

    fn background_rows(&self) -> usize {
        self.rows
    }
}

fn id(number: u128) -> CallbackId {
    CallbackId::from_uuid(uuid::Uuid::from_u128(number))
}

fn foreground(number: u32) -> Step {
    Step { number, ids: vec![id(number.into())], rows: 0, tenant: None }
}

/// A command of the tenant with that name.
fn of(tenant: &str, number: u32) -> Step {
    Step { tenant: Some(TenantId::from_name(tenant)), ..foreground(number) }
}

fn background(number: u32, rows: usize) -> Step {
    Step { number, ids: vec![id(number.into())], rows, tenant: None }
}

/// Reports every batch it is asked to run, and ends it as the test says; `Ok` once the test says nothing more.
struct Script {
    ends: Vec<Result<(), BatchError>>,
    seen: SyncSender<Vec<u32>>,
}

/// The number of the command that no batch may hold.
const POISON: u32 = 666;
/// The number of the command that needs what somebody else has locked.
const LOCKED: u32 = 668;
/// The number of the command that makes the database side panic.
const PANIC: u32 = 667;

impl Transactions<Step> for Script {
    fn run(&mut self, batch: &[Entry<Step>]) -> Result<Vec<u32>, BatchError> {
        let numbers: Vec<u32> = batch.iter().map(|entry| entry.command().number).collect();
        let _ = self.seen.try_send(numbers.clone());
        assert!(!numbers.contains(&PANIC), "a panic on request");
        if numbers.contains(&POISON) {
            return Err(BatchError::Data("poison".to_owned()));
        }
        if numbers.contains(&LOCKED) {
            return Err(BatchError::Busy("locked".to_owned()));
        }
        if !self.ends.is_empty() {
            self.ends.remove(0)?;
        }
        Ok(numbers)
    }
}

fn start(ends: Vec<Result<(), BatchError>>, limits: Limits) -> (Arc<Combiner<Step>>, Receiver<Vec<u32>>) {
    let (seen, batches) = sync_channel(1_000);
    (Arc::new(Combiner::start(Script { ends, seen }, limits, None).unwrap()), batches)
}

fn small() -> Limits {
    Limits { batch_commands: 8, ..Limits::default() }
}

/// Submits all of them in order while the writer is held; their outcomes.
async fn together(combiner: &Arc<Combiner<Step>>, steps: Vec<Step>) -> Vec<Result<u32, StoreError>> {
    let hold = combiner.hold();
    let mut tasks = Vec::new();
    for (before, step) in steps.into_iter().enumerate() {
        let submitter = combiner.clone();
        tasks.push(tokio::spawn(async move { submitter.submit(step).await }));
        while combiner.waiting() == before {
            tokio::task::yield_now().await;
        }
    }
    drop(hold);
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

#[tokio::test]
async fn everybody_gets_the_own_outcome_from_one_batch() {
    let (combiner, batches) = start(vec![], small());
    let outcomes = together(&combiner, (1..=5).map(foreground).collect()).await;
    assert_eq!(outcomes, (1..=5).map(Ok).collect::<Vec<_>>());
    assert_eq!(batches.try_iter().collect::<Vec<_>>(), [[1, 2, 3, 4, 5]]);
    assert_eq!(combiner.stats(), WriteStats { commits: 1, commands: 5 });
}

#[tokio::test]
async fn batches_are_bounded() {
    let (combiner, batches) = start(vec![], small());
    together(&combiner, (1..=20).map(foreground).collect()).await;
    assert_eq!(batches.try_iter().map(|batch| batch.len()).collect::<Vec<_>>(), [8, 8, 4]);
}

#[tokio::test]
async fn background_work_gets_a_quarter_and_loses_no_turn() {
    let (combiner, batches) = start(vec![], small());
    let steps =
        vec![background(1, 1), background(2, 1), background(3, 1), foreground(4), background(5, 2), foreground(6)];
    together(&combiner, steps).await;
    assert_eq!(batches.try_iter().collect::<Vec<_>>(), [vec![1, 2, 4, 6], vec![3], vec![5]]);
}

#[tokio::test]
async fn background_work_larger_than_its_share_goes_alone() {
    let (combiner, batches) = start(vec![], small());
    together(&combiner, vec![background(1, 50), background(2, 1), foreground(3)]).await;
    assert_eq!(batches.try_iter().collect::<Vec<_>>(), [vec![1, 3], vec![2]]);
}

#[tokio::test]
async fn a_callback_occurs_once_per_batch() {
    let (combiner, batches) = start(vec![], small());
    let mut steps: Vec<Step> = (1..=4).map(foreground).collect();
    let first = steps[0].ids.clone();
    steps[1].ids = first.clone();
    steps[2].ids.extend(first);
    together(&combiner, steps).await;
    assert_eq!(batches.try_iter().collect::<Vec<_>>(), [vec![1, 4], vec![2], vec![3]]);
}

#[tokio::test]
async fn the_culprit_fails_alone_and_the_order_stays() {
    let (combiner, batches) = start(vec![], small());
    let mut steps: Vec<Step> = (1..=8).map(foreground).collect();
    steps[5].number = POISON;
    let outcomes = together(&combiner, steps).await;
    for (number, outcome) in (1..=8).zip(outcomes) {
        let expected = if number == 6 { Err(StoreError::NotDone("poison".to_owned())) } else { Ok(number) };
        assert_eq!(outcome, expected);
    }
    let done: Vec<u32> = batches.try_iter().filter(|batch| !batch.contains(&POISON)).flatten().collect();
    assert_eq!(done, [1, 2, 3, 4, 5, 7, 8]);
}

#[tokio::test]
async fn a_lock_is_tried_three_times_more() {
    let busy = || Err(BatchError::Busy("locked".to_owned()));
    let (combiner, batches) = start(vec![busy(), busy(), busy(), Ok(())], small());
    assert_eq!(combiner.submit(foreground(1)).await, Ok(1));
    assert_eq!(batches.try_iter().count(), 4);
    let (combiner, batches) = start(vec![busy(), busy(), busy(), busy(), Ok(())], small());
    assert_eq!(combiner.submit(foreground(1)).await, Err(StoreError::NotDone("locked".to_owned())));
    assert_eq!(batches.try_iter().count(), 4);
}

#[tokio::test]
async fn a_lock_that_stays_is_waited_for_by_whoever_needs_it_alone() {
    let (combiner, batches) = start(vec![], Limits { batch_commands: 20, ..small() });
    let mut steps: Vec<Step> = (1..=20).map(foreground).collect();
    steps[3].number = LOCKED;
    let outcomes = together(&combiner, steps).await;
    for (number, outcome) in (1..=20).zip(outcomes) {
        let expected = if number == 4 { Err(StoreError::NotDone("locked".to_owned())) } else { Ok(number) };
        assert_eq!(outcome, expected);
    }
    // Four times the whole, then in eighths.
    let tried: Vec<Vec<u32>> = batches.try_iter().skip(4).collect();
    let parts = [
        vec![1, 2, 3],
        vec![LOCKED, 5, 6],
        vec![LOCKED],
        vec![5],
        vec![6],
        vec![7, 8, 9],
        vec![10, 11, 12],
        vec![13, 14, 15],
        vec![16, 17, 18],
        vec![19, 20],
    ];
    assert_eq!(tried, parts, "in the order of arrival, and no part waits again");
}

#[tokio::test]
async fn other_errors_end_the_whole_batch() {
    let full = Err(BatchError::NotDone("full".to_owned()));
    let lost = Err(BatchError::PerhapsDone("lost".to_owned()));
    let (combiner, _batches) = start(vec![full, lost], small());
    let two = || vec![foreground(1), foreground(2)];
    assert_eq!(together(&combiner, two()).await, vec![Err(StoreError::NotDone("full".to_owned())); 2]);
    assert_eq!(together(&combiner, two()).await, vec![Err(StoreError::PerhapsDone("lost".to_owned())); 2]);
    assert_eq!(combiner.submit(foreground(3)).await, Ok(3), "the next batch is not concerned");
}

#[tokio::test]
async fn a_panic_is_perhaps_and_not_the_end() {
    let (combiner, _batches) = start(vec![], small());
    assert!(matches!(combiner.submit(foreground(PANIC)).await, Err(StoreError::PerhapsDone(_))));
    assert_eq!(combiner.submit(foreground(1)).await, Ok(1));
}

#[tokio::test]
async fn whoever_has_gone_is_not_written() {
    let (combiner, batches) = start(vec![], small());
    let hold = combiner.hold();
    let submitter = combiner.clone();
    let gone = tokio::spawn(async move { submitter.submit(foreground(1)).await });
    while combiner.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.is_err());
    drop(hold);
    assert_eq!(combiner.submit(foreground(2)).await, Ok(2));
    assert_eq!(batches.try_iter().flatten().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn the_queue_is_bounded_by_number_and_bytes() {
    for limits in [Limits { queued_commands: 2, ..small() }, Limits { queued_bytes: 250, ..small() }] {
        let (combiner, _batches) = start(vec![], limits);
        let hold = combiner.hold();
        let mut tasks = Vec::new();
        for number in 1..=2 {
            let submitter = combiner.clone();
            tasks.push(tokio::spawn(async move { submitter.submit(foreground(number)).await }));
        }
        while combiner.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(combiner.submit(foreground(3)).await, Err(StoreError::NotDone(_))));
        drop(hold);
        for task in tasks {
            assert!(task.await.unwrap().is_ok());
        }
        assert_eq!(combiner.submit(foreground(4)).await, Ok(4), "what has left gives its room back");
    }
}

#[tokio::test]
async fn a_hot_callback_does_not_make_batches_read_the_whole_queue() {
    let mut queue = Queue::new(small());
    let mut waiting = Vec::new();
    for number in 0..100 {
        let (reply, outcome) = oneshot::channel();
        waiting.push(outcome);
        let step = Step { number, ids: vec![id(if number < 90 { 1 } else { number.into() })], rows: 0, tenant: None };
        assert!(queue.push(Entry::new(step, reply)).is_ok());
    }
    let batch = queue.form();
    assert_eq!(batch.iter().map(|entry| entry.command.number).collect::<Vec<_>>(), [0]);
    assert_eq!(queue.len(), 99);
    let next = queue.form();
    assert_eq!(next.iter().map(|entry| entry.command.number).collect::<Vec<_>>(), [1]);
}

#[test]
fn closing_writes_what_waits() {
    let (seen, batches) = sync_channel(1_000);
    let combiner = Combiner::start(Script { ends: vec![], seen }, small(), None).unwrap();
    let mut outcomes = Vec::new();
    let hold = combiner.hold();
    {
        let mut state = combiner.shared.lock();
        for number in 1..=20 {
            let (reply, outcome) = oneshot::channel();
            outcomes.push(outcome);
            assert!(state.queue.push(Entry::new(foreground(number), reply)).is_ok());
        }
    }
    drop(combiner);
    drop(hold);
    assert_eq!(batches.try_iter().flatten().count(), 20);
    assert!(outcomes.iter_mut().all(|outcome| matches!(outcome.try_recv(), Ok(Ok(_)))));
}

#[tokio::test]
async fn tenants_take_turns_and_keep_their_order() {
    let (combiner, batches) = start(vec![], small());
    let mut steps: Vec<Step> = (1..=20).map(|number| of("busy", number)).collect();
    steps.extend([of("quiet", 30), of("other", 40), of("quiet", 31)]);
    together(&combiner, steps).await;
    let batches: Vec<_> = batches.try_iter().collect();
    assert_eq!(batches[0], [1, 30, 40, 2, 31, 3, 4, 5], "whoever has little is in the next batch with all of it");
    assert_eq!(batches[1..].concat(), (6..=20).collect::<Vec<_>>());
    assert_eq!(combiner.longest_wait(Some(TenantId::from_name("quiet"))), 0);
    assert_eq!(combiner.longest_wait(Some(TenantId::from_name("busy"))), 2);
}

#[tokio::test]
async fn one_callback_that_is_hot_hinders_no_other_tenant() {
    let (combiner, batches) = start(vec![], small());
    let mut steps: Vec<Step> = (1..=40).map(|number| Step { ids: vec![id(1)], ..of("busy", number) }).collect();
    steps.push(of("quiet", 50));
    together(&combiner, steps).await;
    let batches: Vec<_> = batches.try_iter().collect();
    assert_eq!(batches[0], [1, 50]);
    assert_eq!(batches.concat().len(), 41);
    assert!(batches[1..].concat().is_sorted(), "each sees the one before");
}

#[test]
fn one_tenant_cannot_fill_the_queue() {
    for limits in [Limits { queued_commands: 80, ..small() }, Limits { queued_bytes: 8_000, ..small() }] {
        let mut queue = Queue::new(limits);
        let mut waiting = Vec::new();
        let mut push = |step: Step| {
            let (reply, outcome) = oneshot::channel();
            waiting.push(outcome);
            queue.push(Entry::new(step, reply)).is_ok()
        };
        let taken = (0..).take_while(|number| push(of("busy", *number))).count();
        assert_eq!(taken, 70);
        assert!((200..210).all(|number| push(of("quiet", number))), "its room is kept");
        assert!(!push(of("quiet", 210)) && !push(of("busy", 300)), "now it is full");
    }
}
