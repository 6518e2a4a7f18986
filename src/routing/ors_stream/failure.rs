//! What errors of the voice services' Redis mean for what was to be done.

use domain::ports::RoutingError;
use fred::error::{Error, ErrorKind};

use crate::redis::told;

/// What an error means for what was to be done.
pub(super) fn failed(error: &Error) -> RoutingError {
    // A refusal in the server's own words came instead of the work, and so did one of the client's queue.
    let refused = is_reply(error.details()) || *error.kind() == ErrorKind::Backpressure;
    if refused { RoutingError::NotDone(told(error)) } else { RoutingError::Perhaps(told(error)) }
}

/// Whether a text is an error reply of the server: it begins with a code such as `OOM` or `READONLY`. None of our
/// scripts fails after its first write.
fn is_reply(details: &str) -> bool {
    let code = details.split(' ').next().unwrap_or_default();
    code.len() >= 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_means_surely_not_done() {
        let surely =
            |kind, details: &'static str| matches!(failed(&Error::new(kind, details)), RoutingError::NotDone(_));
        assert!(surely(ErrorKind::Unknown, "OOM command not allowed when used memory > 'maxmemory'."));
        assert!(surely(ErrorKind::Unknown, "READONLY You can't write against a read only replica."));
        assert!(surely(ErrorKind::Auth, "NOAUTH Authentication required."));
        assert!(surely(ErrorKind::Backpressure, "Max in-flight commands reached."));
        assert!(!surely(ErrorKind::Timeout, "Request timed out."));
        assert!(!surely(ErrorKind::IO, "Connection reset by peer (os error 104)"));
        assert!(!surely(ErrorKind::Canceled, "Canceled."));
        assert!(!surely(ErrorKind::Unknown, ""));
    }
}
