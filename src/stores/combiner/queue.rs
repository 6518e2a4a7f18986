//! What waits to be written, and which of it makes the next batch.

use std::collections::HashSet;

use domain::fair::{Lanes, may_take};
use domain::ids::{CallbackId, TenantId};
use domain::ports::StoreError;
use tokio::sync::oneshot;

use super::{Command, Limits};

/// A command and the one who waits for its outcome.
pub struct Entry<C: Command> {
    pub(super) command: C,
    pub(super) reply: oneshot::Sender<Result<C::Outcome, StoreError>>,
    bytes: usize,
    /// Batches that were over when it came, and those since then that it could not be in because of its own callback.
    pub(super) arrived: u64,
}

impl<C: Command> Entry<C> {
    pub(super) fn new(command: C, reply: oneshot::Sender<Result<C::Outcome, StoreError>>) -> Self {
        let bytes = command.bytes();
        Self { command, reply, bytes, arrived: 0 }
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

/// Commands of each tenant in the order of their arrival, within the bounds of [`Limits`].
pub(super) struct Queue<C: Command> {
    waiting: Lanes<Option<TenantId>, Entry<C>>,
    limits: Limits,
}

impl<C: Command> Queue<C> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { waiting: Lanes::default(), limits }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.load().items
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands the entry back if there is no room for it, or none for its tenant beside the others.
    pub(super) fn push(&mut self, entry: Entry<C>) -> Result<(), Entry<C>> {
        let tenant = entry.command.tenant();
        let (all, own) = (self.waiting.load(), self.waiting.load_of(&tenant));
        let parties = self.waiting.count() + usize::from(own.items == 0);
        let fits = may_take(self.limits.queued_commands, all.items, own.items, parties, 1)
            && may_take(self.limits.queued_bytes, all.weight, own.weight, parties, entry.bytes);
        if !fits {
            return Err(entry);
        }
        let bytes = entry.bytes;
        self.waiting.push(tenant, entry, bytes);
        Ok(())
    }

    /// Takes the next batch, a command of each tenant in turn. What has to wait for the one after keeps its place in
    /// the order:
    ///
    /// - further commands for a callback that is in the batch already, because each must see the outcome of
    ///   the one before it;
    /// - commands with statements of their own beyond [`Limits::batch_alone`];
    /// - background work beyond a quarter of a batch, so that customers never wait behind housekeeping.
    ///
    /// Commands whose caller has gone are dropped: nobody could be told, so nobody relies on them.
    pub(super) fn form(&mut self) -> Vec<Entry<C>> {
        let mut batch = Vec::with_capacity(self.len().min(self.limits.batch_commands));
        let mut touched: HashSet<CallbackId> = HashSet::with_capacity(batch.capacity());
        let mut later = Vec::new();
        let (mut background, mut alone) = (0, 0);
        let mut examined = 0;
        while batch.len() < self.limits.batch_commands && examined < self.limits.examined() {
            let Some((tenant, mut entry, bytes)) = self.waiting.pop() else { break };
            examined += 1;
            if entry.reply.is_closed() {
                continue;
            }
            let rows = entry.command.background_rows();
            let too_much = rows > 0 && background > 0 && background + rows > self.limits.background_rows();
            let too_many = entry.command.goes_alone() && alone >= self.limits.batch_alone.max(1);
            let ids = entry.command.touches();
            if too_much || too_many || ids.iter().any(|id| touched.contains(id)) {
                entry.arrived += 1;
                later.push((tenant, entry, bytes));
                continue;
            }
            background += rows;
            alone += usize::from(entry.command.goes_alone());
            touched.extend(ids);
            batch.push(entry);
        }
        for (tenant, entry, bytes) in later.into_iter().rev() {
            self.waiting.put_back(tenant, entry, bytes);
        }
        batch
    }
}
