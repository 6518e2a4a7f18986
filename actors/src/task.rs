//! Work beside an actor that nobody waits for: bounded by its own deadlines, and never a silent death. Work whose
//! outcome the actor wants to hear is [`crate::mailbox::Address::run`].

use std::panic::AssertUnwindSafe;

use domain::event::Event;
use futures::FutureExt;

use crate::node::Node;

/// Runs `work`; a panic in it is counted, logged and forgotten.
pub(crate) fn spawn(node: &Node, what: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let observer = node.ports.observer.clone();
    tokio::spawn(async move {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            observer.note(Event::PanicCaught);
            tracing::error!(what, "a task panicked");
        }
    });
}
