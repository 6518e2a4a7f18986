//! Waits as a test sets them.

use std::collections::HashMap;
use std::sync::Mutex;

use domain::ids::TenantId;
use domain::ports::{QueueStatusError, Unserved, WaitDesk};
use domain::wait::{Mode, NoEstimate, QueueStatus};

use super::Fake;

/// What is answered, and what was asked.
#[derive(Default)]
pub(crate) struct FakeWaits {
    /// Expected waits by queue; all others are not known.
    pub(crate) waits: Mutex<HashMap<&'static str, Result<i32, NoEstimate>>>,
    /// The status of every queue; none is known while it is not set.
    pub(crate) status: Mutex<Option<QueueStatus>>,
    pub(crate) asked: Mutex<Vec<(Mode, bool)>>,
    pub(crate) named: Mutex<Vec<String>>,
}

impl WaitDesk for Fake {
    fn expected_waits(
        &self,
        _: TenantId,
        queues: &[&str],
        mode: Mode,
        with_on_hold: bool,
    ) -> Result<Vec<Result<i32, NoEstimate>>, Unserved> {
        self.mood_now();
        self.waits.asked.lock().unwrap().push((mode, with_on_hold));
        let waits = self.waits.waits.lock().unwrap();
        Ok(queues.iter().map(|name| waits.get(name).copied().unwrap_or(Err(NoEstimate::UnknownQueue))).collect())
    }

    fn queue_status(&self, _: TenantId, queue: &str) -> Result<QueueStatus, QueueStatusError> {
        self.mood_now();
        self.waits.named.lock().unwrap().push(queue.to_owned());
        self.waits.status.lock().unwrap().ok_or(QueueStatusError::UnknownQueue)
    }
}
