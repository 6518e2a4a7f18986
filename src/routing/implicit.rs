//! For engines whose flows cannot ask for their attempt (`GES_ORS_ACCEPT=implicit`): the first report of a session
//! counts as if it had asked with `accepted`. That is weaker: a second flow of the same attempt learns only from the
//! answer to its first report that it is one too many, and may have rung the customer before that.

use std::sync::Arc;

use async_trait::async_trait;
use domain::callback::{Reply, Signal, SignalEvent, StepError};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Inbox, SignalError};

/// An inbox in front of another.
pub struct ImplicitAccept {
    inbox: Arc<dyn Inbox>,
}

impl ImplicitAccept {
    /// Asks for attempts on behalf of those who report to `inbox`.
    pub fn new(inbox: Arc<dyn Inbox>) -> Self {
        Self { inbox }
    }
}

/// Reports that only a session at work makes.
const fn is_of_work(event: &SignalEvent) -> bool {
    matches!(
        event,
        SignalEvent::Queued
            | SignalEvent::Routing
            | SignalEvent::Processing
            | SignalEvent::DialResult(_)
            | SignalEvent::Completed(_)
    )
}

#[async_trait]
impl Inbox for ImplicitAccept {
    async fn signal(&self, tenant: TenantId, id: CallbackId, signal: Signal) -> Result<Reply, SignalError> {
        let asks = is_of_work(&signal.event) && signal.session.is_some();
        match self.inbox.signal(tenant, id, signal.clone()).await {
            Err(SignalError::Refused(StepError::OtherSession)) if asks => {
                let accepted = Signal { seq: 0, event: SignalEvent::Accepted, ..signal.clone() };
                self.inbox.signal(tenant, id, accepted).await?;
                self.inbox.signal(tenant, id, signal).await
            }
            answer => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::SessionId;
    use std::sync::Mutex;

    /// Grants the attempt to the first that asks.
    #[derive(Default)]
    struct OneAttempt {
        granted: Mutex<Option<SessionId>>,
        heard: Mutex<Vec<&'static str>>,
    }

    #[async_trait]
    impl Inbox for OneAttempt {
        async fn signal(&self, _: TenantId, _: CallbackId, signal: Signal) -> Result<Reply, SignalError> {
            self.heard.lock().unwrap().push(signal.event.name());
            let mut granted = self.granted.lock().unwrap();
            if signal.event == SignalEvent::Accepted && granted.is_none() {
                granted.clone_from(&signal.session);
            }
            if *granted == signal.session { Ok(Reply::Done) } else { Err(StepError::OtherSession.into()) }
        }
    }

    #[tokio::test]
    async fn the_first_report_asks_and_a_second_session_is_refused() {
        let inner = Arc::new(OneAttempt::default());
        let inbox = ImplicitAccept::new(inner.clone());
        let (tenant, id) = (TenantId::from_name("a"), CallbackId::from_uuid(uuid::Uuid::from_u128(1)));
        let report = |session: &str, event| Signal { attempt: 1, seq: 1, session: SessionId::new(session).ok(), event };
        let send = async |session, event| inbox.signal(tenant, id, report(session, event)).await;
        assert_eq!(send("s1", SignalEvent::Queued).await, Ok(Reply::Done));
        assert_eq!(send("s1", SignalEvent::Routing).await, Ok(Reply::Done));
        assert_eq!(*inner.heard.lock().unwrap(), ["queued", "accepted", "queued", "routing"]);
        assert!(send("s2", SignalEvent::Routing).await.is_err());
        assert!(send("s2", SignalEvent::Alive).await.is_err());
        assert_eq!(inner.heard.lock().unwrap().len(), 7, "a question of life asks for nothing");
    }
}
