//! What routing last reported of each queue: last value wins, nothing is stored, and what is old is not known.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ids::{QueueName, TenantId};
use domain::ports::{NotReported, QueueReports};
use domain::wait::{Mode, QueueReport};
use tokio::time::Instant;

/// Queues that are remembered, of all tenants; more are refused.
const MAX_QUEUES: usize = 20_000;
/// What was reported longer ago counts as not known.
const FRESH: Duration = Duration::from_secs(120);

/// The board.
#[derive(Debug, Default)]
pub struct ReportBoard {
    reports: Mutex<HashMap<(TenantId, QueueName), (QueueReport, Instant)>>,
}

impl ReportBoard {
    fn reports(&self) -> MutexGuard<'_, HashMap<(TenantId, QueueName), (QueueReport, Instant)>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last report of a queue, if it is not older than 2 minutes.
    pub fn of(&self, tenant: TenantId, queue: &QueueName) -> Option<QueueReport> {
        let reports = self.reports();
        let (report, at) = reports.get(&(tenant, queue.clone()))?;
        (at.elapsed() < FRESH).then_some(*report)
    }

    /// Expected wait of a queue in seconds: the engine's own figure, else what its other figures come to.
    pub fn expected_wait(&self, tenant: TenantId, queue: &QueueName) -> Option<i32> {
        let report = self.of(tenant, queue)?;
        report.estimate(Mode::Reported, false).or_else(|_| report.estimate(Mode::Agents, false)).ok()
    }
}

impl QueueReports for ReportBoard {
    fn take(&self, tenant: TenantId, queue: QueueName, report: QueueReport) -> Result<(), NotReported> {
        let mut reports = self.reports();
        let key = (tenant, queue);
        if reports.len() >= MAX_QUEUES && !reports.contains_key(&key) {
            reports.retain(|_, (_, at)| at.elapsed() < FRESH);
            if reports.len() >= MAX_QUEUES {
                return Err(NotReported::Full);
            }
        }
        reports.insert(key, (report, Instant::now()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(waiting: u32) -> QueueReport {
        QueueReport {
            agents: Some(1),
            free_agents: 0,
            waiting,
            on_hold: 0,
            served: 0,
            served_over_seconds: 0.0,
            mean_busy_seconds: None,
            expected_wait_seconds: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_report_counts_for_two_minutes_and_of_its_queue_alone() {
        let board = ReportBoard::default();
        let (tenant, queue) = (TenantId::from_name("a"), QueueName::new("q").unwrap());
        assert_eq!(board.of(tenant, &queue), None);
        board.take(tenant, queue.clone(), report(1)).unwrap();
        board.take(tenant, queue.clone(), report(2)).unwrap();
        tokio::time::advance(Duration::from_secs(119)).await;
        assert_eq!(board.of(tenant, &queue), Some(report(2)));
        assert_eq!(board.of(TenantId::from_name("b"), &queue), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(board.of(tenant, &queue), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_board_forgets_what_is_old_and_refuses_what_is_new() {
        let board = ReportBoard::default();
        let tenant = TenantId::from_name("a");
        let name = |number: usize| QueueName::new(&format!("q{number}")).unwrap();
        for number in 0..MAX_QUEUES {
            board.take(tenant, name(number), report(1)).unwrap();
        }
        assert_eq!(board.take(tenant, name(MAX_QUEUES), report(1)), Err(NotReported::Full));
        assert_eq!(board.take(tenant, name(0), report(5)), Ok(()), "one that is known is always taken");
        tokio::time::advance(FRESH).await;
        assert_eq!(board.take(tenant, name(MAX_QUEUES), report(1)), Ok(()));
        assert_eq!(board.reports().len(), 1);
    }
}
