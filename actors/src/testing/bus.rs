//! A way between nodes that the test can close.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use domain::ports::{Bus, Ear, Hint};

/// The way. Every tree that is started on a world is a node on it; what one tells all others hear at once.
#[derive(Default)]
pub struct FakeBus {
    told: Mutex<Vec<Hint>>,
    nodes: Mutex<Vec<Option<Ear>>>,
    closed: AtomicBool,
}

impl FakeBus {
    /// One more node on it.
    pub(super) fn join(self: &Arc<Self>) -> Arc<dyn Bus> {
        let mut nodes = self.nodes.lock().expect("never poisoned");
        nodes.push(None);
        Arc::new(OneNode { bus: Arc::clone(self), number: nodes.len() - 1 })
    }

    /// From now on whatever is told is lost.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Everything that was told so far, in order, lost or not.
    pub fn told(&self) -> Vec<Hint> {
        self.told.lock().expect("never poisoned").clone()
    }

    /// Tells every node.
    pub fn say(&self, hint: &Hint) {
        self.tell_all_but(usize::MAX, hint);
    }

    fn tell_all_but(&self, teller: usize, hint: &Hint) {
        if self.closed.load(Ordering::SeqCst) {
            return;
        }
        let nodes = self.nodes.lock().expect("never poisoned");
        for (_, ear) in nodes.iter().enumerate().filter(|(number, _)| *number != teller) {
            if let Some(ear) = ear {
                ear(hint.clone());
            }
        }
    }
}

struct OneNode {
    bus: Arc<FakeBus>,
    number: usize,
}

impl Bus for OneNode {
    fn reaches_others(&self) -> bool {
        true
    }

    fn tell(&self, hint: Hint) {
        self.bus.told.lock().expect("never poisoned").push(hint.clone());
        self.bus.tell_all_but(self.number, &hint);
    }

    fn listen(&self, ear: Ear) {
        if let Some(place) = self.bus.nodes.lock().expect("never poisoned").get_mut(self.number) {
            place.get_or_insert(ear);
        }
    }
}
