//! An actor that stands in for another one and notes what it is sent.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use domain::event::ActorKind;
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};

use super::{Recorder, TestClock};
use crate::mailbox::{Address, Meter, Waiting};

/// What it was sent, and when.
pub(crate) struct Collected<M>(Notes<M>);

type Notes<M> = Arc<Mutex<Vec<(DateTime<Utc>, M)>>>;

impl<M> Collected<M> {
    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<(DateTime<Utc>, M)>> {
        self.0.lock().expect("never poisoned")
    }
}

struct Collector<M>(std::marker::PhantomData<fn(M)>);

impl<M: Message> Actor for Collector<M> {
    type Msg = M;
    type State = (Notes<M>, Arc<TestClock>, Meter);
    type Arguments = (Notes<M>, Arc<TestClock>, Waiting);

    async fn pre_start(&self, _me: ActorRef<M>, args: Self::Arguments) -> Result<Self::State, ActorProcessingErr> {
        let meter = Meter::new(ActorKind::Tenants, Arc::new(Recorder::default()), args.2);
        Ok((args.0, args.1, meter))
    }

    async fn handle(&self, _me: ActorRef<M>, message: M, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        let _handling = state.2.begin();
        state.0.lock().expect("never poisoned").push((state.1.time(), message));
        Ok(())
    }
}

/// Starts one.
pub(crate) async fn collect<M: Message>(clock: Arc<TestClock>) -> (Address<M>, Collected<M>) {
    let notes: Notes<M> = Arc::default();
    let waiting: Waiting = Arc::new(AtomicUsize::new(0));
    let args = (Arc::clone(&notes), clock, Arc::clone(&waiting));
    let (actor, _) = Collector::spawn(None, Collector(std::marker::PhantomData), args).await.expect("it starts");
    (Address::new(actor, waiting), Collected(notes))
}
