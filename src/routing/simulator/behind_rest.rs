//! The simulator as it is reached through the REST interface of Orchestration: by the names of its sessions.

use domain::callback::Reason;
use domain::ids::{CallbackId, SessionId, TenantId};
use domain::ports::RoutingError;

use super::Simulator;
use super::session::Session;

/// How a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// It works on a callback of this tenant.
    Alive(TenantId),
    /// It has ended, with its reason if it came to an end of its own.
    Ended(Option<Reason>),
    /// There is none, or it was lost.
    Gone,
}

impl Simulator {
    /// The name under which an attempt works.
    pub fn session_of(callback: CallbackId, attempt: u32) -> Option<SessionId> {
        Session::name_of(callback, attempt)
    }

    /// How a session is, by its name.
    pub fn session_state(&self, name: &str) -> SessionState {
        match attempt_of(name) {
            Some((callback, attempt)) => self.shared.core().floor.session_state(callback, attempt),
            None => SessionState::Gone,
        }
    }

    /// Ends a session unless people talk, and lets nothing of its callback in any more. What it was before is returned.
    ///
    /// # Errors
    /// As [`Self::close_register`].
    pub fn end_session(&self, name: &str) -> Result<SessionState, RoutingError> {
        let state = self.session_state(name);
        if let (SessionState::Alive(tenant), Some((callback, _))) = (&state, attempt_of(name)) {
            self.close_register(*tenant, callback)?;
        }
        Ok(state)
    }
}

/// What [`Session::name_of`] was made from.
fn attempt_of(name: &str) -> Option<(CallbackId, u32)> {
    let (callback, attempt) = name.strip_prefix("sim-")?.rsplit_once('-')?;
    Some((callback.parse().ok()?, attempt.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sessions_are_read_back() {
        let id = CallbackId::from_uuid(uuid::Uuid::from_u128(7));
        let name = Simulator::session_of(id, 12).unwrap();
        assert_eq!(attempt_of(name.as_str()), Some((id, 12)));
        for wrong in ["", "sim-", "sim-7-1", "other-00000000-0000-0000-0000-000000000007-1"] {
            assert_eq!(attempt_of(wrong), None, "{wrong}");
        }
    }
}
