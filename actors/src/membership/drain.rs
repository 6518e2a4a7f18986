//! What becomes of the callbacks of a node that ends: living nodes get them, in batches. Whatever cannot be handed over is
//! taken by their sweeps when it is due, as after a kill.

use std::time::Duration;

use domain::ids::Incarnation;
use domain::ports::{HandOver, Handed};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::{MembershipMsg, State};
use crate::node::Node;

/// Rounds, a second apart, in which a node that drains hands over what it has not begun: with the first goes what it had
/// claimed, with the others what claims, sweeps and bookings brought that were under way. Few, so that two nodes that drain
/// side by side do not hand the same callbacks to and fro.
pub(super) const ROUNDS: u32 = 3;
/// Callbacks in one batch.
const HANDED_AT_ONCE: usize = 2_000;
/// How long one hand-over may take in all. Ten thousand callbacks need a second or two, on a machine that is very busy eight.
const HAND_OVER_DEADLINE: Duration = Duration::from_secs(15);
/// How often a batch is tried, and the pause between two tries.
const TRIES: u32 = 3;
const TRY_AGAIN: Duration = Duration::from_millis(500);

impl State {
    /// While the node drains, nothing more is begun here: who can begin it gets it now, and not when this node is gone.
    pub(super) fn hand_over_unbegun(&mut self) {
        if self.rounds_of_drain == 0 || std::mem::replace(&mut self.handing_over, true) {
            return;
        }
        self.rounds_of_drain -= 1;
        let (node, heirs) = (self.node.clone(), self.heirs());
        let work = async move {
            hand_over(&node, heirs, Handed::Unbegun).await;
            MembershipMsg::HandedOver
        };
        self.me.run(work, MembershipMsg::TaskPanicked);
    }

    /// Everything that is left. One of the rounds above may be under way: each row goes once.
    pub(super) fn on_hand_over(&mut self, reply: oneshot::Sender<()>) {
        self.rounds_of_drain = 0;
        let (node, heirs) = (self.node.clone(), self.heirs());
        let work = async move {
            hand_over(&node, heirs, Handed::All).await;
            let _gone = reply.send(());
            MembershipMsg::HandedOver
        };
        self.me.run(work, MembershipMsg::TaskPanicked);
    }

    /// Every other node that is not known to be dead.
    fn heirs(&self) -> Vec<Incarnation> {
        let mut living = self.liveness.living(Instant::now());
        living.retain(|node| *node != self.node.me);
        living
    }
}

/// Batch by batch, until nothing is left or it takes too long.
async fn hand_over(node: &Node, to: Vec<Incarnation>, what: Handed) {
    if to.is_empty() {
        return;
    }
    let deadline = Instant::now() + HAND_OVER_DEADLINE;
    let (mut handed, mut tries) = (0, 0);
    while tries < TRIES {
        let step = HandOver { owner: node.me, to: to.clone(), what, at: node.now(), limit: HANDED_AT_ONCE };
        match timeout_at(deadline, node.ports.callbacks.hand_over(step)).await {
            Ok(Ok(0)) => break,
            Ok(Ok(given)) => (handed, tries) = (handed + given, 0),
            Ok(Err(error)) => {
                tracing::warn!(%error, "callbacks could not be handed over");
                tries += 1;
                sleep(TRY_AGAIN).await;
            }
            Err(_) => {
                tracing::warn!("not every callback was handed over in time; other nodes take the rest when it is due");
                break;
            }
        }
    }
    if handed > 0 {
        tracing::info!(callbacks = handed, nodes = to.len(), "callbacks were handed over to other nodes");
    }
}
