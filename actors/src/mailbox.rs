//! Our own address and meter around ractor's: ractor shows no queue length, and metrics want one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::event::{ActorKind, Event};
use domain::ports::Observer;
use futures::FutureExt;
use ractor::{ActorCell, ActorId, ActorRef, Message};
use tokio::time::Instant;

/// Messages that were sent to one actor and not taken yet.
pub(crate) type Waiting = Arc<AtomicUsize>;

/// Where to send messages of type `M`.
pub(crate) struct Address<M: Message> {
    actor: ActorRef<M>,
    waiting: Waiting,
}

/// The actor has ended; the message comes back where ractor still has it.
#[derive(Debug)]
pub(crate) struct Gone<M>(pub(crate) Option<M>);

impl<M: Message> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), waiting: self.waiting.clone() }
    }
}

impl<M: Message> Address<M> {
    /// The address of an actor whose [`Meter`] counts in the same `waiting`.
    pub(crate) fn new(actor: ActorRef<M>, waiting: Waiting) -> Self {
        Self { actor, waiting }
    }

    /// Sends without waiting.
    ///
    /// # Errors
    /// The message itself, if the actor has ended.
    pub(crate) fn send(&self, message: M) -> Result<(), Gone<M>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.actor.cast(message).map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                ractor::MessagingErr::SendErr(message) => Gone(Some(message)),
                _ => Gone(None),
            }
        })
    }

    /// Sends a message whose loss is harmless, because the sweep or a later message makes up for it.
    pub(crate) fn hint(&self, message: M) {
        drop(self.send(message));
    }

    /// As [`Self::hint`], after a pause.
    pub(crate) fn hint_after(&self, pause: Duration, message: M) {
        let to = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            to.hint(message);
        });
    }

    /// Runs `work` beside the actor; what it comes to is a message. If it panics that message is `panicked`, so
    /// that the actor can fail as if its own handler had.
    pub(crate) fn run(&self, work: impl Future<Output = M> + Send + 'static, panicked: M) {
        let to = self.clone();
        tokio::spawn(async move {
            let message = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(panicked);
            to.hint(message);
        });
    }

    pub(crate) fn id(&self) -> ActorId {
        self.actor.get_id()
    }

    pub(crate) fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }
}

/// Counts and times what one actor does. Lives in its state, so it also notices the end of a killed actor.
pub(crate) struct Meter {
    kind: ActorKind,
    observer: Arc<dyn Observer>,
    waiting: Waiting,
}

impl Meter {
    /// Made when the actor starts.
    pub(crate) fn new(kind: ActorKind, observer: Arc<dyn Observer>, waiting: Waiting) -> Self {
        observer.note(Event::ActorStarted(kind));
        Self { kind, observer, waiting }
    }

    /// Made when a message is taken; the returned value is dropped when it has been handled.
    pub(crate) fn begin(&self) -> Handling {
        let waiting = self.waiting.fetch_sub(1, Ordering::Relaxed);
        Handling { kind: self.kind, observer: self.observer.clone(), waiting, started: Instant::now() }
    }

    /// The actor's own address.
    pub(crate) fn address<M: Message>(&self, me: &ActorRef<M>) -> Address<M> {
        Address::new(me.clone(), self.waiting.clone())
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.observer.note(Event::ActorStopped(self.kind));
    }
}

/// One message being handled.
pub(crate) struct Handling {
    kind: ActorKind,
    observer: Arc<dyn Observer>,
    waiting: usize,
    started: Instant,
}

impl Drop for Handling {
    fn drop(&mut self) {
        let took: Duration = self.started.elapsed();
        self.observer.note(Event::Handled { kind: self.kind, took, waiting: self.waiting });
    }
}
