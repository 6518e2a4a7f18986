//! What waits to be written, and which of it makes the next batch.

use std::collections::{HashSet, VecDeque};

use domain::ids::CallbackId;
use domain::ports::StoreError;
use tokio::sync::oneshot;

use super::{Command, Limits};

/// A command and the one who waits for its outcome.
pub struct Entry<C: Command> {
    pub(super) command: C,
    pub(super) reply: oneshot::Sender<Result<C::Outcome, StoreError>>,
    bytes: usize,
}

impl<C: Command> Entry<C> {
    pub(super) fn new(command: C, reply: oneshot::Sender<Result<C::Outcome, StoreError>>) -> Self {
        let bytes = command.bytes();
        Self { command, reply, bytes }
    }

    /// A command whose outcome nobody waits for.
    pub(crate) fn unheard(command: C) -> Self {
        Self::new(command, oneshot::channel().0)
    }

    /// What is to be done.
    pub const fn command(&self) -> &C {
        &self.command
    }
}

/// Commands in the order of their arrival, within the bounds of [`Limits`].
pub(super) struct Queue<C: Command> {
    waiting: VecDeque<Entry<C>>,
    bytes: usize,
    limits: Limits,
}

impl<C: Command> Queue<C> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, limits }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands the entry back if there is no room for it.
    pub(super) fn push(&mut self, entry: Entry<C>) -> Result<(), Entry<C>> {
        let full = self.waiting.len() >= self.limits.queued_commands
            || self.bytes.saturating_add(entry.bytes) > self.limits.queued_bytes;
        if full {
            return Err(entry);
        }
        self.bytes += entry.bytes;
        self.waiting.push_back(entry);
        Ok(())
    }

    /// Takes the next batch. What has to wait for the one after keeps its place in the order:
    ///
    /// - further commands for a callback that is in the batch already, because each must see the outcome of
    ///   the one before it;
    /// - background work beyond a quarter of a batch, so that customers never wait behind housekeeping.
    ///
    /// Commands whose caller has gone are dropped: nobody could be told, so nobody relies on them.
    pub(super) fn form(&mut self) -> Vec<Entry<C>> {
        let mut batch = Vec::with_capacity(self.waiting.len().min(self.limits.batch_commands));
        let mut touched: HashSet<CallbackId> = HashSet::with_capacity(batch.capacity());
        let mut later = Vec::new();
        let mut background = 0;
        let mut examined = 0;
        while batch.len() < self.limits.batch_commands && examined < self.limits.examined() {
            let Some(entry) = self.waiting.pop_front() else { break };
            examined += 1;
            if entry.reply.is_closed() {
                self.bytes -= entry.bytes;
                continue;
            }
            let rows = entry.command.background_rows();
            let too_much = rows > 0 && background > 0 && background + rows > self.limits.background_rows();
            let ids = entry.command.touches();
            if too_much || ids.iter().any(|id| touched.contains(id)) {
                later.push(entry);
                continue;
            }
            background += rows;
            touched.extend(ids);
            self.bytes -= entry.bytes;
            batch.push(entry);
        }
        for entry in later.into_iter().rev() {
            self.waiting.push_front(entry);
        }
        batch
    }
}
