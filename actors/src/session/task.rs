//! Work beside an actor, in a task of its own: bounded by its own deadlines, and never a silent death.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use domain::event::Event;
use futures::FutureExt;

use crate::node::Node;

/// What a panic carried.
pub(crate) type Panic = Box<dyn Any + Send>;

/// Runs `work`; a panic in it is counted, logged and forgotten.
pub(crate) fn spawn(node: &Arc<Node>, what: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let observer = node.ports.observer.clone();
    spawn_or(work, move |_| {
        observer.note(Event::PanicCaught);
        tracing::error!(what, "a task panicked");
    });
}

/// Runs `work`; a panic in it goes to `panicked`, who has to see that it is counted.
pub(crate) fn spawn_or(work: impl Future<Output = ()> + Send + 'static, panicked: impl FnOnce(Panic) + Send + 'static) {
    tokio::spawn(async move {
        if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
            panicked(panic);
        }
    });
}
